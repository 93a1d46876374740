//! The order of Alpine packages, as apk-tools has it (`src/version.c` of apk-tools 3, and what version 2 accepts besides).
//!
//! `number{.number}{letter}{_suffix{number}}{~hash}{-r#}`, read as a row of tokens; the first tokens that differ decide:
//!
//! - Numbers are compared by value, except that a component after the first that begins with `0` is compared as text, as
//!   the digits after a decimal point are (`1.06 < 1.5`).
//! - Where the kinds of tokens differ, or one version ends, the kind that stands further left in the line above is the
//!   later version, and one that ends is the earlier: `1.0 < 1.0-r0 < 1.0~ab < 1.0_p < 1.0a < 1.0.0`.
//! - The exceptions are the suffixes of pre-releases: `_alpha < _beta < _pre < _rc` come before the end. After it come
//!   `_cvs < _svn < _git < _hg < _p`.
//!
//! Version 2 also takes digits after a letter (`7.4.0p1`); Alpine has released such packages, so they are read here as
//! well. apk-tools holds numbers in 64 bits; here they have any length.

use std::cmp::Ordering;

use crate::numbers::{self, split_digits};
use crate::{Scheme, VersionError};

/// The suffixes in their order; those before [`NO_SUFFIX`] come before a version without one.
const SUFFIXES: [&str; 9] = ["alpha", "beta", "pre", "rc", "cvs", "svn", "git", "hg", "p"];
const NO_SUFFIX: usize = 4;

/// What a token is; of two versions that are alike so far, the one whose next token has the lesser kind is the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    FirstNumber,
    Component,
    NumberAfterLetter,
    Letter,
    Suffix,
    SuffixNumber,
    Hash,
    Revision,
    End,
}

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    kind: Kind,
    value: &'a str,
    /// The place of a suffix in [`SUFFIXES`].
    place: usize,
}

/// Reads a version token by token.
struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    previous: Option<Kind>,
}

pub(crate) fn compare(left: &str, right: &str) -> Result<Ordering, VersionError> {
    // Also what comes after the token that decides must parse.
    validate(left)?;
    validate(right)?;
    let (mut left, mut right) = (Reader::new(left), Reader::new(right));
    loop {
        let (left, right) = (left.next()?, right.next()?);
        let order = compare_tokens(left, right);
        if order.is_ne() || left.kind == Kind::End {
            return Ok(order);
        }
    }
}

fn validate(text: &str) -> Result<(), VersionError> {
    let mut reader = Reader::new(text);
    while reader.next()?.kind != Kind::End {}
    Ok(())
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, rest: text, previous: None }
    }

    /// The next token; [`Kind::End`] again and again at the end.
    fn next(&mut self) -> Result<Token<'a>, VersionError> {
        let mut characters = self.rest.chars();
        let first = characters.next();
        let after = characters.as_str();
        let previous = self.previous;
        let in_numbers =
            matches!(previous, Some(Kind::FirstNumber | Kind::Component | Kind::NumberAfterLetter));
        let token = match first {
            _ if previous.is_none() => self.number(Kind::FirstNumber, self.rest)?,
            None => Token { kind: Kind::End, value: "", place: 0 },
            Some('.') if in_numbers => self.number(Kind::Component, after)?,
            Some('a'..='z') if in_numbers => self.take(Kind::Letter, self.rest, 1),
            Some('0'..='9') if previous == Some(Kind::Letter) => {
                self.number(Kind::NumberAfterLetter, self.rest)?
            }
            Some('0'..='9') if previous == Some(Kind::Suffix) => {
                self.number(Kind::SuffixNumber, self.rest)?
            }
            Some('_') if previous <= Some(Kind::SuffixNumber) => self.suffix(after)?,
            Some('~') if previous < Some(Kind::Hash) => self.hash(after)?,
            Some('-') if previous < Some(Kind::Revision) => match after.strip_prefix('r') {
                Some(after) => self.number(Kind::Revision, after)?,
                None => return Err(self.error(after, "`r` and a number after `-`")),
            },
            Some(_) => return Err(self.error(self.rest, expected_after(previous))),
        };
        self.previous = Some(token.kind);
        Ok(token)
    }

    fn number(&mut self, kind: Kind, from: &'a str) -> Result<Token<'a>, VersionError> {
        match split_digits(from).0.len() {
            0 => Err(self.error(from, "a digit")),
            length => Ok(self.take(kind, from, length)),
        }
    }

    fn suffix(&mut self, from: &'a str) -> Result<Token<'a>, VersionError> {
        let token = self.take(Kind::Suffix, from, span(from, |byte| byte.is_ascii_lowercase()));
        match SUFFIXES.iter().position(|suffix| *suffix == token.value) {
            Some(place) => Ok(Token { place, ..token }),
            None => Err(self.error(from, "a suffix that apk-tools knows, such as `rc` or `p`")),
        }
    }

    fn hash(&mut self, from: &'a str) -> Result<Token<'a>, VersionError> {
        match span(from, |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            0 => Err(self.error(from, "lower case hexadecimal digits after `~`")),
            length => Ok(self.take(Kind::Hash, from, length)),
        }
    }

    /// The token that is the first `length` bytes of `from`, a tail of what is left to read.
    fn take(&mut self, kind: Kind, from: &'a str, length: usize) -> Token<'a> {
        let (value, rest) = from.split_at(length);
        self.rest = rest;
        Token { kind, value, place: 0 }
    }

    fn error(&self, rest: &str, expected: &'static str) -> VersionError {
        VersionError::new(Scheme::Apk, self.text, self.text.len() - rest.len(), expected)
    }
}

fn expected_after(previous: Option<Kind>) -> &'static str {
    match previous {
        None | Some(Kind::FirstNumber | Kind::Component | Kind::NumberAfterLetter) => {
            "`.`, a lower case letter, `_`, `~`, `-r` or the end"
        }
        Some(Kind::Letter) => "`_`, `~`, `-r` or the end",
        Some(Kind::Suffix | Kind::SuffixNumber) => "a number, `_`, `~`, `-r` or the end",
        Some(Kind::Hash) => "`-r` or the end",
        Some(Kind::Revision | Kind::End) => "the end",
    }
}

fn span(text: &str, wanted: impl Fn(u8) -> bool) -> usize {
    text.bytes().position(|byte| !wanted(byte)).unwrap_or(text.len())
}

fn compare_tokens(left: Token<'_>, right: Token<'_>) -> Ordering {
    if left.kind != right.kind {
        return match (is_pre_release(left), is_pre_release(right)) {
            (true, _) => Ordering::Less,
            (_, true) => Ordering::Greater,
            _ => right.kind.cmp(&left.kind),
        };
    }
    match left.kind {
        Kind::Component if left.value.starts_with('0') || right.value.starts_with('0') => {
            left.value.cmp(right.value)
        }
        Kind::Suffix => left.place.cmp(&right.place),
        Kind::Letter | Kind::Hash | Kind::End => left.value.cmp(right.value),
        _ => numbers::compare(left.value, right.value),
    }
}

fn is_pre_release(token: Token<'_>) -> bool {
    token.kind == Kind::Suffix && token.place < NO_SUFFIX
}

#[cfg(test)]
#[path = "apk_tests.rs"]
mod tests;
