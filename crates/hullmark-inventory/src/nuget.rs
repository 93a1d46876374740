//! What the files of NuGet have in common.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hullmark_types::Checksum;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// A part of a document that may be of another form than it should: the rest is read all the same.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Lenient<T> {
    /// As it should be.
    Sound(T),
    /// Anything else.
    Broken(IgnoredAny),
}

impl<T> Lenient<T> {
    /// The part, if it is as it should be.
    pub(crate) fn sound(&self) -> Option<&T> {
        match self {
            Self::Sound(part) => Some(part),
            Self::Broken(_) => None,
        }
    }
}

/// Without the mark that editors of Windows begin a file with.
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// The checksum of a package, written as base64.
pub(crate) fn sha512(base64: &str) -> Option<Checksum> {
    let bytes = STANDARD.decode(base64.trim()).ok().filter(|bytes| bytes.len() == 64)?;
    let value = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(Checksum { algorithm: "sha512".to_owned(), value })
}

/// The version as NuGet writes it everywhere but where people do: three numbers without leading zeros, a fourth if it is not 0,
/// the label of a pre-release, no metadata of a build. Anything that is not a version stays as it is.
pub(crate) fn normalized(version: &str) -> String {
    let version = version.trim();
    let plain = version.split_once('+').map_or(version, |(plain, _)| plain);
    let (numbers, label) = match plain.split_once('-') {
        Some((numbers, label)) => (numbers, Some(label)),
        None => (plain, None),
    };
    let mut parts: Vec<_> = numbers.splitn(5, '.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if parts.len() > 4 || !parts.iter().all(is_number) {
        return version.to_owned();
    }
    for part in &mut parts {
        let digits = part.trim_start_matches('0');
        *part = if digits.is_empty() { "0" } else { digits };
    }
    while parts.len() < 3 {
        parts.push("0");
    }
    if parts.len() == 4 && parts.last() == Some(&"0") {
        parts.pop();
    }
    let numbers = parts.join(".");
    label.map_or(numbers.clone(), |label| format!("{numbers}-{label}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_normalized_as_nuget_does() {
        for (version, expected) in [
            ("1", "1.0.0"),
            ("1.0", "1.0.0"),
            ("01.002.3", "1.2.3"),
            ("1.2.3.0", "1.2.3"),
            ("1.2.3.4", "1.2.3.4"),
            ("1.0-beta.1+commit", "1.0.0-beta.1"),
            ("1.*", "1.*"),
            ("1.2.3.4.5", "1.2.3.4.5"),
            ("", ""),
        ] {
            assert_eq!(normalized(version), expected, "{version}");
        }
    }
}
