//! The question that gates on a node ask, and its answer. Spoken over a local socket: one line of JSON each way, and between
//! agent and server as the body of a request.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Action, Digest, DriftKind, EnforcementMode, ImageIdentity, Point, VerdictLink};

/// The version of the question and the answer.
pub const DECISION_SCHEMA: u32 = 1;

/// The longest question or answer on a local socket, in bytes with its line end.
pub const MAX_DECISION_LINE: usize = 64 * 1024;

/// The container that is about to start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerFacts {
    /// Its id.
    pub id: String,
    /// Its first process, already created and stopped before it executes anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Its root file system as the host sees it, an absolute path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The directory of its OCI bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
}

/// May this image be used here?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionRequest {
    /// [`DECISION_SCHEMA`].
    pub schema: u32,
    /// Which gate asks.
    pub point: Point,
    /// The image; at least one digest must be known.
    pub image: ImageIdentity,
    /// The container, where one is about to start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerFacts>,
    /// Name of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Further facts for the record.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub detail: BTreeMap<String, String>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionAnswer {
    /// [`DECISION_SCHEMA`].
    pub schema: u32,
    /// Whether it may. Under [`EnforcementMode::Audit`] this is true also where the policy would deny.
    pub allow: bool,
    /// Whether a denial stops anything.
    pub mode: EnforcementMode,
    /// One sentence that says why: rule, finding, fix, verdict id.
    pub reason: String,
    /// The verdict that the answer rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<VerdictLink>,
    /// The manifest digest of the image, where the server knows it better than the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
    /// Number of the ledger entry of this decision; `None` when it could not be recorded yet and is kept to be recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// What the policy does at stage `run` about each kind of drift, where it says something: warn alerts, fail blocks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub runtime: BTreeMap<DriftKind, Action>,
    /// What was not as it should be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<String>,
}

/// A decision that a hook took without an answer, by what it was told to do then: one line of [`SPOOL_FILE`]. Whoever
/// answers again takes it up into the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpooledDecision {
    /// [`DECISION_SCHEMA`].
    pub schema: u32,
    /// When it was taken.
    pub time: Timestamp,
    /// What would have been asked; what could not be found out is missing.
    pub request: DecisionRequest,
    /// Whether the image was let through.
    pub allow: bool,
    /// Why there was no answer, in one word: `server-unreachable`, `server-refused`, `deadline-exceeded`, `answer-malformed`,
    /// `image-unidentified`, `input-malformed` or `internal-error`.
    pub failure: String,
    /// The same for people.
    pub reason: String,
}

/// Name of the file of [`SpooledDecision`]s in its directory. Writers append to it under an exclusive lock; a reader takes
/// it by renaming it under the same lock.
pub const SPOOL_FILE: &str = "decisions.jsonl";
