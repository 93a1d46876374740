//! What can go wrong with the store.

use std::path::PathBuf;

use hullmark_types::Digest;

/// The store could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database file cannot be opened or brought up to date.
    #[error("cannot open the store `{}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
    /// The tables cannot be brought up to date.
    #[error("cannot bring the store `{}` up to date", path.display())]
    Migrate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: sqlx::migrate::MigrateError,
    },
    /// The database failed.
    #[error("the store cannot {operation}")]
    Database {
        /// What was to be done.
        operation: &'static str,
        /// Why it was not.
        source: sqlx::Error,
    },
    /// A stored value is not what was stored.
    #[error("the store holds a damaged {what}: {reason}")]
    Damaged {
        /// What it is.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A document does not have its digest any more.
    #[error("the stored document {digest} is damaged: {reason}")]
    Document {
        /// Its digest.
        digest: Digest,
        /// What is wrong with it.
        reason: String,
    },
    /// A value cannot be stored.
    #[error("the {what} cannot be stored: {reason}")]
    Value {
        /// What it is.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A name is taken.
    #[error("there is {what} `{name}` already")]
    Taken {
        /// What has the name.
        what: &'static str,
        /// The name.
        name: String,
    },
}

impl StoreError {
    /// Wraps what the database says; for `map_err`.
    pub(crate) fn doing(operation: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { operation, source }
    }

    /// A stored value that cannot be read; for `map_err`.
    pub(crate) fn damaged<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::Damaged { what, reason: error.to_string() }
    }

    /// A value that cannot be written; for `map_err`.
    pub(crate) fn value<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::Value { what, reason: error.to_string() }
    }
}
