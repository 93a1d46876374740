//! Images: layers, configuration, manifest; as Docker archive, OCI layout or OCI archive. Deterministic.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use hullmark_types::Digest;
use serde_json::{Value, json};

use crate::{Seekable, TarBuilder};

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// Compresses bytes.
pub fn compress(bytes: &[u8], compression: Compression) -> Vec<u8> {
    match compression {
        Compression::None => bytes.to_vec(),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).expect("memory takes all");
            encoder.finish().expect("memory takes all")
        }
        Compression::Zstd => zstd::encode_all(bytes, 1).expect("memory takes all"),
    }
}

/// Puts an image together, base layer first.
#[derive(Debug, Clone)]
pub struct ImageBuilder {
    layers: Vec<Vec<u8>>,
    /// Layers that are stored otherwise than compressed as a whole, by their numbers.
    seekable: BTreeMap<usize, Seekable>,
    history: Vec<Value>,
    compression: Compression,
    settings: Value,
    architecture: String,
    variant: Option<String>,
    tag: String,
}

impl Default for ImageBuilder {
    fn default() -> Self {
        Self {
            layers: Vec::new(),
            seekable: BTreeMap::new(),
            history: Vec::new(),
            compression: Compression::Gzip,
            settings: json!({ "User": "1000", "Env": ["PATH=/bin"], "Cmd": ["sh"] }),
            architecture: "amd64".to_owned(),
            variant: None,
            tag: "registry.example/team/app:1.0".to_owned(),
        }
    }
}

impl ImageBuilder {
    /// An image without layers.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more layer, an uncompressed tar, and the instruction that made it.
    #[must_use]
    pub fn layer(mut self, tar: Vec<u8>, instruction: &str) -> Self {
        self.layers.push(tar);
        self.history.push(json!({ "created_by": instruction }));
        self
    }

    /// One more layer, with its table of contents.
    #[must_use]
    pub fn seekable_layer(mut self, layer: &Seekable, instruction: &str) -> Self {
        self.seekable.insert(self.layers.len(), layer.clone());
        self.layer(layer.tar.clone(), instruction)
    }

    /// An instruction that made no layer.
    #[must_use]
    pub fn empty_layer(mut self, instruction: &str) -> Self {
        self.history.push(json!({ "created_by": instruction, "empty_layer": true }));
        self
    }

    /// How layers are compressed.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// The `config` member of the image configuration.
    #[must_use]
    pub fn settings(mut self, settings: Value) -> Self {
        self.settings = settings;
        self
    }

    /// The architecture.
    #[must_use]
    pub fn architecture(mut self, architecture: &str) -> Self {
        self.architecture = architecture.to_owned();
        self
    }

    /// The variant of the architecture.
    #[must_use]
    pub fn variant(mut self, variant: &str) -> Self {
        self.variant = Some(variant.to_owned());
        self
    }

    /// The platform, as descriptors have it.
    pub fn platform(&self) -> Value {
        let mut platform = json!({ "os": "linux", "architecture": self.architecture });
        if let Some(variant) = &self.variant {
            platform["variant"] = json!(variant);
        }
        platform
    }

    /// The configuration's bytes.
    pub fn config(&self) -> Vec<u8> {
        let diff_ids: Vec<String> =
            self.layers.iter().map(|layer| Digest::sha256(layer).to_string()).collect();
        let mut config = json!({
            "architecture": self.architecture, "os": "linux", "created": "2026-01-01T00:00:00Z",
            "config": self.settings, "history": self.history, "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        if let Some(variant) = &self.variant {
            config["variant"] = json!(variant);
        }
        serde_json::to_vec(&config).expect("JSON")
    }

    /// The layers as stored.
    pub fn blobs(&self) -> Vec<Vec<u8>> {
        let stored = |(index, layer): (usize, &Vec<u8>)| match self.seekable.get(&index) {
            Some(seekable) => seekable.blob.clone(),
            None => compress(layer, self.compression),
        };
        self.layers.iter().enumerate().map(stored).collect()
    }

    /// The OCI manifest's bytes.
    pub fn manifest(&self) -> Vec<u8> {
        let suffix = match self.compression {
            Compression::None => "",
            Compression::Gzip => "+gzip",
            Compression::Zstd => "+zstd",
        };
        let config = self.config();
        let layers: Vec<Value> = self
            .blobs()
            .iter()
            .enumerate()
            .map(|(index, blob)| {
                let mut layer = json!({
                    "mediaType": format!("application/vnd.oci.image.layer.v1.tar{suffix}"),
                    "digest": Digest::sha256(blob).to_string(), "size": blob.len(),
                });
                if let Some(seekable) = self.seekable.get(&index) {
                    let annotations: BTreeMap<_, _> = seekable.annotations.iter().cloned().collect();
                    layer["annotations"] = json!(annotations);
                }
                layer
            })
            .collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": Digest::sha256(&config).to_string(), "size": config.len(),
            },
            "layers": layers,
        });
        serde_json::to_vec(&manifest).expect("JSON")
    }

    /// A Docker archive; its layers are stored uncompressed, as Docker does.
    pub fn docker_archive(&self) -> Vec<u8> {
        let config = self.config();
        let config_name = format!("{}.json", Digest::sha256(&config).hex());
        let mut tar = TarBuilder::new();
        let mut names = Vec::new();
        for layer in &self.layers {
            let name = format!("{}/layer.tar", Digest::sha256(layer).hex());
            tar = tar.file(&name, layer);
            names.push(name);
        }
        let manifest = json!([{ "Config": config_name, "RepoTags": [self.tag], "Layers": names }]);
        tar.file(&config_name, config)
            .file("manifest.json", serde_json::to_vec(&manifest).expect("JSON"))
            .finish()
    }

    /// The files of an OCI layout: path and content.
    pub fn oci_files(&self) -> Vec<(String, Vec<u8>)> {
        let blob = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::sha256(bytes).hex());
        let (config, manifest) = (self.config(), self.manifest());
        let index = json!({ "schemaVersion": 2, "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": Digest::sha256(&manifest).to_string(), "size": manifest.len(),
            "annotations": { "org.opencontainers.image.ref.name": "1.0" },
            "platform": self.platform(),
        }]});
        let mut files = vec![
            ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            ("index.json".to_owned(), serde_json::to_vec(&index).expect("JSON")),
            (blob(&config), config),
            (blob(&manifest), manifest),
        ];
        files.extend(self.blobs().into_iter().map(|layer| (blob(&layer), layer)));
        files
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
        self.oci_files()
            .into_iter()
            .fold(TarBuilder::new(), |tar, (name, content)| tar.file(&name, content))
            .finish()
    }
}
