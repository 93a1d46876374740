//! The order of Go modules (<https://go.dev/ref/mod#versions>, as `golang.org/x/mod/semver` has it) and of Go toolchains
//! (<https://go.dev/doc/toolchain#version>).
//!
//! Module versions are SemVer with a `v` before, which advisories leave out; `+incompatible` and other build metadata has
//! no place in the order, and pseudo-versions are pre-releases. `v1` and `v1.2` are short for `v1.0.0` and `v1.2.0`.
//! `(devel)`, which a binary that was built outside a module's release carries, is no version.
//!
//! Toolchains are written `go1.22rc1`, advisories about the standard library `1.22.0-rc.1` (and `1.22.0-0` for the first
//! of its pre-releases), so the former are read as the latter:
//!
//! | toolchain | read as |
//! |---|---|
//! | `go1.21.3` | `1.21.3` |
//! | `go1.21`, `1.21` | `1.21.0` |
//! | `go1.22rc1`, `1.22rc1` | `1.22.0-rc.1` |
//! | `go1.9.2rc2` | `1.9.2-rc.2` |
//! | `go1.24.1 X:nodwarf5`, `go1.21.3-vendor` | without what follows the version |
//! | `go1.25-devel_1234abcd`, `devel go1.22-1234abcd` | an error: no release, its place is not known |

use std::cmp::Ordering;

use crate::numbers::{self, is_plain_number, split_digits};
use crate::semver::{self, PreRelease, Version};
use crate::{Scheme, VersionError};

pub(crate) fn compare(left: &str, right: &str) -> Result<Ordering, VersionError> {
    Ok(semver::compare_parsed(parse(left)?, parse(right)?, numbers::compare))
}

fn parse(text: &str) -> Result<Version<'_>, VersionError> {
    if let Some(toolchain) = text.strip_prefix("go") {
        return parse_toolchain(text, toolchain);
    }
    if let Some(module) = text.strip_prefix('v') {
        return parse_module(text, module);
    }
    split_toolchain(text).map_or_else(|| parse_module(text, text), Ok)
}

fn parse_module<'a>(whole: &str, module: &'a str) -> Result<Version<'a>, VersionError> {
    let (major, minor) = module.split_once('.').unwrap_or((module, "0"));
    if is_plain_number(major) && is_plain_number(minor) {
        return Ok(Version { numbers: [major, minor, "0"], pre_release: PreRelease::None });
    }
    semver::parse(Scheme::Go, whole, module)
}

/// Parses what follows `go`.
fn parse_toolchain<'a>(whole: &str, toolchain: &'a str) -> Result<Version<'a>, VersionError> {
    let error = |part: &str, expected| VersionError::at(Scheme::Go, whole, part, expected);
    let end = toolchain.find([' ', '-', '+']).unwrap_or(toolchain.len());
    let (version, suffix) = toolchain.split_at(end);
    if suffix.starts_with("-devel") {
        return Err(error(suffix, "a released toolchain"));
    }
    if suffix.starts_with("-rc.") || suffix.starts_with("-beta.") || suffix == "-0" {
        return semver::parse(Scheme::Go, whole, toolchain);
    }
    split_toolchain(version).ok_or_else(|| {
        error(
            toolchain,
            "two or three numbers with dots between them, and perhaps `rc` or `beta` and a number",
        )
    })
}

/// `1`, `1.21`, `1.21.3`, `1.22rc1`
fn split_toolchain(text: &str) -> Option<Version<'_>> {
    let mut numbers = ["0"; 3];
    let mut rest = text;
    for (position, number) in numbers.iter_mut().enumerate() {
        if position > 0 {
            match rest.strip_prefix('.') {
                Some(after) => rest = after,
                None => break,
            }
        }
        (*number, rest) = split_digits(rest);
        if !is_plain_number(number) {
            return None;
        }
    }
    let pre_release = match rest {
        "" => PreRelease::None,
        _ => {
            let word = ["rc", "beta"].into_iter().find(|word| rest.starts_with(word))?;
            let (word, number) = rest.split_at_checked(word.len())?;
            is_plain_number(number).then_some(PreRelease::Pair(word, number))?
        }
    };
    Some(Version { numbers, pre_release })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(left: &str, order: Ordering, right: &str) {
        assert_eq!(compare(left, right), Ok(order), "{left} {right}");
        assert_eq!(compare(right, left), Ok(order.reverse()), "{right} {left}");
    }

    #[test]
    fn modules() {
        check("v1.2.3", Ordering::Equal, "1.2.3");
        check("v1.2", Ordering::Equal, "1.2.0");
        check("v1", Ordering::Equal, "v1.0.0");
        check("0", Ordering::Less, "0.0.1");
        check("v1.9.0", Ordering::Less, "v1.10.0");
        check("v2.0.0+incompatible", Ordering::Equal, "2.0.0");
        check("v2.0.1-rc.1+incompatible", Ordering::Less, "2.0.1");
        check("v1.2.3-pre", Ordering::Greater, "v1.2.3-0");
    }

    #[test]
    fn pseudo_versions() {
        check("v0.0.0-20190308221718-c2843e01d9a2", Ordering::Less, "0.0.0-20200622213623-75b288015ac9");
        check("v1.2.4-0.20191109021931-daa7c04131f5", Ordering::Less, "1.2.4");
        check("v1.2.4-0.20191109021931-daa7c04131f5", Ordering::Greater, "1.2.3");
        check("v1.2.3-pre.0.20191109021931-daa7c04131f5", Ordering::Greater, "v1.2.3-pre");
    }

    #[test]
    fn toolchains() {
        check("go1.21.3", Ordering::Less, "1.21.4");
        check("go1.22rc1", Ordering::Less, "1.22.0");
        check("go1.22rc1", Ordering::Equal, "1.22.0-rc.1");
        check("go1.22rc1", Ordering::Equal, "go1.22.0-rc.1");
        check("go1.22rc2", Ordering::Less, "go1.22rc10");
        check("go1.22beta1", Ordering::Less, "go1.22rc1");
        check("go1.22beta1", Ordering::Greater, "1.22.0-0");
        check("go1.22.0-0", Ordering::Equal, "1.22.0-0");
        check("go1.9.2rc2", Ordering::Less, "go1.9.2");
        check("go1.9.2rc2", Ordering::Greater, "go1.9.1");
        check("go1.21", Ordering::Equal, "1.21.0");
        check("go1", Ordering::Equal, "1.0.0");
        check("1.22rc2", Ordering::Greater, "go1.22rc1");
        check("go1.24.1 X:nodwarf5", Ordering::Equal, "1.24.1");
        check("go1.21.3 (Red Hat 1.21.3-1.el9)", Ordering::Equal, "1.21.3");
        check("go1.21.3-vendor", Ordering::Equal, "1.21.3");
    }

    #[test]
    fn what_is_not_a_version() {
        for (text, position) in [
            ("", 0),
            ("(devel)", 0),
            ("v", 1),
            ("latest", 0),
            ("v1.2.3.4", 7),
            ("v01.2.3", 1),
            ("v1.2-pre", 4),
            ("v1.22rc1", 3),
            ("go", 2),
            ("gox", 2),
            ("gov1.2.3", 2),
            ("go1.2.3.4", 2),
            ("go1.22rc", 2),
            ("go1.22rc01", 2),
            ("v1.2.3-", 7),
            ("devel go1.22-abcdef", 0),
            ("go1.25-devel_1234abcd", 6),
            (" 1.2.3", 0),
        ] {
            let error = compare("1.0.0", text).unwrap_err();
            assert_eq!((error.version.as_str(), error.position), (text, position), "{error}");
        }
    }
}
