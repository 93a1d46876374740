//! What could not be read or assessed, with its place.

use serde::{Deserialize, Serialize};

/// How much a diagnostic takes away from the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiagnosticLevel {
    /// Worth knowing; nothing is missing from the result.
    Note,
    /// Something may be missing from the result: a coverage finding.
    Gap,
}

/// One thing that could not be read, or that a reader of the result has to know. Never fatal for the rest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How much it takes away.
    pub level: DiagnosticLevel,
    /// A stable kebab-case word, such as `limit-file-size` or `malformed-package-database`.
    pub code: String,
    /// Where: a path inside the image, or a file outside it; empty when it concerns the whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The layer, counted from 0 at the base, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<u32>,
    /// What happened and what was expected, in a sentence without a final stop.
    pub message: String,
}

impl Diagnostic {
    /// A gap in the result: something was not assessed.
    pub fn gap(code: impl Into<String>, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            level: DiagnosticLevel::Gap,
            code: code.into(),
            path: path.into(),
            layer: None,
            message: message.into(),
        }
    }

    /// A note: nothing is missing from the result.
    pub fn note(code: impl Into<String>, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { level: DiagnosticLevel::Note, ..Self::gap(code, path, message) }
    }

    /// The same diagnostic, placed in a layer.
    #[must_use]
    pub fn in_layer(mut self, layer: u32) -> Self {
        self.layer = Some(layer);
        self
    }
}
