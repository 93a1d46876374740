//! The bytes of a layer on their way: read, digested and decompressed on one thread, walked on another.
//!
//! A pipe of a few buffers joins the two; the buffers go round, so that its memory does not grow.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use hullmark_types::{Digest, DigestAlgorithm, Hasher};

use crate::Limits;
use crate::compression::{self, Compression};
use crate::limits::LimitHit;
use crate::walk::{Reading, Totals};

/// Size of a buffer in the pipe.
const BUFFER: usize = 256 * 1024;

/// How many full buffers wait in the pipe.
const WAITING: usize = 3;

/// What is known of the bytes of a layer once they were read.
pub(crate) struct Unpacked {
    /// Digest of the bytes as stored; `None` when they could not be read to their end.
    pub(crate) digest: Option<Digest>,
    /// Digest of the uncompressed bytes, if it was wanted; `None` when they could not be read to their end.
    pub(crate) diff_id: Option<Digest>,
    pub(crate) stored_size: u64,
    pub(crate) size: u64,
    pub(crate) compression: Option<Compression>,
    pub(crate) problem: Option<Problem>,
    /// Why the bytes as stored could not be read to their end.
    pub(crate) failure: Option<Failure>,
}

/// Why nothing was decompressed.
pub(crate) enum Problem {
    /// It is not known what the bytes are.
    Unknown,
    /// The decompression could not begin.
    Unopened(String),
}

/// Reads `blob` to its end and puts the uncompressed bytes into `sink`; at an error or a limit the rest is only digested.
pub(crate) fn unpack(blob: &mut dyn Read, reading: &Reading<'_>, mut sink: Sink) -> Unpacked {
    let max_size = reading.limits.max_image_size;
    let ending = Ending { inner: blob, left: max_size, max_size };
    let mut stored = Hashing::new(ending, true);
    let stored_count = Rc::clone(&stored.count);
    let (mut compression, mut problem, mut diff_id, mut size, mut complete) = (None, None, None, 0, false);
    match compression::open(&mut stored, reading.memory.windows()) {
        Err(error) => problem = Some(Problem::Unopened(error.to_string())),
        Ok(None) => problem = Some(Problem::Unknown),
        Ok(Some(reader)) => {
            let kind = reader.kind();
            compression = Some(kind);
            let limits = reading.limits;
            let guarded = Guarded {
                inner: reader,
                read: 0,
                limits,
                stored: Rc::clone(&stored_count),
                kind,
                totals: reading.totals,
            };
            // What is not compressed has the same digest before and after.
            let mut plain = Hashing::new(guarded, reading.diff_id && kind != Compression::None);
            complete = sink.fill(&mut plain);
            size = plain.count.get();
            diff_id = plain.hasher.map(Hasher::finish);
        }
    }
    drop(sink);
    // A reader that failed once may pretend to be at its end when it is asked again.
    let rest = io::copy(&mut stored, &mut io::sink());
    let failure = stored.failure.take().or_else(|| rest.err().map(|error| Failure::of(&error)));
    let digest = stored.hasher.filter(|_| failure.is_none()).map(Hasher::finish);
    let same = || digest.clone().filter(|_| compression == Some(Compression::None));
    let diff_id = diff_id.or_else(same).filter(|_| complete);
    Unpacked { digest, diff_id, stored_size: stored_count.get(), size, compression, problem, failure }
}

/// A pipe of buffers.
pub(crate) fn pipe() -> (Sink, Plain) {
    let (full, filled) = sync_channel(WAITING);
    let (emptied, empty) = channel();
    let plain = Plain { filled, emptied, buffer: None, next: 0, position: 0, failure: None };
    (Sink { full, empty, made: 0 }, plain)
}

/// The end of the pipe where bytes go in.
pub(crate) struct Sink {
    full: SyncSender<Result<Buffer, Failure>>,
    empty: Receiver<Buffer>,
    made: usize,
}

impl Sink {
    /// Puts everything into the pipe, and at last the error if there was one; whether there was none. Nobody has to take it.
    fn fill(&mut self, from: &mut dyn Read) -> bool {
        loop {
            let mut buffer = self.buffer();
            let result = buffer.fill(from);
            let is_end = buffer.length < BUFFER;
            if buffer.length > 0 {
                // Nobody may be there to take it; the rest is read all the same, for the digests.
                let _ = self.full.send(Ok(buffer));
            }
            match result {
                Ok(()) if is_end => return true,
                Ok(()) => {}
                Err(error) => {
                    let _ = self.full.send(Err(Failure::of(&error)));
                    return false;
                }
            }
        }
    }

    /// A buffer that came back, or a new one while there are too few of them.
    fn buffer(&mut self) -> Buffer {
        let used = match self.made {
            made if made < WAITING + 2 => self.empty.try_recv().ok(),
            _ => self.empty.recv().ok(),
        };
        used.unwrap_or_else(|| {
            self.made += 1;
            Buffer { bytes: vec![0; BUFFER], length: 0 }
        })
    }
}

/// Bytes in the pipe: the first `length` of them.
struct Buffer {
    bytes: Vec<u8>,
    length: usize,
}

