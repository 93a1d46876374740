//! Answers: dispatch, and manifests.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, ETAG, WARNING};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use hullmark_types::Digest;

use super::decision::{Asked, Warnings};
use super::document::{self, Kind};
use super::error::{Code, OciError};
use super::route::{Reference, Route, Wanted};
use super::upstream::RETRY_AFTER;
use super::{Gate, Pull};

/// The longest list of media types that is passed on.
const MAX_ACCEPT: usize = 4096;

impl Pull {
    /// Answers a request.
    ///
    /// # Errors
    /// When the client does not get what it asked for.
    pub(crate) async fn answer(&self, request: Request) -> Result<Response, OciError> {
        let (parts, _) = request.into_parts();
        let asked = self.asked(&parts.headers).await?;
        let head = match parts.method {
            Method::GET => false,
            Method::HEAD => true,
            _ => return Err(OciError::read_only()),
        };
        let path = parts.uri.path().strip_prefix("/v2").unwrap_or_default();
        let path = path.strip_prefix('/').unwrap_or_default();
        if path.is_empty() {
            return Ok(whole("{}".into(), "application/json", head));
        }
        let upstreams = self.gate.upstreams.keys().map(String::as_str);
        let route = Route::parse(path, parts.uri.query(), upstreams)?;
        let mut response = match &route.wanted {
            Wanted::Manifest(reference) => {
                self.manifest(&asked, &route, reference, &parts.headers, head).await?
            }
            Wanted::Blob(digest) => self.blob(&asked, &route, digest, &parts.headers, head).await?,
            Wanted::Tags => self.tags(&route, head).await?,
            Wanted::Referrers(digest) => self.referrers(&asked, &route, digest, head).await?,
        };
        if let Some(namespace) = route.namespace.and_then(|name| HeaderValue::from_str(&name).ok()) {
            response.headers_mut().insert(HeaderName::from_static("oci-namespace"), namespace);
        }
        Ok(response)
    }

    async fn manifest(
        &self,
        asked: &Asked,
        route: &Route,
        reference: &Reference,
        headers: &HeaderMap,
        head: bool,
    ) -> Result<Response, OciError> {
        let place = &route.place;
        let (digest, is_stale) = match reference {
            Reference::Digest(digest) => (digest.clone(), false),
            Reference::Tag(tag) => {
                let accept = accepted(headers)?;
                let resolving = self.resolve(place, tag, &accept);
                let tagged =
                    tokio::time::timeout_at(asked.until.into(), resolving).await.map_err(|_| {
                        let message = format!("the registry `{}` does not answer in time", place.upstream);
                        OciError::new(503, Code::ManifestUnknown, message).retry_after(RETRY_AFTER)
                    })??;
                if let Some(subject) = subject_of_tag(tag) {
                    let key = (place.clone(), tagged.digest.clone());
                    Gate::lock(&self.gate.subjects).insert(key, subject, 1);
                }
                (tagged.digest, tagged.is_stale)
            }
        };
        let assessed = self.assess_until(asked, place, &digest).await?;
        let warnings = self.decide(asked, place, reference, &digest, assessed, is_stale).await?;
        let document = self.document(place, &digest).await?;
        if let Kind::Manifest(manifest) = &document.kind {
            // Its blobs are asked for next; in a large repository they would be looked for among all that share them.
            let mut reached = Gate::lock(&self.gate.reached);
            for blob in manifest.blobs() {
                reached.insert((place.clone(), blob.digest), digest.clone(), 1);
            }
        }
        let mut response = whole(document.bytes.clone(), &document.media_type, head);
        let headers = response.headers_mut();
        describe(headers, &digest, &warnings);
        Ok(response)
    }
}

/// A body that is in memory.
pub(crate) fn whole(bytes: axum::body::Bytes, media_type: &str, head: bool) -> Response {
    let length = bytes.len();
    let body = if head { Body::empty() } else { Body::from(bytes) };
    let mut response = (StatusCode::OK, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if let Ok(media_type) = HeaderValue::from_str(media_type) {
        headers.insert(CONTENT_TYPE, media_type);
    }
    response
}

/// The headers that go with content that has a digest.
pub(crate) fn describe(headers: &mut HeaderMap, digest: &Digest, warnings: &Warnings) {
    if let Ok(value) = HeaderValue::from_str(&digest.to_string()) {
        headers.insert(HeaderName::from_static("docker-content-digest"), value);
    }
    if let Ok(value) = HeaderValue::from_str(&format!("\"{digest}\"")) {
        headers.insert(ETAG, value);
    }
    for warning in warnings.values() {
        if let Ok(value) = HeaderValue::from_str(&warning) {
            headers.append(WARNING, value);
        }
    }
}

/// What the client takes, as it says it: the upstream chooses by it.
fn accepted(headers: &HeaderMap) -> Result<String, OciError> {
    let values: Vec<&str> =
        headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).map(str::trim).collect();
    let accept = values.join(", ");
    match accept.len() {
        0 => Ok(document::ACCEPT.to_owned()),
        1..=MAX_ACCEPT => Ok(accept),
        _ => Err(OciError::new(400, Code::Unsupported, "the `Accept` header is too long")),
    }
}

/// The digest that a tag of signatures, attestations or an SBOM names: `sha256-HEX.sig`.
fn subject_of_tag(tag: &str) -> Option<Digest> {
    let (name, kind) = tag.split_once('.')?;
    matches!(kind, "sig" | "att" | "sbom").then(|| name.replacen('-', ":", 1).parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_signatures_name_what_they_are_about() {
        let digest = Digest::sha256(b"");
        let tag = format!("sha256-{}.sig", digest.hex());
        assert_eq!(subject_of_tag(&tag), Some(digest.clone()));
        for tag in ["latest", "sha256-12.sig", &tag.replace(".sig", ""), &tag.replace(".sig", ".x")] {
            assert_eq!(subject_of_tag(tag), None, "{tag}");
        }
    }
}
