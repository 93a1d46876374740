//! The order of Go modules (<https://go.dev/ref/mod#versions>) and of Go toolchains.
//!
//! Module versions are SemVer with a `v` before, which advisories leave out; `+incompatible` and other build metadata has
//! no place in the order, and pseudo-versions are pre-releases. `v1` and `v1.2` are short for `v1.0.0` and `v1.2.0`.
//! Toolchains are written `go1.22rc1`; advisories about the standard library write `1.22.0-rc.1` or `1.22.0-0`, so the
//! former are read as the latter.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::numbers::{is_number, split_digits};
use crate::semver;
use crate::{Scheme, VersionError};

pub(crate) fn compare(left: &str, right: &str) -> Result<Ordering, VersionError> {
    let (left_text, right_text) = (normalize(left), normalize(right));
    let left = semver::parse(Scheme::Go, left, &left_text)?;
    let right = semver::parse(Scheme::Go, right, &right_text)?;
    Ok(semver::compare_parsed(&left, &right))
}

fn normalize(text: &str) -> Cow<'_, str> {
    if let Some(toolchain) = text.strip_prefix("go") {
        return Cow::Owned(toolchain_as_semver(toolchain));
    }
    let plain = text.strip_prefix('v').unwrap_or(text);
    let numbers = plain.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    // Short forms have no pre-release and no build metadata.
    match (numbers == plain.len()).then(|| plain.bytes().filter(|byte| *byte == b'.').count()) {
        Some(0) if !plain.is_empty() => Cow::Owned(format!("{plain}.0.0")),
        Some(1) => Cow::Owned(format!("{plain}.0")),
        _ => match toolchain_pre_release(plain) {
            Some(version) => Cow::Owned(version),
            None => Cow::Borrowed(plain),
        },
    }
}

/// `1.22.3` stays, `1.22` is `1.22.0`, `1.22rc1` is `1.22.0-rc.1`; a suffix after a space or `-` is the vendor's.
fn toolchain_as_semver(toolchain: &str) -> String {
    let version = toolchain.split([' ', '-', '+']).next().unwrap_or_default();
    if let Some(version) = toolchain_pre_release(version) {
        return version;
    }
    match version.bytes().filter(|byte| *byte == b'.').count() {
        0 => format!("{version}.0.0"),
        1 => format!("{version}.0"),
        _ => version.to_owned(),
    }
}

fn toolchain_pre_release(version: &str) -> Option<String> {
    let (major, rest) = version.split_once('.')?;
    let (minor, rest) = split_digits(rest);
    let (kind, number) = rest.split_at_checked(rest.bytes().position(|byte| byte.is_ascii_digit())?)?;
    let known = matches!(kind, "rc" | "beta");
    (known && is_number(major) && is_number(minor) && is_number(number))
        .then(|| format!("{major}.{minor}.0-{kind}.{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(left: &str, order: Ordering, right: &str) {
        assert_eq!(compare(left, right), Ok(order), "{left} {right}");
        assert_eq!(compare(right, left), Ok(order.reverse()), "{right} {left}");
    }

    #[test]
    fn modules_and_toolchains() {
        check("v1.2.3", Ordering::Equal, "1.2.3");
        check("v2.0.0+incompatible", Ordering::Equal, "2.0.0");
        check("v0.0.0-20190308221718-c2843e01d9a2", Ordering::Less, "0.0.0-20200622213623-75b288015ac9");
        check("v1.2.4-0.20191109021931-daa7c04131f5", Ordering::Less, "1.2.4");
        check("go1.21.3", Ordering::Less, "1.21.4");
        check("go1.22rc1", Ordering::Less, "1.22.0");
        check("go1.22rc1", Ordering::Greater, "1.22.0-0");
        check("go1.21", Ordering::Equal, "1.21.0");
        check("1.22rc2", Ordering::Greater, "go1.22rc1");
        check("go1.24.1 X:nodwarf5", Ordering::Equal, "1.24.1");
        check("0", Ordering::Less, "0.0.1");
    }

    #[test]
    fn what_is_not_a_version() {
        for text in ["", "(devel)", "v", "latest", "v1.2.3.4", "go", "gox", "v1.2.3-", "devel go1.22-abcdef"]
        {
            assert!(compare(text, "1.0.0").is_err(), "{text:?}");
        }
    }
}
