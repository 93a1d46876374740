//! The wanted parts of a layer, in the order in which they stand, in as few ranges as is sensible.

use std::io::{self, BufRead, Read};
use std::sync::atomic::Ordering;

use flate2::bufread::GzDecoder;
use hullmark_types::Hasher;

use super::contents::{Chunk, File};
use super::locate::Fetched;
use super::{Lazy, Unfit};
use crate::compression::Compression;

/// What lies between two wanted parts is fetched too when it has at most so many bytes: another request would take longer.
const NEAR: u64 = 128 << 10;

/// What the framing of a compressed part takes at most, in bytes.
const FRAMING: u64 = 64 << 10;

/// The wanted parts.
pub(super) struct Stream<'a> {
    lazy: &'a Lazy<'a>,
    compression: Compression,
    /// First byte and end of each range that is still to be fetched; the next one last.
    ranges: Vec<(u64, u64)>,
    /// The range that is being fetched, where it is now, and its end.
    current: Option<(Fetched<'a>, u64, u64)>,
    /// The part as stored.
    stored: Vec<u8>,
    /// The verified part.
    buffer: Vec<u8>,
    failure: Option<Unfit>,
    /// How many bytes were fetched, and how many there were uncompressed.
    pub(super) fetched: u64,
    pub(super) uncompressed: u64,
}

impl<'a> Stream<'a> {
    /// Plans the ranges for some files.
    pub(super) fn plan<'f>(
        lazy: &'a Lazy<'_>,
        files: impl Iterator<Item = &'f File>,
        compression: Compression,
    ) -> Result<Self, Unfit> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for file in files {
            if let Some(problem) = file.problem() {
                return Err(Unfit::Contents(format!("names a file that {problem}")));
            }
            for chunk in file.chunks.iter().filter(|chunk| chunk.digest.is_some()) {
                if chunk.end <= chunk.offset {
                    return Err(Unfit::Contents("names a part that is not inside the layer".to_owned()));
                }
                match ranges.last_mut() {
                    Some((_, end)) if chunk.offset < *end => {
                        return Err(Unfit::Contents("has parts in another order than its files".to_owned()));
                    }
                    Some((_, end)) if chunk.offset - *end <= NEAR => *end = chunk.end,
                    _ => ranges.push((chunk.offset, chunk.end)),
                }
            }
        }
        ranges.reverse();
        Ok(Self {
            lazy,
            compression,
            ranges,
            current: None,
            stored: Vec::new(),
            buffer: Vec::new(),
            failure: None,
            fetched: 0,
            uncompressed: 0,
        })
    }

    /// How many bytes will be fetched.
    pub(super) fn planned(&self) -> u64 {
        self.ranges.iter().fold(0, |sum, (first, end)| sum.saturating_add(end.saturating_sub(*first)))
    }

    /// What went wrong.
    pub(super) fn failure(&mut self) -> Result<(), Unfit> {
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Fetches a part into the buffer and verifies it.
    fn fill(&mut self, chunk: &Chunk) -> Result<(), Unfit> {
        let failed = |problem: String| Unfit::Part { offset: chunk.offset, problem };
        self.buffer.clear();
        let Some(digest) = chunk.digest.as_deref() else { return self.count(chunk, chunk.length) };
        self.move_to(chunk.offset)?;
        let Some((input, position, _)) = &mut self.current else {
            return Err(failed("is missing".to_owned()));
        };
        // No way of compressing makes more of it. Behind it may be what nobody wants.
        let most = chunk.length.saturating_add(chunk.length / 8).saturating_add(FRAMING);
        let length = chunk.end.saturating_sub(chunk.offset).min(most);
        self.stored.clear();
        let read = input.take(length).read_to_end(&mut self.stored);
        let read = read.map_err(|error| Unfit::Fetch(error.to_string()))? as u64;
        *position = position.saturating_add(read);
        self.fetched = self.fetched.saturating_add(read);
        decode(&self.stored, self.compression, chunk.length, &mut self.buffer)
            .map_err(|problem| failed(format!("cannot be decompressed: {problem}")))?;
        let size = self.buffer.len() as u64;
        self.count(chunk, size)?;
        let mut hasher = Hasher::new(digest.algorithm());
        hasher.update(&self.buffer);
        match size == chunk.length && hasher.finish() == *digest {
            true => Ok(()),
            false => Err(failed("is damaged or was changed".to_owned())),
        }
    }

    /// Counts uncompressed bytes, of which all layers together may have only so many.
    fn count(&mut self, chunk: &Chunk, size: u64) -> Result<(), Unfit> {
        self.uncompressed = self.uncompressed.saturating_add(size);
        let all = self.lazy.reading.totals.size.fetch_add(size, Ordering::Relaxed).saturating_add(size);
        if self.uncompressed > self.lazy.reading.limits.max_layer_size
            || all > self.lazy.reading.limits.max_image_size
        {
            let problem = "is more than may be read of all together".to_owned();
            return Err(Unfit::Part { offset: chunk.offset, problem });
        }
        Ok(())
    }

    /// Passes over what is before an offset, or begins the next range.
    fn move_to(&mut self, offset: u64) -> Result<(), Unfit> {
        if self.current.as_ref().is_none_or(|(_, _, end)| offset >= *end) {
            // What nobody read of the ranges before is not wanted, and is not fetched.
            let next = std::iter::from_fn(|| self.ranges.pop()).find(|(_, end)| offset < *end);
            let Some((first, end)) = next else {
                return Err(Unfit::Part { offset, problem: "was not planned".to_owned() });
            };
            self.current = Some((Fetched::new(self.lazy, first, end.saturating_sub(first))?, first, end));
        }
        let Some((input, position, _)) = &mut self.current else { return Ok(()) };
        let gap = offset
            .checked_sub(*position)
            .ok_or_else(|| Unfit::Part { offset, problem: "reaches into the next".to_owned() })?;
        let passed = io::copy(&mut input.take(gap), &mut io::sink());
        let passed = passed.map_err(|error| Unfit::Fetch(error.to_string()))?;
        self.fetched = self.fetched.saturating_add(passed);
        *position = offset;
        match passed == gap {
            true => Ok(()),
            false => Err(Unfit::Part { offset, problem: "is missing".to_owned() }),
        }
    }
}

