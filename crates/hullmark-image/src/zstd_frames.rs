//! Zstandard (RFC 8878), frame by frame: the window of each frame is taken from the pool before it is decoded.

use std::io::{self, BufRead, Read};

use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

use crate::limits::LimitHit;
use crate::memory::{Held, Pool};

/// The longest frame header, in bytes.
const MAX_HEADER: usize = 18;

/// The largest window that a frame may ask for: 128 MiB, zstd's own default.
const MAX_WINDOW: u64 = 1 << 27;

/// What a decoder needs besides the window.
const DECODER: u64 = 512 << 10;

/// Windows up to this size count alike, so that frames of little content do not make a new decoder each.
const SMALL_WINDOW: u64 = 1 << 20;

/// Decompresses frames that stand one behind the other.
pub(crate) struct ZstdFrames<'a, R> {
    input: R,
    /// Bytes that were read to see the header and are not decoded yet.
    ahead: Vec<u8>,
    decoder: Option<Decoder<'static>>,
    window: u64,
    /// Held while the decoder is there.
    held: Option<Held<'a>>,
    pool: &'a Pool,
    inside: bool,
}

impl<'a, R: BufRead> ZstdFrames<'a, R> {
    pub(crate) fn new(input: R, pool: &'a Pool) -> Self {
        Self { input, ahead: Vec::new(), decoder: None, window: 0, held: None, pool, inside: false }
    }

    /// Looks at the next header, and makes a decoder for it; `false` at the end of the input.
    fn begin(&mut self) -> io::Result<bool> {
        while self.ahead.len() < MAX_HEADER {
            let more = fill(&mut self.input)?;
            let length = more.len().min(MAX_HEADER - self.ahead.len());
            if length == 0 {
                break;
            }
            self.ahead.extend(more.iter().take(length));
            self.input.consume(length);
        }
        if self.ahead.is_empty() {
            return Ok(false);
        }
        let window = window(&self.ahead)?.max(SMALL_WINDOW);
        match &mut self.decoder {
            Some(decoder) if window <= self.window => decoder.reinit()?,
            _ => {
                // Given back before more is taken.
                (self.decoder, self.held) = (None, None);
                let needed = window + DECODER;
                self.held = self.pool.take(needed);
                if self.held.is_none() {
                    let message = format!(
                        "a zstd frame looks back {window} bytes, for which there is no room in the memory for reading; the rest was not read"
                    );
                    return Err(io::Error::other(LimitHit { code: "limit-memory", message }));
                }
                self.decoder = Some(Decoder::new()?);
                self.window = window;
            }
        }
        self.inside = true;
        Ok(true)
    }
}

impl<R: BufRead> Read for ZstdFrames<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.inside && !self.begin()? {
                return Ok(0);
            }
            let Some(decoder) = &mut self.decoder else { return Ok(0) };
            let mut output = OutBuffer::around(&mut *buffer);
            let (remaining, read) = if self.ahead.is_empty() {
                let input = fill(&mut self.input)?;
                let is_end = input.is_empty();
                let mut input = InBuffer::around(input);
                let remaining = decoder.run(&mut input, &mut output)?;
                let read = input.pos();
                self.input.consume(read);
                if is_end && remaining > 0 && output.pos() == 0 {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a zstd frame is cut off"));
                }
                (remaining, read)
            } else {
                let mut input = InBuffer::around(&self.ahead);
                let remaining = decoder.run(&mut input, &mut output)?;
                let read = input.pos();
                self.ahead.drain(..read);
                (remaining, read)
            };
            let written = output.pos();
            self.inside = remaining > 0;
            if written > 0 {
                return Ok(written);
            }
            if self.inside && read == 0 && !self.ahead.is_empty() {
                // Nothing goes on with what was read ahead alone: the rest of it comes with the input.
                let more = fill(&mut self.input)?.first().copied();
                let Some(more) = more else {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a zstd frame is cut off"));
                };
                self.ahead.push(more);
                self.input.consume(1);
            }
        }
    }
}

fn fill<R: BufRead>(input: &mut R) -> io::Result<&[u8]> {
    loop {
        // Borrowed twice, as the borrow checker does not see that the first one ends.
        match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(_) => break,
        }
    }
    input.fill_buf()
}

