//! Version order of every package ecosystem.
//!
//! [`compare`] orders two versions by a [`Scheme`]; a version that does not parse is a [`VersionError`], never an order.

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
/// # Errors
/// When a version does not parse; the error names it.
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
/// When it does not.
pub fn validate(scheme: Scheme, version: &str) -> Result<(), VersionError> {
    compare(scheme, version, version).map(|_| ())
}

fn check_length(scheme: Scheme, version: &str) -> Result<(), VersionError> {
    if version.len() > MAX_LENGTH {
        return Err(VersionError::new(scheme, version, MAX_LENGTH, "at most 1,024 bytes"));
    }
    Ok(())
}
