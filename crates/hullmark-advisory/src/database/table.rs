//! Sorted tables from byte strings to byte strings.
//!
//! ```text
//! directory  u32 number of blocks; per block: u64 offset, u32 length, u32 end of its first key; then those keys
//! blocks     each: checksum, then entries: shared, rest, length of the value (numbers of 7 bits per byte), rest, value
//! ```
//!
//! `shared` counts the bytes that a key has in common with the one before it in the block.

use super::error::Damage;
use super::primitive::{Cursor, checked_payload, checksum, slice, u32_at, u64_at, write_variable};

const BLOCK_SIZE: usize = 4096;
const ENTRY_LENGTH: usize = 16;

/// Which of the two sections of a table is damaged.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Directory,
    Blocks,
}

/// A table over the bytes of its two sections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'data> {
    directory: &'data [u8],
    blocks: &'data [u8],
}

impl<'data> Table<'data> {
    pub(super) fn new(directory: &'data [u8], blocks: &'data [u8]) -> Self {
        Self { directory, blocks }
    }

    fn count(&self) -> Option<usize> {
        usize::try_from(u32_at(self.directory, 0)?).ok()
    }

    /// Offset, length and first key of a block.
    fn entry(&self, count: usize, block: usize) -> Option<(u64, u32, &'data [u8])> {
        let at = block.checked_mul(ENTRY_LENGTH)?.checked_add(4)?;
        let keys = count.checked_mul(ENTRY_LENGTH)?.checked_add(4)?;
        let start = if block == 0 { 0 } else { u32_at(self.directory, at.checked_sub(4)?)? };
        let end = u32_at(self.directory, at + 12)?;
        let key_at = (keys as u64).checked_add(u64::from(start))?;
        let key = slice(self.directory, key_at, u64::from(end.checked_sub(start)?))?;
        Some((u64_at(self.directory, at)?, u32_at(self.directory, at + 8)?, key))
    }

    /// The value of `key`.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<&'data [u8]>, (Part, Damage)> {
        let directory_damage = |offset| (Part::Directory, Damage::at(offset, "the place of a block"));
        let count = self.count().ok_or(directory_damage(0))?;
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            let (_, _, first) = self.entry(count, middle).ok_or(directory_damage(middle))?;
            if first <= key { low = middle + 1 } else { high = middle }
        }
        let Some(block) = low.checked_sub(1) else { return Ok(None) };
        let (offset, length, _) = self.entry(count, block).ok_or(directory_damage(block))?;
        find(self.blocks, offset, length, key).map_err(|damage| (Part::Blocks, damage))
    }

    /// All values, in the order of their keys.
    pub(super) fn values(&self) -> Result<Vec<&'data [u8]>, (Part, Damage)> {
        let directory_damage = |offset| (Part::Directory, Damage::at(offset, "the place of a block"));
        let count = self.count().ok_or(directory_damage(0))?;
        let mut values = Vec::new();
        for block in 0..count {
            let (offset, length, _) = self.entry(count, block).ok_or(directory_damage(block))?;
            let damaged = |damage| (Part::Blocks, damage);
            let payload = checked_payload(self.blocks, offset, u64::from(length)).map_err(damaged)?;
            let mut cursor = Cursor::new(payload);
            while !cursor.is_at_end() {
                let placed = |damage: Damage| damaged(Damage { offset, ..damage });
                let sizes = (|| Ok((cursor.size()?, cursor.size()?, cursor.size()?)))();
                let (_, rest, value) = sizes.map_err(placed)?;
                cursor.take(rest).map_err(placed)?;
                values.push(cursor.take(value).map_err(placed)?);
            }
        }
        Ok(values)
    }
}

