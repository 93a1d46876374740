//! Compression, found out by magic bytes and never by media type.

use std::io::{self, BufReader, Cursor, Read};

use crate::tar;

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
const HEAD: usize = 512;

/// The largest window that a zstd frame may ask for, as a power of two: 128 MiB, zstd's own default.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Opens a stream; `None` when it is neither compressed in a known way nor a tar.
///
/// # Errors
/// When the stream cannot be read.
pub(crate) fn open<'a>(stream: &'a mut dyn Read) -> io::Result<Option<(Compression, Box<dyn Read + 'a>)>> {
    let mut head = Vec::with_capacity(HEAD);
    (&mut *stream).take(HEAD as u64).read_to_end(&mut head)?;
    let compression = sniff(&head);
    let whole = BufReader::with_capacity(128 * 1024, Cursor::new(head).chain(stream));
    Ok(Some(match compression {
        None => return Ok(None),
        Some(Compression::None) => (Compression::None, Box::new(whole)),
        Some(Compression::Gzip) => (Compression::Gzip, Box::new(flate2::bufread::MultiGzDecoder::new(whole))),
        Some(Compression::Zstd) => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(whole)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            (Compression::Zstd, Box::new(decoder))
        }
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
