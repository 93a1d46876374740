//! The one decision: may this image be used here?
//!
//! [`assess`] looks the image up and says yes or no; [`decide`] does the same for one question of a gate on a node, and
//! records the answer before it is told.

use std::sync::Arc;

use hullmark_store::VerdictRow;
use hullmark_types::{
    Actor, Answer, DECISION_SCHEMA, DecisionAnswer, DecisionRequest, EnforcementMode, ImageIdentity, Outcome,
    Point, Reason, TrailKind, TrailRecord,
};

use crate::config::{OnFailure, Unscanned};
use crate::judge::Standing;
use crate::state::Shared;
use crate::trail;

/// The longest text about a denial, in characters.
pub const MAX_DENIAL: usize = 200;

/// What one image is told at one point.
#[derive(Debug, Clone)]
pub struct Assessment {
    /// Whether it may be used. Under [`EnforcementMode::Audit`] this is true also when the answer is a denial.
    pub allow: bool,
    /// What the policy says.
    pub answer: Answer,
    /// Whether a denial stops anything.
    pub mode: EnforcementMode,
    /// One sentence.
    pub reason: String,
    /// The verdict it rests on.
    pub verdict: Option<Arc<VerdictRow>>,
    /// The image by every digest known.
    pub image: ImageIdentity,
    /// What was not as it should be.
    pub degraded: Vec<String>,
}

impl Assessment {
    fn new(shared: &Shared, point: Point, image: ImageIdentity, answer: Answer, reason: String) -> Self {
        let mode = shared.config.enforcement.modes.of(point);
        Self {
            allow: answer != Answer::Denied || mode == EnforcementMode::Audit,
            answer,
            mode,
            reason,
            verdict: None,
            image,
            degraded: Vec::new(),
        }
    }

    /// An answer where no verdict can be had or recorded, by `enforcement.on_failure`.
    pub fn failure(shared: &Shared, point: Point, image: ImageIdentity, what: &str, word: &str) -> Self {
        let (answer, reason) = match shared.config.enforcement.on_failure {
            OnFailure::Closed => (Answer::Denied, format!("denied: {what}")),
            OnFailure::Open => (Answer::Allowed, format!("allowed although {what}")),
        };
        let mut made = Self::new(shared, point, image, answer, reason);
        made.degraded.push(word.to_owned());
        made
    }

    /// The record of this answer.
    pub fn record(&self, shared: &Shared, kind: TrailKind, point: Point, actor: Actor) -> TrailRecord {
        let mut record = trail::note(kind, point, self.answer, self.reason.clone(), actor, shared.now());
        record.mode = self.mode;
        record.image = Some(self.image.clone());
        if let Some(verdict) = &self.verdict {
            record.verdict = Some(verdict.link.clone());
            record.reasons.clone_from(&verdict.reasons);
        }
        record.degraded.clone_from(&self.degraded);
        record
    }
}

/// Judges one image at one point by what is stored. Records nothing.
pub async fn assess(shared: &Shared, image: &ImageIdentity, point: Point) -> Assessment {
    for digest in [&image.manifest, &image.config, &image.index].into_iter().flatten() {
        match shared.judge.standing(digest, point.stage()).await {
            Ok(Standing::Unscanned) => {}
            Ok(Standing::Judged { image: row, verdict }) => {
                let identity = ImageIdentity {
                    name: image.name.clone(),
                    index: image.index.clone().or_else(|| row.subject.index.clone()),
                    manifest: image.manifest.clone().or_else(|| row.subject.manifest.clone()),
                    config: image.config.clone().or_else(|| row.subject.config.clone()),
                };
                let (answer, reason) = match verdict.outcome {
                    Outcome::Failed => (Answer::Denied, denial_text(&verdict)),
                    Outcome::Passed | Outcome::Warned => (Answer::Allowed, allowance_text(&verdict)),
                };
                let mut made = Assessment::new(shared, point, identity, answer, reason);
                made.verdict = Some(verdict);
                return made;
            }
            Err(error) => {
                tracing::error!(image = %digest, cause = %crate::error::chain(&error), "no verdict can be had");
                let what = "the verdict of the image cannot be had now";
                return Assessment::failure(shared, point, image.clone(), what, error.word());
            }
        }
    }
    let name = match image.name.is_empty() {
        true => "the image".to_owned(),
        false => format!("the image `{}`", image.name.chars().take(100).collect::<String>()),
    };
    let (answer, reason) = match shared.config.enforcement.unscanned {
        Unscanned::Deny => (Answer::Denied, format!("denied: {name} was not scanned; scan it first")),
        Unscanned::Warn => (Answer::Allowed, format!("allowed with a warning: {name} was not scanned")),
        Unscanned::Allow => (Answer::Allowed, format!("allowed: {name} was not scanned")),
    };
    let mut made = Assessment::new(shared, point, image.clone(), answer, reason);
    made.degraded.push("unscanned".to_owned());
    made
}

