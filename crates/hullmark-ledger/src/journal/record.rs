//! The form of a journal segment: a line that names the form, then records.
//!
//! A record is its length (4 bytes), the complement of the length (4 bytes), the SHA-256 of what follows (32 bytes); then
//! the length of the checkpoint (4 bytes), the signed checkpoint as text, and the entries as in an entry bundle, each
//! after its length (2 bytes). All numbers have the highest byte first.

use sha2::{Digest as _, Sha256};

use crate::bundle::{BundleEntries, push_entry};
use crate::checkpoint::{Checkpoint, parse_checkpoint};
use crate::hash::HASH_SIZE;
use crate::note::MAX_NOTE_SIZE;

/// What a segment begins with.
pub(crate) const SEGMENT_HEADER: &[u8] = b"hullmark-journal-1\n";

/// Bytes of a record before what its hash is of.
const RECORD_HEADER: usize = 4 + 4 + HASH_SIZE;

/// Most bytes of what a record holds.
pub(crate) const MAX_RECORD: usize = 64 * 1024 * 1024;

/// What the file system gives or loses as a whole: after a power failure, such a block may have zeroes for what was not
/// yet written.
const BLOCK: usize = 512;

/// The fewest zeroes at the edge of a record that count as a block that was not written.
const MIN_HOLE: usize = 8;

/// A journal segment that holds something no writer writes, also none that was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset} of the journal segment: {reason}")]
pub struct JournalDamage {
    /// Where what cannot be read begins.
    pub offset: usize,
    /// What is wrong.
    pub reason: &'static str,
}

/// One append: the entries, and the signed checkpoint of the tree that ends with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRecord<'a> {
    /// Where in the segment it begins.
    pub offset: usize,
    /// The checkpoint; its signature is not checked yet, but it has at least as many entries as the record.
    pub checkpoint: Checkpoint,
    /// The entries, at least one.
    pub entries: Vec<&'a [u8]>,
}

impl JournalRecord<'_> {
    /// The index of the first entry.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.checkpoint.size().saturating_sub(self.entries.len() as u64)
    }
}

/// A segment that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalSegment<'a> {
    /// Its complete records.
    pub records: Vec<JournalRecord<'a>>,
    /// Where a record begins whose writing was not completed: the writer was killed, and told nobody about it.
    pub torn: Option<usize>,
}

/// Makes a record; `None` when it would be too large or an entry is.
pub(crate) fn encode_record(checkpoint: &Checkpoint, entries: &[Vec<u8>]) -> Option<Vec<u8>> {
    let text = checkpoint.to_text();
    let content: usize = entries.iter().map(|entry| 2 + entry.len()).sum();
    let length = 4 + text.len() + content;
    if length > MAX_RECORD || text.len() > MAX_NOTE_SIZE {
        return None;
    }
    let number = u32::try_from(length).ok()?;
    let mut record = Vec::with_capacity(RECORD_HEADER + length);
    record.extend_from_slice(&number.to_be_bytes());
    record.extend_from_slice(&(!number).to_be_bytes());
    record.extend_from_slice(&[0; HASH_SIZE]);
    record.extend_from_slice(&u32::try_from(text.len()).ok()?.to_be_bytes());
    record.extend_from_slice(text.as_bytes());
    for entry in entries {
        push_entry(&mut record, entry)?;
    }
    let hash: [u8; HASH_SIZE] = Sha256::digest(record.get(RECORD_HEADER..)?).into();
    record.get_mut(8..RECORD_HEADER)?.copy_from_slice(&hash);
    Some(record)
}

/// Reads the bytes of a journal segment.
///
/// # Errors
/// The first place where it is neither a complete record nor one whose writing was broken off.
pub fn parse_journal(bytes: &[u8]) -> Result<JournalSegment<'_>, JournalDamage> {
    let mut segment = JournalSegment { records: Vec::new(), torn: None };
    if !bytes.starts_with(SEGMENT_HEADER) {
        if SEGMENT_HEADER.starts_with(bytes) || has_hole(bytes, 0) {
            segment.torn = Some(0);
            return Ok(segment);
        }
        return Err(JournalDamage { offset: 0, reason: "it does not begin as a journal" });
    }
    let mut offset = SEGMENT_HEADER.len();
    while offset < bytes.len() {
        let Some(content) = content_of(bytes, offset)? else {
            segment.torn = Some(offset);
            break;
        };
        let damage = |reason| JournalDamage { offset, reason };
        let (checkpoint, entries) = split_content(content).map_err(damage)?;
        segment.records.push(JournalRecord { offset, checkpoint, entries });
        offset += RECORD_HEADER + content.len();
    }
    Ok(segment)
}

