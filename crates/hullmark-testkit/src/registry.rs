//! A registry with several repositories, for tests of what stands before a registry.

use std::collections::{BTreeMap, BTreeSet};

use hullmark_types::Digest;
use serde_json::{Value, json};

use crate::{Answer, Asked, ImageBuilder, Server};

/// The media type of an OCI index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The media type of an OCI manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The content of a registry.
#[derive(Debug, Clone, Default)]
pub struct RegistryBuilder {
    /// By path.
    content: BTreeMap<String, (String, Vec<u8>)>,
    tags: BTreeMap<String, BTreeSet<String>>,
    /// By repository and subject.
    referrers: BTreeMap<(String, String), Vec<Value>>,
}

impl RegistryBuilder {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// An image under a tag.
    #[must_use]
    pub fn image(self, repository: &str, tag: &str, image: &ImageBuilder) -> Self {
        let this = image
            .blobs()
            .into_iter()
            .chain([image.config()])
            .fold(self, |this, blob| this.blob(repository, &blob));
        this.manifest(repository, Some(tag), OCI_MANIFEST, &image.manifest())
    }

    /// A blob.
    #[must_use]
    pub fn blob(mut self, repository: &str, bytes: &[u8]) -> Self {
        let path = format!("/v2/{repository}/blobs/{}", Digest::sha256(bytes));
        self.content.insert(path, ("application/octet-stream".to_owned(), bytes.to_vec()));
        self
    }

    /// A manifest or an index, by its digest and under a tag. What has a `subject` is listed among its referrers.
    #[must_use]
    pub fn manifest(mut self, repository: &str, tag: Option<&str>, media_type: &str, bytes: &[u8]) -> Self {
        let digest = Digest::sha256(bytes).to_string();
        for name in tag.into_iter().chain([digest.as_str()]) {
            let path = format!("/v2/{repository}/manifests/{name}");
            self.content.insert(path, (media_type.to_owned(), bytes.to_vec()));
        }
        self.tags.entry(repository.to_owned()).or_default().extend(tag.map(str::to_owned));
        let document: Value = serde_json::from_slice(bytes).unwrap_or_default();
        if let Some(subject) = document["subject"]["digest"].as_str() {
            let artifact_type = document.get("artifactType").unwrap_or(&document["config"]["mediaType"]);
            let descriptor = json!({
                "mediaType": media_type, "digest": digest, "size": bytes.len(), "artifactType": artifact_type,
            });
            self.referrers.entry((repository.to_owned(), subject.to_owned())).or_default().push(descriptor);
        }
        self
    }

    /// Serves it. `change` may answer in place of the registry.
    pub fn serve(self, change: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) -> Server {
        Server::new(move |asked| change(asked).unwrap_or_else(|| self.answer(asked)))
    }

    fn answer(&self, asked: &Asked) -> Answer {
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        let parameter = |name: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
        };
        let missing = || Answer::new(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown"}]}"#);
        let repository = path.strip_prefix("/v2/").unwrap_or_default();
        if let Some(repository) = repository.strip_suffix("/tags/list") {
            let Some(tags) = self.tags.get(repository) else { return missing() };
            let last = parameter("last").unwrap_or_default();
            let behind: Vec<&String> = tags.iter().filter(|tag| **tag > last).collect();
            let count = parameter("n").and_then(|n| n.parse().ok()).unwrap_or(behind.len());
            let page: Vec<&&String> = behind.iter().take(count).collect();
            let answer = Answer::new(200, json!({ "name": repository, "tags": page }).to_string());
            return match page.last() {
                Some(last) if page.len() < behind.len() => {
                    let link = format!("</v2/{repository}/tags/list?n={count}&last={last}>; rel=\"next\"");
                    answer.header("Link", &link)
                }
                _ => answer,
            };
        }
        if let Some((repository, subject)) = repository.split_once("/referrers/") {
            let found = self.referrers.get(&(repository.to_owned(), subject.to_owned()));
            let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found.cloned().unwrap_or_default() });
            return Answer::new(200, index.to_string()).header("Content-Type", OCI_INDEX);
        }
        match self.content.get(path) {
            None => missing(),
            Some((media_type, body)) => Answer::new(200, body.clone())
                .header("Content-Type", media_type)
                .header("Docker-Content-Digest", &Digest::sha256(body).to_string())
                .ranged(asked),
        }
    }
}
