//! Where the table of contents of a layer is, and whether it is the one that the manifest names.

use std::io::{self, BufReader, Read};

use flate2::read::GzDecoder;
use hullmark_types::{Digest, Hasher};

use super::contents::Contents;
use super::{Lazy, Unfit};
use crate::compression::Compression;
use crate::tar::TarReader;
use crate::zstd_frames::ZstdFrames;

/// The digest of the table of contents of an eStargz layer.
const STARGZ_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";

/// What begins the names of the annotations of zstd:chunked: now, and until 2022.
const CHUNKED: [&str; 2] = ["io.github.containers.zstd-chunked.", "io.containers.zstd-chunked."];

/// The digest of the compressed table of contents of a zstd:chunked layer.
const CHUNKED_DIGEST: &str = "manifest-checksum";

/// Where it is: `OFFSET:COMPRESSED:UNCOMPRESSED:TYPE`.
const CHUNKED_POSITION: &str = "manifest-position";

/// The footer of eStargz: an empty gzip member whose extra field says where the table of contents is.
const FOOTER: u64 = 51;

/// The file that the table of contents of eStargz is.
const STARGZ_NAME: &[u8] = b"stargz.index.json";

/// The largest table of contents, in bytes, compressed and not.
const MAX_COMPRESSED: u64 = 32 << 20;
const MAX_CONTENTS: u64 = 256 << 20;

/// A table of contents that was verified.
pub(super) struct Located {
    pub(super) contents: Contents,
    /// How the files are compressed.
    pub(super) compression: Compression,
    /// How many bytes were fetched for it.
    pub(super) fetched: u64,
}

/// Fetches and verifies the table of contents.
pub(super) fn find(lazy: &Lazy<'_>) -> Result<Located, Unfit> {
    if let Some(digest) = lazy.parts.annotation(STARGZ_DIGEST).and_then(|digest| digest.parse().ok()) {
        return stargz(lazy, &digest);
    }
    let named = |prefix: &str, name: &str| lazy.parts.annotation(&format!("{prefix}{name}"));
    let found = CHUNKED.iter().find_map(|prefix| {
        let digest = named(prefix, CHUNKED_DIGEST)?.parse::<Digest>().ok()?;
        Some((digest, named(prefix, CHUNKED_POSITION)?))
    });
    let (digest, position) = found.ok_or(Unfit::NoContents)?;
    chunked(lazy, &digest, position)
}

fn stargz(lazy: &Lazy<'_>, digest: &Digest) -> Result<Located, Unfit> {
    let end = lazy.parts.size().checked_sub(FOOTER).ok_or_else(|| no("is not there"))?;
    let mut footer = Vec::new();
    Fetched::new(lazy, end, FOOTER)?.read_to_end(&mut footer).map_err(failed)?;
    let offset = stargz_offset(&footer).filter(|offset| *offset < end).ok_or_else(|| no("is not there"))?;
    let length = end - offset;
    let fetched = bounded(length)?;
    let mut member = BufReader::new(GzDecoder::new(Fetched::new(lazy, offset, fetched)?).take(MAX_CONTENTS));
    let mut tar = TarReader::new(&mut member);
    let found = tar.next_member().map_err(|error| Unfit::Contents(error.to_string()))?;
    found.filter(|file| file.name == STARGZ_NAME).ok_or_else(|| no("is not the file it should be"))?;
    let mut hashing = Hashing { inner: tar.content(), hasher: Hasher::new(digest.algorithm()) };
    let contents = read(lazy, &mut hashing, offset);
    verify(hashing, digest)?;
    Ok(Located { contents: contents?, compression: Compression::Gzip, fetched: FOOTER + fetched })
}

/// What the footer says: extra field `SG`, 22 bytes, 16 hexadecimal digits and `STARGZ`.
fn stargz_offset(footer: &[u8]) -> Option<u64> {
    let extra = footer.strip_prefix(&[0x1f, 0x8b, 8, 4])?.get(6..)?;
    let digits = extra.strip_prefix(b"\x1a\x00SG\x16\x00")?.get(..22)?.strip_suffix(b"STARGZ")?;
    let digits =
        std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u64::from_str_radix(digits, 16).ok()
}

