//! The verdict record: what was decided, from what, for whom and when.

use std::collections::BTreeMap;

use hullmark_ledger::MAX_ENTRY_SIZE;
use hullmark_report::{ScanReport, Tool};
use hullmark_types::{
    DiagnosticLevel, Digest, EnforcementMode, ExceptionUse, FeedStatus, InputDigests, Outcome, Point, Reason,
    Severity, Stage, Subject, canonical_json, digest_of,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::EngineError;

/// The version of the record's form.
pub const RECORD_SCHEMA: u32 = 1;

/// The word in `kind` that tells a verdict record from the other entries of the ledger.
pub const VERDICT_KIND: &str = "verdict";

/// Who asked for the verdict, as far as the environment says it. But for the token it is evidence, never authority.
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
    /// Name of the token by which a server knows who asked: the one thing here that is authenticated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// What a verdict record says besides the verdict: where it was asked for, by whom, with which program.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// This program.
    pub tool: Tool,
    /// Digest of this program's file, where it can be read.
    pub binary: Option<Digest>,
    /// Who asked.
    pub asker: Asker,
    /// Where the verdict was asked for.
    pub point: Point,
    /// Whether a failed verdict stops anything.
    pub mode: EnforcementMode,
    /// Version of the policy in the server's store; a policy file has none.
    pub policy_version: Option<u64>,
    /// What is not as it should be: `server-unreachable`, `database-unreachable`, ...
    pub degraded: Vec<String>,
}

impl Circumstances {
    /// Those of a scan that enforces its verdict by a policy file, with nothing amiss.
    #[must_use]
    pub fn of_scan(tool: Tool, asker: Asker) -> Self {
        Self {
            tool,
            binary: None,
            asker,
            point: Point::Scan,
            mode: EnforcementMode::Enforce,
            policy_version: None,
            degraded: Vec::new(),
        }
    }
}

/// One entry of the ledger. Its bytes are its canonical JSON, at most [`MAX_ENTRY_SIZE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictRecord {
    /// [`RECORD_SCHEMA`].
    pub schema: u32,
    /// Always [`VERDICT_KIND`]; other kinds of entry have the words of [`hullmark_types::TrailKind`].
    pub kind: String,
    /// What was judged.
    pub subject: Subject,
    /// Where the verdict was asked for.
    pub point: Point,
    /// Whether a failed verdict stops anything.
    pub mode: EnforcementMode,
    /// The stage of the policy.
    pub stage: Stage,
    /// The result.
    pub outcome: Outcome,
    /// Name of the policy.
    pub policy: String,
    /// Version of the policy in the server's store; a policy file has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<u64>,
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

impl VerdictRecord {
    /// The record of the verdict in `report`. `previous` is the number of the previous entry about the subject.
    ///
    /// # Errors
    /// When the verdict cannot be written in canonical form.
    pub fn new(report: &ScanReport, by: &Circumstances, previous: Option<u64>) -> Result<Self, EngineError> {
        let mut findings = BTreeMap::new();
        for finding in &report.matches.findings {
            *findings.entry(finding.severity).or_insert(0) += 1;
        }
        let verdict = &report.verdict;
        let subject = &report.inventory.subject;
        let gaps = report.inventory.diagnostics.iter().filter(|d| d.level == DiagnosticLevel::Gap).count();
        Ok(Self {
            schema: RECORD_SCHEMA,
            kind: VERDICT_KIND.to_owned(),
            subject: subject.clone(),
            point: by.point,
            mode: by.mode,
            stage: verdict.stage,
            outcome: verdict.outcome,
            policy: verdict.policy.clone(),
            policy_version: by.policy_version,
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
            tool: by.tool.clone(),
            binary: by.binary.clone(),
            asker: by.asker.clone(),
            time: verdict.evaluated_at,
            previous,
            degraded: by.degraded.clone(),
        })
    }

    /// The bytes of the entry: the mildest reasons are dropped, and counted, until it fits into an entry.
    ///
    /// # Errors
    /// When the record cannot be written in canonical form.
    pub fn into_entry(mut self) -> Result<Vec<u8>, EngineError> {
        loop {
            let bytes = canonical_json(&self)?;
            if bytes.len() <= MAX_ENTRY_SIZE {
                return Ok(bytes);
            }
            // Halving keeps this at a handful of rounds however long the lists are.
            let longest = [&mut self.excused, &mut self.reasons].into_iter().max_by_key(|list| list.len());
            match longest.filter(|list| !list.is_empty()) {
                Some(list) => {
                    let kept = list.len() / 2;
                    self.omitted += (list.len() - kept) as u64;
                    list.truncate(kept);
                }
                // Nothing but the lists below can be long: their digests are in `inputs` and `verdict`.
                None => {
                    self.degraded.push("record-shortened".to_owned());
                    self.exceptions.clear();
                    self.feeds.clear();
                    self.subject.references.clear();
                    let bytes = canonical_json(&self)?;
                    return Ok(bytes);
                }
            }
        }
    }
}
