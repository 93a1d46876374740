//! Lists: tags, and what refers to a manifest.

use axum::http::header::LINK;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use hullmark_image::RegistryClient;
use hullmark_types::Digest;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Pull;
use super::answer::whole;
use super::decision::Asked;
use super::document::{ACCEPT, Kind};
use super::error::{Code, OciError};
use super::route::{Place, Reference, Route, is_tag, parameters};

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The most tags on one page.
const MAX_TAGS: u32 = 10_000;

impl Pull {
    /// The tags of a repository. They are names and no content, so no image is judged for them.
    pub(crate) async fn tags(&self, route: &Route, head: bool) -> Result<Response, OciError> {
        #[derive(Deserialize)]
        struct Tags {
            #[serde(default)]
            tags: Option<Vec<String>>,
        }
        let count = match route.parameter("n") {
            None => None,
            Some(text) => Some(text.parse::<u32>().map_err(|_| {
                OciError::new(400, Code::Unsupported, "`n` must be the number of tags that are wanted")
            })?),
        };
        let last = route.parameter("last").map(str::to_owned);
        let document = |tags: &[String]| json!({ "name": route.written, "tags": tags }).to_string();
        if count == Some(0) {
            return Ok(whole(document(&[]).into(), "application/json", head));
        }
        let count = count.map(|count| count.min(MAX_TAGS));
        let (repository, behind) = (route.place.repository.clone(), last.clone());
        let question = move |client: &RegistryClient| client.tags(&repository, count, behind.as_deref());
        let page = self.ask(&route.place, Code::NameUnknown, question).await?;
        let sent: Tags = serde_json::from_slice(&page.bytes)
            .map_err(|error| malformed(&route.place, &format!("its list of tags is not valid: {error}")))?;
        let mut tags = sent.tags.unwrap_or_default();
        tags.retain(|tag| is_tag(tag));
        let is_cut = page_of(&mut tags, count, last.as_deref());
        let mut response = whole(document(&tags).into(), "application/json", head);
        if let (Some(last), true) = (tags.last(), is_cut || page.link.is_some()) {
            let count = count.map_or_else(String::new, |count| format!("n={count}&"));
            link(&mut response, &format!("/v2/{}/tags/list?{count}last={last}", route.written), route);
        }
        Ok(response)
    }

    /// The index of what refers to a manifest: empty when nothing does. What refers to a denied image is denied with it.
    pub(crate) async fn referrers(
        &self,
        asked: &Asked,
        route: &Route,
        digest: &Digest,
        head: bool,
    ) -> Result<Response, OciError> {
        let place = &route.place;
        let empty = || json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [] });
        let warnings = match self.assess_until(asked, place, digest).await {
            Err(error) if error.status == 404 && error.code == Code::ManifestUnknown => {
                return Ok(whole(empty().to_string().into(), OCI_INDEX, head));
            }
            Err(error) => return Err(error),
            Ok(assessed) => {
                let reference = Reference::Digest(digest.clone());
                self.decide(asked, place, &reference, digest, assessed, false).await?
            }
        };
        let wanted = route.parameter("artifactType").map(str::to_owned);
        let further: Vec<(String, String)> =
            route.query.iter().filter(|(name, _)| name != "artifactType").cloned().collect();
        let (repository, subject, artifact_type) = (place.repository.clone(), digest.clone(), wanted.clone());
        let question = move |client: &RegistryClient| {
            client.referrers(&repository, &subject, artifact_type.as_deref(), &further)
        };
        let (mut index, next, mut is_filtered) = match self.ask(place, Code::ManifestUnknown, question).await
        {
            Ok(page) => {
                let index: Value = serde_json::from_slice(&page.bytes).map_err(|error| {
                    malformed(place, &format!("its index of referrers is not valid: {error}"))
                })?;
                (index, page.link, page.filters.is_some_and(|filters| filters.contains("artifactType")))
            }
            // A registry without this end point keeps the index under a tag.
            Err(error) if error.status == 404 => {
                (self.tagged_referrers(place, digest).await?.unwrap_or_else(empty), None, false)
            }
            Err(error) => return Err(error),
        };
        let Some(manifests) = index.get_mut("manifests").and_then(Value::as_array_mut) else {
            return Err(malformed(place, "its index of referrers has no `manifests`"));
        };
        if let (Some(wanted), false) = (&wanted, is_filtered) {
            manifests.retain(|one| one.get("artifactType").and_then(Value::as_str) == Some(wanted));
            is_filtered = true;
        }
        let mut response = whole(index.to_string().into(), OCI_INDEX, head);
        if is_filtered && wanted.is_some() {
            let value = HeaderValue::from_static("artifactType");
            response.headers_mut().insert(HeaderName::from_static("oci-filters-applied"), value);
        }
        if let Some(query) = next.as_deref().and_then(query_of_link) {
            let pairs = parameters(query).into_iter().filter(|(name, _)| name != "ns");
            let query: Vec<String> =
                pairs.map(|(name, value)| format!("{}={}", escape(&name), escape(&value))).collect();
            link(
                &mut response,
                &format!("/v2/{}/referrers/{digest}?{}", route.written, query.join("&")),
                route,
            );
        }
        for warning in warnings.values() {
            if let Ok(value) = HeaderValue::from_str(&warning) {
                response.headers_mut().append(axum::http::header::WARNING, value);
            }
        }
        Ok(response)
    }

    /// The index under the tag `sha256-HEX`, by the specification's schema for registries without the end point.
    async fn tagged_referrers(&self, place: &Place, digest: &Digest) -> Result<Option<Value>, OciError> {
        let hex: String = digest.hex().chars().take(64).collect();
        let tag = format!("{}-{hex}", digest.algorithm().name());
        let tagged = match self.resolve(place, &tag, ACCEPT).await {
            Ok(tagged) => tagged,
            Err(error) if error.status == 404 => return Ok(None),
            Err(error) => return Err(error),
        };
        let document = self.document(place, &tagged.digest).await?;
        match &document.kind {
            Kind::Index(_) => Ok(serde_json::from_slice(&document.bytes).ok()),
            Kind::Manifest(_) => Ok(None),
        }
    }
}

