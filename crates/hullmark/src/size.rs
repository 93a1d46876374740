//! Sizes as people write them.

use std::fmt;
use std::str::FromStr;

/// A number of bytes: `512`, `64KiB`, `256MiB`, `1GiB`; `K`, `M` and `G` mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("bytes", 1)];

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let split = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let factor = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            _ => return Err("expected a number of bytes, or of KiB, MiB or GiB".to_owned()),
        };
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        bytes.map(Self).ok_or_else(|| "expected a size, such as 256MiB".to_owned())
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, factor)| self.0 >= *factor).unwrap_or(&("bytes", 1));
        match self.0 % unit.1 {
            0 => write!(formatter, "{} {}", self.0 / unit.1, unit.0),
            rest => write!(formatter, "{}.{} {}", self.0 / unit.1, rest * 10 / unit.1, unit.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes, shown) in [
            ("512", 512, "512 bytes"),
            ("64KiB", 64 << 10, "64 KiB"),
            ("256M", 256 << 20, "256 MiB"),
            ("1 gib", 1 << 30, "1 GiB"),
            ("1536k", 1536 << 10, "1.5 MiB"),
        ] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, shown));
        }
        for text in ["", "MiB", "1.5MiB", "-1", "1 parsec", "99999999999GiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
