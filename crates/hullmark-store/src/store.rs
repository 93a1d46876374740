//! The interface: one trait for each kind of thing, and [`Store`] for all.

use async_trait::async_trait;
use hullmark_types::Digest;
use jiff::Timestamp;

use crate::{
    EventFilter, EventRow, ExceptionRow, ImageRow, ManifestRow, NewEvent, NewPolicy, PolicyRow, StoreError,
    TagRow, TokenRow, VerdictKey, VerdictRow,
};

/// Documents by the digest of their bytes.
#[async_trait]
pub trait Documents: Send + Sync {
    /// Stores bytes; gives their SHA-256. Storing the same again changes nothing. `kind` is a word for statistics:
    /// `inventory`, `profile`, `verdict`, `manifest`.
    async fn put_document(&self, kind: &str, bytes: Vec<u8>) -> Result<Digest, StoreError>;

    /// The word with which a document was stored first.
    async fn document_kind(&self, digest: &Digest) -> Result<Option<String>, StoreError>;

    /// The bytes of a document, checked against the digest.
    async fn document(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError>;
}

/// Images that were scanned.
#[async_trait]
pub trait Images: Send + Sync {
    /// Stores an image, or takes over the new inventory, profile, names and time of one that is stored. An inventory that
    /// was sent does not replace one that the server took, and adds no digest to it. Gives the image as it is stored then.
    async fn put_image(&self, image: &ImageRow) -> Result<ImageRow, StoreError>;

    /// The images with this index, manifest or configuration digest, at most 64: those that the server took itself
    /// first, and of these the last scanned first.
    async fn images_by_digest(&self, digest: &Digest) -> Result<Vec<ImageRow>, StoreError>;

    /// The images whose name or a reference is `name`, or all; sorted by digest, those after `after`, at most `limit`.
    async fn images(
        &self,
        name: Option<&str>,
        after: Option<&Digest>,
        limit: u32,
    ) -> Result<Vec<ImageRow>, StoreError>;
}

/// Verdicts.
#[async_trait]
pub trait Verdicts: Send + Sync {
    /// Stores a verdict, which is in the ledger already.
    async fn put_verdict(&self, verdict: &VerdictRow) -> Result<(), StoreError>;

    /// The last verdict by exactly these inputs.
    async fn verdict(&self, key: &VerdictKey) -> Result<Option<VerdictRow>, StoreError>;

    /// The last verdict with this digest.
    async fn verdict_by_digest(&self, verdict: &Digest) -> Result<Option<VerdictRow>, StoreError>;

    /// The verdicts of an image, newest first, those before the ledger entry `before`, at most `limit`.
    async fn verdicts_of(
        &self,
        image: &Digest,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<VerdictRow>, StoreError>;
}

/// Versions of the policy.
#[async_trait]
pub trait Policies: Send + Sync {
    /// Stores a policy as a new version; does not activate it.
    async fn put_policy(&self, policy: &NewPolicy) -> Result<PolicyRow, StoreError>;

    /// Makes a version the one that counts; `None` when there is no such version.
    async fn activate_policy(
        &self,
        version: u64,
        by: &str,
        at: Timestamp,
    ) -> Result<Option<PolicyRow>, StoreError>;

    /// The version that counts.
    async fn active_policy(&self) -> Result<Option<PolicyRow>, StoreError>;

    /// A version.
    async fn policy(&self, version: u64) -> Result<Option<PolicyRow>, StoreError>;

    /// All versions, newest first, those before `before`, at most `limit`.
    async fn policies(&self, before: Option<u64>, limit: u32) -> Result<Vec<PolicyRow>, StoreError>;
}

/// Exceptions.
#[async_trait]
pub trait ExceptionStore: Send + Sync {
    /// Stores exceptions, all or none. An id is used once, also when its exception was revoked.
    async fn put_exceptions(&self, exceptions: &[ExceptionRow]) -> Result<(), StoreError>;

    /// Revokes an exception; `None` when there is none with the id, or it was revoked before.
    async fn revoke_exception(
        &self,
        id: &str,
        by: &str,
        at: Timestamp,
    ) -> Result<Option<ExceptionRow>, StoreError>;

    /// All exceptions, sorted by id; with `revoked` also those that were revoked.
    async fn exceptions(&self, revoked: bool) -> Result<Vec<ExceptionRow>, StoreError>;
}

/// Events of running containers.
#[async_trait]
pub trait Events: Send + Sync {
    /// Whether a batch was stored.
    async fn has_batch(&self, node: &str, spool: &str, sequence: u64) -> Result<bool, StoreError>;

    /// Stores a batch, all or nothing; `false` when it was stored before.
    async fn put_batch(
        &self,
        node: &str,
        spool: &str,
        sequence: u64,
        received: Timestamp,
        events: &[NewEvent],
    ) -> Result<bool, StoreError>;

    /// The events that match, newest first.
    async fn events(&self, filter: &EventFilter) -> Result<Vec<EventRow>, StoreError>;

    /// Removes the oldest events beyond `keep`, and forgets batches that were received before `batches`; gives how many
    /// events were removed.
    async fn prune_events(&self, keep: u64, batches: Timestamp) -> Result<u64, StoreError>;
}

/// Tokens.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// Stores a token. A name is used once, also when its token was revoked.
    async fn put_token(&self, token: &TokenRow) -> Result<(), StoreError>;

    /// The token whose secret has this SHA-256, whether it still counts or not.
    async fn token_by_hash(&self, hash: &Digest) -> Result<Option<TokenRow>, StoreError>;

    /// Revokes a token; `None` when there is none with the name, or it was revoked before.
    async fn revoke_token(&self, name: &str, by: &str, at: Timestamp)
    -> Result<Option<TokenRow>, StoreError>;

    /// All tokens, sorted by name.
    async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError>;
}

/// What upstream registries hold, as far as it was asked for.
#[async_trait]
pub trait Manifests: Send + Sync {
    /// Remembers what a tag points to.
    async fn put_tag(&self, tag: &TagRow) -> Result<(), StoreError>;

    /// What a tag pointed to.
    async fn tag(&self, upstream: &str, repository: &str, tag: &str) -> Result<Option<TagRow>, StoreError>;

    /// Remembers a manifest and what it names.
    async fn put_manifest(&self, manifest: &ManifestRow) -> Result<(), StoreError>;

    /// A manifest of a repository.
    async fn manifest(
        &self,
        upstream: &str,
        repository: &str,
        digest: &Digest,
    ) -> Result<Option<ManifestRow>, StoreError>;

    /// The manifests of a repository that name a blob, at most 256, sorted.
    async fn manifests_with_blob(
        &self,
        upstream: &str,
        repository: &str,
        blob: &Digest,
    ) -> Result<Vec<Digest>, StoreError>;

    /// The indexes of a repository that name a manifest, at most 256, sorted.
    async fn indexes_with_child(
        &self,
        upstream: &str,
        repository: &str,
        child: &Digest,
    ) -> Result<Vec<Digest>, StoreError>;

    /// The manifests that an index names, in whatever repository it was seen, at most 1024: those of scanned images first.
    async fn children(&self, index: &Digest) -> Result<Vec<Digest>, StoreError>;
}

/// Everything the server remembers.
#[async_trait]
pub trait Store:
    Documents + Images + Verdicts + Policies + ExceptionStore + Events + Tokens + Manifests
{
    /// Whether it can be read and written: readiness.
    async fn check(&self) -> Result<(), StoreError>;

    /// Finishes what is under way and lets go of the files.
    async fn close(&self);
}
