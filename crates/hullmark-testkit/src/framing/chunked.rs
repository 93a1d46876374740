//! Layers that can be read in parts: their files are compressed apart, and a table of contents at their end says where each is.
//!
//! eStargz: <https://github.com/containerd/stargz-snapshotter/blob/main/docs/estargz.md>. zstd:chunked: as `skopeo copy
//! --dest-compress-format zstd:chunked` writes it.

use hullmark_types::Digest;
use serde_json::{Value, json};

use super::{crc32, skippable_frame};
use crate::{Compression, TarBuilder, compress, header};

/// A layer with a table of contents.
#[derive(Debug, Clone)]
pub struct Seekable {
    /// The layer as stored.
    pub blob: Vec<u8>,
    /// The layer uncompressed.
    pub tar: Vec<u8>,
    /// The table of contents, JSON.
    pub contents: Vec<u8>,
    /// Where the table of contents begins in `blob`.
    pub contents_offset: u64,
    /// What the manifest says of the layer, by which the table of contents is found and verified.
    pub annotations: Vec<(String, String)>,
}

/// Puts regular files into parts of their own; the members between them share one.
struct Parts {
    compression: Compression,
    blob: Vec<u8>,
    tar: Vec<u8>,
    pending: Vec<u8>,
    entries: Vec<Value>,
}

impl Parts {
    fn new(compression: Compression) -> Self {
        Self { compression, blob: Vec::new(), tar: Vec::new(), pending: Vec::new(), entries: Vec::new() }
    }

    fn flush(&mut self) {
        if !self.pending.is_empty() {
            self.blob.extend(compress(&self.pending, self.compression));
            self.tar.append(&mut self.pending);
        }
    }

    fn file(&mut self, name: &str, content: &[u8]) {
        self.pending.extend(header(name.as_bytes(), b'0', content.len() as u64, b"", 0o644));
        let digest = Digest::sha256(content).to_string();
        let mut entry =
            json!({ "name": name, "type": "reg", "size": content.len(), "mode": 0o644, "digest": digest });
        if !content.is_empty() {
            self.flush();
            let start = self.blob.len();
            self.pending.extend(content);
            self.flush();
            entry["offset"] = start.into();
            entry["chunkDigest"] = digest.into();
            if self.compression == Compression::Zstd {
                entry["endOffset"] = self.blob.len().into();
            }
            self.pending.resize((512 - content.len() % 512) % 512, 0);
        }
        self.entries.push(entry);
    }

    fn contents(&self) -> Vec<u8> {
        serde_json::to_vec(&json!({ "version": 1, "entries": self.entries })).expect("JSON")
    }
}

/// An eStargz layer of files: each in a gzip member of its own, then the table of contents as a file of the tar, then a
/// footer of 51 bytes that points to it.
pub fn estargz(files: &[(&str, &[u8])]) -> Seekable {
    let mut parts = Parts::new(Compression::Gzip);
    parts.file(".no.prefetch.landmark", &[0x0f]);
    for (name, content) in files {
        parts.file(name, content);
    }
    parts.flush();
    let contents = parts.contents();
    let contents_offset = parts.blob.len() as u64;
    parts.pending = TarBuilder::new().file("stargz.index.json", &contents).finish();
    parts.flush();
    let mut footer = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 26, 0];
    footer.extend(b"SG\x16\x00");
    footer.extend(format!("{contents_offset:016x}STARGZ").as_bytes());
    footer.extend([1, 0, 0, 0xff, 0xff]);
    footer.extend(crc32(b"").to_le_bytes());
    footer.extend([0; 4]);
    parts.blob.extend(footer);
    let digest = Digest::sha256(&contents).to_string();
    Seekable {
        blob: parts.blob,
        tar: parts.tar,
        contents,
        contents_offset,
        annotations: vec![("containerd.io/snapshot/stargz/toc.digest".to_owned(), digest)],
    }
}

/// A zstd:chunked layer of files: each in a zstd frame of its own, then the table of contents, compressed in a skippable
/// frame, then a footer of 64 bytes in another.
pub fn zstd_chunked(files: &[(&str, &[u8])]) -> Seekable {
    let mut parts = Parts::new(Compression::Zstd);
    for (name, content) in files {
        parts.file(name, content);
    }
    parts.pending.extend([0; 1024]);
    parts.flush();
    let contents = parts.contents();
    let compressed = compress(&contents, Compression::Zstd);
    // Behind the magic number and the length of the skippable frame.
    let contents_offset = parts.blob.len() as u64 + 8;
    parts.blob.extend(skippable_frame(0, &compressed));
    let position = format!("{contents_offset}:{}:{}:1", compressed.len(), contents.len());
    let numbers = [contents_offset, compressed.len() as u64, contents.len() as u64, 1, 0, 0, 0];
    let mut footer: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    footer.extend(b"GNUlInUx");
    parts.blob.extend(skippable_frame(0, &footer));
    let checksum = Digest::sha256(&compressed).to_string();
    Seekable {
        blob: parts.blob,
        tar: parts.tar,
        contents,
        contents_offset,
        annotations: vec![
            ("io.github.containers.zstd-chunked.manifest-checksum".to_owned(), checksum),
            ("io.github.containers.zstd-chunked.manifest-position".to_owned(), position),
        ],
    }
}
