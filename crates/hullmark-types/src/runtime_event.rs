//! What the agent saw in running containers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ImageIdentity;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuntimeEventKind {
    /// A program was executed.
    Exec,
    /// A process ended.
    Exit,
    /// A connection was opened.
    Connect,
    /// A program was executed, or was about to be, that the image does not contain.
    Drift,
    /// Events were lost.
    Lost,
}

/// How a program came to be executed that the image does not contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriftKind {
    /// A file that was written or changed in the running container.
    File,
    /// A script (`#!`) that was written or changed in the running container.
    Script,
    /// An anonymous file in memory, which has no name in any directory.
    Memfd,
    /// A file of another file system than the image's, such as a volume.
    OutsideImage,
}

impl DriftKind {
    /// All kinds, in order.
    pub const ALL: [Self; 4] = [Self::File, Self::Script, Self::Memfd, Self::OutsideImage];

    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Script => "script",
            Self::Memfd => "memfd",
            Self::OutsideImage => "outside-image",
        }
    }
}

/// A process and its parents, nearest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessFacts {
    /// Process id on the host.
    pub pid: u32,
    /// Name, as the kernel has it.
    pub name: String,
    /// Path of the program, as the process sees it, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
}

/// One event in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeEvent {
    /// When.
    pub time: Timestamp,
    /// What.
    pub kind: RuntimeEventKind,
    /// Id of the container.
    pub container: String,
    /// The image of the container.
    pub image: ImageIdentity,
    /// Name of the node.
    pub node: String,
    /// The process, then its parents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ancestry: Vec<ProcessFacts>,
    /// Whether it was stopped: denied, or killed before its first instruction.
    #[serde(default)]
    pub blocked: bool,
    /// Further facts: `path`, `digest`, `how` (`file`, `script`, `memfd`, `outside-image`), `address`, `port`, `code`, ...
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub detail: BTreeMap<String, String>,
}

/// A batch of events. The same batch sent again is taken once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeEventBatch {
    /// Name of the node.
    pub node: String,
    /// Grows by one with each batch of a spool; with `spool` and `node` it identifies the batch.
    pub sequence: u64,
    /// Identifies the spool, so that a node that was set up again is not mistaken.
    pub spool: String,
    /// The events, oldest first; at most [`MAX_BATCH_EVENTS`].
    pub events: Vec<RuntimeEvent>,
}

/// The most events in a batch.
pub const MAX_BATCH_EVENTS: usize = 1000;
