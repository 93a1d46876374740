//! Errors in the form and with the codes of the OCI distribution specification.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// The codes that the specification allows, as far as a registry for pulling needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    BlobUnknown,
    Denied,
    DigestInvalid,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    TooManyRequests,
    Unauthorized,
    Unsupported,
}

impl Code {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::Denied => "DENIED",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Unsupported => "UNSUPPORTED",
        }
    }
}

/// What a client is told when it does not get what it asked for.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct OciError {
    pub(crate) status: u16,
    pub(crate) code: Code,
    pub(crate) message: String,
    /// A short text; Docker shows it behind the message.
    pub(crate) detail: Option<String>,
    /// After how many seconds trying again makes sense.
    pub(crate) retry_after: Option<u64>,
}

impl OciError {
    pub(crate) fn new(status: u16, code: Code, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), detail: None, retry_after: None }
    }

    /// For methods and paths that change something.
    pub(crate) fn read_only() -> Self {
        Self::new(405, Code::Unsupported, "this registry is for pulling only")
    }

    #[must_use]
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into()).filter(|detail: &String| !detail.is_empty());
        self
    }

    #[must_use]
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The body.
    pub(crate) fn body(&self) -> String {
        let mut error = serde_json::json!({ "code": self.code.name(), "message": self.message });
        if let (Some(detail), Some(error)) = (&self.detail, error.as_object_mut()) {
            error.insert("detail".to_owned(), detail.as_str().into());
        }
        serde_json::json!({ "errors": [error] }).to_string()
    }
}

impl IntoResponse for OciError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, self.body()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        match status {
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(axum::http::header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            StatusCode::UNAUTHORIZED => {
                let challenge = HeaderValue::from_static("Basic realm=\"hullmark\"");
                headers.insert(axum::http::header::WWW_AUTHENTICATE, challenge);
            }
            _ => {}
        }
        response
    }
}
