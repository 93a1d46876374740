//! Multi-platform images: an index of images and of attestations about them, as BuildKit writes it. Deterministic.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use hullmark_types::Digest;
use serde_json::{Value, json};

use crate::{FeedBuilder, ImageBuilder, OCI_INDEX, OCI_MANIFEST, RegistryBuilder, TarBuilder};

/// Puts an index together.
#[derive(Debug, Clone, Default)]
pub struct IndexBuilder {
    images: Vec<ImageBuilder>,
    attested: bool,
    others: Vec<Value>,
}

impl IndexBuilder {
    /// An index of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more image.
    #[must_use]
    pub fn image(mut self, image: ImageBuilder) -> Self {
        self.images.push(image);
        self
    }

    /// An attestation about each image.
    #[must_use]
    pub fn attested(mut self) -> Self {
        self.attested = true;
        self
    }

    /// One more descriptor, of whatever it may be.
    #[must_use]
    pub fn descriptor(mut self, descriptor: Value) -> Self {
        self.others.push(descriptor);
        self
    }

    /// The images.
    pub fn images(&self) -> &[ImageBuilder] {
        &self.images
    }

    /// A statement about an image, its configuration, and the manifest of the two.
    fn attestation(image: &ImageBuilder) -> (Vec<Vec<u8>>, Vec<u8>) {
        let subject = Digest::sha256(&image.manifest()).hex().to_owned();
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://slsa.dev/provenance/v0.2",
            "subject": [{ "name": "app", "digest": { "sha256": subject } }], "predicate": {},
        });
        let statement = statement.to_string().into_bytes();
        let diff_ids = [Digest::sha256(&statement).to_string()];
        let config = json!({
            "architecture": "unknown", "os": "unknown", "config": {},
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.in-toto+json", &statement)],
        });
        (vec![statement, config], manifest.to_string().into_bytes())
    }

    /// The bytes of the index.
    pub fn index(&self) -> Vec<u8> {
        let image = |image: &ImageBuilder| {
            let mut entry = descriptor(OCI_MANIFEST, &image.manifest());
            entry["platform"] = image.platform();
            entry
        };
        let attestation = |image: &ImageBuilder| {
            let mut entry = descriptor(OCI_MANIFEST, &Self::attestation(image).1);
            entry["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
            entry["annotations"] = json!({
                "vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": Digest::sha256(&image.manifest()).to_string(),
            });
            entry
        };
        let images = self.images.iter().map(image);
        let attestations = self.images.iter().filter(|_| self.attested).map(attestation);
        let manifests: Vec<Value> = images.chain(attestations).chain(self.others.iter().cloned()).collect();
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests });
        serde_json::to_vec(&index).expect("JSON")
    }

    /// Everything that is stored by its digest; the index is the last.
    pub fn blobs(&self) -> Vec<Vec<u8>> {
        let mut blobs = Vec::new();
        for image in &self.images {
            blobs.extend(image.blobs());
            blobs.extend([image.config(), image.manifest()]);
            if self.attested {
                let (stored, manifest) = Self::attestation(image);
                blobs.extend(stored);
                blobs.push(manifest);
            }
        }
        blobs.push(self.index());
        blobs
    }

    /// The files of an OCI layout that holds the index as `1.0`: path and content.
    pub fn oci_files(&self) -> Vec<(String, Vec<u8>)> {
        let mut root = descriptor(OCI_INDEX, &self.index());
        root["annotations"] = json!({ "org.opencontainers.image.ref.name": "1.0" });
        let index = json!({ "schemaVersion": 2, "manifests": [root] });
        let fixed = [
            ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            ("index.json".to_owned(), index.to_string().into_bytes()),
        ];
        let blobs = self.blobs().into_iter();
        let blobs = blobs.map(|blob| (format!("blobs/sha256/{}", Digest::sha256(&blob).hex()), blob));
        fixed.into_iter().chain(blobs).collect()
    }

    /// Writes an OCI layout.
    pub fn oci_layout(&self, directory: &Path) {
        for (name, content) in self.oci_files() {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().expect("a directory")).expect("it can be made");
            fs::write(path, content).expect("it can be written");
        }
    }

    /// An OCI archive.
    pub fn oci_archive(&self) -> Vec<u8> {
        let files: std::collections::BTreeMap<_, _> = self.oci_files().into_iter().collect();
        files.iter().fold(TarBuilder::new(), |tar, (name, content)| tar.file(name, content)).finish()
    }

    /// A registry that has it in this repository, under this tag.
    pub fn registry(&self, repository: &str, tag: &str) -> RegistryBuilder {
        let blobs = self.blobs().into_iter();
        let registry = blobs.fold(RegistryBuilder::new(), |registry, blob| registry.blob(repository, &blob));
        let manifests = self.images.iter().map(ImageBuilder::manifest);
        let attestations = self.images.iter().map(|image| Self::attestation(image).1);
        manifests
            .chain(attestations)
            .fold(registry, |registry, manifest| registry.manifest(repository, None, OCI_MANIFEST, &manifest))
            .manifest(repository, Some(tag), OCI_INDEX, &self.index())
    }
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::sha256(bytes).to_string(), "size": bytes.len() })
}

