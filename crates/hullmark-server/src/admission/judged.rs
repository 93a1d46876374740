//! From images to one answer and one record.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use hullmark_types::{Actor, Answer, EnforcementMode, Outcome, Point, TrailKind, TrailRecord};

use super::images::NamedImage;
use super::review::{Operation, Request, Response};
use crate::decide::Assessment;
use crate::state::Shared;
use crate::trail;

/// The most images that one record names: a ledger entry has at most 65,535 bytes.
pub(super) const MAX_RECORDED: usize = 40;

/// The most characters of a name in a record.
const MAX_NAME: usize = 400;

/// The most verdicts that the audit log of the API server is told.
const MAX_ANNOTATED: usize = 32;

/// One image of an object and what is said of it.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    /// The first place that names it.
    pub(super) named: NamedImage,
    /// How many further places name it.
    pub(super) others: usize,
    /// What is said of it.
    pub(super) assessment: Assessment,
}

impl Judged {
    /// `container `web` (spec.containers[0].image), image `a:1`, and 2 more`.
    fn place(&self) -> String {
        let mut text = match self.named.owner.is_empty() {
            true => format!("{}, image `{}`", self.named.field, self.named.reference),
            false => {
                format!("`{}` ({}), image `{}`", self.named.owner, self.named.field, self.named.reference)
            }
        };
        if self.others > 0 {
            // Writing to a String cannot fail.
            let _ = write!(text, ", and {} more", self.others);
        }
        text
    }

    /// What the user is told although it is allowed.
    fn warning(&self) -> Option<String> {
        let made = &self.assessment;
        let audited = made.allow && made.answer == Answer::Denied && made.mode == EnforcementMode::Audit;
        let warned = made.verdict.as_ref().is_some_and(|verdict| verdict.outcome == Outcome::Warned);
        let degraded = made.allow && !made.degraded.is_empty();
        let prefix = if audited { "audit only: " } else { "" };
        (audited || warned || degraded).then(|| {
            let name = abbreviated(&self.named.reference);
            format!("{prefix}{name}: {}", made.reason)
        })
    }

    /// One line for the record.
    fn line(&self) -> String {
        let made = &self.assessment;
        let image = &made.image;
        let mut line = format!("{} {}", made.answer.name(), short(&image.name));
        let digests = [("manifest", &image.manifest), ("config", &image.config), ("index", &image.index)];
        for (name, digest) in digests {
            if let Some(digest) = digest {
                let _ = write!(line, " {name}={digest}");
            }
        }
        if let Some(verdict) = &made.verdict {
            let _ = write!(line, " verdict={} entry={}", verdict.link.verdict, verdict.link.entry);
        }
        line
    }
}

/// The last component of a repository with tag, and the beginning of a digest: a warning is short, and the reason matters
/// more.
fn abbreviated(reference: &str) -> String {
    let name = reference.rsplit('/').next().unwrap_or(reference);
    let (name, digest) = name.split_once('@').map_or((name, None), |(name, digest)| (name, Some(digest)));
    let mut text: String = name.chars().take(40).collect();
    if let Some(digest) = digest {
        text.push('@');
        text.extend(digest.chars().take("sha256:".len() + 12));
    }
    text
}

fn short(name: &str) -> String {
    name.chars().take(MAX_NAME).collect()
}

/// The answer to the API server: allowed when every image is.
pub(super) fn response(uid: &str, all: &[Judged]) -> Response {
    let denied: Vec<&Judged> = all.iter().filter(|judged| !judged.assessment.allow).collect();
    let mut response = match denied.is_empty() {
        true => Response::allowed(uid),
        false => {
            let each =
                denied.iter().map(|judged| format!("{}: {}", judged.place(), judged.assessment.reason));
            Response::denied(uid, &each.collect::<Vec<_>>().join("; "))
        }
    };
    for warning in all.iter().filter_map(Judged::warning) {
        response.warn(&warning);
    }
    let mut verdicts: Vec<String> = Vec::new();
    for verdict in all.iter().filter_map(|judged| judged.assessment.verdict.as_ref()) {
        let verdict = verdict.link.verdict.to_string();
        if !verdicts.contains(&verdict) {
            verdicts.push(verdict);
        }
    }
    let word = if denied.is_empty() { "allowed" } else { "denied" };
    response.audit_annotations.insert("decision".to_owned(), word.to_owned());
    if !verdicts.is_empty() {
        let more = verdicts.len().saturating_sub(MAX_ANNOTATED);
        verdicts.truncate(MAX_ANNOTATED);
        if more > 0 {
            verdicts.push(format!("and {more} more"));
        }
        response.audit_annotations.insert("verdicts".to_owned(), verdicts.join(","));
    }
    response
}

/// The records of one request: one, or more where the images do not fit into one entry of the ledger. The image and the
/// verdict of a record are those of its first denied image, else of its first; all are in its details.
pub(super) fn records(shared: &Shared, request: &Request, actor: &Actor, all: &[Judged]) -> Vec<TrailRecord> {
    let chunks = all.chunks(MAX_RECORDED);
    chunks
        .filter_map(|chunk| {
            let first = chunk.iter().find(|judged| judged.assessment.answer == Answer::Denied);
            let first = first.or(chunk.first())?;
            let made = &first.assessment;
            let denied = chunk.iter().filter(|judged| judged.assessment.answer == Answer::Denied).count();
            let answer = if denied > 0 { Answer::Denied } else { Answer::Allowed };
            let message = match (denied, chunk.len()) {
                (_, 1) => made.reason.clone(),
                (0, count) => format!("{count} images allowed"),
                (denied, count) => format!("{denied} of {count} images denied, first: {}", made.reason),
            };
            let mut record = made.record(shared, TrailKind::Decision, Point::Admission, actor.clone());
            record.answer = answer;
            record.message = message;
            if let Some(image) = &mut record.image {
                image.name = short(&image.name);
            }
            let degraded: BTreeSet<&String> =
                chunk.iter().flat_map(|judged| &judged.assessment.degraded).collect();
            record.degraded = degraded.into_iter().cloned().collect();
            record.detail = details(request);
            if chunk.len() > 1 {
                for (position, judged) in chunk.iter().enumerate() {
                    record.detail.insert(format!("image-{position:02}"), judged.line());
                }
            }
            Some(record)
        })
        .collect()
}

/// The record of an object that cannot be judged.
pub(super) fn malformed_record(
    shared: &Shared,
    request: &Request,
    actor: &Actor,
    message: &str,
) -> TrailRecord {
    let now = shared.now();
    let kind = TrailKind::Decision;
    let mut record = trail::note(kind, Point::Admission, Answer::Denied, message, actor.clone(), now);
    record.mode = shared.config.enforcement.modes.of(Point::Admission);
    record.detail = details(request);
    record.degraded.push("object-malformed".to_owned());
    record
}

/// What was asked, for a record.
fn details(request: &Request) -> BTreeMap<String, String> {
    let cut = |text: &Option<String>| short(text.as_deref().unwrap_or_default());
    let operation = match request.operation {
        Operation::Create => "create",
        Operation::Update => "update",
        Operation::Delete => "delete",
        Operation::Connect => "connect",
    };
    let members = [
        ("kind", short(&request.kind.kind)),
        ("name", cut(&request.name)),
        ("namespace", cut(&request.namespace)),
        ("operation", operation.to_owned()),
        ("uid", request.uid.clone()),
    ];
    let kept = members.into_iter().filter(|(_, value)| !value.is_empty());
    kept.map(|(name, value)| (name.to_owned(), value)).collect()
}
