//! The header of a package (<https://rpm-software-management.github.io/rpm/manual/format_header.html>): two counts, an index of
//! tags, and the data that the index points to. All numbers are big-endian, whatever the machine.

use std::borrow::Cow;
use std::collections::BTreeMap;

use memchr::memchr;
use thiserror::Error;

use super::bytes::{Order, part};

/// The most entries of the index: rpm's own limit.
const MAX_ENTRIES: usize = 0xffff;
const ENTRY_SIZE: usize = 16;
const COUNTS_SIZE: usize = 8;

/// Tags that are read (rpmtag.h).
pub(super) mod tag {
    pub(in super::super) const SIGNATURE_PGP: u32 = 259;
    pub(in super::super) const SIGNATURE_MD5: u32 = 261;
    pub(in super::super) const SIGNATURE_GPG: u32 = 262;
    pub(in super::super) const DSA_HEADER: u32 = 267;
    pub(in super::super) const RSA_HEADER: u32 = 268;
    pub(in super::super) const OPENPGP: u32 = 278;
    pub(in super::super) const NAME: u32 = 1000;
    pub(in super::super) const VERSION: u32 = 1001;
    pub(in super::super) const RELEASE: u32 = 1002;
    pub(in super::super) const EPOCH: u32 = 1003;
    pub(in super::super) const VENDOR: u32 = 1011;
    pub(in super::super) const LICENSE: u32 = 1014;
    pub(in super::super) const ARCHITECTURE: u32 = 1022;
    pub(in super::super) const OLD_FILE_NAMES: u32 = 1027;
    pub(in super::super) const SOURCE_RPM: u32 = 1044;
    pub(in super::super) const DIRECTORY_INDEXES: u32 = 1116;
    pub(in super::super) const BASE_NAMES: u32 = 1117;
    pub(in super::super) const DIRECTORY_NAMES: u32 = 1118;
    pub(in super::super) const PAYLOAD_DIGEST: u32 = 5092;
    pub(in super::super) const PAYLOAD_DIGEST_ALGORITHM: u32 = 5093;
    pub(in super::super) const MODULARITY_LABEL: u32 = 5096;

    /// All of them, sorted.
    pub(super) const WANTED: &[u32] = &[
        SIGNATURE_PGP,
        SIGNATURE_MD5,
        SIGNATURE_GPG,
        DSA_HEADER,
        RSA_HEADER,
        OPENPGP,
        NAME,
        VERSION,
        RELEASE,
        EPOCH,
        VENDOR,
        LICENSE,
        ARCHITECTURE,
        OLD_FILE_NAMES,
        SOURCE_RPM,
        DIRECTORY_INDEXES,
        BASE_NAMES,
        DIRECTORY_NAMES,
        PAYLOAD_DIGEST,
        PAYLOAD_DIGEST_ALGORITHM,
        MODULARITY_LABEL,
    ];
}

/// Types of data (rpmtag.h).
const INT32: u32 = 4;
const STRING: u32 = 6;
const BINARY: u32 = 7;
const STRING_ARRAY: u32 = 8;
const I18N_STRING: u32 = 9;

/// Why a header cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// It is too short for its counts.
    #[error("its header says {entries} entries and {length} bytes of data, and is {actual} bytes long")]
    Cut { entries: usize, length: usize, actual: usize },
    /// It has an absurd number of entries.
    #[error("its header has {0} entries; 1 to {MAX_ENTRIES} are possible")]
    Entries(usize),
    /// It does not even have counts.
    #[error("its header is {0} bytes long, too short for any")]
    Short(usize),
    /// The data of a tag has another type, or is not all there.
    #[error("the data of tag {0} in its header is malformed")]
    Data(u32),
}

#[derive(Clone, Copy)]
struct Entry {
    kind: u32,
    offset: usize,
    count: usize,
}

