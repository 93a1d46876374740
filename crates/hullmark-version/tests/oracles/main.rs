//! Version orders against their reference implementations: dpkg, `packaging`, node-semver and Go.
//!
//! The scripts that ask them are in `tests/oracles/` of the repository; `install.sh` there installs what they need. Where one
//! is missing, its tests say so and pass, except in continuous integration (`CI=true`) and with
//! `HULLMARK_REQUIRE_ORACLES=1`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests; one that is skipped says so")]

mod deb;
mod feeds;
mod go;
mod npm;
mod oracle;
mod pairs;
mod pep440;
mod random;
