//! The content of an open file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use hullmark_types::{Digest, DigestAlgorithm, Hasher};

/// How much is read at a time.
pub(super) const BUFFER: usize = 64 * 1024;

/// The SHA-256 of a file of `size` bytes, and whether it begins like a script. `None` when it has another size than that.
pub(super) fn digest_of(file: &File, size: u64, buffer: &mut [u8]) -> io::Result<Option<Digest>> {
    let mut hasher = Hasher::new(DigestAlgorithm::Sha256);
    let mut offset = 0;
    loop {
        let count = file.read_at(buffer, offset)?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        offset += bytes.len() as u64;
        if offset > size {
            // It grows while it is read: whoever writes it could go on for ever.
            return Ok(None);
        }
        hasher.update(bytes);
    }
    Ok((offset == size).then(|| hasher.finish()))
}

/// Whether a file begins with `#!`.
pub(super) fn is_script(file: &File) -> bool {
    let mut first = [0; 2];
    file.read_exact_at(&mut first, 0).is_ok() && first == *b"#!"
}
