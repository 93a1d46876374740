//! The runtime profile: what a container of an image may execute, taken from the image's own content.

use serde::{Deserialize, Serialize};

use crate::{Digest, Subject};

/// The version of the profile's form; it is part of the digest of every profile.
pub const PROFILE_SCHEMA: u32 = 1;

/// What kind of program file a file is, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProgramKind {
    /// An ELF file; executables and shared objects are not told apart.
    Elf,
    /// A text that begins with `#!`.
    Script,
    /// Another file with an executable bit.
    Other,
}

/// A file of an image that may be executed or mapped as code.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProgramFile {
    /// Path from the root of the image, without a leading `/`.
    pub path: String,
    /// SHA-256 of the content.
    pub digest: Digest,
    /// What it is.
    pub kind: ProgramKind,
    /// The lower twelve permission bits; set-uid is `0o4000`, set-gid `0o2000`.
    pub mode: u32,
    /// Size in bytes.
    pub size: u64,
}

/// What a container of an image may do, as far as the image says it. Files are sorted by path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageProfile {
    /// [`PROFILE_SCHEMA`].
    pub schema: u32,
    /// The image.
    pub subject: Subject,
    /// Entry point.
    #[serde(default)]
    pub entrypoint: Vec<String>,
    /// Command.
    #[serde(default)]
    pub cmd: Vec<String>,
    /// The user the container runs as; empty means root.
    #[serde(default)]
    pub user: String,
    /// Exposed ports, such as `80/tcp`.
    #[serde(default)]
    pub exposed_ports: Vec<String>,
    /// Every executable, shared object and script.
    pub files: Vec<ProgramFile>,
    /// Whether every layer was read to its end. A file that an incomplete profile lacks is no evidence of drift.
    pub complete: bool,
}

impl ImageProfile {
    /// The files with a set-uid or set-gid bit.
    pub fn privileged_files(&self) -> impl Iterator<Item = &ProgramFile> {
        self.files.iter().filter(|file| file.mode & 0o6000 != 0)
    }
}
