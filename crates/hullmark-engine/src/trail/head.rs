//! What of an entry decides whether it belongs to a trail.

use std::collections::{BTreeMap, BTreeSet};

use hullmark_types::{Digest, ExceptionStatus};
use serde::Deserialize;

use super::search::NamedDigests;

/// The parts of a verdict record or trail record that name something. Everything may be absent, so that entries of later
/// versions are read as far as they are understood.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Head {
    kind: String,
    /// Of a verdict record.
    #[serde(default)]
    subject: Option<Identity>,
    /// Of the other records.
    #[serde(default)]
    image: Option<Identity>,
    /// The inputs of a verdict record.
    #[serde(default)]
    inputs: Option<Inputs>,
    /// The verdict that another record rests on; in a verdict record its digest.
    #[serde(default)]
    verdict: Option<VerdictName>,
    /// The exceptions of a verdict record.
    #[serde(default)]
    exceptions: Vec<ExceptionName>,
    #[serde(default)]
    detail: BTreeMap<String, String>,
}

/// The digests of an image in a record.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Identity {
    #[serde(default)]
    name: String,
    #[serde(default)]
    references: Vec<String>,
    #[serde(default)]
    pub(super) index: Option<Digest>,
    #[serde(default)]
    pub(super) manifest: Option<Digest>,
    #[serde(default)]
    pub(super) config: Option<Digest>,
}

#[derive(Debug, Clone, Deserialize)]
struct Inputs {
    policy: Digest,
    exceptions: Digest,
    database: Digest,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum VerdictName {
    Link {
        policy_digest: Digest,
        database: Digest,
        #[serde(default)]
        exceptions: Vec<String>,
    },
    /// Anything else, such as the digest in a verdict record.
    Other(serde::de::IgnoredAny),
}

#[derive(Debug, Clone, Deserialize)]
struct ExceptionName {
    id: String,
    status: ExceptionStatus,
}

impl Identity {
    /// The digests it has.
    pub(super) fn digests(&self) -> impl Iterator<Item = &Digest> {
        [&self.index, &self.manifest, &self.config].into_iter().flatten()
    }

    fn mentions(&self, digests: &NamedDigests) -> bool {
        self.digests().any(|digest| digests.contains(digest)) || self.is_named_by(digests)
    }

    /// Whether a name of the image contains one of the digests.
    pub(super) fn is_named_by(&self, digests: &NamedDigests) -> bool {
        std::iter::once(&self.name).chain(&self.references).any(|name| digests.occur_in(name.as_bytes()))
    }
}

impl Head {
    /// Reads the head of an entry; `None` when the entry is no record.
    pub(super) fn parse(entry: &[u8]) -> Option<Self> {
        serde_json::from_slice(entry).ok()
    }

    /// The image that the entry is about.
    pub(super) fn identity(&self) -> Option<&Identity> {
        self.subject.as_ref().or(self.image.as_ref())
    }

    /// Whether the entry is about a policy, an exception or the server.
    pub(super) fn is_administrative(&self) -> bool {
        matches!(self.kind.as_str(), "policy" | "exception" | "server" | "token")
    }

    /// Whether the entry can be about an image with one of these digests: it stands where an image is named.
    pub(super) fn mentions(&self, digests: &NamedDigests) -> bool {
        !self.is_administrative()
            && (self.identity().is_some_and(|image| image.mentions(digests))
                || self.details().any(|detail| digests.occur_in(detail.as_bytes())))
    }

    /// Further facts of the entry.
    pub(super) fn details(&self) -> impl Iterator<Item = &str> {
        self.detail.values().map(String::as_str)
    }

    /// Digests of the policies, sets of exceptions and advisory databases that the entry rests on.
    pub(super) fn basis_digests(&self) -> impl Iterator<Item = &Digest> {
        let inputs = self.inputs.iter().flat_map(|i| [&i.policy, &i.exceptions, &i.database]);
        let link = self.verdict.iter().flat_map(|verdict| match verdict {
            VerdictName::Link { policy_digest, database, .. } => vec![policy_digest, database],
            VerdictName::Other(_) => Vec::new(),
        });
        inputs.chain(link)
    }

    /// Digests of the advisory databases that the entry rests on.
    pub(super) fn databases(&self) -> impl Iterator<Item = &Digest> {
        let link = self.verdict.iter().filter_map(|verdict| match verdict {
            VerdictName::Link { database, .. } => Some(database),
            VerdictName::Other(_) => None,
        });
        self.inputs.iter().map(|inputs| &inputs.database).chain(link)
    }

    /// Whether the entry is about the server.
    pub(super) fn is_of_server(&self) -> bool {
        self.kind == "server"
    }

    /// Ids of the exceptions that excused something.
    pub(super) fn exceptions_used(&self) -> Vec<String> {
        let excused =
            |e: &&ExceptionName| matches!(e.status, ExceptionStatus::Used | ExceptionStatus::ExpiringSoon);
        let mut used: Vec<_> = self.exceptions.iter().filter(excused).map(|e| e.id.clone()).collect();
        if let Some(VerdictName::Link { exceptions, .. }) = &self.verdict {
            used.extend(exceptions.iter().cloned());
        }
        used
    }

    /// Whether the entry stores or changes one of these policies, databases or exceptions.
    pub(super) fn is_basis(&self, digests: &NamedDigests, exceptions: &BTreeSet<String>) -> bool {
        match self.kind.as_str() {
            "policy" | "server" => self.details().any(|detail| digests.is_one(detail)),
            "exception" => self.details().any(|detail| exceptions.contains(detail)),
            _ => false,
        }
    }
}
