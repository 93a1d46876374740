//! What was scanned: subject, platform, layers, configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// Operating system and processor architecture of an image, in the words of the OCI image specification.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`, `windows`, ...
    pub os: String,
    /// `amd64`, `arm64`, ...
    pub architecture: String,
    /// `v7`, `v8`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(formatter, "/{variant}"))
    }
}

/// A text that is not `os/architecture[/variant]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a platform: expected `os/architecture` or `os/architecture/variant`")]
pub struct PlatformError(pub String);

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<_> = text.split('/').collect();
        let own = |part: &&str| (*part).to_owned();
        match parts.as_slice() {
            _ if parts.iter().any(|part| part.is_empty()) => Err(PlatformError(text.to_owned())),
            [os, architecture] => Ok(Self { os: own(os), architecture: own(architecture), variant: None }),
            [os, architecture, variant] => {
                Ok(Self { os: own(os), architecture: own(architecture), variant: Some(own(variant)) })
            }
            _ => Err(PlatformError(text.to_owned())),
        }
    }
}

/// What kind of thing was scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    /// A container image.
    Image,
    /// A root file system: a directory or an archive of one, without an image configuration.
    RootFilesystem,
    /// A directory of a project: what is installed in it, and what its lock files ask for.
    Directory,
}

/// What a scan, and so a verdict, is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    /// Image or root file system.
    pub kind: SubjectKind,
    /// The target as the user named it, or the full reference that the archive records.
    pub name: String,
    /// `registry/repository:tag` references known for the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
    /// Digest of the index that the manifest was chosen from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Digest>,
    /// Digest of the image manifest. Docker archives have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
    /// Digest of the image configuration: the image id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Digest>,
    /// The platform, when the image says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Subject {
    /// The strongest identity known: manifest, else configuration digest.
    pub fn digest(&self) -> Option<&Digest> {
        self.manifest.as_ref().or(self.config.as_ref())
    }
}

/// One layer of an image. Layers are counted from 0 at the base.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LayerInfo {
    /// Position from the base.
    pub index: u32,
    /// Digest of the bytes as stored (compressed), where the source names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Digest of the uncompressed tar, from the image configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff_id: Option<Digest>,
    /// Size of the bytes as stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The instruction that made the layer, from the image history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
}

/// One line of the image history.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The instruction.
    #[serde(default)]
    pub created_by: String,
    /// Whether the instruction made no layer.
    #[serde(default)]
    pub empty_layer: bool,
}

/// The parts of an OCI image configuration that policies look at.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ImageConfig {
    /// The user the container runs as; empty means root.
    #[serde(default)]
    pub user: String,
    /// Environment, `NAME=value`.
    #[serde(default)]
    pub env: Vec<String>,
    /// Entry point.
    #[serde(default)]
    pub entrypoint: Vec<String>,
    /// Command.
    #[serde(default)]
    pub cmd: Vec<String>,
    /// Exposed ports, such as `80/tcp`.
    #[serde(default)]
    pub exposed_ports: Vec<String>,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// When the image was made, as written there (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// History, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,
}
