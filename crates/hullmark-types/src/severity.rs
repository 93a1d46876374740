//! Severity words, ordered.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How bad a vulnerability is. `Unrated` (no source at hand rates it) meets no threshold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// No source at hand rates it.
    #[default]
    Unrated,
    /// Negligible, unimportant, CVSS 0.0.
    Negligible,
    /// CVSS 0.1 to 3.9.
    Low,
    /// CVSS 4.0 to 6.9.
    Medium,
    /// CVSS 7.0 to 8.9.
    High,
    /// CVSS 9.0 to 10.0.
    Critical,
}

impl Severity {
    /// All levels, mildest first.
    pub const ALL: [Self; 6] =
        [Self::Unrated, Self::Negligible, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unrated => "unrated",
            Self::Negligible => "negligible",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The level of a CVSS base score in tenths (0 to 100), by the bands of the CVSS 3.1 specification, section 5.
    pub fn from_score_tenths(tenths: u8) -> Self {
        match tenths {
            0 => Self::Negligible,
            1..=39 => Self::Low,
            40..=69 => Self::Medium,
            70..=89 => Self::High,
            _ => Self::Critical,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// A severity word that no source is known to use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a severity: expected negligible, low, medium, high or critical")]
pub struct UnknownSeverity(pub String);

impl FromStr for Severity {
    type Err = UnknownSeverity;

    /// Reads the word of any source: `moderate` is medium, `important` is high, `unimportant` and `unassigned` are
    /// negligible.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().to_ascii_lowercase().as_str() {
            "unrated" | "unknown" => Ok(Self::Unrated),
            "negligible" | "unimportant" | "unassigned" | "none" => Ok(Self::Negligible),
            "low" => Ok(Self::Low),
            "medium" | "moderate" => Ok(Self::Medium),
            "high" | "important" => Ok(Self::High),
            "critical" => Ok(Self::Critical),
            _ => Err(UnknownSeverity(text.chars().take(100).collect())),
        }
    }
}
