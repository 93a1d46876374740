//! Entry bundles (c2sp.org/tlog-tiles): entries one after the other, each after its length in two bytes.

use crate::frontier::TILE_WIDTH;

/// Most bytes of an entry.
pub const MAX_ENTRY_SIZE: usize = u16::MAX as usize;

/// Most bytes of an entry bundle.
pub const MAX_BUNDLE_SIZE: usize = TILE_WIDTH * (2 + MAX_ENTRY_SIZE);

/// Bytes that are not an entry bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {entry} of the bundle, byte {offset}: {reason}")]
pub struct BundleError {
    /// The first entry that cannot be read, counted from the start of the bundle.
    pub entry: usize,
    /// Where it begins.
    pub offset: usize,
    /// What is wrong.
    pub reason: &'static str,
}

/// Entries of a bundle, one by one; ends after the first error.
#[derive(Clone, Debug)]
pub(crate) struct BundleEntries<'a> {
    bytes: &'a [u8],
    offset: usize,
    entry: usize,
    failed: bool,
}

impl<'a> BundleEntries<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0, entry: 0, failed: false }
    }

    /// Where the next entry begins.
    pub(crate) fn offset(&self) -> usize {
        self.offset
    }
}

impl<'a> Iterator for BundleEntries<'a> {
    type Item = Result<&'a [u8], BundleError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.offset..).unwrap_or(&[]);
        if self.failed || rest.is_empty() {
            return None;
        }
        let entry =
            rest.split_first_chunk::<2>().ok_or("cut off inside a length").and_then(|(length, rest)| {
                rest.get(..usize::from(u16::from_be_bytes(*length))).ok_or("cut off inside an entry")
            });
        match entry {
            Ok(entry) => {
                self.offset += 2 + entry.len();
                self.entry += 1;
                Some(Ok(entry))
            }
            Err(reason) => {
                self.failed = true;
                Some(Err(BundleError { entry: self.entry, offset: self.offset, reason }))
            }
        }
    }
}

/// Reads a bundle of 1 to 256 entries.
///
/// # Errors
/// The first entry that cannot be read, or an empty bundle, or one with more than 256 entries.
pub fn parse_bundle(bytes: &[u8]) -> Result<Vec<&[u8]>, BundleError> {
    let mut entries = Vec::new();
    let mut reader = BundleEntries::new(bytes);
    loop {
        let offset = reader.offset();
        match reader.next() {
            Some(_) if entries.len() == TILE_WIDTH => {
                return Err(BundleError { entry: TILE_WIDTH, offset, reason: "more than 256 entries" });
            }
            Some(entry) => entries.push(entry?),
            None if entries.is_empty() => {
                return Err(BundleError { entry: 0, offset, reason: "no entry" });
            }
            None => return Ok(entries),
        }
    }
}

/// Adds an entry to a bundle; `None` when it is longer than 65535 bytes.
pub(crate) fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Option<()> {
    let length = u16::try_from(entry.len()).ok()?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_every_length_read_back() {
        let entries = [vec![], vec![1], vec![2; 255], vec![3; 256], vec![4; MAX_ENTRY_SIZE]];
        let mut bundle = Vec::new();
        for entry in &entries {
            push_entry(&mut bundle, entry).unwrap();
        }
        assert_eq!(parse_bundle(&bundle).unwrap(), entries);
        assert_eq!(push_entry(&mut bundle, &vec![0; MAX_ENTRY_SIZE + 1]), None);
    }

    #[track_caller]
    fn refused(bytes: &[u8], entry: usize, offset: usize, reason: &'static str) {
        assert_eq!(parse_bundle(bytes), Err(BundleError { entry, offset, reason }));
    }

    #[test]
    fn broken_bundles_are_refused_with_the_entry() {
        refused(&[], 0, 0, "no entry");
        refused(&[0], 0, 0, "cut off inside a length");
        refused(&[0, 1], 0, 0, "cut off inside an entry");
        refused(&[0, 1, 9, 0], 1, 3, "cut off inside a length");
        refused(&[0, 1, 9, 0, 2, 9], 1, 3, "cut off inside an entry");
        refused(&[0; 2 * 257], 256, 512, "more than 256 entries");
    }
}
