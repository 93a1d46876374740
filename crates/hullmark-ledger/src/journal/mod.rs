//! The journal: entries and their signed checkpoint on the disk by one write, published as bundles and tiles later.
//!
//! A [`JournaledLedger`] appends to the last segment under `journal/`, while it holds `journal/lock`. Its memory of where the
//! ledger ends is right as long as that segment lies where it put it with the length it gave it; whoever else appends
//! publishes all segments and removes them under the same lock, so that the next append reads anew. Who takes both locks
//! takes `journal/lock` first.

mod integrator;
mod ledger;
mod record;
mod replay;
mod segments;
mod writer;

#[cfg(test)]
mod tests;

pub use integrator::Publication;
pub use ledger::JournaledLedger;
pub use record::{JournalDamage, JournalRecord, JournalSegment, parse_journal};
pub use replay::publish_journal;

pub(crate) use replay::{count_waiting, publish_journal_locked};
pub(crate) use segments::{JOURNAL, lock_to_write, remove_segments};
