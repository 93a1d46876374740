//! What is stored, in plain data.

use hullmark_types::{
    Digest, ImageIdentity, Outcome, Reason, RuntimeEvent, RuntimeEventKind, Stage, Subject, VerdictLink,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An image that was scanned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRow {
    /// What was scanned. `subject.digest()` is the key.
    pub subject: Subject,
    /// Digest of the inventory.
    pub inventory: Digest,
    /// Digest of the runtime profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Digest>,
    /// Whether the server took the inventory itself. One that was sent does not replace one that was taken.
    pub taken_here: bool,
    /// When it was scanned first.
    pub first_scanned: Timestamp,
    /// When it was scanned last.
    pub last_scanned: Timestamp,
}

impl ImageRow {
    /// The image by every digest known.
    pub fn identity(&self) -> ImageIdentity {
        ImageIdentity {
            name: self.subject.name.clone(),
            index: self.subject.index.clone(),
            manifest: self.subject.manifest.clone(),
            config: self.subject.config.clone(),
        }
    }
}

/// Identifies a verdict that may be used again: the same image at the same stage by the same inputs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VerdictKey {
    /// Manifest digest, else configuration digest.
    pub image: Digest,
    /// Digest of the inventory.
    pub inventory: Digest,
    /// Stage.
    pub stage: Stage,
    /// Digest of the policy.
    pub policy: Digest,
    /// Digest of the exceptions.
    pub exceptions: Digest,
    /// Digest of the advisory database.
    pub database: Digest,
}

/// A verdict, in short. The full one is a document with the digest `link.verdict`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictRow {
    /// What it was made from.
    pub key: VerdictKey,
    /// Where it stands in the ledger.
    pub link: VerdictLink,
    /// Its outcome.
    pub outcome: Outcome,
    /// The strictest reasons, at most 16.
    pub reasons: Vec<Reason>,
    /// How many reasons there are.
    pub reason_count: u64,
    /// When it was made.
    pub made_at: Timestamp,
    /// Until when it may be used: then an exception begins or ends, or grace is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
}

/// A policy that is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPolicy {
    /// Its name.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
    /// Its text (YAML).
    pub text: String,
    /// What the author says of the change.
    pub comment: String,
    /// Who stores it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
}

/// A version of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRow {
    /// Its number, from 1.
    pub version: u64,
    /// Its name.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
    /// Its text (YAML).
    pub text: String,
    /// What the author says of the change.
    pub comment: String,
    /// Who stored it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// Whether it is the one that counts.
    pub active: bool,
    /// Who activated it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activated_by: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activated_at: Option<Timestamp>,
}

/// An exception. It counts unless it was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExceptionRow {
    /// Its id.
    pub id: String,
    /// The exception as an element of an exceptions file.
    pub body: serde_json::Value,
    /// Who stored it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// Who revoked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_by: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// An event that is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The event.
    pub event: RuntimeEvent,
    /// Number of the ledger entry about it, where it has one.
    pub entry: Option<u64>,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRow {
    /// Its number; grows.
    pub id: u64,
    /// The event.
    #[serde(flatten)]
    pub event: RuntimeEvent,
    /// Number of the ledger entry about it, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
}

/// Which events are wanted; all that match every given part, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Index, manifest or configuration digest of the image.
    pub image: Option<Digest>,
    /// Id of the container.
    pub container: Option<String>,
    /// Kind.
    pub kind: Option<RuntimeEventKind>,
    /// Only those with a smaller number: the next page.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: u32,
}

/// A token; the secret itself is not stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRow {
    /// Its name, which records bear.
    pub name: String,
    /// SHA-256 of the secret.
    #[serde(skip_serializing, default = "no_hash")]
    pub hash: Digest,
    /// Its role.
    pub role: String,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// From when on it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Who revoked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_by: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

fn no_hash() -> Digest {
    Digest::sha256(&[])
}

/// What a tag of an upstream registry pointed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagRow {
    /// Name of the upstream.
    pub upstream: String,
    /// Repository there.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// Digest of the manifest or index.
    pub digest: Digest,
    /// When the upstream said so last.
    pub seen_at: Timestamp,
}

/// A manifest or index of an upstream registry, and what can be reached from it. Its bytes are a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestRow {
    /// Name of the upstream.
    pub upstream: String,
    /// Repository there.
    pub repository: String,
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// Digest of the configuration; an index has none.
    pub config: Option<Digest>,
    /// Manifests that it names (an index).
    pub children: Vec<Digest>,
    /// Blobs that it names, the configuration among them.
    pub blobs: Vec<Digest>,
    /// When the upstream served it last.
    pub seen_at: Timestamp,
}
