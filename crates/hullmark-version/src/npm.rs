//! The order of Node.js packages, as node-semver's strict mode has it (`semver.compare` of `semver` 7 on npm).
//!
//! It is SemVer with a `v` allowed before, white space around, numbers up to 2^53 - 1, and at most 256 characters. A `=`
//! before is for ranges and for `semver.clean`; `semver.valid` refuses it.
//! Numeric identifiers of pre-releases may be larger than 2^53 - 1, and node-semver compares them in double precision.
//! Advisory ranges take pre-releases in plain order, unlike `semver.satisfies`.

use std::cmp::Ordering;

use crate::numbers;
use crate::semver::{self, Version};
use crate::{Scheme, VersionError};

/// In the units of JavaScript's strings.
const MAX_LENGTH: usize = 256;
const MAX_SAFE_INTEGER: &str = "9007199254740991";

pub(crate) fn compare(left: &str, right: &str) -> Result<Ordering, VersionError> {
    Ok(semver::compare_parsed(parse(left)?, parse(right)?, compare_doubles))
}

fn parse(text: &str) -> Result<Version<'_>, VersionError> {
    if text.encode_utf16().count() > MAX_LENGTH {
        return Err(VersionError::new(Scheme::Npm, text, text.len(), "at most 256 characters"));
    }
    let trimmed = text.trim_matches(is_space);
    let plain = trimmed.strip_prefix('v').unwrap_or(trimmed);
    let version = semver::parse(Scheme::Npm, text, plain)?;
    match version.numbers.iter().find(|number| numbers::compare(number, MAX_SAFE_INTEGER).is_gt()) {
        Some(number) => Err(VersionError::at(Scheme::Npm, text, number, "a number up to 9007199254740991")),
        None => Ok(version),
    }
}

/// What JavaScript's `trim` takes for white space.
fn is_space(character: char) -> bool {
    (character.is_whitespace() && character != '\u{85}') || character == '\u{feff}'
}

/// Compares two runs of digits as JavaScript numbers; at most 250 digits, so none is infinite.
fn compare_doubles(left: &str, right: &str) -> Ordering {
    match (left.parse::<f64>(), right.parse::<f64>()) {
        (Ok(left), Ok(right)) => left.total_cmp(&right),
        _ => numbers::compare(left, right),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(left: &str, order: Ordering, right: &str) {
        assert_eq!(compare(left, right), Ok(order), "{left:?} {right:?}");
        assert_eq!(compare(right, left), Ok(order.reverse()), "{right:?} {left:?}");
    }

    #[test]
    fn a_prefix_and_white_space_do_not_matter() {
        check(" v1.2.3\n", Ordering::Equal, "1.2.3");
        check("\u{feff}1.2.3\u{a0}", Ordering::Equal, "1.2.3");
        check("1.2.3-beta.2", Ordering::Less, "1.2.3-beta.11");
        check("1.2.3+b", Ordering::Equal, "1.2.3+a");
    }

    #[test]
    fn numbers_of_pre_releases_have_double_precision() {
        check("1.0.0-9007199254740991", Ordering::Less, "1.0.0-9007199254740992");
        check("1.0.0-9007199254740992", Ordering::Equal, "1.0.0-9007199254740993");
        check("1.0.0-9007199254740992", Ordering::Less, "1.0.0-9007199254740994");
        check("1.0.0-9007199254740993", Ordering::Less, "1.0.0-a");
    }

    #[test]
    fn the_longest_version() {
        let longest = format!("1.0.0+{}", "a".repeat(250));
        check(&longest, Ordering::Equal, "1.0.0");
        assert!(compare(&format!("{longest}a"), "1.0.0").is_err());
        // 256 characters in more than 256 bytes.
        check(&format!("1.0.0{}", "\u{3000}".repeat(251)), Ordering::Equal, "1.0.0");
    }

    #[test]
    fn what_is_not_a_version() {
        for (text, position) in [
            ("", 0),
            ("=1.2.3", 0),
            ("vv1.2.3", 1),
            ("v 1.2.3", 1),
            ("V1.2.3", 0),
            ("1.2", 3),
            (" 1.9007199254740992.0", 3),
            ("latest", 0),
            ("1.2.3-01", 6),
            ("1.2.3-a\u{e9}", 6),
            ("\u{85}1.2.3", 0),
        ] {
            let error = compare("1.0.0", text).unwrap_err();
            assert_eq!((error.version.as_str(), error.position), (text, position), "{error}");
        }
    }
}