/// What the record at `offset` holds, once its hash is checked; `None` when its writing was broken off.
fn content_of(bytes: &[u8], offset: usize) -> Result<Option<&[u8]>, JournalDamage> {
    let damage = |reason| JournalDamage { offset, reason };
    let rest = bytes.get(offset..).unwrap_or(&[]);
    let Some((lengths, after)) = rest.split_first_chunk::<8>() else { return Ok(None) };
    let [a, b, c, d, e, f, g, h] = *lengths;
    let (length, complement) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
    if length != !complement {
        return if has_hole(bytes, offset) {
            Ok(None)
        } else {
            Err(damage("the length of the record was changed"))
        };
    }
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > MAX_RECORD {
        return Err(damage("the record is longer than any"));
    }
    let Some((hash, after)) = after.split_first_chunk::<HASH_SIZE>() else { return Ok(None) };
    let Some(content) = after.get(..length) else { return Ok(None) };
    if <[u8; HASH_SIZE]>::from(Sha256::digest(content)) == *hash {
        return Ok(Some(content));
    }
    // Each record is on the disk before the next is begun: only the last can have been broken off.
    if after.len() == length && has_hole(bytes, offset) {
        Ok(None)
    } else {
        Err(damage("the record does not match its hash"))
    }
}

fn split_content(content: &[u8]) -> Result<(Checkpoint, Vec<&[u8]>), &'static str> {
    let (length, rest) = content.split_first_chunk::<4>().ok_or("the record ends inside a length")?;
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    let (text, entries) = rest.split_at_checked(length).ok_or("the record ends inside its checkpoint")?;
    if length > MAX_NOTE_SIZE {
        return Err("the checkpoint of the record is longer than any");
    }
    let checkpoint = parse_checkpoint(text).map_err(|_| "the checkpoint of the record is damaged")?;
    let entries: Vec<&[u8]> = BundleEntries::new(entries)
        .collect::<Result<_, _>>()
        .map_err(|_| "the record ends inside one of its entries")?;
    if entries.is_empty() || entries.len() as u64 > checkpoint.size() {
        return Err("the checkpoint of the record has another number of entries");
    }
    Ok((checkpoint, entries))
}

/// Whether a block from `from` on has zeroes only, as one has that was never written.
fn has_hole(bytes: &[u8], from: usize) -> bool {
    let mut start = from;
    while start < bytes.len() {
        let end = ((start / BLOCK + 1) * BLOCK).min(bytes.len());
        if end - start >= MIN_HOLE
            && bytes.get(start..end).is_some_and(|block| block.iter().all(|byte| *byte == 0))
        {
            return true;
        }
        start = end;
    }
    false
}

