//! The order of Node.js packages, as node-semver's strict mode has it.
//!
//! It is SemVer with a `v` allowed before, white space around, numbers up to 2^53 - 1, and at most 256 characters.
//! Advisory ranges take pre-releases in plain order, unlike `semver.satisfies`.

use std::cmp::Ordering;

use crate::numbers;
use crate::semver::{self, Version};
use crate::{Scheme, VersionError};

const MAX_LENGTH: usize = 256;
const MAX_SAFE_INTEGER: &str = "9007199254740991";

pub(crate) fn compare(left: &str, right: &str) -> Result<Ordering, VersionError> {
    Ok(semver::compare_parsed(&parse(left)?, &parse(right)?))
}

fn parse(text: &str) -> Result<Version<'_>, VersionError> {
    let error = |expected| VersionError::new(Scheme::Npm, text, 0, expected);
    // JavaScript counts UTF-16 units; what is not ASCII does not parse anyway.
    if text.len() > MAX_LENGTH {
        return Err(error("at most 256 characters"));
    }
    // What JavaScript's trim() takes for white space.
    let is_space =
        |character: char| (character.is_whitespace() && character != '\u{85}') || character == '\u{feff}';
    let trimmed = text.trim_matches(is_space);
    let plain = trimmed.strip_prefix('v').unwrap_or(trimmed);
    let version = semver::parse(Scheme::Npm, text, plain)?;
    if version.numbers.iter().any(|number| numbers::compare(number, MAX_SAFE_INTEGER).is_gt()) {
        return Err(error("numbers up to 9007199254740991"));
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_and_white_space_do_not_matter() {
        assert_eq!(compare(" v1.2.3\n", "1.2.3"), Ok(Ordering::Equal));
        assert_eq!(compare("1.2.3-beta.2", "1.2.3-beta.11"), Ok(Ordering::Less));
    }

    #[test]
    fn what_is_not_a_version() {
        for text in ["", "=1.2.3", "vv1.2.3", "1.2", "9007199254740992.0.0", "latest", "1.2.3-01"] {
            assert!(compare(text, "1.0.0").is_err(), "{text:?}");
        }
    }
}
