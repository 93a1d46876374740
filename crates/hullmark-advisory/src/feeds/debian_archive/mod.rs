//! Debian's archive itself: for each source package of a suite's security archive, the entries of its changelog name the
//! vulnerabilities that a version fixed.
//!
//! The changelog is taken from a binary package, which every mirror has. The package indices are verified by the release
//! file (`InRelease`), and a package by its index where it was read to its end. **The OpenPGP signature of the release file
//! is not verified yet**: the archive is trusted as far as the connection is.
//!
//! What this source cannot know: vulnerabilities that are not fixed yet, those fixed by a point release and not in the
//! security archive, and ratings.

mod cache;
mod changelog;
mod deb;
mod index;
mod read;
mod tar;

pub use changelog::{Changelog, Fixed, parse as parse_changelog};
pub use deb::{Found, read as read_package};
pub use index::{Binary, Release, Source, packages as parse_packages, release as parse_release};
pub use read::DebianArchive;
