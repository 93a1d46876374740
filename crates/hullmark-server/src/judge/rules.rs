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
        let graces = verdict.reasons.iter().filter_map(|reason| reason.grace_days_left);
        let grace = graces.min().and_then(|days| grace_counts_until(made, days));
        [boundary, grace].into_iter().flatten().min()
    }
}

/// How long a verdict of `made` can count on a grace that was to last for so many days. They are rounded up: the last one
/// may be over at any moment, and those before it are whole.
fn grace_counts_until(made: Timestamp, days: u32) -> Option<Timestamp> {
    let usable = match i64::from(days) {
        0 | 1 => SignedDuration::from_mins(10),
        days => SignedDuration::from_hours(24 * (days - 1)),
    };
    made.checked_add(usable).ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_verdict_outlives_the_grace_it_counts_on() {
        let made: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        for (days, expected) in [
            (1, Some("2026-01-02T00:10:00Z")),
            (2, Some("2026-01-03T00:00:00Z")),
            (14, Some("2026-01-15T00:00:00Z")),
            (u32::MAX, None),
        ] {
            let expected = expected.map(|time| time.parse().unwrap());
            assert_eq!(grace_counts_until(made, days), expected, "{days}");
        }
    }
}
