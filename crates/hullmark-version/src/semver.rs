//! Semantic Versioning 2.0.0 (<https://semver.org/spec/v2.0.0.html>), strict, with numbers of any length.

use std::cmp::Ordering;

use crate::numbers::{self, is_number, is_plain_number};
use crate::{Scheme, VersionError};

/// A parsed version; build metadata has no place in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version<'a> {
    pub(crate) numbers: [&'a str; 3],
    pub(crate) pre_release: PreRelease<'a>,
}

/// The identifiers of a pre-release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PreRelease<'a> {
    /// It is a release.
    None,
    /// With dots between them.
    Dotted(&'a str),
    /// A word and a number, as in Go's `rc1`.
    Pair(&'a str, &'a str),
}

impl<'a> PreRelease<'a> {
    fn identifiers(self) -> impl Iterator<Item = &'a str> {
        let (dotted, last) = match self {
            Self::None => (None, None),
            Self::Dotted(text) => (Some(text), None),
            Self::Pair(word, number) => (Some(word), Some(number)),
        };
        dotted.into_iter().flat_map(|text| text.split('.')).chain(last)
    }
}

pub(crate) fn compare(left: &str, right: &str) -> Result<Ordering, VersionError> {
    let (left, right) = (parse(Scheme::Semver, left, left)?, parse(Scheme::Semver, right, right)?);
    Ok(compare_parsed(left, right, numbers::compare))
}

/// Parses `text`, a slice of the version `whole` that errors name.
pub(crate) fn parse<'a>(scheme: Scheme, whole: &str, text: &'a str) -> Result<Version<'a>, VersionError> {
    let error = |part: &str, expected| VersionError::at(scheme, whole, part, expected);
    let (rest, build) = match text.split_once('+') {
        Some((rest, build)) => (rest, Some(build)),
        None => (text, None),
    };
    let (core, pre_release) = match rest.split_once('-') {
        Some((core, pre_release)) => (core, Some(pre_release)),
        None => (rest, None),
    };
    let numbers = parse_numbers(core, error)?;
    if let Some(pre_release) = pre_release {
        for identifier in pre_release.split('.') {
            if !is_identifier(identifier) || (is_number(identifier) && !is_plain_number(identifier)) {
                return Err(error(
                    identifier,
                    "an identifier of letters, digits and `-`, numbers without leading zeros",
                ));
            }
        }
    }
    let wrong = build.and_then(|build| build.split('.').find(|identifier| !is_identifier(identifier)));
    if let Some(identifier) = wrong {
        return Err(error(identifier, "letters, digits and `-` in build metadata"));
    }
    Ok(Version { numbers, pre_release: pre_release.map_or(PreRelease::None, PreRelease::Dotted) })
}

/// `major.minor.patch`
fn parse_numbers(
    core: &str,
    error: impl Fn(&str, &'static str) -> VersionError,
) -> Result<[&str; 3], VersionError> {
    let mut numbers = [""; 3];
    let mut parts = core.split('.');
    for number in &mut numbers {
        let end = core.split_at(core.len()).1;
        let part = parts.next().ok_or_else(|| error(end, "three numbers with dots between them"))?;
        if !is_plain_number(part) {
            return Err(error(part, "a number without leading zeros"));
        }
        *number = part;
    }
    match parts.next() {
        Some(part) => Err(error(part, "no more than three numbers")),
        None => Ok(numbers),
    }
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The order of section 11 of the specification; `compare_numbers` is for the numeric identifiers of pre-releases.
pub(crate) fn compare_parsed(
    left: Version<'_>,
    right: Version<'_>,
    compare_numbers: fn(&str, &str) -> Ordering,
) -> Ordering {
    let mut pairs = left.numbers.iter().zip(right.numbers);
    pairs
        .find_map(|(left, right)| Some(numbers::compare(left, right)).filter(|order| order.is_ne()))
        .unwrap_or_else(|| compare_pre_release(left.pre_release, right.pre_release, compare_numbers))
}

fn compare_pre_release(
    left: PreRelease<'_>,
    right: PreRelease<'_>,
    compare_numbers: fn(&str, &str) -> Ordering,
) -> Ordering {
    match (left, right) {
        (PreRelease::None, PreRelease::None) => return Ordering::Equal,
        (PreRelease::None, _) => return Ordering::Greater,
        (_, PreRelease::None) => return Ordering::Less,
        _ => {}
    }
    let (mut left, mut right) = (left.identifiers(), right.identifiers());
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(left), Some(right)) => match (is_number(left), is_number(right)) {
                (true, true) => compare_numbers(left, right),
                (true, false) => Ordering::Less,
                (false, true) => Ordering::Greater,
                (false, false) => left.cmp(right),
            },
        };
        if order.is_ne() {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specification_s_own_examples_are_in_order() {
        let sorted = [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "2.0.0",
            "2.1.0",
            "2.1.1",
            "2.1.99999999999999999999999",
        ];
        for (position, left) in sorted.iter().enumerate() {
            for (other, right) in sorted.iter().enumerate() {
                assert_eq!(compare(left, right), Ok(position.cmp(&other)), "{left} {right}");
            }
        }
        assert_eq!(compare("1.0.0+a", "1.0.0+b"), Ok(Ordering::Equal));
    }

    #[test]
    fn what_is_not_a_version() {
        for text in [
            "",
            "1",
            "1.2",
            "v1.2.3",
            "01.2.3",
            "1.2.3.4",
            "1.2.3-",
            "1.2.3-01",
            "1.2.3+",
            "1.2.3-a..b",
            " 1.2.3",
        ] {
            assert!(compare(text, "1.0.0").is_err(), "{text:?}");
        }
    }
}
