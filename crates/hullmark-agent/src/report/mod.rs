//! What the agent saw, on its way to the server.
//!
//! Everyone who sees something puts it into the [`Outbox`], which is in memory and bounded. The [`Spool`] takes it from there
//! to disk in batches, and the [`Sender`] hands the batches to the server one by one, oldest first, until each is
//! acknowledged.

mod outbox;
mod send;
mod spool;
mod translate;

pub use outbox::{Clock, Drift, Outbox};
pub use send::Sender;
pub use spool::{Spool, SpoolCounts, SpoolError};
pub use translate::Translator;