fn find<'data>(
    blocks: &'data [u8],
    offset: u64,
    length: u32,
    wanted: &[u8],
) -> Result<Option<&'data [u8]>, Damage> {
    let payload = checked_payload(blocks, offset, u64::from(length))?;
    let mut cursor = Cursor::new(payload);
    let mut key = Vec::new();
    while !cursor.is_at_end() {
        let entry = cursor.position();
        let placed = |damage: Damage| Damage { offset: offset.saturating_add(damage.offset), ..damage };
        let (shared, rest, value) =
            (|| Ok((cursor.size()?, cursor.size()?, cursor.size()?)))().map_err(placed)?;
        if shared > key.len() {
            return Err(placed(Damage::at(entry, "a key that shares what there is")));
        }
        key.truncate(shared);
        key.extend_from_slice(cursor.take(rest).map_err(placed)?);
        let value = cursor.take(value).map_err(placed)?;
        match key.as_slice().cmp(wanted) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => return Ok(Some(value)),
            std::cmp::Ordering::Greater => return Ok(None),
        }
    }
    Ok(None)
}

/// Writes a table: gives the bytes of its directory and of its blocks.
///
/// The entries must be sorted by key, each key once. `None` when the table is too large for the format.
pub(super) fn write<'entry>(
    entries: impl Iterator<Item = (&'entry [u8], &'entry [u8])>,
) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut writer = Writer::default();
    for (key, value) in entries {
        if writer.payload.len() >= BLOCK_SIZE {
            writer.finish_block()?;
        }
        writer.entry(key, value)?;
    }
    writer.finish_block()?;
    let mut directory = u32::try_from(writer.count).ok()?.to_le_bytes().to_vec();
    directory.extend_from_slice(&writer.entries);
    directory.extend_from_slice(&writer.keys);
    Some((directory, writer.blocks))
}

#[derive(Default)]
struct Writer {
    count: usize,
    entries: Vec<u8>,
    keys: Vec<u8>,
    blocks: Vec<u8>,
    payload: Vec<u8>,
    key: Vec<u8>,
}

impl Writer {
    fn entry(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        if self.payload.is_empty() {
            self.key.clear();
            self.keys.extend_from_slice(key);
            u32::try_from(self.keys.len()).ok()?;
        }
        let shared = self.key.iter().zip(key).take_while(|(left, right)| left == right).count();
        write_variable(shared as u64, &mut self.payload);
        write_variable((key.len() - shared) as u64, &mut self.payload);
        write_variable(value.len() as u64, &mut self.payload);
        self.payload.extend_from_slice(&key[shared..]);
        self.payload.extend_from_slice(value);
        self.key.clear();
        self.key.extend_from_slice(key);
        Some(())
    }

    fn finish_block(&mut self) -> Option<()> {
        if self.payload.is_empty() {
            return Some(());
        }
        let offset = self.blocks.len() as u64;
        self.blocks.extend_from_slice(&checksum(&self.payload));
        self.blocks.append(&mut self.payload);
        let length = u32::try_from(self.blocks.len() as u64 - offset).ok()?;
        self.entries.extend_from_slice(&offset.to_le_bytes());
        self.entries.extend_from_slice(&length.to_le_bytes());
        self.entries.extend_from_slice(&u32::try_from(self.keys.len()).ok()?.to_le_bytes());
        self.count += 1;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(count: usize) {
        let entries: std::collections::BTreeMap<Vec<u8>, Vec<u8>> = (0..count)
            .map(|number| (format!("key{:07}", number * 2).into_bytes(), number.to_string().into_bytes()))
            .collect();
        let (directory, blocks) =
            write(entries.iter().map(|(key, value)| (key.as_slice(), value.as_slice()))).unwrap();
        let table = Table::new(&directory, &blocks);
        for (key, value) in &entries {
            assert_eq!(table.get(key).unwrap(), Some(value.as_slice()));
        }
        assert_eq!(table.values().unwrap(), entries.values().map(Vec::as_slice).collect::<Vec<_>>());
        for absent in ["", "a", "key0000001", "key0000777", "key", "z"] {
            assert_eq!(table.get(absent.as_bytes()).unwrap(), None, "{absent}");
        }
    }

    #[test]
    fn every_key_is_found_and_no_other() {
        check(0);
        check(1);
        check(2);
        check(5000);
    }
}
