//! Recording verdicts: the ledger is told before anyone else is.
//!
//! A [`VerdictRecord`] is made from a report and the [`Circumstances`] of its making. [`record`] appends it to a ledger
//! at hand; the server, whose ledger has one writer of its own, makes the bytes with [`VerdictRecord::into_entry`].

mod schema;
mod verdict;

use hullmark_ledger::{Ledger, LedgerError};
use hullmark_report::{LedgerReceipt, ScanReport};
use hullmark_types::Digest;
use serde::Deserialize;

pub use schema::record_schema;
pub use verdict::{Asker, Circumstances, FeedAge, RECORD_SCHEMA, VERDICT_KIND, VerdictRecord};

use crate::EngineError;

/// How verdicts are recorded.
pub struct Recorder<'a> {
    /// The ledger.
    pub ledger: &'a mut Ledger,
    /// Where, by whom and with which program.
    pub circumstances: Circumstances,
}

/// Puts the verdict of `report` into the ledger. On return it is on disk under a signed checkpoint.
///
/// # Errors
/// When the ledger cannot be written.
pub fn record(report: &ScanReport, recorder: &mut Recorder<'_>) -> Result<LedgerReceipt, EngineError> {
    let previous = previous(recorder.ledger, &report.inventory.subject.name)?;
    let bytes = VerdictRecord::new(report, &recorder.circumstances, previous)?.into_entry()?;
    let entry_digest = Digest::sha256(&bytes);
    let receipts = recorder.ledger.append(&[bytes])?;
    // One receipt for each entry that was appended; the log is never empty now.
    let index = receipts.first().map_or(recorder.ledger.size().saturating_sub(1), |receipt| receipt.index);
    Ok(LedgerReceipt { origin: recorder.ledger.origin().to_owned(), index, entry_digest })
}

/// How many of the newest entries are searched for the previous verdict of a subject.
const PREVIOUS_WINDOW: u64 = 1024;

/// The newest of the last [`PREVIOUS_WINDOW`] entries that is a verdict about a subject of this name.
fn previous(ledger: &mut Ledger, name: &str) -> Result<Option<u64>, LedgerError> {
    #[derive(Deserialize)]
    struct Head {
        subject: Name,
    }
    #[derive(Deserialize)]
    struct Name {
        name: String,
    }
    ledger.refresh()?;
    if ledger.size() == 0 {
        return Ok(None);
    }
    let mut found = None;
    for item in ledger.entries_from(ledger.size().saturating_sub(PREVIOUS_WINDOW))? {
        let (index, entry) = item?;
        if serde_json::from_slice::<Head>(&entry).is_ok_and(|head| head.subject.name == name) {
            found = Some(index);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use hullmark_types::{EnforcementMode, Point};

    use super::*;

    /// A record as version 0.1 wrote it, before records had a policy version.
    const OLD: &str = r#"{"asker":{"host":"builder"},"excused":[],"feeds":[],"findings":{"high":1},"gaps":0,
        "inputs":{"database":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "exceptions":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "inventory":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "matches":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "policy":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        "kind":"verdict","mode":"enforce","outcome":"passed","point":"scan","policy":"default","reasons":[],"schema":1,
        "stage":"build","subject":{"kind":"image","name":"a.tar"},"time":"2026-01-02T00:00:00Z",
        "tool":{"name":"hullmark","version":"0.1.0"},"undetermined":0,
        "verdict":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}"#;

    #[test]
    fn records_of_earlier_versions_are_read() {
        let record: VerdictRecord = serde_json::from_str(OLD).unwrap();
        assert_eq!((record.point, record.mode), (Point::Scan, EnforcementMode::Enforce));
        assert_eq!((record.policy_version, record.degraded.len()), (None, 0));
    }
}
