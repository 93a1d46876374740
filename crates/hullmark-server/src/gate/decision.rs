//! From what is known of a manifest to what its client is told: by mode and failure mode, recorded first.

use std::time::Instant;

use axum::http::HeaderMap;
use hullmark_types::{Actor, Answer, Digest, EnforcementMode, Point, TrailKind};

use super::Pull;
use super::assess::{Assessment, Finding};
use super::error::{Code, OciError};
use super::route::{Place, Reference};
use super::upstream::{RETRY_AFTER, unavailable};
use crate::auth::{Role, authenticate};
use crate::config::OnFailure;
use crate::trail;

/// The longest text of one warning. All warnings of an answer together have at most 4096 bytes by the specification.
const MAX_WARNING: usize = 1000;

/// What an answer must say besides what was asked for.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Vec<String>);

impl Warnings {
    fn add(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }

    /// The values of the `Warning` headers: `299 - "text"`, in ASCII.
    pub(crate) fn values(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().take(4).map(|text| {
            let mut safe = String::new();
            for character in text.chars().take(MAX_WARNING - 10) {
                match character {
                    '"' | '\\' => safe.push('\''),
                    '…' => safe.push_str("..."),
                    ' '..='~' => safe.push(character),
                    _ => safe.push('?'),
                }
            }
            safe.truncate(MAX_WARNING);
            format!("299 - \"{safe}\"")
        })
    }
}

/// A request with the one who makes it and the time until which it waits.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) actor: Actor,
    pub(crate) until: Instant,
}

impl Pull {
    /// Who pulls.
    pub(crate) async fn asked(&self, headers: &HeaderMap) -> Result<Asked, OciError> {
        let until = Instant::now() + self.shared.config.gate.wait.0;
        let named = headers.contains_key(axum::http::header::AUTHORIZATION);
        if self.shared.config.gate.anonymous && !named {
            return Ok(Asked { actor: Actor { name: "anonymous".to_owned(), ..Actor::default() }, until });
        }
        let caller = authenticate(&self.shared, headers).await;
        let caller =
            caller.and_then(|caller| caller.require(&[Role::Reader, Role::Ci, Role::Agent]).map(|()| caller));
        let caller = caller.map_err(|error| {
            error.log();
            let (status, code) = match error.status.as_u16() {
                401 => (401, Code::Unauthorized),
                403 => (403, Code::Denied),
                _ => (503, Code::Denied),
            };
            OciError::new(status, code, error.detail)
        })?;
        Ok(Asked { actor: caller.actor(), until })
    }

    /// Assesses a manifest within the time of the request; nothing when that is over.
    pub(crate) async fn assess_until(
        &self,
        asked: &Asked,
        place: &Place,
        digest: &Digest,
    ) -> Result<Option<Assessment>, OciError> {
        match tokio::time::timeout_at(asked.until.into(), self.assess(place, digest)).await {
            Ok(assessment) => assessment.map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Decides about a manifest, records the decision, and gives the warnings that go with what was asked for.
    ///
    /// # Errors
    /// When it must not be given.
    pub(crate) async fn decide(
        &self,
        asked: &Asked,
        place: &Place,
        reference: &Reference,
        digest: &Digest,
        assessed: Option<Assessment>,
        is_stale: bool,
    ) -> Result<Warnings, OciError> {
        let enforcement = &self.shared.config.enforcement;
        let open = enforcement.on_failure == OnFailure::Open;
        let mode = enforcement.modes.of(Point::RegistryGate);
        let mut degraded = Vec::new();
        if is_stale {
            degraded.push("upstream-unreachable".to_owned());
        }
        let mut warnings = Warnings::default();
        let mut status = 403;
        let (answer, text) = match assessed.as_ref().map(|assessed| &assessed.answer) {
            Some(Finding::Allowed) => (Answer::Allowed, "allowed".to_owned()),
            Some(Finding::Denied(text)) => (Answer::Denied, text.clone()),
            Some(Finding::Failed(failure)) if open => {
                degraded.push(failure.word.to_owned());
                let text = format!("allowed although the image could not be assessed: {}", failure.message);
                warnings.add(&text);
                (Answer::Allowed, text)
            }
            Some(Finding::Failed(failure)) => {
                degraded.push(failure.word.to_owned());
                status = if failure.lasting { 403 } else { 503 };
                (Answer::Denied, format!("denied: the image cannot be assessed: {}", failure.message))
            }
            None => {
                degraded.push("scan-pending".to_owned());
                status = 503;
                (
                    Answer::Denied,
                    "the image is being scanned for the first time; try again in a moment".to_owned(),
                )
            }
        };
        let mut record = trail::note(
            TrailKind::Decision,
            Point::RegistryGate,
            answer,
            text.clone(),
            asked.actor.clone(),
            self.shared.now(),
        );
        record.mode = mode;
        let verdict = assessed.as_ref().and_then(|assessed| assessed.verdict.clone());
        let mut image = assessed.map(|assessed| assessed.image).unwrap_or_default();
        image.name = place.reference(reference);
        if image.index.is_none() && image.manifest.is_none() {
            image.manifest = Some(digest.clone());
        }
        record.image = Some(image);
        if let Some(verdict) = &verdict {
            record.verdict = Some(verdict.link.clone());
            if answer == Answer::Denied {
                record.reasons.clone_from(&verdict.reasons);
            }
        }
        record.detail.insert("repository".to_owned(), place.name());
        record.degraded = degraded;
        metrics::counter!("hullmark_gate_decisions_total", "answer" => answer.name()).increment(1);
        let entry = match self.record(record).await {
            Ok(entry) => Some(entry),
            Err(_) if answer == Answer::Denied => None,
            Err(error) if !open => {
                return Err(unavailable(
                    "the decision cannot be recorded, so nothing is given out",
                    &error.to_string(),
                ));
            }
            Err(_) => {
                warnings.add("allowed although the decision cannot be recorded now");
                None
            }
        };
        if answer == Answer::Denied {
            if mode == EnforcementMode::Enforce {
                let verdict = verdict.map(|verdict| format!("verdict {}", verdict.link.verdict));
                let entry = entry.map(|entry| format!("ledger entry {entry}"));
                let detail: Vec<String> = verdict.into_iter().chain(entry).collect();
                let error = OciError::new(status, Code::Denied, text).detail(detail.join(", "));
                return Err(if status == 503 { error.retry_after(RETRY_AFTER) } else { error });
            }
            warnings.add(&format!("not enforced: {text}"));
        }
        Ok(warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_fit_into_a_header() {
        let mut warnings = Warnings::default();
        for text in ["a \"b\" \\ ü\r\nX-Evil: 1 …", &"x".repeat(10_000), "", "3", "4", "5"] {
            warnings.add(text);
        }
        let values: Vec<String> = warnings.values().collect();
        assert_eq!(values[0], "299 - \"a 'b' ' ???X-Evil: 1 ...\"");
        let total: usize = values.iter().map(|value| value.len() + "Warning: \r\n".len()).sum();
        assert!(total <= 4096 && values.len() == 4, "{total}");
    }
}
