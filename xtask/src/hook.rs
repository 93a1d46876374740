//! `cargo xtask hook`: builds `hullmark-hook` as one static file.
//!
//! The file is copied to nodes with whatever C library they have, so it brings its own. The flag for that changes every
//! crate that it is built from, so the build has a target directory of its own and does not disturb others.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::Ending;
use crate::workspace::{cargo, target};

/// Links the C library into the program.
const STATIC: &str = "-Ctarget-feature=+crt-static";

/// The profile of `Cargo.toml` that makes it small.
const PROFILE: &str = "tiny";

/// Build it and print where it is.
///
/// # Errors
/// When it cannot be built.
pub(crate) fn run() -> Result<Ending> {
    println!("{}", build()?.display());
    Ok(Ending::Passed)
}

/// Build it; gives the path of the file.
///
/// # Errors
/// When it cannot be built.
pub(crate) fn build() -> Result<PathBuf> {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let directory = target().join("hook");
    let status = cargo()
        .args(["build", "--quiet", "--locked", "--package", "hullmark-hook"])
        .args(["--profile", PROFILE, "--target", &triple])
        .arg("--target-dir")
        .arg(&directory)
        .env("RUSTFLAGS", STATIC)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("`hullmark-hook` cannot be built: cargo ended with {status}");
    }
    Ok(directory.join(triple).join(PROFILE).join("hullmark-hook"))
}
