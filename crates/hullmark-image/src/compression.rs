//! Compression, found out by magic bytes and never by media type.

use std::io::{self, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

use crate::filled::Filled;
use crate::memory::Pool;
use crate::tar;
use crate::zstd_frames::ZstdFrames;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952), one or more members.
    Gzip,
    /// Zstandard (RFC 8878), one or more frames.
    Zstd,
}

/// Size of a tar block, enough to see what a stream is.
pub(crate) const HEAD: usize = 512;

/// How much is read of a stream at a time.
const BUFFER: usize = 128 * 1024;

/// A stream with its first bytes put back in front.
type Whole<'a, R> = Chain<Cursor<Vec<u8>>, &'a mut R>;

/// The uncompressed bytes of a stream.
pub(crate) enum Decompressed<'a, R> {
    None(Whole<'a, R>),
    Gzip(Box<MultiGzDecoder<Filled<Whole<'a, R>>>>),
    Zstd(Box<ZstdFrames<'a, Filled<Whole<'a, R>>>>),
}

impl<R: Read> Read for Decompressed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::None(stream) => stream.read(buffer),
            Self::Gzip(stream) => stream.read(buffer),
            Self::Zstd(stream) => stream.read(buffer),
        }
    }
}

impl<R> Decompressed<'_, R> {
    /// How the stream is compressed.
    pub(crate) fn kind(&self) -> Compression {
        match self {
            Self::None(_) => Compression::None,
            Self::Gzip(_) => Compression::Gzip,
            Self::Zstd(_) => Compression::Zstd,
        }
    }
}

/// Opens a stream; `None` when it is neither compressed in a known way nor a tar. What the decompression needs that grows with
/// the stream is taken from `windows`.
///
/// # Errors
/// When the stream cannot be read.
pub(crate) fn open<'a, R: Read>(
    stream: &'a mut R,
    windows: &'a Pool,
) -> io::Result<Option<Decompressed<'a, R>>> {
    let mut head = Vec::with_capacity(HEAD);
    (&mut *stream).take(HEAD as u64).read_to_end(&mut head)?;
    let compression = sniff(&head);
    let whole = Cursor::new(head).chain(stream);
    let buffered = |whole| Filled::with_capacity(BUFFER, whole);
    Ok(compression.map(|compression| match compression {
        Compression::None => Decompressed::None(whole),
        Compression::Gzip => Decompressed::Gzip(Box::new(MultiGzDecoder::new(buffered(whole)))),
        Compression::Zstd => Decompressed::Zstd(Box::new(ZstdFrames::new(buffered(whole), windows))),
    }))
}

/// What the first bytes of a stream (512, or all there are) show.
pub(crate) fn sniff(head: &[u8]) -> Option<Compression> {
    match head {
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
        // A zstd stream may begin with a skippable frame.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Compression::Zstd),
        _ if head.is_empty() || tar::looks_like_tar(head) => Some(Compression::None),
        _ => None,
    }
}