/// Decompresses one gzip member or zstd frame to at most `length` bytes. What stands behind it is left alone.
fn decode(stored: &[u8], compression: Compression, length: u64, into: &mut Vec<u8>) -> Result<(), String> {
    match compression {
        Compression::Gzip => {
            GzDecoder::new(stored).take(length).read_to_end(into).map(drop).map_err(|error| error.to_string())
        }
        Compression::Zstd => {
            // Into the buffer at once, so that nothing is needed of the window that the frame asks for.
            let frame = zstd::zstd_safe::find_frame_compressed_size(stored).ok();
            let frame = frame.and_then(|size| stored.get(..size)).ok_or("it is no whole zstd frame")?;
            *into = zstd::bulk::decompress(frame, usize::try_from(length).unwrap_or_default())
                .map_err(|error| error.to_string())?;
            Ok(())
        }
        Compression::None => Err("it is not compressed".to_owned()),
    }
}

/// The content of a file, part by part.
pub(super) struct FileContent<'s, 'a, 'f> {
    stream: &'s mut Stream<'a>,
    left: std::slice::Iter<'f, Chunk>,
    /// How much of the part in the buffer was read, and how many zeros of a hole are still to come.
    next: usize,
    zeros: u64,
}

/// What a hole is made of.
static ZEROS: [u8; 4096] = [0; 4096];

impl<'s, 'a, 'f> FileContent<'s, 'a, 'f> {
    pub(super) fn new(stream: &'s mut Stream<'a>, file: &'f File) -> Self {
        stream.buffer.clear();
        Self { stream, left: file.chunks.iter(), next: 0, zeros: 0 }
    }
}

impl BufRead for FileContent<'_, '_, '_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.zeros == 0 && self.next >= self.stream.buffer.len() {
            let Some(chunk) = self.left.next() else { return Ok(&[]) };
            self.next = 0;
            if let Err(failure) = self.stream.fill(chunk) {
                let message = failure.to_string();
                self.stream.buffer.clear();
                self.stream.failure.get_or_insert(failure);
                return Err(io::Error::other(message));
            }
            self.zeros = if chunk.digest.is_none() { chunk.length } else { 0 };
        }
        if self.zeros > 0 {
            let length = usize::try_from(self.zeros).unwrap_or(usize::MAX).min(ZEROS.len());
            return Ok(ZEROS.get(..length).unwrap_or_default());
        }
        Ok(self.stream.buffer.get(self.next..).unwrap_or_default())
    }

    fn consume(&mut self, length: usize) {
        match self.zeros {
            0 => self.next = self.next.saturating_add(length),
            _ => self.zeros = self.zeros.saturating_sub(length as u64),
        }
    }
}

impl Read for FileContent<'_, '_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(into)?;
        self.consume(length);
        Ok(length)
    }
}
