//! Errors as they are answered: a text for the caller, and another one for the log.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::judge::JudgeError;
use crate::trail::TrailError;
use hullmark_store::StoreError;

/// An error with what the caller is told (RFC 9457) and what only the log says.
#[derive(Debug)]
pub struct ApiError {
    /// The status.
    pub status: StatusCode,
    /// A stable word for programs, such as `token-missing`.
    pub code: &'static str,
    /// One sentence for people.
    pub detail: String,
    /// What only the log says.
    pub internal: Option<String>,
}

/// The body of an error, `application/problem+json`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// `about:blank#` and a stable word for programs.
    pub r#type: String,
    /// What the status says.
    pub title: String,
    /// The status.
    pub status: u16,
    /// One sentence for people.
    pub detail: String,
}

impl ApiError {
    /// An error that the caller is told in full.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), internal: None }
    }

    /// There is no such thing.
    pub fn not_found(what: &str, name: &str) -> Self {
        let name: String = name.chars().take(200).collect();
        Self::new(StatusCode::NOT_FOUND, "not-found", format!("there is no {what} `{name}`"))
    }

    /// The request cannot be understood or has a bad value.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// The server cannot do its work now.
    pub fn unavailable(detail: &str, internal: impl std::fmt::Display) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "unavailable",
            detail: detail.to_owned(),
            internal: Some(internal.to_string()),
        }
    }

    /// Something is wrong inside.
    pub fn internal(internal: impl std::fmt::Display) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: "internal",
            detail: "the server could not answer; its log says why".to_owned(),
            internal: Some(internal.to_string()),
        }
    }

    /// Says in the log what only the log may say.
    pub fn log(&self) {
        if let Some(internal) = &self.internal {
            tracing::error!(status = self.status.as_u16(), code = self.code, cause = %internal, "request failed");
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.log();
        let problem = Problem {
            r#type: format!("about:blank#{}", self.code),
            title: self.status.canonical_reason().unwrap_or_default().to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
        };
        let mut response = (self.status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"hullmark\""));
        }
        response
    }
}

/// An error with its causes, for the log.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Taken { .. } => Self::new(StatusCode::CONFLICT, "name-taken", error.to_string()),
            _ => Self::unavailable("the store cannot be used", chain(&error)),
        }
    }
}

impl From<TrailError> for ApiError {
    fn from(error: TrailError) -> Self {
        Self::unavailable("the ledger cannot be written, so nothing is done", error)
    }
}

impl ApiError {
    /// The ledger cannot be read as it was recorded.
    pub(crate) fn unpublished(error: TrailError) -> Self {
        Self::unavailable("what was recorded cannot be published in the ledger now", error)
    }
}

impl From<JudgeError> for ApiError {
    fn from(error: JudgeError) -> Self {
        match error {
            JudgeError::Store(error) => error.into(),
            JudgeError::Trail(error) => error.into(),
            JudgeError::Inventory { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "inventory-invalid", error.to_string())
            }
            JudgeError::Database(_) => {
                Self::unavailable("the advisory database cannot be used", chain(&error))
            }
            JudgeError::Engine(_)
            | JudgeError::Rules { .. }
            | JudgeError::Canonical(_)
            | JudgeError::Task(_) => Self::internal(chain(&error)),
        }
    }
}
