//! Manifests and indexes as the gate looks at them: what they name, and whether every reader sees the same in them.

use std::collections::BTreeSet;

use axum::body::Bytes;
use hullmark_types::{Digest, Platform};
use serde::Deserialize;

use super::unambiguous;

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Every kind of manifest that is passed on; asked for when a client does not say what it takes.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// How many manifests an index, and how many layers a manifest may name.
const MAX_NAMED: usize = 1024;

/// A manifest or an index.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) digest: Digest,
    /// Byte for byte as the upstream sent it.
    pub(crate) bytes: Bytes,
    pub(crate) media_type: String,
    pub(crate) kind: Kind,
}

/// What it is.
#[derive(Debug)]
pub(crate) enum Kind {
    Index(Vec<Child>),
    Manifest(Manifest),
}

/// A manifest that an index names.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) digest: Digest,
    pub(crate) platform: Option<Platform>,
    /// What it is about, where it is an attestation.
    pub(crate) attests: Option<Digest>,
    /// Whether it is an attestation and no image.
    pub(crate) is_attestation: bool,
    /// Whether clients may fetch it from elsewhere.
    pub(crate) is_foreign: bool,
}

/// A manifest of an image or of an artifact.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) config: Blob,
    pub(crate) layers: Vec<Blob>,
    /// The manifest that it is about.
    pub(crate) subject: Option<Digest>,
}

/// A blob that a manifest names.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) media_type: String,
    /// Whether clients may fetch it from elsewhere.
    pub(crate) is_foreign: bool,
}

impl Manifest {
    /// The configuration and the layers, each once.
    pub(crate) fn blobs(&self) -> Vec<Blob> {
        let mut seen = BTreeSet::new();
        let all = std::iter::once(&self.config).chain(&self.layers);
        all.filter(|blob| seen.insert(blob.digest.clone())).cloned().collect()
    }

    /// Whether it says that it is an image: its configuration is one, and a layer may be a file system.
    pub(crate) fn is_image(&self) -> bool {
        let image = matches!(
            self.config.media_type.as_str(),
            "" | "application/octet-stream"
                | "application/vnd.oci.image.config.v1+json"
                | "application/vnd.docker.container.image.v1+json"
        );
        let layer = |blob: &Blob| {
            let media_type = blob.media_type.as_str();
            media_type.is_empty()
                || media_type.contains(".image.layer.")
                || media_type.contains(".image.rootfs.")
                || media_type.contains("tar")
        };
        image && (self.layers.is_empty() || self.layers.iter().any(layer))
    }
}

impl Document {
    /// Reads what an upstream sent as `content_type`; `digest` is that of the bytes.
    ///
    /// # Errors
    /// What is wrong, when clients could see something else in it than we do, or it is nothing that is passed on.
    pub(crate) fn parse(digest: Digest, bytes: Vec<u8>, content_type: &str) -> Result<Self, String> {
        unambiguous::manifest(&bytes).map_err(|error| format!("the manifest is not valid: {error}"))?;
        let raw: Raw =
            serde_json::from_slice(&bytes).map_err(|error| format!("the manifest is not valid: {error}"))?;
        if raw.schema_version != 2 {
            return Err("the manifest has a schema version other than 2".to_owned());
        }
        let is_known =
            |media_type: &str| matches!(media_type, OCI_INDEX | OCI_MANIFEST | DOCKER_LIST | DOCKER_MANIFEST);
        let stated = raw.media_type.as_deref().unwrap_or_default();
        let media_type = match (stated, content_type) {
            (stated, sent) if is_known(stated) && is_known(sent) && stated != sent => {
                return Err(format!("the manifest says that it is `{stated}`, and was sent as `{sent}`"));
            }
            (stated, _) if is_known(stated) => stated,
            ("", sent) if is_known(sent) => sent,
            ("", _) if raw.manifests.is_some() => OCI_INDEX,
            ("", _) => OCI_MANIFEST,
            (stated, _) => {
                return Err(format!("manifests of the type `{}` are not passed on", shown(stated)));
            }
        };
        let is_index = matches!(media_type, OCI_INDEX | DOCKER_LIST);
        let kind = match (raw.manifests, raw.config) {
            (Some(manifests), None) if is_index && raw.layers.is_none() => {
                within(manifests.len())?;
                Kind::Index(manifests.into_iter().map(Child::from).collect())
            }
            (None, Some(config)) if !is_index => {
                let layers = raw.layers.unwrap_or_default();
                within(layers.len())?;
                let layers = layers.into_iter().map(Blob::from).collect();
                Kind::Manifest(Manifest {
                    config: config.into(),
                    layers,
                    subject: raw.subject.map(|subject| subject.digest),
                })
            }
            _ => return Err(format!("the manifest is not what its type `{media_type}` says")),
        };
        let media_type = media_type.to_owned();
        Ok(Self { digest, bytes: bytes.into(), media_type, kind })
    }
}

fn within(count: usize) -> Result<(), String> {
    match count > MAX_NAMED {
        true => Err(format!("the manifest names {count} others; the limit is {MAX_NAMED}")),
        false => Ok(()),
    }
}

pub(super) fn shown(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(100).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default)]
    schema_version: u64,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    config: Option<RawDescriptor>,
    #[serde(default)]
    layers: Option<Vec<RawDescriptor>>,
    #[serde(default)]
    manifests: Option<Vec<RawDescriptor>>,
    #[serde(default)]
    subject: Option<RawDescriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    #[serde(default)]
    media_type: String,
    digest: Digest,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    platform: Option<RawPlatform>,
    #[serde(default)]
    annotations: Option<std::collections::BTreeMap<String, String>>,
    #[serde(default)]
    urls: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct RawPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
}

