//! Builds tars, images, registries and feeds for tests. A dev-dependency only: it panics when it is misused.
//!
//! [`TarBuilder`] writes any tar, well-formed or not, and [`in_parts`], [`zstd_window`], [`estargz`] and their like any compressed stream; [`ImageBuilder`] makes archives and layouts of layers, [`IndexBuilder`] an index of images;
//! [`Server`] serves files or a registry on the loopback interface, [`RegistryBuilder`] a registry with several repositories; [`FeedBuilder`] lays out advisory feeds. [`RpmHeader`] and [`rpm_sqlite`] and its like make databases of rpm.
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
mod rpm;
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
pub use rpm::{RpmHeader, rpm_berkeley, rpm_ndb, rpm_sqlite, rpm_tag};
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

/// Whether golden files are to be written anew: `HULLMARK_UPDATE_GOLDEN` is in the environment.
pub fn updating_golden_files() -> bool {
    ["HULLMARK_UPDATE_GOLDEN", "UPDATE_GOLDEN"].iter().any(|name| std::env::var_os(name).is_some())
}

/// Compares a text with a golden file; with `HULLMARK_UPDATE_GOLDEN=1` it writes the file.
pub fn golden(path: &Path, actual: &str) {
    if updating_golden_files() {
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

/// Writes a script that can be run at once.
///
/// Another program writes it: were the file open for writing in this one, a child that another test starts just then would
/// have it open too for a moment, and the system refuses to run such a file (`ETXTBSY`).
pub fn script(file: &Path, text: &str) {
    use std::io::Write as _;

    let mut writer = std::process::Command::new("/bin/sh")
        .args(["-c", "cat > \"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(file)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("a shell runs");
    let mut input = writer.stdin.take().expect("its input is a pipe");
    input.write_all(text.as_bytes()).expect("it reads");
    drop(input);
    assert!(writer.wait().expect("it ends").success(), "{} is written", file.display());
}
