//! The paper trail: one record for each decision, change and alert that is not itself a verdict.
//!
//! Verdicts have a record of their own; a [`TrailRecord`] points to the verdict that it rests on. All of them become
//! entries of the ledger, so the life of an image can be read from it by the digest of the image.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Digest, Outcome, Reason, Stage};

/// The version of the record's form.
pub const TRAIL_SCHEMA: u32 = 1;

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrailKind {
    /// A gate allowed or denied an image.
    Decision,
    /// A container was started, or its start was refused.
    Start,
    /// Something happened in a running container that its image does not explain.
    Alert,
    /// A policy was stored or activated.
    Policy,
    /// An exception was stored or revoked.
    Exception,
    /// A token was made or revoked. The token itself is never recorded.
    Token,
    /// The server started, stopped, or took another advisory database.
    Server,
}

impl TrailKind {
    /// All kinds.
    pub const ALL: [Self; 7] =
        [Self::Decision, Self::Start, Self::Alert, Self::Policy, Self::Exception, Self::Token, Self::Server];

    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::Start => "start",
            Self::Alert => "alert",
            Self::Policy => "policy",
            Self::Exception => "exception",
            Self::Token => "token",
            Self::Server => "server",
        }
    }
}

/// Where it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Point {
    /// A scan, by the command or sent to the server.
    Scan,
    /// The registry gate.
    RegistryGate,
    /// The Kubernetes admission webhook.
    Admission,
    /// The OCI hook, when a container is created.
    OciHook,
    /// containerd's image verifier, when an image is pulled.
    ImageVerifier,
    /// The runtime agent.
    Agent,
    /// The API.
    Api,
    /// The server itself.
    Server,
}

impl Point {
    /// All points.
    pub const ALL: [Self; 8] = [
        Self::Scan,
        Self::RegistryGate,
        Self::Admission,
        Self::OciHook,
        Self::ImageVerifier,
        Self::Agent,
        Self::Api,
        Self::Server,
    ];

    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::RegistryGate => "registry-gate",
            Self::Admission => "admission",
            Self::OciHook => "oci-hook",
            Self::ImageVerifier => "image-verifier",
            Self::Agent => "agent",
            Self::Api => "api",
            Self::Server => "server",
        }
    }

    /// The stage whose actions count there.
    pub fn stage(self) -> Stage {
        match self {
            Self::Scan | Self::Api | Self::Server => Stage::Build,
            Self::RegistryGate => Stage::Ship,
            Self::Admission | Self::OciHook | Self::ImageVerifier => Stage::Deploy,
            Self::Agent => Stage::Run,
        }
    }
}

/// Whether a denial stops anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnforcementMode {
    /// It does.
    #[default]
    Enforce,
    /// It is only said and recorded.
    Audit,
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Allowed.
    Allowed,
    /// Denied; under [`EnforcementMode::Audit`] it went through all the same.
    Denied,
    /// Noted: there was nothing to allow or deny.
    Noted,
}

impl Answer {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Noted => "noted",
        }
    }
}

/// The image that a record is about, by every digest known.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ImageIdentity {
    /// The reference that was asked for.
    pub name: String,
    /// Digest of the index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Digest>,
    /// Digest of the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
    /// Digest of the configuration: the image id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Digest>,
}

/// The verdict that a decision rests on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VerdictLink {
    /// Digest of the full verdict.
    pub verdict: Digest,
    /// Number of the ledger entry that records it.
    pub entry: u64,
    /// Its outcome.
    pub outcome: Outcome,
    /// Name of the policy.
    pub policy: String,
    /// Digest of the policy.
    pub policy_digest: Digest,
    /// Version of the policy in the server's store; a policy file has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<u64>,
    /// Digest of the advisory database.
    pub database: Digest,
    /// Ids of the exceptions that excused something.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<String>,
}

/// Who caused it, as authenticated by a token or by a local socket. Never the token itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Actor {
    /// Name of the token, or `local` for a local socket, or `anonymous`.
    pub name: String,
    /// Role of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What the caller says of itself: user of a cluster, name of a node. Evidence, never authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<String>,
}

/// One entry of the ledger that is not a verdict. Its bytes are its canonical JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrailRecord {
    /// [`TRAIL_SCHEMA`].
    pub schema: u32,
    /// What kind of thing happened.
    pub kind: TrailKind,
    /// Where.
    pub point: Point,
    /// Whether a denial stops anything.
    pub mode: EnforcementMode,
    /// What was answered.
    pub answer: Answer,
    /// The image, when it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageIdentity>,
    /// The verdict it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<VerdictLink>,
    /// The reasons told to the caller, strictest first; at most [`MAX_TRAIL_REASONS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// One sentence for people.
    pub message: String,
    /// Who caused it.
    pub actor: Actor,
    /// Further facts by name: container, namespace, path, digest of a dropped file, process ancestry, ...
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub detail: BTreeMap<String, String>,
    /// How many further requests of the same kind this record stands for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repeats: u64,
    /// What was not as it should be: `database-unreachable`, `upstream-unreachable`, `unscanned`, ...
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<String>,
    /// When.
    pub time: Timestamp,
}

/// The most reasons that a [`TrailRecord`] carries; the verdict has them all.
pub const MAX_TRAIL_REASONS: usize = 16;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
