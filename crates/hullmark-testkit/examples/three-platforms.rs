//! Writes the image for three platforms of `docs/platforms.md`, as an OCI layout `shop`, and `feeds` that know of it:
//! `cargo run -p hullmark-testkit --example three-platforms -- DIRECTORY`.
#![expect(clippy::unwrap_used, reason = "it fails by panicking, as the test kit does")]

use std::path::PathBuf;

use hullmark_testkit::{three_platforms, three_platforms_feeds};

fn main() {
    let directory = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| ".".into()));
    three_platforms().oci_layout(&directory.join("shop"));
    three_platforms_feeds(&directory.join("feeds"));
    assert!(directory.join("shop/index.json").canonicalize().unwrap().is_file());
}
