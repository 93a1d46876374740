//! One entry of a trail for people.

use hullmark_types::{
    Answer, Digest, EnforcementMode, ExceptionStatus, Point, Reason, TrailKind, TrailRecord, VerdictLink,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::{Asker, VERDICT_KIND, VerdictRecord};

/// What an entry says, in the words of people. Texts come from images and clients: make them safe before printing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailRow {
    /// When.
    pub time: Timestamp,
    /// What happened: `build verdict`, `gate decision`, `admission`, `start`, `runtime alert`, ...
    pub what: String,
    /// How it ended: `passed`, `denied`, `denied (audit)`, ...
    pub outcome: String,
    /// Name and version of the policy; of a policy file the beginning of its digest instead of a version.
    pub policy: Option<String>,
    /// The beginning of the advisory database's digest.
    pub database: Option<String>,
    /// By whom.
    pub by: String,
    /// The image as it was named.
    pub image: Option<String>,
    /// The strongest digest of the image that the entry has: of the manifest, else the configuration, else the index.
    pub digest: Option<Digest>,
    /// Why, one sentence each.
    pub because: Vec<String>,
    /// Ids of the exceptions used.
    pub exceptions: Vec<String>,
    /// What was not as it should be.
    pub degraded: Vec<String>,
}

/// Describes a record of the ledger; `None` when it is of a kind that this version does not know.
#[must_use]
pub fn describe(record: &Value) -> Option<TrailRow> {
    if record.get("kind").and_then(Value::as_str) == Some(VERDICT_KIND) {
        return VerdictRecord::deserialize(record).ok().map(|record| of_verdict(&record));
    }
    TrailRecord::deserialize(record).ok().map(|record| of_trail(&record))
}

fn of_verdict(record: &VerdictRecord) -> TrailRow {
    let used = |status| matches!(status, ExceptionStatus::Used | ExceptionStatus::ExpiringSoon);
    TrailRow {
        time: record.time,
        what: match record.point {
            Point::Scan => format!("{} verdict", record.stage),
            point => format!("{} verdict, {}", record.stage, point.name()),
        },
        outcome: with_mode(
            record.outcome.name(),
            record.mode,
            record.outcome == hullmark_types::Outcome::Failed,
        ),
        policy: Some(policy(&record.policy, record.policy_version, &record.inputs.policy)),
        database: Some(record.inputs.database.short().to_owned()),
        by: asker(&record.asker),
        image: Some(record.subject.name.clone()),
        digest: record.subject.digest().or(record.subject.index.as_ref()).cloned(),
        because: reasons(&record.reasons, record.omitted),
        exceptions: record.exceptions.iter().filter(|e| used(e.status)).map(|e| e.id.clone()).collect(),
        degraded: record.degraded.clone(),
    }
}

fn of_trail(record: &TrailRecord) -> TrailRow {
    let mut outcome = with_mode(record.answer.name(), record.mode, record.answer == Answer::Denied);
    if record.repeats > 0 {
        outcome.push_str(&format!(", {} more", record.repeats));
    }
    let actor = &record.actor;
    let by = match (&actor.role, &actor.claims) {
        (_, Some(claims)) => format!("{} for {claims}", actor.name),
        (Some(role), None) => format!("{} ({role})", actor.name),
        (None, None) => actor.name.clone(),
    };
    let link = record.verdict.as_ref();
    TrailRow {
        time: record.time,
        what: what(record.kind, record.point).to_owned(),
        outcome,
        policy: link.map(|link| policy(&link.policy, link.policy_version, &link.policy_digest)),
        database: link.map(|link| link.database.short().to_owned()),
        by,
        image: record.image.as_ref().map(|image| image.name.clone()),
        digest: record.image.as_ref().and_then(|image| {
            image.manifest.as_ref().or(image.config.as_ref()).or(image.index.as_ref()).cloned()
        }),
        because: because(record, link),
        exceptions: link.map_or_else(Vec::new, |link| link.exceptions.clone()),
        degraded: record.degraded.clone(),
    }
}

/// What happened, in two words.
fn what(kind: TrailKind, point: Point) -> &'static str {
    match (kind, point) {
        (TrailKind::Decision, Point::RegistryGate) => "gate decision",
        (TrailKind::Decision, Point::Admission) => "admission",
        (TrailKind::Decision, Point::OciHook) => "hook decision",
        (TrailKind::Decision, Point::ImageVerifier) => "pull decision",
        (TrailKind::Decision, Point::Agent) => "agent decision",
        (TrailKind::Decision, Point::Scan | Point::Api | Point::Server) => "decision",
        (TrailKind::Start, _) => "start",
        (TrailKind::Alert, _) => "runtime alert",
        (TrailKind::Policy, _) => "policy change",
        (TrailKind::Exception, _) => "exception change",
        (TrailKind::Token, _) => "token change",
        (TrailKind::Server, _) => "server",
    }
}

/// In audit mode a denial stops nothing, which must be seen.
fn with_mode(outcome: &str, mode: EnforcementMode, denies: bool) -> String {
    match (mode, denies) {
        (EnforcementMode::Audit, true) => format!("{outcome} (audit)"),
        _ => outcome.to_owned(),
    }
}

fn policy(name: &str, version: Option<u64>, digest: &Digest) -> String {
    match version {
        Some(version) => format!("{name} v{version}"),
        None => format!("{name} {}", digest.short()),
    }
}

/// The user, and the CI job or else the machine; the token, which alone is authenticated, first.
fn asker(asker: &Asker) -> String {
    let place = asker.job.as_ref().or(asker.host.as_ref());
    let said: Vec<&str> = [asker.user.as_ref(), place].into_iter().flatten().map(String::as_str).collect();
    match (&asker.token, said.is_empty()) {
        (Some(token), true) => token.clone(),
        (Some(token), false) => format!("{token} for {}", said.join(", ")),
        (None, true) => "unknown".to_owned(),
        (None, false) => said.join(", "),
    }
}

/// How many reasons of a verdict are told.
const REASONS: usize = 3;

fn reasons(reasons: &[Reason], omitted: u64) -> Vec<String> {
    let mut told: Vec<_> = reasons.iter().take(REASONS).map(reason).collect();
    match reasons.len().saturating_sub(REASONS) as u64 + omitted {
        0 => {}
        more => told.push(format!("and {more} more")),
    }
    told
}

fn reason(reason: &Reason) -> String {
    format!("rule `{}`: {}", reason.rule, reason.message)
}

/// The message, then the facts that say where it happened, then the verdict.
fn because(record: &TrailRecord, link: Option<&VerdictLink>) -> Vec<String> {
    let mut told = vec![record.message.clone()];
    if !record.detail.is_empty() {
        let facts: Vec<_> = record.detail.iter().map(|(name, value)| format!("{name} {value}")).collect();
        told.push(facts.join(", "));
    }
    if let Some(link) = link {
        told.push(format!("by the verdict of entry {}", link.entry));
    }
    told
}