/// Answers one question of a gate on a node; the answer is in the ledger before it is given.
pub async fn decide(shared: &Shared, request: &DecisionRequest, actor: Actor) -> DecisionAnswer {
    let mut made = assess(shared, &request.image, request.point).await;
    let starts = request.container.is_some() && matches!(request.point, Point::OciHook | Point::Agent);
    let kind = if starts { TrailKind::Start } else { TrailKind::Decision };
    let mut record = made.record(shared, kind, request.point, actor);
    record.detail.clone_from(&request.detail);
    let container = request.container.as_ref().map(|container| container.id.clone());
    for (name, value) in [("container", &container), ("node", &request.node)] {
        if let Some(value) = value {
            record.detail.insert(name.to_owned(), value.clone());
        }
    }
    let entry = match shared.trail.record(&record).await {
        Ok(entry) => Some(entry),
        Err(error) => {
            tracing::error!(%error, "a decision cannot be recorded");
            let verdict = made.verdict.take();
            let denied = made.answer == Answer::Denied;
            let word = "ledger-unwritable";
            if denied {
                made.degraded.push(word.to_owned());
            } else {
                let what = "the decision cannot be recorded in the ledger";
                let degraded = std::mem::take(&mut made.degraded);
                made = Assessment::failure(shared, request.point, made.image, what, word);
                made.degraded.splice(0..0, degraded);
            }
            made.verdict = verdict;
            None
        }
    };
    let runtime = match request.point {
        Point::Agent | Point::OciHook => shared.judge.runtime_actions(&made.image).await,
        _ => std::collections::BTreeMap::new(),
    };
    DecisionAnswer {
        schema: DECISION_SCHEMA,
        allow: made.allow,
        mode: made.mode,
        reason: made.reason,
        verdict: made.verdict.as_ref().map(|verdict| verdict.link.clone()),
        manifest: made.image.manifest,
        entry,
        runtime,
        degraded: made.degraded,
    }
}

/// Why a verdict denies, in one sentence of at most [`MAX_DENIAL`] characters.
pub fn denial_text(verdict: &VerdictRow) -> String {
    let id = format!("verdict sha256:{}", verdict.link.verdict.short());
    let Some(first) = verdict.reasons.first() else {
        return format!("denied by policy `{}`; {id}", shorten(&verdict.link.policy, 60));
    };
    let more = match verdict.reason_count.saturating_sub(1) {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let tail = format!("; {id}{more}");
    let head = format!(
        "denied by rule `{}` of policy `{}`: {}",
        shorten(&first.rule, 40),
        shorten(&verdict.link.policy, 30),
        subject_of(first)
    );
    format!("{}{tail}", shorten(&head, MAX_DENIAL.saturating_sub(tail.chars().count())))
}

fn allowance_text(verdict: &VerdictRow) -> String {
    let id = verdict.link.verdict.short();
    let policy = shorten(&verdict.link.policy, 60);
    match verdict.outcome {
        Outcome::Warned => {
            format!(
                "allowed by policy `{policy}` with {} warnings; verdict sha256:{id}",
                verdict.reason_count
            )
        }
        _ => format!("allowed by policy `{policy}`; verdict sha256:{id}"),
    }
}

/// Finding, package and fix of a reason, or its message where it is about something else.
fn subject_of(reason: &Reason) -> String {
    let Some(finding) = &reason.finding else { return reason.message.clone() };
    let mut text = finding.clone();
    if let Some(package) = reason.package.as_deref().and_then(name_and_version) {
        text.push_str(&format!(" in {package}"));
    }
    match &reason.fixed_version {
        Some(fixed) => text.push_str(&format!(", fixed in {fixed}")),
        None => text.push_str(", no fix known"),
    }
    text
}

/// `musl 1.1.18-r3` of `pkg:apk/alpine/musl@1.1.18-r3?arch=x86_64`.
fn name_and_version(purl: &str) -> Option<String> {
    let plain = purl.split(['?', '#']).next()?;
    let (path, version) = plain.rsplit_once('@').unwrap_or((plain, ""));
    let name = path.rsplit('/').next()?;
    Some(format!("{name} {version}").trim_end().to_owned())
}

fn shorten(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some(_) => text.chars().take(limit.saturating_sub(1)).chain(['…']).collect(),
    }
}
