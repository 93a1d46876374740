//! Policy and exceptions as they are stored, parsed.

use std::path::Path;

use hullmark_policy::{
    DEFAULT_POLICY, Exceptions, Policy, exceptions_digest, parse_exceptions, parse_policy, policy_digest,
};
use hullmark_store::{ExceptionRow, NewPolicy, PolicyRow, Store};
use hullmark_types::{Actor, Answer, Digest, Point, TrailKind, Verdict};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::JudgeError;
use crate::trail::{self, Trail};

/// What images are judged by.
pub struct Rules {
    /// The version of the policy that counts.
    pub row: PolicyRow,
    /// The policy.
    pub policy: Policy,
    /// Its digest.
    pub policy_digest: Digest,
    /// The exceptions that were not revoked.
    pub exceptions: Exceptions,
    /// Their digest.
    pub exceptions_digest: Digest,
}

impl Rules {
    /// Reads both from the store.
    pub(super) async fn load(store: &dyn Store) -> Result<Self, JudgeError> {
        let none = || JudgeError::Rules { what: "policy", reason: "none is active".to_owned() };
        let row = store.active_policy().await?.ok_or_else(none)?;
        let policy = parse(&format!("policy version {}", row.version), &row.text)?;
        let exceptions = exceptions_of(&store.exceptions(false).await?)?;
        Ok(Self {
            policy_digest: policy_digest(&policy)?,
            exceptions_digest: exceptions_digest(&exceptions)?,
            row,
            policy,
            exceptions,
        })
    }

    /// From when on the same inputs may give another verdict: an exception begins or ends, or a day of grace is over.
    pub(super) fn next_change(&self, verdict: &Verdict) -> Option<Timestamp> {
        let made = verdict.evaluated_at;
        let exceptions = self.exceptions.list().iter().flat_map(|one| [one.created, one.expires]);
        let boundary = exceptions.filter(|boundary| *boundary > made).min();
        // Days of grace are rounded up: the last one may be over at any moment.
        let ends = verdict.reasons.iter().any(|reason| reason.grace_days_left == Some(1));
        let hour = ends.then(|| made.checked_add(SignedDuration::from_mins(10)).ok()).flatten();
        [boundary, hour].into_iter().flatten().min()
    }
}

fn parse(name: &str, text: &str) -> Result<Policy, JudgeError> {
    parse_policy(name, text).map_err(|error| JudgeError::Rules { what: "policy", reason: error.to_string() })
}

/// The exceptions of rows, as if they stood in one file.
pub fn exceptions_of(rows: &[ExceptionRow]) -> Result<Exceptions, JudgeError> {
    let bodies: Vec<_> = rows.iter().map(|row| &row.body).collect();
    let document =
        json!({ "apiVersion": hullmark_policy::API_VERSION, "kind": "Exceptions", "exceptions": bodies });
    parse_exceptions("stored exceptions", &document.to_string())
        .map_err(|error| JudgeError::Rules { what: "exceptions", reason: error.to_string() })
}

/// Gives an empty store its first policy, and records it.
pub(super) async fn first_policy(
    store: &dyn Store,
    trail: &Trail,
    file: Option<&Path>,
    now: Timestamp,
) -> Result<(), JudgeError> {
    if store.active_policy().await?.is_some() {
        return Ok(());
    }
    let unusable = |reason: String| JudgeError::Rules { what: "first policy", reason };
    let (name, text) = match file {
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| unusable(format!("cannot read `{}`: {error}", file.display())))?;
            (file.display().to_string(), text)
        }
        None => ("built-in policy".to_owned(), DEFAULT_POLICY.to_owned()),
    };
    let policy = parse(&name, &text)?;
    let new = NewPolicy {
        name: policy.name().to_owned(),
        digest: policy_digest(&policy)?,
        text,
        comment: format!(
            "first policy, from the {}",
            if file.is_some() { "configuration" } else { "program" }
        ),
        created_by: "server".to_owned(),
        created_at: now,
    };
    let row = store.put_policy(&new).await?;
    let actor = Actor { name: "server".to_owned(), ..Actor::default() };
    let message = format!("policy `{}` became version {} and active", row.name, row.version);
    let mut record = trail::note(TrailKind::Policy, Point::Server, Answer::Noted, message, actor, now);
    record.detail.insert("policy_digest".to_owned(), row.digest.to_string());
    record.detail.insert("policy_version".to_owned(), row.version.to_string());
    trail.record(&record).await?;
    store.activate_policy(row.version, "server", now).await?;
    Ok(())
}
