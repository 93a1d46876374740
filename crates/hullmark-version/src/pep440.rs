//! The order of Python packages (PEP 440, <https://packaging.python.org/en/latest/specifications/version-specifiers/>), as
//! `packaging.version.Version` has it.
//!
//! `[v][epoch!]release[pre][post][dev][+local]`, without regard to case, white space around, and the spelling of labels and
//! separators. The order is: epoch, release (missing numbers are 0), development release of the release itself,
//! pre-release, release, post-release, and within each its development release first; then the local version.

use std::cmp::Ordering;

use crate::numbers::{self, split_digits};
use crate::{Scheme, VersionError};

/// `[epoch!]release[pre][post][dev][+local]`; numbers are runs of digits.
#[derive(Debug)]
struct Version<'a> {
    epoch: &'a str,
    release: &'a str,
    pre: Option<(PreRelease, &'a str)>,
    post: Option<&'a str>,
    dev: Option<&'a str>,
    local: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum PreRelease {
    Alpha,
    Beta,
    Candidate,
}

/// The words of pre-releases; a word stands before those that it begins with.
const PRE_RELEASES: [(&str, PreRelease); 8] = [
    ("alpha", PreRelease::Alpha),
    ("a", PreRelease::Alpha),
    ("beta", PreRelease::Beta),
    ("b", PreRelease::Beta),
    ("preview", PreRelease::Candidate),
    ("pre", PreRelease::Candidate),
    ("rc", PreRelease::Candidate),
    ("c", PreRelease::Candidate),
];

const POST_RELEASES: [(&str, ()); 3] = [("post", ()), ("rev", ()), ("r", ())];

const LOCAL_SEPARATORS: [char; 3] = ['.', '-', '_'];

const DEVELOPMENT: [(&str, ()); 1] = [("dev", ())];

pub(crate) fn compare(left: &str, right: &str) -> Result<Ordering, VersionError> {
    let (left, right) = (parse(left)?, parse(right)?);
    Ok(numbers::compare(left.epoch, right.epoch)
        .then_with(|| compare_release(left.release, right.release))
        .then_with(|| compare_phase(&left, &right))
        .then_with(|| compare_optional(left.post, right.post, Ordering::Less))
        .then_with(|| compare_optional(left.dev, right.dev, Ordering::Greater))
        .then_with(|| compare_local(left.local, right.local)))
}

fn parse(text: &str) -> Result<Version<'_>, VersionError> {
    let version = text.trim_matches(|character: char| {
        character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
    });
    let error = |rest: &str, expected| VersionError::at(Scheme::Pep440, text, rest, expected);
    let rest = version.strip_prefix(['v', 'V']).unwrap_or(version);
    let (first, after) = split_digits(rest);
    let (epoch, rest) = match after.strip_prefix('!') {
        Some(after) if !first.is_empty() => (first, after),
        _ => ("", rest),
    };
    let (release, rest) = split_release(rest);
    if release.is_empty() {
        return Err(error(rest, "a release number"));
    }
    let (pre, rest) = match split_labelled(rest, &PRE_RELEASES) {
        Some((phase, number, rest)) => (Some((phase, number)), rest),
        None => (None, rest),
    };
    let (post, rest) = split_post(rest);
    let (dev, rest) = match split_labelled(rest, &DEVELOPMENT) {
        Some(((), number, rest)) => (Some(number), rest),
        None => (None, rest),
    };
    let local = rest.strip_prefix('+');
    if local.is_none() && !rest.is_empty() {
        return Err(error(rest, "a pre-, post- or development release, `+` or the end"));
    }
    if let Some(part) = local.and_then(find_bad_local_part) {
        return Err(error(part, "letters and digits after `+`, with `.`, `-` or `_` between them"));
    }
    Ok(Version { epoch, release, pre, post, dev, local })
}

/// `[0-9]+(\.[0-9]+)*`
fn split_release(text: &str) -> (&str, &str) {
    let mut end = split_digits(text).0.len();
    if end == 0 {
        return ("", text);
    }
    while let Some(next) = text.get(end..).and_then(|rest| rest.strip_prefix('.')) {
        match split_digits(next).0.len() {
            0 => break,
            length => end += 1 + length,
        }
    }
    text.split_at(end)
}

/// `[-_.]?LABEL[-_.]?[0-9]*`, without regard to case: the meaning of the label, the number, the rest.
fn split_labelled<'a, T: Copy>(text: &'a str, labels: &[(&str, T)]) -> Option<(T, &'a str, &'a str)> {
    let body = text.strip_prefix(['-', '_', '.']).unwrap_or(text);
    let (label, meaning) = labels
        .iter()
        .find(|(label, _)| body.get(..label.len()).is_some_and(|start| start.eq_ignore_ascii_case(label)))?;
    let rest = body.get(label.len()..)?;
    let (number, rest) = split_digits(rest.strip_prefix(['-', '_', '.']).unwrap_or(rest));
    Some((*meaning, number, rest))
}

/// `-[0-9]+`, or the form with a label.
fn split_post(text: &str) -> (Option<&str>, &str) {
    if let Some((number, rest)) = text.strip_prefix('-').map(split_digits)
        && !number.is_empty()
    {
        return (Some(number), rest);
    }
    match split_labelled(text, &POST_RELEASES) {
        Some(((), number, rest)) => (Some(number), rest),
        None => (None, text),
    }
}

