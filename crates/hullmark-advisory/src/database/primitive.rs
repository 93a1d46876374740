//! Numbers and checksums in bytes, with every bound checked.

use sha2::Digest as _;

use super::error::Damage;

/// Length of the checksum before each block.
pub(super) const CHECKSUM_LENGTH: usize = 8;

/// The first eight bytes of the SHA-256 of `bytes`.
pub(super) fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_LENGTH] {
    let full = sha2::Sha256::digest(bytes);
    let mut short = [0; CHECKSUM_LENGTH];
    short.copy_from_slice(&full[..CHECKSUM_LENGTH]);
    short
}

/// The payload of a block: what follows its checksum, if the checksum is right.
pub(super) fn checked_payload(bytes: &[u8], offset: u64, length: u64) -> Result<&[u8], Damage> {
    let block =
        slice(bytes, offset, length).ok_or(Damage { offset, expected: "a block inside the section" })?;
    let (stored, payload) = block
        .split_at_checked(CHECKSUM_LENGTH)
        .ok_or(Damage { offset, expected: "a block with its checksum" })?;
    if stored == checksum(payload) {
        Ok(payload)
    } else {
        Err(Damage { offset, expected: "a block that has its checksum" })
    }
}

/// `length` bytes from `offset` on.
pub(super) fn slice(bytes: &[u8], offset: u64, length: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    bytes.get(start..end)
}

/// A little-endian number of four bytes.
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let end = offset.checked_add(4)?;
    Some(u32::from_le_bytes(bytes.get(offset..end)?.try_into().ok()?))
}

/// A little-endian number of eight bytes.
pub(super) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    let end = offset.checked_add(8)?;
    Some(u64::from_le_bytes(bytes.get(offset..end)?.try_into().ok()?))
}

/// Writes a number in groups of seven bits, least significant first.
pub(super) fn write_variable(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads bytes one after the other.
pub(super) struct Cursor<'data> {
    bytes: &'data [u8],
    position: usize,
}

impl<'data> Cursor<'data> {
    pub(super) fn new(bytes: &'data [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.position >= self.bytes.len()
    }

    /// A number in groups of seven bits.
    pub(super) fn variable(&mut self) -> Result<u64, Damage> {
        let start = self.position;
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.position).ok_or(Damage::at(start, "a number"))?;
            self.position += 1;
            let group = u64::from(byte & 0x7f);
            if shift == 63 && group > 1 {
                break;
            }
            value |= group << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damage::at(start, "a number below 2^64"))
    }

    /// A number that counts bytes or things in memory.
    pub(super) fn size(&mut self) -> Result<usize, Damage> {
        let start = self.position;
        usize::try_from(self.variable()?).map_err(|_| Damage::at(start, "a size that fits in memory"))
    }

    /// The next `length` bytes.
    pub(super) fn take(&mut self, length: usize) -> Result<&'data [u8], Damage> {
        let taken = self
            .position
            .checked_add(length)
            .and_then(|end| self.bytes.get(self.position..end))
            .ok_or(Damage::at(self.position, "bytes inside the block"))?;
        self.position += length;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_numbers_come_back() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            write_variable(value, &mut bytes);
            let mut cursor = Cursor::new(&bytes);
            assert_eq!(cursor.variable().unwrap(), value);
            assert!(cursor.is_at_end());
        }
        assert!(Cursor::new(&[0xff; 10]).variable().is_err(), "2^70");
        assert!(Cursor::new(&[0x80]).variable().is_err(), "cut");
    }
}
