//! The archive of an image in the form that `docker save` writes: an OCI layout with a `manifest.json` beside it.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::debian::fetch::hexadecimal;
use crate::debian::time::Moment;
use crate::debian::tree::{Entry, Tree};

/// One layer, compressed.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    bytes: Vec<u8>,
    /// SHA-256 of the compressed bytes, in hexadecimal.
    digest: String,
    /// SHA-256 of the tar, in hexadecimal.
    content: String,
    /// The command that made it, for the history.
    command: String,
    created: Moment,
}

/// Counts what passes into the hash of a layer's content.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Layer {
    /// Make a layer of a tree.
    ///
    /// # Errors
    /// When the tree cannot be written as a tar.
    pub(super) fn new(tree: &Tree, command: &str, created: &Moment) -> Result<Layer> {
        let encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let written = tree.write(Hashing { inner: encoder, hash: Sha256::new() })?;
        let content = written.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let bytes = written.inner.finish()?;
        let digest = hexadecimal(&bytes);
        Ok(Layer { bytes, digest, content, command: command.to_owned(), created: created.clone() })
    }

    /// Its length in bytes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Write an image of these layers under this name.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write(path: &Path, name: &str, layers: &[Layer]) -> Result<()> {
    write_tree(path, &archive(name, layers)?).with_context(|| format!("cannot write {}", path.display()))
}

fn write_tree(path: &Path, tree: &Tree) -> Result<()> {
    // Under its final name only when it is whole.
    let partial = path.with_extension("partial");
    let mut file = tree.write(io::BufWriter::new(fs::File::create(&partial)?))?;
    file.flush()?;
    drop(file);
    fs::rename(&partial, path)?;
    Ok(())
}

fn archive(name: &str, layers: &[Layer]) -> Result<Tree> {
    let created = layers.last().map(|layer| layer.created.text.as_str()).unwrap_or_default();
    let history: Vec<Value> = layers
        .iter()
        .map(|layer| json!({"created": layer.created.text, "created_by": layer.command}))
        .collect();
    let contents: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", layer.content)).collect();
    let config = serde_json::to_vec(&json!({
        "architecture": "amd64",
        "os": "linux",
        "created": created,
        "config": {
            "Cmd": ["/bin/bash"],
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        },
        "rootfs": {"type": "layers", "diff_ids": contents},
        "history": history,
    }))?;
    let config_digest = hexadecimal(&config);
    let descriptor = |media_type: &str, digest: &str, size: usize| json!({"mediaType": format!("application/vnd.oci.image.{media_type}"), "digest": format!("sha256:{digest}"), "size": size});
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", &config_digest, config.len()),
        "layers": layers
            .iter()
            .map(|layer| descriptor("layer.v1.tar+gzip", &layer.digest, layer.bytes.len()))
            .collect::<Vec<Value>>(),
    }))?;
    let manifest_digest = hexadecimal(&manifest);
    let mut entry = descriptor("manifest.v1+json", &manifest_digest, manifest.len());
    entry["annotations"] = json!({
        "io.containerd.image.name": format!("docker.io/library/{name}"),
        "org.opencontainers.image.ref.name": name.split_once(':').map_or("latest", |(_, tag)| tag),
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry],
    });
    let blob = |digest: &str| format!("blobs/sha256/{digest}");
    let docker = json!([{
        "Config": blob(&config_digest),
        "RepoTags": [name],
        "Layers": layers.iter().map(|layer| blob(&layer.digest)).collect::<Vec<String>>(),
    }]);
    let mut tree = Tree::default();
    let mut add = |path: &str, bytes: Vec<u8>| tree.insert(path, Entry::file(bytes, 0));
    for layer in layers {
        add(&blob(&layer.digest), layer.bytes.clone());
    }
    add(&blob(&config_digest), config);
    add(&blob(&manifest_digest), manifest);
    add("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
    add("index.json", serde_json::to_vec(&index)?);
    add("manifest.json", serde_json::to_vec(&docker)?);
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_tree_makes_the_same_layer() {
        let moment = Moment::parse("Sat, 11 Jul 2026 10:16:37 UTC").unwrap();
        let mut tree = Tree::default();
        tree.insert("etc/os-release", Entry::file(b"ID=debian\n".to_vec(), 1));
        let make = || Layer::new(&tree, "unpack", &moment).unwrap();
        assert_eq!(make().digest, make().digest);
        let mut plain = Vec::new();
        io::Read::read_to_end(&mut flate2::read::GzDecoder::new(make().bytes.as_slice()), &mut plain)
            .unwrap();
        assert_eq!(hexadecimal(&plain), make().content);
    }
}