/// Most bytes of a segment, when a new one is begun at `limit` bytes.
pub(crate) const fn max_segment(limit: usize) -> usize {
    limit + RECORD_HEADER + MAX_RECORD
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bundle::MAX_ENTRY_SIZE;
    use crate::hash::NodeHash;
    use crate::key::SignerKey;

    fn checkpoint(size: u64) -> Checkpoint {
        let key = SignerKey::from_seed("example.org/log", &[7; 32]).unwrap();
        Checkpoint::sign(size, NodeHash::of_leaf(b"x"), &key)
    }

    fn segment() -> (Vec<u8>, Vec<usize>) {
        let mut bytes = SEGMENT_HEADER.to_vec();
        let mut ends = vec![bytes.len()];
        for (size, entries) in [
            (1, vec![b"one".to_vec()]),
            (3, vec![b"x".repeat(1500), b"three".to_vec()]),
            (4, vec![b"y".repeat(700)]),
        ] {
            bytes.extend(encode_record(&checkpoint(size), &entries).unwrap());
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn records_read_back() {
        let (bytes, ends) = segment();
        let read = parse_journal(&bytes).unwrap();
        assert_eq!(read.torn, None);
        assert_eq!(read.records.iter().map(JournalRecord::first).collect::<Vec<_>>(), [0, 1, 3]);
        assert_eq!(read.records.iter().map(|record| record.offset).collect::<Vec<_>>(), ends[..3]);
        assert_eq!(read.records[1].entries, [b"x".repeat(1500).as_slice(), b"three"]);
        assert_eq!(read.records[2].checkpoint, checkpoint(4));
    }

    #[test]
    fn at_every_cut_the_complete_records_are_read() {
        let (bytes, ends) = segment();
        for cut in 0..=bytes.len() {
            let read = parse_journal(&bytes[..cut]).unwrap();
            let complete = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(read.records.len(), complete.saturating_sub(1), "cut at {cut}");
            let expected = if complete == 0 { Some(0) } else { Some(ends[complete - 1]) };
            assert_eq!(read.torn, expected.filter(|start| *start < cut || complete == 0), "cut at {cut}");
        }
    }

    #[test]
    fn every_changed_byte_is_an_error() {
        let (bytes, ends) = segment();
        for position in 0..bytes.len() {
            for change in [1, 0x80] {
                let mut changed = bytes.clone();
                changed[position] ^= change;
                let error = parse_journal(&changed).unwrap_err();
                let record = ends.iter().rfind(|end| **end <= position).copied().unwrap_or(0);
                assert_eq!(error.offset, record, "byte {position}: {error}");
            }
        }
    }

    #[test]
    fn blocks_that_were_never_written_are_a_torn_tail_only_in_the_last_record() {
        let (bytes, ends) = segment();
        let mut hole = bytes.clone();
        let last = ends[2];
        let start = last.next_multiple_of(BLOCK);
        hole[start..].fill(0);
        assert_eq!(parse_journal(&hole).unwrap().torn, Some(last));
        let mut all = bytes.clone();
        all[last..].fill(0);
        assert_eq!(parse_journal(&all).unwrap().torn, Some(last));
        let mut middle = bytes;
        middle[512..1024].fill(0);
        assert_eq!(parse_journal(&middle).unwrap_err().offset, ends[1]);
    }

    #[test]
    fn what_no_writer_writes_is_an_error() {
        let refused = |content: &[u8], reason| {
            let mut bytes = SEGMENT_HEADER.to_vec();
            let length = u32::try_from(content.len()).unwrap();
            bytes.extend(length.to_be_bytes());
            bytes.extend((!length).to_be_bytes());
            bytes.extend(Sha256::digest(content));
            bytes.extend(content);
            assert_eq!(parse_journal(&bytes), Err(JournalDamage { offset: SEGMENT_HEADER.len(), reason }));
        };
        let text = checkpoint(1).to_text();
        let content = |entries: &[u8]| {
            let mut content = u32::try_from(text.len()).unwrap().to_be_bytes().to_vec();
            content.extend(text.as_bytes());
            content.extend(entries);
            content
        };
        refused(b"", "the record ends inside a length");
        refused(&[0, 0, 0, 9, 1], "the record ends inside its checkpoint");
        refused(&[0, 0, 0, 1, b'x'], "the checkpoint of the record is damaged");
        refused(&content(&[0, 2, 1]), "the record ends inside one of its entries");
        refused(&content(&[]), "the checkpoint of the record has another number of entries");
        refused(&content(&[0, 0, 0, 0]), "the checkpoint of the record has another number of entries");
        let mut long = SEGMENT_HEADER.to_vec();
        let length = u32::try_from(MAX_RECORD + 1).unwrap();
        long.extend(length.to_be_bytes());
        long.extend((!length).to_be_bytes());
        assert_eq!(parse_journal(&long).unwrap_err().reason, "the record is longer than any");
        assert_eq!(encode_record(&checkpoint(1100), &vec![vec![1; MAX_ENTRY_SIZE]; 1100]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
            cut in any::<prop::sample::Index>(),
            more in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let (mut bytes, _) = segment();
            for (place, value) in changes {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            bytes.truncate(cut.index(bytes.len()));
            bytes.extend(more);
            if let Ok(read) = parse_journal(&bytes) {
                for record in &read.records {
                    let entries: Vec<Vec<u8>> = record.entries.iter().map(|entry| entry.to_vec()).collect();
                    let again = encode_record(&record.checkpoint, &entries).unwrap();
                    prop_assert!(bytes[record.offset..].starts_with(&again));
                }
            }
        }
    }
}