impl RawDescriptor {
    fn is_foreign(&self) -> bool {
        self.urls.as_ref().is_some_and(|urls| !urls.is_empty())
    }
}

impl From<RawDescriptor> for Blob {
    fn from(raw: RawDescriptor) -> Self {
        let is_foreign = raw.is_foreign();
        let media_type = raw.media_type.split(';').next().unwrap_or_default().trim().to_owned();
        Self { digest: raw.digest, size: raw.size, media_type, is_foreign }
    }
}

impl From<RawDescriptor> for Child {
    fn from(raw: RawDescriptor) -> Self {
        let is_foreign = raw.is_foreign();
        let annotation = |name: &str| raw.annotations.as_ref().and_then(|all| all.get(name));
        let unknown =
            raw.platform.as_ref().is_some_and(|one| one.os == "unknown" && one.architecture == "unknown");
        Self {
            attests: annotation("vnd.docker.reference.digest").and_then(|digest| digest.parse().ok()),
            is_attestation: unknown || annotation("vnd.docker.reference.type").is_some(),
            platform: raw.platform.map(|platform| Platform {
                os: platform.os,
                architecture: platform.architecture,
                variant: platform.variant.filter(|variant| !variant.is_empty()),
            }),
            digest: raw.digest,
            is_foreign,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parse(text: &str, content_type: &str) -> Result<Document, String> {
        let text = text.replace("@", &format!("\"digest\":\"{DIGEST}\""));
        Document::parse(Digest::sha256(text.as_bytes()), text.into_bytes(), content_type)
    }

    fn refused(text: &str, content_type: &str, expected: &str) {
        let error = parse(text, content_type).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }

    #[test]
    fn manifests_and_indexes_are_told_apart() {
        let text = r#"{"schemaVersion":2,"config":{@,"size":1},"layers":[{@,"size":2,"urls":["https://a.example"]}],"subject":{@}}"#;
        let document = parse(text, "text/plain").unwrap();
        assert_eq!(document.media_type, OCI_MANIFEST);
        let Kind::Manifest(manifest) = document.kind else { panic!("no manifest") };
        assert!(manifest.is_image() && manifest.layers[0].is_foreign && manifest.subject.is_some());
        assert_eq!(manifest.blobs().len(), 1);
        let text = r#"{"schemaVersion":2,"manifests":[{@,"platform":{"os":"linux","architecture":"amd64","variant":""}},
            {@,"platform":{"os":"unknown","architecture":"unknown"},"annotations":{"Digest":"x","vnd.docker.reference.digest":"x"}}]}"#;
        let document = parse(text, DOCKER_LIST).unwrap();
        assert_eq!(document.media_type, DOCKER_LIST);
        let Kind::Index(children) = document.kind else { panic!("no index") };
        assert_eq!(children[0].platform.as_ref().unwrap().to_string(), "linux/amd64");
        assert!(!children[0].is_attestation && children[1].is_attestation && children[1].attests.is_none());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(text in r#"[\[\]{}",:0-9a-zA-Z\\ ]{0,200}"#, content_type in ".{0,40}") {
            let _ = Document::parse(Digest::sha256(text.as_bytes()), text.into_bytes(), &content_type);
        }
    }

    #[test]
    fn what_readers_could_see_differently_is_refused() {
        for text in [
            r#"{"schemaVersion":2,"config":{@},"layers":[],"Layers":[{@}]}"#,
            r#"{"schemaVersion":2,"config":{@,"DIGEST":"x"},"layers":[]}"#,
            r#"{"schemaVersion":2,"CONFIG":{@}}"#,
            // U+017F and U+212A fold to `s` and `k` for readers that fold by Unicode.
            r#"{"schemaVersion":2,"config":{@},"layers":[],"layer\u017f":[{@}]}"#,
            r#"{"schemaVersion":2,"config":{@,"dige\u017ft":"x"},"layers":[]}"#,
        ] {
            refused(text, "", "written in another case");
        }
        refused(r#"{"schemaVersion":2,"config":{@},"layers":[],"layers":[]}"#, "", "there twice");
        refused(r#"{"schemaVersion":2,"config":{@},"manifests":[]}"#, "", "not what its type");
        refused(r#"{"schemaVersion":2,"manifests":[]}"#, OCI_MANIFEST, "not what its type");
        refused(r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#, "", "not what its type");
        refused(
            &format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{{@}}}}"#),
            DOCKER_MANIFEST,
            "was sent as",
        );
        refused(r#"{"schemaVersion":2,"mediaType":"text/html","config":{@}}"#, "", "are not passed on");
        refused(r#"{"schemaVersion":1,"fsLayers":[]}"#, "", "schema version");
        refused(r#"{"schemaVersion":2,"config":{@}} x"#, "", "not valid");
        refused(r#"{"schemaVersion":2,"config":{"digest":"sha256:../../etc"}}"#, "", "not valid");
        refused(&"[".repeat(100_000), "", "not valid");
        let many = vec![r#"{@}"#; 1025].join(",");
        refused(&format!(r#"{{"schemaVersion":2,"manifests":[{many}]}}"#), "", "the limit is 1024");
    }
}
