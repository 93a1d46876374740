//! The forms of a report.

use std::fmt;
use std::str::FromStr;

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// For people.
    Table,
    /// Everything, by `docs/schema/report.schema.json`.
    Json,
    /// SARIF 2.1.0, for code hosting and editors.
    Sarif,
    /// CycloneDX 1.6, the inventory alone.
    Cyclonedx,
}

impl Format {
    /// All forms.
    pub const ALL: [Self; 4] = [Self::Table, Self::Json, Self::Sarif, Self::Cyclonedx];

    /// The word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Sarif => "sarif",
            Self::Cyclonedx => "cyclonedx",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// A word that names no form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a report format: expected table, json, sarif or cyclonedx")]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| UnknownFormat(text.to_owned()))
    }
}