/// An image for three platforms, with an attestation about each: `linux/amd64` has an old musl and an old urllib3,
/// `linux/arm64` an old musl only, and `linux/arm/v7` neither. All three share a layer.
pub fn three_platforms() -> IndexBuilder {
    let shared = TarBuilder::new().file("srv/app/main.py", "print('hello')\n").finish();
    let image = |architecture: &str, machine: &str, musl: &str, urllib3: &str| {
        let database = format!("P:musl\nV:{musl}\nA:{machine}\no:musl\nL:MIT\n\n");
        let base = TarBuilder::new()
            .file("etc/os-release", "ID=alpine\nVERSION_ID=3.7.3\nPRETTY_NAME=\"Alpine Linux v3.7\"\n")
            .file("etc/alpine-release", "3.7.3\n")
            .file("lib/apk/db/installed", database)
            .finish();
        let directory = format!("usr/lib/python3.6/site-packages/urllib3-{urllib3}.dist-info");
        let metadata = format!("Metadata-Version: 2.1\nName: urllib3\nVersion: {urllib3}\nLicense: MIT\n\n");
        let python = TarBuilder::new()
            .file(&format!("{directory}/METADATA"), metadata)
            .file(&format!("{directory}/RECORD"), "urllib3/__init__.py,,\n")
            .finish();
        ImageBuilder::new()
            .architecture(architecture)
            .layer(base, "ADD rootfs.tar in /")
            .layer(python, &format!("RUN pip install urllib3=={urllib3}"))
            .layer(shared.clone(), "COPY main.py /srv/app")
    };
    IndexBuilder::new()
        .image(image("amd64", "x86_64", "1.1.18-r3", "1.26.5"))
        .image(image("arm64", "aarch64", "1.1.18-r3", "1.26.17"))
        .image(image("arm", "armv7", "1.1.18-r4", "1.26.17").variant("v7"))
        .attested()
}

/// Writes feeds that know of musl and urllib3, with data of 2026-01-01.
pub fn three_platforms_feeds(root: &Path) {
    let urllib3 = json!({
        "id": "PYSEC-2023-192", "modified": "2025-12-31T14:28:19Z", "published": "2023-10-04T17:15:00Z",
        "aliases": ["CVE-2023-43804", "GHSA-v845-jxx5-vc9f"], "details": "Cookies leak on redirects.",
        "affected": [{
            "package": { "ecosystem": "PyPI", "name": "urllib3" },
            "ranges": [{ "type": "ECOSYSTEM", "events": [{ "introduced": "0" }, { "fixed": "1.26.17" }] }],
        }],
        "severity": [{ "type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:N" }],
    });
    let _ = FeedBuilder::new(root)
        .alpine("v3.7", "main", &[("musl", "1.1.18-r4", &["CVE-2019-14697"])])
        .osv("PyPI", &[urllib3]);
    // The date of a feed without one is that of its file.
    let new_year = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    for name in ["alpine/v3.7/main.json", "osv/PyPI/all.zip"] {
        let file = fs::File::options().write(true).open(root.join(name)).expect("it was written");
        file.set_modified(new_year).expect("it can be changed");
    }
}
