//! What the server remembers. [`Store`] is the interface; [`SqliteStore`] is the embedded default.
//!
//! The store holds what can be computed again or is asked for often; what must be provable is in the ledger, which the
//! store only points into. Large documents (inventories, profiles, full verdicts, manifests) are kept by the digest of their
//! bytes, compressed. [`Store`] is the sum of one trait for each kind of thing, so that each has one file here and one for
//! each implementation.

mod error;
mod rows;
mod sqlite;
mod store;

pub use error::StoreError;
pub use rows::{
    EventFilter, EventRow, ExceptionRow, ImageRow, ManifestRow, NewEvent, NewPolicy, PolicyRow, TagRow,
    TokenRow, VerdictKey, VerdictRow,
};
pub use sqlite::SqliteStore;
pub use store::{Documents, Events, ExceptionStore, Images, Manifests, Policies, Store, Tokens, Verdicts};