/// The window of the frame that begins with `head`, in bytes (RFC 8878, 3.1.1.1).
fn window(head: &[u8]) -> io::Result<u64> {
    let cut_off = || io::Error::new(io::ErrorKind::UnexpectedEof, "a zstd frame is cut off in its header");
    let [a, b, c, d, rest @ ..] = head else { return Err(cut_off()) };
    let magic = u32::from_le_bytes([*a, *b, *c, *d]);
    if magic & 0xffff_fff0 == 0x184d_2a50 {
        return Ok(0);
    }
    if magic != 0xfd2f_b528 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "expected a zstd frame behind another one"));
    }
    let (descriptor, rest) = rest.split_first().ok_or_else(cut_off)?;
    let window = if descriptor & 0b10_0000 == 0 {
        let byte = rest.first().ok_or_else(cut_off)?;
        let base = 1_u64 << (10 + (byte >> 3));
        base + base / 8 * u64::from(byte & 7)
    } else {
        // A single segment: the window is the content.
        let dictionary = [0, 1, 2, 4].get(usize::from(descriptor & 3)).copied().unwrap_or_default();
        let length = 1 << (descriptor >> 6);
        let bytes = rest.get(dictionary..dictionary + length).ok_or_else(cut_off)?;
        let size = bytes.iter().rev().fold(0, |size, byte| size << 8 | u64::from(*byte));
        if length == 2 { size + 256 } else { size }
    };
    if window > MAX_WINDOW {
        let message = format!(
            "a zstd frame looks back {window} bytes, the limit is {MAX_WINDOW}; the rest was not read"
        );
        return Err(io::Error::other(LimitHit { code: "limit-window", message }));
    }
    Ok(window)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;

    fn compress(bytes: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(bytes, 3).unwrap()
    }

    /// Gives one byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(1);
            self.0.read(&mut buffer[..length])
        }
    }

    fn read(stored: &[u8]) -> io::Result<Vec<u8>> {
        let memory = Memory::default();
        let (mut all, mut slow) = (Vec::new(), Vec::new());
        let result = ZstdFrames::new(stored, memory.windows()).read_to_end(&mut all).map(|_| all);
        let input = io::BufReader::with_capacity(1, Slow(stored));
        let slowly = ZstdFrames::new(input, memory.windows()).read_to_end(&mut slow).map(|_| slow);
        assert_eq!(result.as_ref().ok(), slowly.as_ref().ok());
        result
    }

    #[test]
    fn frames_skippable_frames_and_empty_ones_follow_each_other() {
        let mut stored = compress(b"one ");
        stored.extend([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
        stored.extend(compress(b""));
        stored.extend(compress(&vec![7; 3_000_000]));
        stored.extend(compress(b" two"));
        let mut expected = b"one ".to_vec();
        expected.extend(vec![7; 3_000_000]);
        expected.extend(b" two");
        assert!(read(&stored).unwrap() == expected);
        for length in 1..40 {
            assert!(read(&compress(b"cut off here")[..]).is_ok());
            let cut = &stored[..stored.len() - length];
            let result = read(cut);
            assert!(result.is_err() || result.unwrap().len() < expected.len(), "{length}");
        }
        assert!(read(b"").unwrap().is_empty());
        let mut trailing = compress(b"a");
        trailing.extend(b"no frame at all");
        assert!(read(&trailing).is_err());
    }

    #[test]
    fn a_window_has_to_fit() {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(24).unwrap();
        io::copy(&mut io::repeat(1).take(40 << 20), &mut encoder).unwrap();
        let stored = encoder.finish().unwrap();
        assert_eq!(read(&stored).unwrap().len(), 40 << 20);
        let small = Memory::new(0);
        let mut reader = ZstdFrames::new(&stored[..], small.windows());
        let error = reader.read(&mut [0; 10]).unwrap_err();
        assert!(error.to_string().contains("no room in the memory"), "{error}");
        let mut huge = stored;
        huge[5] = 31 << 3;
        assert!(read(&huge).unwrap_err().to_string().contains("the limit is"));
    }
}
