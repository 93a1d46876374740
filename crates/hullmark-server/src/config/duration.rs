//! Durations as they are written in the configuration: `500ms`, `10s`, `5m`, `24h`, `7d`.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// A duration of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigDuration(pub Duration);

/// A text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration: expected a number and a unit, such as `500ms`, `10s`, `5m`, `24h` or `7d`")]
pub struct DurationError(pub String);

impl FromStr for ConfigDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || DurationError(text.chars().take(40).collect());
        let digits = text.find(|character: char| !character.is_ascii_digit()).ok_or_else(error)?;
        let (number, unit) = text.split_at_checked(digits).ok_or_else(error)?;
        let number: u64 = number.parse().map_err(|_| error())?;
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(error()),
        };
        number.checked_mul(milliseconds).map(|all| Self(Duration::from_millis(all))).ok_or_else(error)
    }
}

impl<'de> Deserialize<'de> for ConfigDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        for (text, milliseconds) in [("500ms", 500), ("10s", 10_000), ("5m", 300_000), ("24h", 86_400_000)] {
            assert_eq!(text.parse(), Ok(ConfigDuration(Duration::from_millis(milliseconds))), "{text}");
        }
        for bad in ["", "s", "10", "-1s", "1.5s", "1w", "99999999999999999999s", "9999999999999999999d"] {
            assert!(bad.parse::<ConfigDuration>().is_err(), "{bad}");
        }
    }
}