fn chunked(lazy: &Lazy<'_>, digest: &Digest, position: &str) -> Result<Located, Unfit> {
    let numbers: Option<Vec<u64>> = position.split(':').map(|number| number.parse().ok()).collect();
    let Some(&[offset, length, _, 1]) = numbers.as_deref() else { return Err(no("is of an unknown form")) };
    if offset.checked_add(length).is_none_or(|end| end > lazy.parts.size()) {
        return Err(no("is not inside the layer"));
    }
    let length = bounded(length)?;
    // The digest is that of the compressed bytes, so it is known before anything of them is used.
    let held = lazy.reading.memory.archives().take(length).ok_or_else(|| no("is too large"))?;
    let mut bytes = Vec::new();
    Fetched::new(lazy, offset, length)?.read_to_end(&mut bytes).map_err(failed)?;
    let mut hasher = Hasher::new(digest.algorithm());
    hasher.update(&bytes);
    if hasher.finish() != *digest {
        return Err(Unfit::Damaged);
    }
    let plain = ZstdFrames::new(bytes.as_slice(), lazy.reading.memory.windows()).take(MAX_CONTENTS);
    // It lies in a frame that decoders skip, which begins eight bytes before.
    let contents = read(lazy, &mut BufReader::new(plain), offset.saturating_sub(8))?;
    drop(held);
    Ok(Located { contents, compression: Compression::Zstd, fetched: length })
}

fn read(lazy: &Lazy<'_>, json: &mut dyn Read, offset: u64) -> Result<Contents, Unfit> {
    Contents::read(
        BufReader::new(json),
        lazy.reading.memory.files().size(),
        lazy.reading.limits.max_entries,
        offset,
    )
}

fn bounded(length: u64) -> Result<u64, Unfit> {
    match length {
        0 => Err(no("is empty")),
        length if length > MAX_COMPRESSED => Err(no("is too large")),
        length => Ok(length),
    }
}

fn no(problem: &str) -> Unfit {
    Unfit::Contents(problem.to_owned())
}

fn failed(error: io::Error) -> Unfit {
    Unfit::Fetch(error.to_string())
}

/// Compares the digest of everything, also of what is behind the document.
fn verify(mut hashing: Hashing<impl Read>, digest: &Digest) -> Result<(), Unfit> {
    io::copy(&mut hashing, &mut io::sink()).map_err(failed)?;
    match hashing.hasher.finish() == *digest {
        true => Ok(()),
        false => Err(Unfit::Damaged),
    }
}

/// Digests what is read through it.
struct Hashing<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..length).unwrap_or_default());
        Ok(length)
    }
}

/// A part of a layer, which tells of its bytes, and breaks off when they are of no use any more.
pub(super) struct Fetched<'a> {
    inner: Box<dyn Read + Send + 'a>,
    lazy: &'a Lazy<'a>,
}

impl<'a> Fetched<'a> {
    pub(super) fn new(lazy: &'a Lazy<'_>, first: u64, length: u64) -> Result<Self, Unfit> {
        let inner = lazy.parts.part(first, length).map_err(|error| Unfit::Fetch(error.to_string()))?;
        Ok(Self { inner, lazy })
    }
}

impl Read for Fetched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if (self.lazy.is_over)() {
            return Err(io::Error::other("another layer has an error"));
        }
        let length = self.inner.read(buffer)?;
        (self.lazy.fetched)(length as u64);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_footer_says_where_the_table_of_contents_is() {
        let layer = hullmark_testkit::estargz(&[("a", b"1")]);
        let footer = &layer.blob[layer.blob.len() - 51..];
        assert_eq!(stargz_offset(footer), Some(layer.contents_offset));
        for index in [0, 3, 10, 12, 16, 32, 37] {
            let mut damaged = footer.to_vec();
            damaged[index] = b'-';
            assert_eq!(stargz_offset(&damaged), None, "{index}");
        }
        assert_eq!(stargz_offset(&footer[..30]), None);
    }
}
