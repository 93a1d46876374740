//! Why matching could not be done.

/// The source of advisories could not answer.
#[derive(Debug, thiserror::Error)]
pub enum MatchError {
    /// A lookup by package failed.
    #[error("the advisories of `{name}` in {ecosystem} cannot be read")]
    Package {
        /// Ecosystem.
        ecosystem: String,
        /// Name of the package.
        name: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A lookup by identifier failed.
    #[error("what is known of `{id}` cannot be read")]
    Identifier {
        /// Identifier of a vulnerability.
        id: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