impl Buffer {
    /// Reads until it is full or there is no more.
    fn fill(&mut self, from: &mut dyn Read) -> io::Result<()> {
        self.length = 0;
        while let Some(rest) = self.bytes.get_mut(self.length..).filter(|rest| !rest.is_empty()) {
            match from.read(rest) {
                Ok(0) => break,
                Ok(length) => self.length += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// An error that can be told more than once.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    Limit(LimitHit),
    Other(io::ErrorKind, String),
}

impl Failure {
    fn of(error: &io::Error) -> Self {
        match LimitHit::of(error) {
            Some(limit) => Self::Limit(limit.clone()),
            None => Self::Other(error.kind(), error.to_string()),
        }
    }

    /// The code of the limit, if it is one.
    pub(crate) fn code(&self) -> Option<&'static str> {
        match self {
            Self::Limit(limit) => Some(limit.code),
            Self::Other(..) => None,
        }
    }

    fn error(&self) -> io::Error {
        match self.clone() {
            Self::Limit(limit) => io::Error::other(limit),
            Self::Other(kind, message) => io::Error::new(kind, message),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Limit(limit) => formatter.write_str(&limit.message),
            Self::Other(_, message) => formatter.write_str(message),
        }
    }
}

/// The end of the pipe where the uncompressed bytes come out.
pub(crate) struct Plain {
    filled: Receiver<Result<Buffer, Failure>>,
    emptied: Sender<Buffer>,
    buffer: Option<Buffer>,
    /// How much of the buffer was read.
    next: usize,
    position: u64,
    failure: Option<Failure>,
}

impl Plain {
    /// How many bytes came out.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// What of the present buffer was not read yet.
    fn rest(&self) -> &[u8] {
        self.buffer.as_ref().and_then(|buffer| buffer.bytes.get(self.next..buffer.length)).unwrap_or_default()
    }
}

impl BufRead for Plain {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if let Some(failure) = &self.failure {
            return Err(failure.error());
        }
        if self.rest().is_empty() {
            if let Some(used) = self.buffer.take() {
                let _ = self.emptied.send(used);
            }
            self.next = 0;
            match self.filled.recv() {
                Ok(Ok(buffer)) => self.buffer = Some(buffer),
                Ok(Err(failure)) => return Err(self.failure.insert(failure).error()),
                // The other end is gone: there is no more.
                Err(_) => return Ok(&[]),
            }
        }
        Ok(self.rest())
    }

    fn consume(&mut self, length: usize) {
        self.next += length;
        self.position += length as u64;
    }
}

impl Read for Plain {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(into)?;
        self.consume(length);
        Ok(length)
    }
}

/// Counts what is read through it, and digests it if asked to.
struct Hashing<R> {
    inner: R,
    hasher: Option<Hasher>,
    count: Rc<Cell<u64>>,
    /// The first error of the inner reader.
    failure: Option<Failure>,
}

impl<R: Read> Hashing<R> {
    fn new(inner: R, digest: bool) -> Self {
        let hasher = digest.then(|| Hasher::new(DigestAlgorithm::Sha256));
        Self { inner, hasher, count: Rc::new(Cell::new(0)), failure: None }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.failure.get_or_insert_with(|| Failure::of(error));
            }
        })?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(buffer.get(..length).unwrap_or_default());
        }
        self.count.set(self.count.get() + length as u64);
        Ok(length)
    }
}

/// Ends a layer that has no end of its own.
struct Ending<'a> {
    inner: &'a mut dyn Read,
    left: u64,
    max_size: u64,
}

impl Read for Ending<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(length as u64).ok_or_else(|| {
            let message =
                format!("the layer has more than {} bytes as stored; the rest was not read", self.max_size);
            io::Error::other(LimitHit { code: "limit-stored-size", message })
        })?;
        Ok(length)
    }
}

/// Stops decompression at the limits on size and ratio.
struct Guarded<'a, R> {
    inner: R,
    read: u64,
    limits: &'a Limits,
    stored: Rc<Cell<u64>>,
    kind: Compression,
    totals: &'a Totals,
}

impl<R: Read> Read for Guarded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.read += length as u64;
        let image = self.totals.size.fetch_add(length as u64, Ordering::Relaxed);
        let Limits { max_layer_size, max_image_size, max_ratio, ratio_floor, .. } = *self.limits;
        let hit = if image.saturating_add(length as u64) > max_image_size {
            let message =
                format!("the layers together have more than {max_image_size} bytes; the rest was not read");
            Some(LimitHit { code: "limit-image-size", message })
        } else if self.read > max_layer_size {
            let message =
                format!("the layer has more than {max_layer_size} bytes uncompressed; the rest was not read");
            Some(LimitHit { code: "limit-layer-size", message })
        } else if self.kind != Compression::None
            && self.read > ratio_floor
            && self.read / max_ratio.max(1) > self.stored.get()
        {
            let message = format!(
                "the layer grows more than {max_ratio}-fold when it is decompressed, as a decompression bomb does; the rest was not read"
            );
            Some(LimitHit { code: "limit-ratio", message })
        } else {
            None
        };
        hit.map_or(Ok(length), |hit| Err(io::Error::other(hit)))
    }
}