/// A header; what it holds is read when it is asked for.
pub(super) struct Header<'a> {
    entries: BTreeMap<u32, Entry>,
    data: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads the index. Of several entries for a tag the last counts: rpm puts what it adds itself behind what the package has.
    pub(super) fn parse(blob: &'a [u8]) -> Result<Self, HeaderError> {
        let counts = Order::Big.size(blob, 0).zip(Order::Big.size(blob, 4));
        let Some((count, length)) = counts else { return Err(HeaderError::Short(blob.len())) };
        if count == 0 || count > MAX_ENTRIES {
            return Err(HeaderError::Entries(count));
        }
        let index = part(blob, COUNTS_SIZE, count * ENTRY_SIZE);
        let data = part(blob, COUNTS_SIZE + count * ENTRY_SIZE, length);
        let Some((index, data)) = index.zip(data) else {
            return Err(HeaderError::Cut { entries: count, length, actual: blob.len() });
        };
        let mut entries = BTreeMap::new();
        for entry in index.chunks_exact(ENTRY_SIZE) {
            let number = |at| Order::Big.u32(entry, at);
            let size = |at| Order::Big.size(entry, at);
            if let (Some(tag), Some(kind), Some(offset), Some(count)) =
                (number(0), number(4), size(8), size(12))
                && tag::WANTED.binary_search(&tag).is_ok()
            {
                entries.insert(tag, Entry { kind, offset, count });
            }
        }
        Ok(Self { entries, data })
    }

    /// The data of a tag of one of the types, from its start to the end of all data.
    fn data(&self, tag: u32, kinds: &[u32]) -> Result<Option<(&'a [u8], usize)>, HeaderError> {
        let Some(entry) = self.entries.get(&tag) else { return Ok(None) };
        match self.data.get(entry.offset..) {
            Some(data) if kinds.contains(&entry.kind) => Ok(Some((data, entry.count))),
            _ => Err(HeaderError::Data(tag)),
        }
    }

    /// A text, or the first of several.
    pub(super) fn text(&self, tag: u32) -> Result<Option<Cow<'a, str>>, HeaderError> {
        let Some((data, count)) = self.data(tag, &[STRING, STRING_ARRAY, I18N_STRING])? else {
            return Ok(None);
        };
        match (Texts { data, left: count }).next() {
            Some(text) => Ok(Some(String::from_utf8_lossy(text))),
            None => Err(HeaderError::Data(tag)),
        }
    }

    /// Several texts; none when there is no such tag. Their number is that of the index unless the data ends before.
    pub(super) fn texts(&self, tag: u32) -> Result<Option<Texts<'a>>, HeaderError> {
        let found = self.data(tag, &[STRING, STRING_ARRAY, I18N_STRING])?;
        Ok(found.map(|(data, left)| Texts { data, left }))
    }

    /// Numbers of 32 bits.
    pub(super) fn numbers(
        &self,
        tag: u32,
    ) -> Result<Option<impl Iterator<Item = u32> + use<'a>>, HeaderError> {
        let Some((data, count)) = self.data(tag, &[INT32])? else { return Ok(None) };
        let length = count.checked_mul(4).ok_or(HeaderError::Data(tag))?;
        let data = data.get(..length).ok_or(HeaderError::Data(tag))?;
        Ok(Some(data.chunks_exact(4).filter_map(|number| Order::Big.u32(number, 0))))
    }

    /// The first of some numbers of 32 bits.
    pub(super) fn number(&self, tag: u32) -> Result<Option<u32>, HeaderError> {
        Ok(self.numbers(tag)?.and_then(|mut numbers| numbers.next()))
    }

    /// Bytes.
    pub(super) fn binary(&self, tag: u32) -> Result<Option<&'a [u8]>, HeaderError> {
        let Some((data, count)) = self.data(tag, &[BINARY])? else { return Ok(None) };
        data.get(..count).map(Some).ok_or(HeaderError::Data(tag))
    }
}

/// Texts that end with a zero byte each.
pub(super) struct Texts<'a> {
    data: &'a [u8],
    left: usize,
}

impl Texts<'_> {
    /// How many are still to come, unless the data ends before.
    pub(super) fn left(&self) -> usize {
        self.left
    }
}

impl<'a> Iterator for Texts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let end = memchr(0, self.data);
        let text = end.and_then(|end| self.data.get(..end));
        self.data = end.and_then(|end| self.data.get(end + 1..)).unwrap_or_default();
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wanted_tags_are_sorted() {
        assert!(tag::WANTED.is_sorted());
    }

    #[test]
    fn counts_that_are_absurd_or_too_large_are_refused() {
        let check = |blob: &[u8], expected| assert_eq!(Header::parse(blob).err(), Some(expected));
        check(b"", HeaderError::Short(0));
        check(&[0; 8], HeaderError::Entries(0));
        check(&[0xff; 8], HeaderError::Entries(0xffff_ffff));
        check(&[0, 0, 0, 1, 0, 0, 0, 0], HeaderError::Cut { entries: 1, length: 0, actual: 8 });
        check(
            &[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff],
            HeaderError::Cut { entries: 1, length: 0xffff_ffff, actual: 8 },
        );
    }
}
