//! AdmissionReview of `admission.k8s.io/v1`, the parts that are used.
//!
//! Own types and not those of a client library: a webhook needs ten fields of them. Unknown fields are passed over, because
//! every release of Kubernetes adds some; what is used must have its type.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version that is spoken.
pub const API_VERSION: &str = "admission.k8s.io/v1";

/// The kind of both question and answer.
pub const KIND: &str = "AdmissionReview";

/// The most warnings of one answer.
pub const MAX_WARNINGS: usize = 10;

/// The most characters of a warning; the API server may cut longer ones.
pub const MAX_WARNING: usize = 120;

/// The most characters of a message to the user.
pub const MAX_MESSAGE: usize = 4000;

/// What the API server sends.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Review {
    /// [`API_VERSION`].
    pub api_version: String,
    /// [`KIND`].
    pub kind: String,
    /// The question.
    pub request: Request,
}

/// The question.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Identifies the question; the answer has the same.
    pub uid: String,
    /// The kind of the object, in the version that the webhook asked for.
    pub kind: GroupVersionKind,
    /// Which part of the object is changed, such as `status`; empty for the object itself.
    #[serde(default)]
    pub sub_resource: Option<String>,
    /// Name of the object; empty where the API server will make one.
    #[serde(default)]
    pub name: Option<String>,
    /// Namespace of the object.
    #[serde(default)]
    pub namespace: Option<String>,
    /// What is done with it.
    pub operation: Operation,
    /// Who does it.
    #[serde(default)]
    pub user_info: UserInfo,
    /// The object as it would become.
    #[serde(default)]
    pub object: Value,
    /// The object as it is.
    #[serde(default)]
    pub old_object: Value,
    /// Nothing will be stored, so nothing may be recorded.
    #[serde(default)]
    pub dry_run: Option<bool>,
}

/// The kind of an object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct GroupVersionKind {
    /// API group; empty for the core group.
    #[serde(default)]
    pub group: String,
    /// Version of the group.
    pub version: String,
    /// Kind.
    pub kind: String,
}

/// What is done with the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is removed.
    Delete,
    /// It is connected to, as by `kubectl exec`.
    Connect,
}

/// Who does it, as the API server knows.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct UserInfo {
    /// Name of the user.
    #[serde(default)]
    pub username: String,
}

/// What the API server gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReviewAnswer {
    /// [`API_VERSION`].
    pub api_version: &'static str,
    /// [`KIND`].
    pub kind: &'static str,
    /// The answer.
    pub response: Response,
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    /// The same as in the question.
    pub uid: String,
    /// Whether it may be done.
    pub allowed: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// What the user is told besides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What the API server writes into its audit log.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub audit_annotations: BTreeMap<String, String>,
}

/// Why something may not be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The HTTP status that the user gets.
    pub code: u16,
    /// The reason, in the words of the API.
    pub reason: &'static str,
    /// The reason, for people.
    pub message: String,
}

/// A body that is no AdmissionReview.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// It does not parse.
    #[error("the body is not an AdmissionReview: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It is of another version or kind.
    #[error("expected {KIND} of {API_VERSION}, found `{kind}` of `{api_version}`")]
    Other {
        /// Its version.
        api_version: String,
        /// Its kind.
        kind: String,
    },
    /// The answer could not repeat it.
    #[error("`request.uid` must have 1 to 256 characters")]
    Uid,
}

impl Review {
    /// Takes a body apart.
    ///
    /// # Errors
    /// When it is no AdmissionReview with a request. There is no uid to answer to then, so the answer is an HTTP error, and
    /// the failure policy of the webhook decides.
    pub fn parse(body: &[u8]) -> Result<Self, ReviewError> {
        let review: Self = serde_json::from_slice(body)?;
        if review.api_version != API_VERSION || review.kind != KIND {
            let cut = |text: &str| text.chars().take(100).collect();
            return Err(ReviewError::Other {
                api_version: cut(&review.api_version),
                kind: cut(&review.kind),
            });
        }
        if !(1..=256).contains(&review.request.uid.len()) {
            return Err(ReviewError::Uid);
        }
        Ok(review)
    }
}

impl Response {
    /// Nothing to say against it.
    pub fn allowed(uid: &str) -> Self {
        Self { uid: uid.to_owned(), allowed: true, ..Self::default() }
    }

    /// It may not be done.
    pub fn denied(uid: &str, message: &str) -> Self {
        let status = Status { code: 403, reason: "Forbidden", message: line(message, MAX_MESSAGE) };
        Self { uid: uid.to_owned(), allowed: false, status: Some(status), ..Self::default() }
    }

    /// With one more warning, unless there are enough.
    pub fn warn(&mut self, text: &str) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(line(text, MAX_WARNING));
        }
    }
}

impl From<Response> for ReviewAnswer {
    fn from(response: Response) -> Self {
        Self { api_version: API_VERSION, kind: KIND, response }
    }
}

/// In one line and not too long; what was cut off is marked. A warning with a control character is dropped by the API
/// server.
fn line(text: &str, limit: usize) -> String {
    let clean = |character: char| if character.is_control() { ' ' } else { character };
    let mut line: String = text.chars().map(clean).take(limit).collect();
    if text.chars().nth(limit).is_some() {
        line.pop();
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_stay_within_their_limits() {
        let mut response = Response::allowed("u");
        for _ in 0..20 {
            response.warn(&"ä\n".repeat(200));
        }
        assert_eq!(response.warnings.len(), MAX_WARNINGS);
        for warning in &response.warnings {
            assert_eq!(warning.chars().count(), MAX_WARNING);
            assert!(warning.ends_with('…') && warning.len() <= 256 && !warning.contains('\n'));
        }
    }

    #[test]
    fn other_documents_are_refused() {
        for body in [
            "",
            "null",
            "[]",
            r#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{"uid":"u","kind":{"group":"","version":"v1","kind":"Pod"},"operation":"CREATE"}}"#,
            r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#,
            r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"","kind":{"group":"","version":"v1","kind":"Pod"},"operation":"CREATE"}}"#,
            r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","kind":{"group":"","version":"v1","kind":"Pod"},"operation":"PATCH"}}"#,
        ] {
            assert!(Review::parse(body.as_bytes()).is_err(), "{body}");
        }
    }
}
