//! The verdict record: the ledger entry that says what was decided, from what, for whom and when.

use std::collections::BTreeMap;

use hullmark_ledger::{Ledger, LedgerError, MAX_ENTRY_SIZE};
use hullmark_report::{LedgerReceipt, ScanReport, Tool};
use hullmark_types::{
    Digest, ExceptionUse, FeedStatus, InputDigests, Outcome, Reason, Severity, Stage, Subject,
    canonical_json, digest_of,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::EngineError;

/// The version of the record's form.
pub const RECORD_SCHEMA: u32 = 1;

/// Who asked for the verdict, as far as the environment says it. Not authenticated: evidence, never authority.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    /// Name of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Name of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Address of the CI job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

/// How verdicts are recorded.
pub struct Recorder<'a> {
    /// The ledger.
    pub ledger: &'a mut Ledger,
    /// This program.
    pub tool: Tool,
    /// Digest of this program's file, where it can be read.
    pub binary: Option<Digest>,
    /// Who asked.
    pub asker: Asker,
}

/// One entry of the ledger. Its bytes are its canonical JSON, at most [`MAX_ENTRY`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictRecord {
    /// [`RECORD_SCHEMA`].
    pub schema: u32,
    /// Always `verdict`; other kinds of entry will have other words.
    pub kind: String,
    /// What was judged.
    pub subject: Subject,
    /// Where the verdict was asked for: `scan`.
    pub point: String,
    /// Whether a failed verdict stops anything: `enforce`.
    pub mode: String,
    /// The stage of the policy.
    pub stage: Stage,
    /// The result.
    pub outcome: Outcome,
    /// Name of the policy.
    pub policy: String,
    /// The rules that matched, strictest first.
    pub reasons: Vec<Reason>,
    /// The rules that matched and were excused.
    pub excused: Vec<Reason>,
    /// How many reasons and excused reasons did not fit. The full verdict has the digest `verdict`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: u64,
    /// What became of each exception.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<ExceptionUse>,
    /// Number of findings by severity.
    pub findings: BTreeMap<Severity, u64>,
    /// How many answers are undetermined.
    pub undetermined: u64,
    /// How many gaps the inventory has.
    pub gaps: u64,
    /// Digest of the full verdict.
    pub verdict: Digest,
    /// What the verdict was made from.
    pub inputs: InputDigests,
    /// The feeds that spoke, with their age.
    pub feeds: Vec<FeedAge>,
    /// Name and version of the program.
    pub tool: Tool,
    /// Digest of the program's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary: Option<Digest>,
    /// Who asked.
    pub asker: Asker,
    /// The time for which the verdict was made.
    pub time: Timestamp,
    /// Number of the previous entry about the same subject name, among the last 1,024 entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<u64>,
    /// What was not as it should be when the verdict was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<String>,
}

/// A feed in a verdict record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedAge {
    /// Name.
    pub name: String,
    /// Digest of what was read.
    pub digest: Digest,
    /// How old the data is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_date: Option<Timestamp>,
}

impl From<&FeedStatus> for FeedAge {
    fn from(feed: &FeedStatus) -> Self {
        Self { name: feed.name.clone(), digest: feed.digest.clone(), data_date: feed.data_date }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Puts the verdict of `report` into the ledger. On return it is on disk under a signed checkpoint.
///
/// # Errors
/// When the ledger cannot be written.
pub fn record(report: &ScanReport, recorder: &mut Recorder<'_>) -> Result<LedgerReceipt, EngineError> {
    let mut findings = BTreeMap::new();
    for finding in &report.matches.findings {
        *findings.entry(finding.severity).or_insert(0) += 1;
    }
    let verdict = &report.verdict;
    let subject = &report.inventory.subject;
    let gaps = report
        .inventory
        .diagnostics
        .iter()
        .filter(|d| d.level == hullmark_types::DiagnosticLevel::Gap)
        .count();
    let mut record = VerdictRecord {
        schema: RECORD_SCHEMA,
        kind: "verdict".to_owned(),
        subject: subject.clone(),
        point: "scan".to_owned(),
        mode: "enforce".to_owned(),
        stage: verdict.stage,
        outcome: verdict.outcome,
        policy: verdict.policy.clone(),
        reasons: verdict.reasons.clone(),
        excused: verdict.excused.clone(),
        omitted: 0,
        exceptions: verdict.exceptions.clone(),
        findings,
        undetermined: report.matches.undetermined.len() as u64,
        gaps: gaps as u64,
        verdict: digest_of(verdict)?,
        inputs: verdict.inputs.clone(),
        feeds: report.matches.feeds.iter().map(FeedAge::from).collect(),
        tool: recorder.tool.clone(),
        binary: recorder.binary.clone(),
        asker: recorder.asker.clone(),
        time: verdict.evaluated_at,
        previous: previous(recorder.ledger, &subject.name)?,
        degraded: Vec::new(),
    };
    let bytes = fit(&mut record)?;
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

/// Drops the mildest reasons until the record fits into an entry, and counts them.
fn fit(record: &mut VerdictRecord) -> Result<Vec<u8>, EngineError> {
    loop {
        let bytes = canonical_json(record)?;
        if bytes.len() <= MAX_ENTRY_SIZE {
            return Ok(bytes);
        }
        // Halving keeps this at a handful of rounds however long the lists are.
        let longest = [&mut record.excused, &mut record.reasons].into_iter().max_by_key(|list| list.len());
        match longest.filter(|list| !list.is_empty()) {
            Some(list) => {
                let kept = list.len() / 2;
                record.omitted += (list.len() - kept) as u64;
                list.truncate(kept);
            }
            // Nothing but the lists below can be long: their digests are in `inputs` and `verdict`.
            None => {
                record.degraded.push("record-shortened".to_owned());
                record.exceptions.clear();
                record.feeds.clear();
                record.subject.references.clear();
                let bytes = canonical_json(record)?;
                return Ok(bytes);
            }
        }
    }
}
