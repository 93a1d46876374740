//! The order of Alpine packages, as apk-tools has it (`apk_version_compare_fuzzy` of version 2.14 and 3).
//!
//! `number{.number}{letter}{_suffix{number}}{~hash}{-r#}`. A component after the first that begins with `0` is compared as
//! the digits after a decimal point are. `_alpha`, `_beta`, `_pre` and `_rc` come before the version without a suffix, and
//! `_cvs`, `_svn`, `_git`, `_hg` and `_p` after it.

use std::cmp::Ordering;

use crate::numbers::{self, split_digits};
use crate::{Scheme, VersionError};

/// The suffixes in their order; those before [`NO_SUFFIX`] come before a version without one.
const SUFFIXES: [&str; 9] = ["alpha", "beta", "pre", "rc", "cvs", "svn", "git", "hg", "p"];
const NO_SUFFIX: usize = 4;

/// A version taken apart.
#[derive(Debug)]
struct Version<'a> {
    numbers: Vec<&'a str>,
    letter: Option<u8>,
    /// Place in [`SUFFIXES`], and the number after it.
    suffixes: Vec<(usize, &'a str)>,
    hash: Option<&'a str>,
    revision: Option<&'a str>,
}

pub(crate) fn compare(left: &str, right: &str) -> Result<Ordering, VersionError> {
    let (left, right) = (parse(left)?, parse(right)?);
    Ok(compare_numbers(&left.numbers, &right.numbers)
        .then_with(|| left.letter.cmp(&right.letter))
        .then_with(|| compare_suffixes(&left.suffixes, &right.suffixes))
        .then_with(|| left.hash.cmp(&right.hash))
        .then_with(|| numbers::compare(left.revision.unwrap_or(""), right.revision.unwrap_or("")))
        .then_with(|| left.revision.is_some().cmp(&right.revision.is_some())))
}

fn parse(text: &str) -> Result<Version<'_>, VersionError> {
    let error =
        |rest: &str, expected| VersionError::new(Scheme::Apk, text, text.len() - rest.len(), expected);
    let mut version =
        Version { numbers: Vec::new(), letter: None, suffixes: Vec::new(), hash: None, revision: None };
    let mut rest = text;
    loop {
        let (number, after) = split_digits(rest);
        if number.is_empty() {
            return Err(error(rest, "a digit"));
        }
        version.numbers.push(number);
        rest = after;
        match rest.strip_prefix('.') {
            Some(after) => rest = after,
            None => break,
        }
    }
    if let Some(letter) = rest.bytes().next().filter(u8::is_ascii_lowercase) {
        version.letter = Some(letter);
        rest = rest.get(1..).unwrap_or_default();
    }
    while let Some(after) = rest.strip_prefix('_') {
        let end = after.bytes().position(|byte| !byte.is_ascii_lowercase()).unwrap_or(after.len());
        let (word, after) = after.split_at(end);
        let place = SUFFIXES.iter().position(|suffix| *suffix == word);
        let place =
            place.ok_or_else(|| error(rest, "a suffix that apk-tools knows, such as `_rc` or `_p`"))?;
        let (number, after) = split_digits(after);
        version.suffixes.push((place, number));
        rest = after;
    }
    if let Some(after) = rest.strip_prefix('~') {
        let end = after
            .bytes()
            .position(|byte| !byte.is_ascii_digit() && !(b'a'..=b'f').contains(&byte))
            .unwrap_or(after.len());
        if end == 0 {
            return Err(error(after, "hexadecimal digits after `~`"));
        }
        let (hash, after) = after.split_at(end);
        version.hash = Some(hash);
        rest = after;
    }
    if let Some(after) = rest.strip_prefix("-r") {
        let (number, after) = split_digits(after);
        if number.is_empty() {
            return Err(error(after, "a number after `-r`"));
        }
        version.revision = Some(number);
        rest = after;
    }
    match rest {
        "" => Ok(version),
        _ => Err(error(rest, "`.`, a letter, `_`, `~`, `-r` or the end")),
    }
}

fn compare_numbers(left: &[&str], right: &[&str]) -> Ordering {
    let pairs = left.iter().zip(right).enumerate();
    for (position, (left, right)) in pairs {
        let as_fraction = position > 0 && (left.starts_with('0') || right.starts_with('0'));
        let order = match as_fraction {
            true => left.cmp(right),
            false => numbers::compare(left, right),
        };
        if order.is_ne() {
            return order;
        }
    }
    left.len().cmp(&right.len())
}

fn compare_suffixes(left: &[(usize, &str)], right: &[(usize, &str)]) -> Ordering {
    let (mut left, mut right) = (left.iter(), right.iter());
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (Some((place, _)), None) => before_or_after(*place),
            (None, Some((place, _))) => before_or_after(*place).reverse(),
            (Some((left, left_number)), Some((right, right_number))) => {
                left.cmp(right).then_with(|| numbers::compare(left_number, right_number))
            }
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Where a version with this suffix stands to one without it.
fn before_or_after(place: usize) -> Ordering {
    if place < NO_SUFFIX { Ordering::Less } else { Ordering::Greater }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(left: &str, order: Ordering, right: &str) {
        assert_eq!(compare(left, right), Ok(order), "{left} {right}");
        assert_eq!(compare(right, left), Ok(order.reverse()), "{right} {left}");
    }

    #[test]
    fn order_of_apk_tools() {
        check("1.1.18-r3", Ordering::Less, "1.1.18-r4");
        check("1.1.18-r4", Ordering::Less, "1.1.18-r10");
        check("1.0", Ordering::Less, "1.0.1");
        check("1.2b", Ordering::Greater, "1.2a");
        check("1.2", Ordering::Less, "1.2a");
        check("1.2_rc1", Ordering::Less, "1.2");
        check("1.2_p1", Ordering::Greater, "1.2");
        check("1.2_alpha", Ordering::Less, "1.2_beta");
        check("1.2_git20240101", Ordering::Less, "1.2_p1");
        check("0.1.0_alpha", Ordering::Less, "0.1.3_alpha");
        check("1.06", Ordering::Less, "1.5");
        check("1.10", Ordering::Greater, "1.9");
        check("2.0", Ordering::Greater, "2");
        check("1.2_rc1-r1", Ordering::Less, "1.2-r0");
        check("1.2-r0", Ordering::Greater, "1.2");
    }

    #[test]
    fn what_is_not_a_version() {
        for text in ["", "a", "1.", "1.2_foo", "1.2-3", "1.2-r", "1..2", "1.2-r1-r2", "1.2A", "1.2~", "1 "] {
            assert!(compare(text, "1").is_err(), "{text:?}");
        }
    }
}
