//! Digests and counts of what passes.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

/// Digests and counts the bytes that pass through it, in either direction.
#[derive(Debug)]
pub(crate) struct Hashing<T> {
    inner: T,
    hash: Sha256,
    count: u64,
}

/// What passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Passed {
    /// `sha256:` and the hexadecimal digest.
    pub(crate) digest: String,
    /// Bytes.
    pub(crate) size: u64,
}

impl<T> Hashing<T> {
    pub(crate) fn new(inner: T) -> Hashing<T> {
        Hashing { inner, hash: Sha256::new(), count: 0 }
    }

    /// What passed, and what it passed to or from.
    pub(crate) fn finish(self) -> (Passed, T) {
        let digest: String = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        (Passed { digest: format!("sha256:{digest}"), size: self.count }, self.inner)
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.count += bytes.len() as u64;
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.pass(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.pass(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
