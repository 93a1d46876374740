//! A buffer that is always filled whole, so that what a decoder makes of a stream does not depend on how its bytes arrived.
//!
//! Decoders differ in how far they come with a stream that is damaged when they are given it in other pieces.

use std::io::{self, BufRead, Read};

/// Reads ahead until the buffer is full or the stream ends.
pub(crate) struct Filled<R> {
    inner: R,
    buffer: Vec<u8>,
    position: usize,
    capacity: usize,
    /// What the stream failed with behind the bytes in the buffer.
    failure: Option<io::Error>,
}

impl<R: Read> Filled<R> {
    pub(crate) fn with_capacity(capacity: usize, inner: R) -> Self {
        Self { inner, buffer: Vec::new(), position: 0, capacity, failure: None }
    }
}

impl<R: Read> BufRead for Filled<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position >= self.buffer.len() {
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            self.buffer.clear();
            self.position = 0;
            // Of all errors but interruptions, which it passes over, it keeps what was read before.
            let result = (&mut self.inner).take(self.capacity as u64).read_to_end(&mut self.buffer);
            match result {
                Err(error) if self.buffer.is_empty() => return Err(error),
                result => self.failure = result.err(),
            }
        }
        Ok(self.buffer.get(self.position..).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.position = self.position.saturating_add(amount).min(self.buffer.len());
    }
}

impl<R: Read> Read for Filled<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time, is interrupted now and then, and fails after its last one.
    struct Slow(Vec<u8>, bool);

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            match self.0.pop() {
                Some(byte) => {
                    buffer[0] = byte;
                    Ok(1)
                }
                None => Err(io::Error::other("broken")),
            }
        }
    }

    #[test]
    fn the_buffer_is_full_or_the_stream_is_over() {
        let mut filled = Filled::with_capacity(4, Slow((0..6).rev().collect(), false));
        assert_eq!(filled.fill_buf().unwrap(), [0, 1, 2, 3]);
        filled.consume(3);
        assert_eq!(filled.fill_buf().unwrap(), [3]);
        filled.consume(1);
        assert_eq!(filled.fill_buf().unwrap(), [4, 5]);
        filled.consume(2);
        assert_eq!(filled.fill_buf().unwrap_err().to_string(), "broken");
    }
}
