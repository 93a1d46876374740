//! What is known of the changelogs of a suite from the last time.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use hullmark_types::Digest;
use serde::{Deserialize, Serialize};

use super::changelog::Fixed;

const SCHEMA: u32 = 1;
const MAX_FILE: u64 = 512 * 1024 * 1024;

/// The fixes of one version of a source package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The version of the source package.
    pub version: String,
    /// For each CVE, the version that fixed it.
    pub fixes: BTreeMap<String, Fixed>,
}

/// Source packages by name and version.
pub type Sources = BTreeMap<String, Vec<Known>>;

#[derive(Serialize, Deserialize)]
struct File {
    schema: u32,
    sources: Sources,
}

/// The file in `directory` for the suite of an archive.
pub fn path(directory: &Path, address: &str, suite: &str) -> PathBuf {
    let digest = Digest::sha256(format!("{address}\0{suite}").as_bytes());
    directory.join(format!("debian-archive-{}.json", digest.short()))
}

/// Reads the file; what is absent, damaged or of another form is nothing known.
pub fn read(path: &Path) -> Sources {
    let readable =
        std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MAX_FILE);
    let bytes = if readable { std::fs::read(path).unwrap_or_default() } else { Vec::new() };
    match serde_json::from_slice::<File>(&bytes) {
        Ok(file) if file.schema == SCHEMA => file.sources,
        _ => Sources::new(),
    }
}

/// Replaces the file as a whole.
pub fn write(path: &Path, sources: Sources) -> io::Result<()> {
    let bytes = serde_json::to_vec(&File { schema: SCHEMA, sources })?;
    crate::database::replace(path, |file| io::Write::write_all(file, &bytes))
}
