//! Version order of every package ecosystem.
//!
//! [`compare`] orders two versions by a [`Scheme`]; a version that does not parse is a [`VersionError`], never an order.
//! Each order is a total preorder of the versions that parse, and what parses does not depend on what it is compared with.
//! Comparing allocates nothing.
//!
//! | scheme | source | reference in the tests |
//! |---|---|---|
//! | `apk` | `src/version.c` of apk-tools | tables |
//! | `deb` | Debian policy 5.6.12, `deb-version(7)` | `dpkg --compare-versions` |
//! | `semver` | <https://semver.org/spec/v2.0.0.html> | the specification's examples |
//! | `npm` | node-semver, strict mode | `semver` from npm |
//! | `pep440` | [PEP 440](https://packaging.python.org/en/latest/specifications/version-specifiers/) | `packaging` from PyPI |
//! | `go` | <https://go.dev/ref/mod#versions>, <https://go.dev/doc/toolchain#version> | `go` itself |

mod apk;
mod deb;
mod error;
mod go;
mod npm;
mod numbers;
mod pep440;
mod scheme;
mod semver;

use std::cmp::Ordering;

pub use error::VersionError;
pub use scheme::{Scheme, UnknownScheme};

/// The longest version that is compared, in bytes.
pub const MAX_LENGTH: usize = 1024;

/// Orders two versions.
///
/// ```
/// use std::cmp::Ordering;
/// use hullmark_version::{Scheme, compare};
///
/// assert_eq!(compare(Scheme::Deb, "3.0.17-1~deb12u2", "3.0.17-1")?, Ordering::Less);
/// assert_eq!(compare(Scheme::Pep440, "1.0", "v1.0.0")?, Ordering::Equal);
/// assert!(compare(Scheme::Go, "(devel)", "v1.2.3").is_err());
/// # Ok::<(), hullmark_version::VersionError>(())
/// ```
///
/// # Errors
/// When a version does not parse or is longer than [`MAX_LENGTH`]; the error names it, the left one if it is both.
pub fn compare(scheme: Scheme, left: &str, right: &str) -> Result<Ordering, VersionError> {
    check_length(scheme, left)?;
    check_length(scheme, right)?;
    match scheme {
        Scheme::Apk => apk::compare(left, right),
        Scheme::Deb => deb::compare(left, right),
        Scheme::Semver => semver::compare(left, right),
        Scheme::Npm => npm::compare(left, right),
        Scheme::Pep440 => pep440::compare(left, right),
        Scheme::Go => go::compare(left, right),
    }
}

/// Checks that a version parses.
///
/// # Errors
/// When it does not, or is longer than [`MAX_LENGTH`].
pub fn validate(scheme: Scheme, version: &str) -> Result<(), VersionError> {
    compare(scheme, version, version).map(|_| ())
}

fn check_length(scheme: Scheme, version: &str) -> Result<(), VersionError> {
    if version.len() > MAX_LENGTH {
        return Err(VersionError::new(scheme, version, MAX_LENGTH, "the end after at most 1024 bytes"));
    }
    Ok(())
}
