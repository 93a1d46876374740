//! What is wrong with a version.

use crate::Scheme;

/// How much of a version an error shows, in characters.
const SHOWN: usize = 200;

/// A version that does not parse. It has no order: neither affected nor not affected follows from it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a version in the {scheme} order: at byte {position}, expected {expected}", version.escape_debug())]
pub struct VersionError {
    /// The order it was read for.
    pub scheme: Scheme,
    /// The version, cut to 200 characters.
    pub version: String,
    /// Where reading stopped, in bytes from the start of the version.
    pub position: usize,
    /// What was expected there.
    pub expected: &'static str,
}

impl VersionError {
    pub(crate) fn new(scheme: Scheme, version: &str, position: usize, expected: &'static str) -> Self {
        Self { scheme, version: version.chars().take(SHOWN).collect(), position, expected }
    }

    /// The error at the start of `part`, a slice of `version`.
    pub(crate) fn at(scheme: Scheme, version: &str, part: &str, expected: &'static str) -> Self {
        let position = part.as_ptr().addr().saturating_sub(version.as_ptr().addr()).min(version.len());
        Self::new(scheme, version, position, expected)
    }
}
