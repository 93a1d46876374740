//! Writes an image in the form of `docker save`: an OCI layout in a tar, with a `manifest.json` beside it.
//!
//! Every tool that is measured reads this one file.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tar::{Builder, Header};

use crate::debian::fetch::hexadecimal;

/// The compressions that each image is made in.
pub(super) const COMPRESSIONS: [&str; 2] = ["gzip", "zstd"];

/// When the images were made.
const CREATED: &str = "2026-01-01T00:00:00Z";

/// A layer as it was packed: what `hullmark-bench layer` says of it.
pub(super) type Packed = Value;

/// Write an image of these layers, whose blobs are in a directory, in one compression.
///
/// # Errors
/// When a blob cannot be read or the file not written.
pub(super) fn write(
    path: &Path,
    name: &str,
    compression: &str,
    blobs: &Path,
    layers: &[Packed],
) -> Result<()> {
    // Under its final name only when it is whole.
    let partial = path.with_extension("partial");
    let file = File::create(&partial).with_context(|| format!("cannot write {}", partial.display()))?;
    let mut builder = Builder::new(BufWriter::with_capacity(1 << 20, file));
    for layer in layers {
        let digest = text(&layer[compression]["digest"]).trim_start_matches("sha256:").to_owned();
        let blob = blobs.join(&digest);
        let content = File::open(&blob).with_context(|| format!("cannot read {}", blob.display()))?;
        let size = content.metadata()?.len();
        append(&mut builder, &format!("blobs/sha256/{digest}"), size, content)?;
    }
    for (name, content) in documents(name, compression, layers)? {
        append(&mut builder, &name, content.len() as u64, content.as_slice())?;
    }
    builder.into_inner()?.flush()?;
    fs::rename(&partial, path).with_context(|| format!("cannot write {}", path.display()))
}

fn append<W: Write>(builder: &mut Builder<W>, name: &str, size: u64, content: impl Read) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    builder.append_data(&mut header, name, content).with_context(|| format!("cannot write {name}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The documents of the image and where they stand in the archive.
fn documents(name: &str, compression: &str, layers: &[Packed]) -> Result<Vec<(String, Vec<u8>)>> {
    let contents: Vec<&str> = layers.iter().map(|layer| text(&layer["plain"]["digest"])).collect();
    let config = serde_json::to_vec(&json!({
        "architecture": "amd64",
        "os": "linux",
        "created": CREATED,
        "config": {"Cmd": ["/bin/bash"], "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": contents},
        "history": layers.iter().map(|_| json!({"created": CREATED, "created_by": "cargo xtask bench prepare"})).collect::<Vec<Value>>(),
    }))?;
    let descriptor = |kind: &str, digest: &str, size: u64| json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest, "size": size});
    let of = |kind: &str, document: &[u8]| {
        descriptor(kind, &format!("sha256:{}", hexadecimal(document)), document.len() as u64)
    };
    let kind = format!("layer.v1.tar+{compression}");
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": of("config.v1+json", &config),
        "layers": layers
            .iter()
            .map(|layer| &layer[compression])
            .map(|stored| descriptor(&kind, text(&stored["digest"]), stored["size"].as_u64().unwrap_or_default()))
            .collect::<Vec<Value>>(),
    }))?;
    let mut entry = of("manifest.v1+json", &manifest);
    entry["annotations"] = json!({
        "io.containerd.image.name": format!("docker.io/library/{name}:latest"),
        "org.opencontainers.image.ref.name": "latest",
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry],
    });
    let blob = |digest: &str| format!("blobs/sha256/{}", digest.trim_start_matches("sha256:"));
    let config_name = blob(&hexadecimal(&config));
    let docker = json!([{
        "Config": config_name,
        "RepoTags": [format!("{name}:latest")],
        "Layers": layers.iter().map(|layer| blob(text(&layer[compression]["digest"]))).collect::<Vec<String>>(),
    }]);
    Ok(vec![
        (config_name, config),
        (blob(&hexadecimal(&manifest)), manifest),
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("index.json".to_owned(), serde_json::to_vec(&index)?),
        ("manifest.json".to_owned(), serde_json::to_vec(&docker)?),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_names_its_layers_in_both_forms() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("aa"), b"layer").unwrap();
        let layer = json!({
            "plain": {"digest": "sha256:bb", "size": 9},
            "gzip": {"digest": "sha256:aa", "size": 5},
        });
        let path = directory.path().join("image.tar");
        write(&path, "made", "gzip", directory.path(), &[layer]).unwrap();
        let mut archive = tar::Archive::new(File::open(&path).unwrap());
        let mut manifest = Value::Null;
        let mut names = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_string_lossy().into_owned();
            if name == "manifest.json" {
                manifest = serde_json::from_reader(&mut entry).unwrap();
            }
            names.push(name);
        }
        assert_eq!(manifest[0]["Layers"], json!(["blobs/sha256/aa"]));
        assert!(names.contains(&"blobs/sha256/aa".to_owned()) && names.contains(&"index.json".to_owned()));
    }
}
