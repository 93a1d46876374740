//! The floor of a scan: every layer read, digested and inflated, and what comes out dropped.
//!
//! The libraries and the number of threads are those of the product. The threads take the layers in turn, so an image of
//! one layer is inflated by one thread.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::hashing::{Hashing, Passed};

/// The most bytes of a manifest.
const MAX_DOCUMENT: u64 = 8 << 20;

/// Where a layer stands in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    name: String,
    offset: u64,
    size: u64,
}

/// Inflate every layer of an archive as `docker save` writes it, and digest what comes out if that is wanted.
pub(crate) fn run(archive: &Path, threads: usize, diff_ids: bool) -> Result<Value> {
    let shown = archive.display();
    let layers = layers(archive).with_context(|| format!("{shown}"))?;
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.min(layers.len()) {
            scope.spawn(|| {
                while let Some(place) = layers.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result =
                        inflate(archive, place, diff_ids).with_context(|| format!("layer {}", place.name));
                    if let Ok(mut results) = results.lock() {
                        results.push(result);
                    }
                }
            });
        }
    });
    let Ok(results) = results.into_inner() else { bail!("{shown}: a thread ended in a panic") };
    let results = results.into_iter().collect::<Result<Vec<(u64, u64)>>>()?;
    let stored: u64 = results.iter().map(|(stored, _)| stored).sum();
    let size: u64 = results.iter().map(|(_, size)| size).sum();
    Ok(json!({"layers": layers.len(), "threads": threads, "stored": stored, "size": size}))
}

/// The bytes of a layer as stored and as inflated.
fn inflate(archive: &Path, place: &Place, diff_id: bool) -> Result<(u64, u64)> {
    let mut file = File::open(archive)?;
    file.seek(SeekFrom::Start(place.offset))?;
    let mut stored = BufReader::with_capacity(128 * 1024, Hashing::new(file.take(place.size)));
    let mut magic = [0; 4];
    io::BufRead::fill_buf(&mut stored)?.read_exact(&mut magic)?;
    let mut sink = vec![0; 128 * 1024];
    let size = match magic {
        [0x1f, 0x8b, ..] => {
            plain(&mut flate2::bufread::MultiGzDecoder::new(&mut stored), diff_id, &mut sink)?
        }
        [0x28, 0xb5, 0x2f, 0xfd] => {
            plain(&mut zstd::stream::read::Decoder::with_buffer(&mut stored)?, diff_id, &mut sink)?
        }
        _ => bail!("neither gzip nor zstd"),
    };
    exhaust(&mut stored, &mut sink)?;
    let (Passed { digest, size: count }, _) = stored.into_inner().finish();
    if !place.name.ends_with(digest.trim_start_matches("sha256:")) {
        bail!("the bytes have the digest {digest}");
    }
    Ok((count, size))
}

/// How many bytes come out.
fn plain(reader: &mut dyn Read, diff_id: bool, buffer: &mut [u8]) -> io::Result<u64> {
    if !diff_id {
        return exhaust(reader, buffer);
    }
    let mut hashing = Hashing::new(reader);
    exhaust(&mut hashing, buffer)?;
    Ok(hashing.finish().0.size)
}

fn exhaust(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<u64> {
    let mut total = 0;
    loop {
        match reader.read(buffer) {
            Ok(0) => return Ok(total),
            Ok(count) => total += count as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The layers that the archive's `manifest.json` names, in its order.
fn layers(archive: &Path) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    let mut manifest = None;
    for entry in tar::Archive::new(File::open(archive)?).entries_with_seek()? {
        let entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let (offset, size) = (entry.raw_file_position(), entry.size());
        if name == "manifest.json" {
            let mut text = Vec::new();
            entry.take(MAX_DOCUMENT).read_to_end(&mut text)?;
            manifest = Some(serde_json::from_slice::<Value>(&text).context("manifest.json")?);
        } else {
            places.push(Place { name, offset, size });
        }
    }
    let manifest = manifest.context("no manifest.json")?;
    let named =
        manifest.pointer("/0/Layers").and_then(Value::as_array).context("manifest.json: no layers")?;
    named
        .iter()
        .map(|name| {
            let place = places.iter().find(|place| Some(place.name.as_str()) == name.as_str());
            place.cloned().with_context(|| format!("no member {name}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer;

    /// An archive of one layer, whose name is `name` or the digest that it has.
    fn archive(path: &Path, compression: &str, name: Option<&str>) {
        let directory = tempfile::tempdir().unwrap();
        let stored = layer::store(&mut [7; 100_000].as_slice(), directory.path()).unwrap();
        let digest = stored[compression]["digest"].as_str().unwrap().trim_start_matches("sha256:");
        let bytes = std::fs::read(directory.path().join(digest)).unwrap();
        let member = format!("blobs/sha256/{}", name.unwrap_or(digest));
        let manifest = serde_json::to_vec(&json!([{"Layers": [&member]}])).unwrap();
        let mut builder = tar::Builder::new(File::create(path).unwrap());
        for (name, bytes) in [(member.as_str(), &bytes), ("manifest.json", &manifest)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
        }
        builder.finish().unwrap();
    }

    #[test]
    fn every_layer_is_inflated_and_its_digest_checked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image.tar");
        for compression in ["gzip", "zstd"] {
            archive(&path, compression, None);
            let result = run(&path, 2, false).unwrap();
            assert_eq!(result, run(&path, 2, true).unwrap());
            assert_eq!((&result["layers"], &result["size"]), (&json!(1), &json!(100_000)));
        }
        archive(&path, "gzip", Some("0123"));
        assert!(format!("{:#}", run(&path, 1, false).unwrap_err()).contains("have the digest"));
    }
}
