//! Records in compressed blocks, each found by its number.
//!
//! ```text
//! directory  u32 number of blocks, u32 number of records; per block: u64 offset, u32 stored length, u32 plain length,
//!            u32 number of its first record
//! blocks     each: checksum, then a zstd frame; plain: records, each its length (7 bits per byte) and its JSON
//! ```

use super::error::Damage;
use super::primitive::{Cursor, checked_payload, checksum, u32_at, u64_at, write_variable};

/// A plain block is closed when it has grown past this size.
const BLOCK_SIZE: usize = 32 * 1024;
/// The longest record, as JSON.
pub(super) const MAX_RECORD: usize = 8 * 1024 * 1024;
/// The longest plain block: what the builder can write at most.
const MAX_PLAIN: u32 = (BLOCK_SIZE + MAX_RECORD + 16) as u32;
const ENTRY_LENGTH: usize = 20;
const FIXED_LENGTH: usize = 8;
const LEVEL: i32 = 9;

pub(super) use super::table::Part;

/// One block, as its directory describes it.
#[derive(Debug, Clone, Copy)]
struct Entry {
    offset: u64,
    stored: u32,
    plain: u32,
    first: u32,
}

/// The records over the bytes of their two sections.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordBlocks<'data> {
    directory: &'data [u8],
    blocks: &'data [u8],
}

impl<'data> RecordBlocks<'data> {
    pub(super) fn new(directory: &'data [u8], blocks: &'data [u8]) -> Self {
        Self { directory, blocks }
    }

    /// Number of blocks.
    pub(super) fn block_count(&self) -> usize {
        u32_at(self.directory, 0).and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
    }

    /// Number of records.
    pub(super) fn record_count(&self) -> u32 {
        u32_at(self.directory, 4).unwrap_or(0)
    }

    fn entry(&self, block: usize) -> Result<Entry, (Part, Damage)> {
        let at = block.saturating_mul(ENTRY_LENGTH).saturating_add(FIXED_LENGTH);
        let entry = || {
            Some(Entry {
                offset: u64_at(self.directory, at)?,
                stored: u32_at(self.directory, at.checked_add(8)?)?,
                plain: u32_at(self.directory, at.checked_add(12)?)?,
                first: u32_at(self.directory, at.checked_add(16)?)?,
            })
        };
        entry().ok_or((Part::Directory, Damage::at(at, "the place of a block")))
    }

    /// The block that holds record `number`, and the record's place in it.
    pub(super) fn locate(&self, number: u32) -> Result<Option<(usize, usize)>, (Part, Damage)> {
        if number >= self.record_count() {
            return Ok(None);
        }
        let (mut low, mut high) = (0, self.block_count());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(middle)?.first <= number { low = middle + 1 } else { high = middle }
        }
        let Some(block) = low.checked_sub(1) else { return Ok(None) };
        let place = number.saturating_sub(self.entry(block)?.first);
        Ok(usize::try_from(place).ok().map(|place| (block, place)))
    }

    /// The plain bytes of a block.
    pub(super) fn plain(&self, block: usize) -> Result<Vec<u8>, (Part, Damage)> {
        let entry = self.entry(block)?;
        let blocks_damage = |expected| (Part::Blocks, Damage { offset: entry.offset, expected });
        if entry.plain > MAX_PLAIN {
            return Err(blocks_damage("a block of the permitted size"));
        }
        let stored = checked_payload(self.blocks, entry.offset, u64::from(entry.stored))
            .map_err(|damage| (Part::Blocks, damage))?;
        let plain = zstd::bulk::decompress(stored, entry.plain as usize)
            .map_err(|_| blocks_damage("a zstd frame"))?;
        if plain.len() != entry.plain as usize {
            return Err(blocks_damage("a zstd frame of the length that the directory gives"));
        }
        Ok(plain)
    }

    /// Where damage inside a plain block is reported: at the block.
    pub(super) fn damage(&self, block: usize, expected: &'static str) -> (Part, Damage) {
        match self.entry(block) {
            Ok(entry) => (Part::Blocks, Damage { offset: entry.offset, expected }),
            Err(damage) => damage,
        }
    }
}

/// The records of a plain block, one after the other.
pub(super) fn split(plain: &[u8]) -> impl Iterator<Item = Result<&[u8], Damage>> {
    let mut cursor = Cursor::new(plain);
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed || cursor.is_at_end() {
            return None;
        }
        let record = cursor.size().and_then(|length| cursor.take(length));
        failed = record.is_err();
        Some(record)
    })
}

/// Writes records, in their order: gives the bytes of the directory and of the blocks.
///
/// No record may be longer than [`MAX_RECORD`]. `None` when there are too many for the format.
pub(super) fn write<'record>(
    records: impl Iterator<Item = &'record [u8]>,
) -> std::io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    let (mut entries, mut blocks, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    let (mut count, mut first, mut number) = (0_u32, 0_u32, 0_u32);
    let mut close = |plain: &mut Vec<u8>, first: u32| -> std::io::Result<()> {
        if !plain.is_empty() {
            let stored = compressor.compress(plain)?;
            entries.extend_from_slice(&(blocks.len() as u64).to_le_bytes());
            entries.extend_from_slice(
                &((stored.len() + super::primitive::CHECKSUM_LENGTH) as u32).to_le_bytes(),
            );
            entries.extend_from_slice(&(plain.len() as u32).to_le_bytes());
            entries.extend_from_slice(&first.to_le_bytes());
            blocks.extend_from_slice(&checksum(&stored));
            blocks.extend_from_slice(&stored);
            plain.clear();
            count += 1;
        }
        Ok(())
    };
    for record in records {
        if plain.len() >= BLOCK_SIZE {
            close(&mut plain, first)?;
            first = number;
        }
        write_variable(record.len() as u64, &mut plain);
        plain.extend_from_slice(record);
        let Some(next) = number.checked_add(1) else { return Ok(None) };
        number = next;
    }
    close(&mut plain, first)?;
    let mut directory = count.to_le_bytes().to_vec();
    directory.extend_from_slice(&number.to_le_bytes());
    directory.append(&mut entries);
    Ok(Some((directory, blocks)))
}