fn malformed(place: &Place, problem: &str) -> OciError {
    tracing::warn!(upstream = %place.upstream, repository = %place.repository, %problem, "refused a list");
    OciError::new(502, Code::ManifestInvalid, format!("{}: {problem}", place.name()))
}

/// Sorts tags, and cuts a page where the registry sent everything; says whether there are more.
fn page_of(tags: &mut Vec<String>, count: Option<u32>, last: Option<&str>) -> bool {
    let order = |tag: &str| (tag.to_ascii_lowercase(), tag.to_owned());
    if let Some(last) = last {
        // Registries sort with or without regard to case. One that sends what is before by both did not look at `last`.
        let is_before = |tag: &String| tag.as_str() <= last && order(tag) <= order(last);
        if tags.iter().any(is_before) {
            tags.retain(|tag| order(tag) > order(last));
        }
    }
    match count.map(|count| count as usize) {
        Some(count) if tags.len() > count => {
            tags.sort_by_key(|tag| order(tag));
            tags.truncate(count);
            true
        }
        _ => {
            if !tags.is_sorted() {
                tags.sort_by_key(|tag| order(tag));
            }
            false
        }
    }
}

fn link(response: &mut Response, target: &str, route: &Route) {
    let namespace = route.namespace.as_ref().map_or_else(String::new, |name| format!("&ns={}", escape(name)));
    if let Ok(value) = HeaderValue::from_str(&format!("<{target}{namespace}>; rel=\"next\"")) {
        response.headers_mut().insert(LINK, value);
    }
}

/// The query of the address in a `Link` header.
fn query_of_link(link: &str) -> Option<&str> {
    let (address, rest) = link.trim_start().strip_prefix('<')?.split_once('>')?;
    rest.contains("next").then_some(address.split_once('?')?.1)
}

fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b':' | b'/' => {
                escaped.push(char::from(byte));
            }
            other => escaped.push_str(&format!("%{other:02X}")),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sent: &[&str], count: Option<u32>, last: Option<&str>, expected: &[&str], more: bool) {
        let mut tags: Vec<String> = sent.iter().map(|tag| (*tag).to_owned()).collect();
        assert_eq!(
            (page_of(&mut tags, count, last), tags),
            (more, expected.iter().map(|tag| (*tag).to_owned()).collect())
        );
    }

    #[test]
    fn pages_are_cut_where_the_registry_does_not() {
        let all = ["a", "B", "c", "D"];
        check(&all, None, None, &["a", "B", "c", "D"], false);
        check(&all, Some(2), None, &["a", "B"], true);
        check(&all, Some(2), Some("B"), &["c", "D"], false);
        check(&all, Some(1), Some("b"), &["c"], true);
        check(&all, Some(9), Some("D"), &[], false);
        // A registry that looks at `last` is believed, in either order.
        check(&["c", "D"], Some(2), Some("B"), &["c", "D"], false);
        check(&["D", "a"], Some(2), Some("B"), &["D", "a"], false);
    }

    #[test]
    fn queries_are_taken_from_links() {
        assert_eq!(query_of_link("<https://a.example/v2/x?n=1&next=b>; rel=\"next\""), Some("n=1&next=b"));
        for link in ["", "</v2/x>; rel=\"next\"", "</v2/x?n=1>", "https://a.example?n=1; rel=next"] {
            assert_eq!(query_of_link(link), None, "{link}");
        }
    }
}