fn find_bad_local_part(local: &str) -> Option<&str> {
    local
        .split(LOCAL_SEPARATORS)
        .find(|part| part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn compare_release(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (left, right) => numbers::compare(left.unwrap_or(""), right.unwrap_or("")),
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// A development release alone comes before pre-releases, and no pre-release after them.
fn compare_phase(left: &Version<'_>, right: &Version<'_>) -> Ordering {
    let rank = |version: &Version<'_>| match (version.pre, version.post, version.dev) {
        (Some((phase, _)), _, _) => (1, Some(phase)),
        (None, None, Some(_)) => (0, None),
        (None, _, _) => (2, None),
    };
    let number = |pre: Option<(PreRelease, _)>| pre.map_or("", |(_, number)| number);
    rank(left).cmp(&rank(right)).then_with(|| numbers::compare(number(left.pre), number(right.pre)))
}

/// `absent` is where a version without the number stands.
fn compare_optional(left: Option<&str>, right: Option<&str>, absent: Ordering) -> Ordering {
    match (left, right) {
        (Some(left), Some(right)) => numbers::compare(left, right),
        (None, None) => Ordering::Equal,
        (None, Some(_)) => absent,
        (Some(_), None) => absent.reverse(),
    }
}

/// Numbers after words; a longer local version after its own beginning.
fn compare_local(left: Option<&str>, right: Option<&str>) -> Ordering {
    let (Some(left), Some(right)) = (left, right) else { return left.is_some().cmp(&right.is_some()) };
    let (mut left, mut right) = (left.split(LOCAL_SEPARATORS), right.split(LOCAL_SEPARATORS));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(left), Some(right)) => match (numbers::is_number(left), numbers::is_number(right)) {
                (true, true) => numbers::compare(left, right),
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => compare_words(left, right),
            },
        };
        if order.is_ne() {
            return order;
        }
    }
}

fn compare_words(left: &str, right: &str) -> Ordering {
    let left = left.bytes().map(|byte| byte.to_ascii_lowercase());
    left.cmp(right.bytes().map(|byte| byte.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specification_s_own_examples_are_in_order() {
        let sorted = [
            "1.dev0",
            "1.0.dev456",
            "1.0a1",
            "1.0a2.dev456",
            "1.0a12.dev456",
            "1.0a12",
            "1.0b1.dev456",
            "1.0b2",
            "1.0b2.post345.dev456",
            "1.0b2.post345",
            "1.0rc1.dev456",
            "1.0rc1",
            "1.0",
            "1.0+abc.5",
            "1.0+abc.7",
            "1.0+5",
            "1.0.post456.dev34",
            "1.0.post456",
            "1.0.15",
            "1.1.dev1",
            "1!0.1",
        ];
        for (position, left) in sorted.iter().enumerate() {
            for (other, right) in sorted.iter().enumerate() {
                assert_eq!(compare(left, right), Ok(position.cmp(&other)), "{left} {right}");
            }
        }
    }

    #[test]
    fn spellings_of_the_same_version() {
        for (left, right) in [
            ("1.0", "1"),
            ("v1.0", "1.0.0"),
            ("1.0alpha", "1.0a0"),
            ("1.0-a_1", "1.0A1"),
            ("1.0-1", "1.0.post1"),
            ("1.0r2", "1.0.POST.2"),
            ("1.0c1", "1.0.preview-1"),
            ("1.0+Ubuntu-1", "1.0+ubuntu.1"),
            (" 1.0\n", "1.0"),
            ("1.0a-", "1.0a0"),
            ("1.0a--1", "1.0a0.post1"),
            ("01.00", "1"),
        ] {
            assert_eq!(compare(left, right), Ok(Ordering::Equal), "{left} {right}");
        }
    }

    #[test]
    fn local_versions() {
        let sorted = [
            "1.0", "1.0+a", "1.0+a.b", "1.0+a.1", "1.0+B", "1.0+1", "1.0+1.a", "1.0+01.2", "1.0+1.10",
            "1.0+2",
        ];
        for (position, left) in sorted.iter().enumerate() {
            for (other, right) in sorted.iter().enumerate() {
                assert_eq!(compare(left, right), Ok(position.cmp(&other)), "{left} {right}");
            }
        }
    }

    #[test]
    fn what_is_not_a_version() {
        for (text, position) in [
            ("", 0),
            (" ", 0),
            ("v", 1),
            ("vv1", 1),
            ("v 1", 1),
            ("french toast", 0),
            ("1.0+", 4),
            ("1.0+a+", 4),
            ("1.0++1", 4),
            ("1.0+_a", 4),
            ("1.0+a.\u{17f}", 6),
            ("1.0.x", 3),
            (" 1.0.x", 4),
            ("!1", 0),
            ("1!", 2),
            ("1.0-", 3),
            ("1..0", 1),
            ("1.0dev1a1", 7),
            ("1.0po\u{17f}t1", 3),
            ("\u{661}.0", 0),
        ] {
            let error = compare("1.0", text).unwrap_err();
            assert_eq!((error.version.as_str(), error.position), (text, position), "{error}");
        }
    }
}
