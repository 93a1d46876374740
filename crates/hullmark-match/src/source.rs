//! Where advisories come from.

use hullmark_advisory::{Database, DatabaseError};
use hullmark_types::{Advisory, Digest, FeedStatus, KnownExploited};

/// A read-only source of advisories. The database is one; tests hold theirs in memory.
pub trait AdvisorySource {
    /// Why a lookup failed.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Its identity.
    fn digest(&self) -> Digest;

    /// The feeds it was made from. An ecosystem that none of them lists is not covered.
    fn feeds(&self) -> &[FeedStatus];

    /// The advisories that name the package `name` of `ecosystem`; `affected` may hold other packages, too.
    ///
    /// # Errors
    /// When the source is damaged.
    fn lookup(&self, ecosystem: &str, name: &str) -> Result<Vec<Advisory>, Self::Error>;

    /// The advisories with this id or alias, or that cover it ([`Advisory::upstream`]), as far as they have ratings,
    /// aliases or a summary.
    ///
    /// # Errors
    /// When the source is damaged.
    fn related(&self, id: &str) -> Result<Vec<Advisory>, Self::Error>;

    /// The entry of the catalogue of known exploited vulnerabilities.
    ///
    /// # Errors
    /// When the source is damaged.
    fn known_exploited(&self, cve: &str) -> Result<Option<KnownExploited>, Self::Error>;
}

impl AdvisorySource for Database {
    type Error = DatabaseError;

    fn digest(&self) -> Digest {
        Self::digest(self).clone()
    }

    fn feeds(&self) -> &[FeedStatus] {
        Self::feeds(self)
    }

    fn lookup(&self, ecosystem: &str, name: &str) -> Result<Vec<Advisory>, DatabaseError> {
        Self::lookup(self, ecosystem, name)
    }

    fn related(&self, id: &str) -> Result<Vec<Advisory>, DatabaseError> {
        Self::related(self, id)
    }

    fn known_exploited(&self, cve: &str) -> Result<Option<KnownExploited>, DatabaseError> {
        Self::known_exploited(self, cve)
    }
}
