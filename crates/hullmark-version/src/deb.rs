//! Debian's order, as dpkg has it (Debian policy 5.6.12).
//!
//! `[epoch:]upstream[-revision]`. Runs of non-digits and of digits alternate; in the former letters sort before other
//! characters and `~` before everything, also before the end.

use std::cmp::Ordering;

use crate::numbers::{self, is_number, split_digits};
use crate::{Scheme, VersionError};

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

/// Accepts what dpkg accepts without a complaint about characters; an upstream version need not start with a digit.
fn parse(text: &str) -> Result<Version<'_>, VersionError> {
    let error = |position, expected| VersionError::new(Scheme::Deb, text, position, expected);
    let version =
        text.trim_matches(|character: char| character.is_ascii_whitespace() || character == '\u{b}');
    if version.is_empty() {
        return Err(error(0, "a version"));
    }
    let (epoch, rest) = match version.split_once(':') {
        None => (0, version),
        Some((epoch, rest)) => {
            // dpkg holds an epoch in a C int.
            let number =
                epoch.parse::<u32>().ok().filter(|&number| is_number(epoch) && number <= i32::MAX as u32);
            (number.ok_or_else(|| error(0, "an epoch from 0 to 2147483647 before `:`"))?, rest)
        }
    };
    let (upstream, revision) = match rest.rsplit_once('-') {
        Some((_, "")) => return Err(error(text.len(), "a revision after `-`")),
        Some(parts) => parts,
        None => (rest, ""),
    };
    if upstream.is_empty() {
        return Err(error(text.len() - rest.len(), "an upstream version"));
    }
    let bad = |part: &str, others: &str| {
        part.bytes().position(|byte| !byte.is_ascii_alphanumeric() && !others.as_bytes().contains(&byte))
    };
    if let Some(position) = bad(upstream, ".-+~:") {
        return Err(error(position, "letters, digits and `. - + ~ :` in the upstream version"));
    }
    if let Some(position) = bad(revision, ".+~") {
        return Err(error(position, "letters, digits and `. + ~` in the revision"));
    }
    Ok(Version { epoch, upstream, revision })
}

fn compare_part(mut left: &str, mut right: &str) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        let (left_text, left_rest) = split_text(left);
        let (right_text, right_rest) = split_text(right);
        let order = compare_text(left_text, right_text);
        if order != Ordering::Equal {
            return order;
        }
        let (left_digits, left_rest) = split_digits(left_rest);
        let (right_digits, right_rest) = split_digits(right_rest);
        let order = numbers::compare(left_digits, right_digits);
        if order != Ordering::Equal {
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

    fn check(left: &str, expected: char, right: &str) {
        let order = match expected {
            '<' => Ordering::Less,
            '=' => Ordering::Equal,
            _ => Ordering::Greater,
        };
        assert_eq!(compare(left, right), Ok(order), "{left} {expected} {right}");
        assert_eq!(compare(right, left), Ok(order.reverse()), "{right} {left}");
    }

    #[test]
    fn order_of_debian_policy() {
        check("1.0", '=', "1.0-0");
        check("1.0", '<', "1.0-1");
        check("1:0.1", '>', "9.9");
        check("1.0~rc1", '<', "1.0");
        check("1.0~~", '<', "1.0~");
        check("1.0a", '<', "1.0+");
        check("1.010", '=', "1.10");
        check("3.0.17-1~deb12u2", '<', "3.0.17-1");
        check("0:1", '=', "1");
        check("1.2-3-4", '>', "1.2-2-5");
        check("99999999999999999999999", '<', "100000000000000000000000");
    }

    #[test]
    fn what_is_not_a_version() {
        for text in ["", " ", ":1", "a:1", "1:", "1-", "-1", "1 2", "1_2", "1-2:3", "2147483648:1", "1\u{e9}"]
        {
            assert!(compare(text, "1").is_err(), "{text:?}");
        }
    }
}
