//! Builds tars, images, registries and feeds for tests. A dev-dependency only: it panics when it is misused.
//!
//! [`TarBuilder`] writes any tar, well-formed or not, and [`in_parts`], [`zstd_window`], [`estargz`] and their like any compressed stream; [`ImageBuilder`] makes archives and layouts of layers, [`IndexBuilder`] an index of images;
//! [`Server`] serves files or a registry on the loopback interface, [`RegistryBuilder`] a registry with several repositories; [`FeedBuilder`] lays out advisory feeds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "a test kit fails by panicking, as tests do"
)]

mod feed;
mod framing;
mod image;
mod index;
mod registry;
mod server;
mod tar;

use std::path::{Path, PathBuf};

pub use feed::FeedBuilder;
pub use framing::{
    Seekable, empty_gzip_member, estargz, gzip_with_all_fields, in_parts, skippable_frame, zstd_chunked,
    zstd_repeat, zstd_window,
};
pub use image::{Compression, ImageBuilder, compress};
pub use index::{IndexBuilder, three_platforms, three_platforms_feeds};
pub use registry::{OCI_INDEX, OCI_MANIFEST, RegistryBuilder};
pub use server::{Answer, Asked, Server, registry};
pub use tar::{GNU_MAGIC, SparseFormat, TarBuilder, V7_MAGIC, base256, header, patched, pax_records};

/// The root of the workspace.
pub fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace exists")
}

/// The data beside the workspace that tests may read; says so when it is absent.
pub fn shared_dir() -> Option<PathBuf> {
    let path = workspace_root().join("../shared");
    if !path.is_dir() {
        eprintln!("skipped: ../shared is absent");
        return None;
    }
    path.canonicalize().ok()
}

/// Compares a text with a golden file; with `HULLMARK_UPDATE_GOLDEN=1` it writes the file.
pub fn golden(path: &Path, actual: &str) {
    if std::env::var_os("HULLMARK_UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().expect("a golden file has a directory"))
            .expect("it can be made");
        std::fs::write(path, actual).expect("the golden file can be written");
        return;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        expected == actual,
        "`{}` differs from what was made; HULLMARK_UPDATE_GOLDEN=1 rewrites it\n--- expected\n{expected}\n--- actual\n{actual}",
        path.display()
    );
}
