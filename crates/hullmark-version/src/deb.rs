//! Debian's order, as dpkg has it (`dpkg --compare-versions`; Debian policy 5.6.12, `deb-version(7)`).
//!
//! `[epoch:]upstream[-revision]`. Runs of non-digits and of digits alternate; in the former letters sort before other
//! characters and `~` before everything, also before the end.
//!
//! What dpkg only warns about is decided here: an upstream version that does not start with a digit is accepted, a character
//! that is not allowed is an error. The empty text, which dpkg takes for "not installed", is an error too.

use std::cmp::Ordering;

use crate::numbers::{self, is_number, split_digits};
use crate::{Scheme, VersionError};

/// dpkg holds an epoch in a C int.
const MAX_EPOCH: u32 = i32::MAX.unsigned_abs();

struct Version<'a> {
    epoch: u32,
    upstream: &'a str,
    revision: &'a str,
}

pub(crate) fn compare(left: &str, right: &str) -> Result<Ordering, VersionError> {
    let (left, right) = (parse(left)?, parse(right)?);
    Ok(left
        .epoch
        .cmp(&right.epoch)
        .then_with(|| compare_part(left.upstream, right.upstream))
        .then_with(|| compare_part(left.revision, right.revision)))
}

fn parse(text: &str) -> Result<Version<'_>, VersionError> {
    let error = |part: &str, expected| VersionError::at(Scheme::Deb, text, part, expected);
    let version = text.trim_matches([' ', '\t']);
    if version.is_empty() {
        return Err(error(version, "a version"));
    }
    let (epoch, rest) = match version.split_once(':') {
        None => (0, version),
        Some((epoch, rest)) => match parse_epoch(epoch) {
            Some(number) => (number, rest),
            None => return Err(error(epoch, "an epoch from 0 to 2147483647 before `:`")),
        },
    };
    let (upstream, revision) = match rest.rsplit_once('-') {
        Some((_, revision @ "")) => return Err(error(revision, "a revision after `-`")),
        Some(parts) => parts,
        None => (rest, ""),
    };
    if upstream.is_empty() {
        return Err(error(upstream, "an upstream version"));
    }
    if let Some(part) = find_other(upstream, b".-+~:") {
        return Err(error(part, "letters, digits and `. - + ~ :` in the upstream version"));
    }
    if let Some(part) = find_other(revision, b".+~") {
        return Err(error(part, "letters, digits and `. + ~` in the revision"));
    }
    Ok(Version { epoch, upstream, revision })
}

/// dpkg reads it with `strtol`, so a sign may stand before it.
fn parse_epoch(text: &str) -> Option<u32> {
    let number = text.strip_prefix(['+', '-']).unwrap_or(text);
    let epoch = number.parse().ok().filter(|epoch| is_number(number) && *epoch <= MAX_EPOCH)?;
    (epoch == 0 || !text.starts_with('-')).then_some(epoch)
}

/// The tail that starts with the first character that is neither a letter, nor a digit, nor one of `others`.
fn find_other<'a>(part: &'a str, others: &[u8]) -> Option<&'a str> {
    let position = part.bytes().position(|byte| !byte.is_ascii_alphanumeric() && !others.contains(&byte))?;
    part.get(position..)
}

fn compare_part(mut left: &str, mut right: &str) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        let (left_text, left_rest) = split_text(left);
        let (right_text, right_rest) = split_text(right);
        let order = compare_text(left_text, right_text);
        if order.is_ne() {
            return order;
        }
        let (left_digits, left_rest) = split_digits(left_rest);
        let (right_digits, right_rest) = split_digits(right_rest);
        let order = numbers::compare(left_digits, right_digits);
        if order.is_ne() {
            return order;
        }
        (left, right) = (left_rest, right_rest);
    }
    Ordering::Equal
}

fn split_text(part: &str) -> (&str, &str) {
    part.split_at(part.bytes().position(|byte| byte.is_ascii_digit()).unwrap_or(part.len()))
}

fn compare_text(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    (0..left.len().max(right.len()))
        .map(|position| weight(left.get(position)).cmp(&weight(right.get(position))))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        None => 0,
        Some(b'~') => -1,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        Some(other) => i32::from(*other) + 256,
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
    fn epochs() {
        check("1:0.1", Ordering::Greater, "9.9");
        check("0:1", Ordering::Equal, "1");
        check("007:1", Ordering::Equal, "7:1");
        check("+1:1", Ordering::Equal, "1:1");
        check("-0:1", Ordering::Equal, "1");
        check("2147483647:1", Ordering::Greater, "2147483646:2");
        check("1:2:3", Ordering::Greater, "1:2");
    }

    #[test]
    fn upstream_versions() {
        check("1.0~rc1", Ordering::Less, "1.0");
        check("1.0~~", Ordering::Less, "1.0~");
        check("1.0~~a", Ordering::Less, "1.0~");
        check("1.0~", Ordering::Less, "1.0");
        check("1.0", Ordering::Less, "1.0a");
        check("1.0a", Ordering::Less, "1.0+");
        check("1.0Z", Ordering::Less, "1.0a");
        check("1.0+", Ordering::Less, "1.0-0-0");
        check("1.0-1-1", Ordering::Less, "1.0.1-1");
        check("1.010", Ordering::Equal, "1.10");
        check("1.9", Ordering::Less, "1.10");
        check("a1", Ordering::Greater, "1");
        check("~1", Ordering::Less, "0");
        check("99999999999999999999999", Ordering::Less, "100000000000000000000000");
    }

    #[test]
    fn revisions() {
        check("1.0", Ordering::Equal, "1.0-0");
        check("1.0", Ordering::Less, "1.0-1");
        check("1.0-1~bpo1", Ordering::Less, "1.0-1");
        check("3.0.17-1~deb12u2", Ordering::Less, "3.0.17-1");
        check("1.2-3-4", Ordering::Greater, "1.2-2-5");
        check("7.88.1-10+deb12u5", Ordering::Less, "7.88.1-10+deb12u12");
        check("1.1.1n-0+deb11u5", Ordering::Less, "1.1.1n-1");
    }

    #[test]
    fn blanks_around_do_not_matter() {
        check(" 1.0-1\t", Ordering::Equal, "1.0-1");
    }

    #[test]
    fn what_is_not_a_version() {
        for (text, position) in [
            ("", 0),
            (" ", 0),
            (":1", 0),
            ("a:1", 0),
            ("-1:1", 0),
            ("+:1", 0),
            ("1-2:3", 0),
            (" 2147483648:1", 1),
            ("99999999999999999999:1", 0),
            ("1:", 2),
            ("1-", 2),
            ("1:1-", 4),
            ("-1", 0),
            ("1:-1", 2),
            ("1 2", 1),
            ("1_2", 1),
            (" 1:1_2-1", 4),
            ("1.0-1_2", 5),
            ("1\n", 1),
            ("1\u{e9}", 1),
        ] {
            let error = compare("1", text).unwrap_err();
            assert_eq!((error.version.as_str(), error.position), (text, position), "{error}");
        }
    }
}
