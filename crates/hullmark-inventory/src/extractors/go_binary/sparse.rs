//! A file of which only parts are at hand.

use std::borrow::Cow;
use std::ops::Range;

use object::ReadRef;

/// No name that is looked for is longer; names that are need not be read to their end.
const MAX_NAME: u64 = 256;

/// Some bytes of a file, and where they stand in it.
#[derive(Debug)]
pub(super) struct Part<'data> {
    pub(super) start: u64,
    pub(super) bytes: Cow<'data, [u8]>,
}

impl Part<'_> {
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }
}

/// Parts of a file. To read what is in none of them is an error, as it is to read behind the end of the file.
#[derive(Debug)]
pub(super) struct Sparse<'data> {
    /// In their order; none touches the next.
    parts: Vec<Part<'data>>,
    length: u64,
    misses_magic: bool,
}

impl<'data> Sparse<'data> {
    /// A file that is all there.
    pub(super) fn whole(bytes: &'data [u8]) -> Self {
        Self::new(vec![Part { start: 0, bytes: Cow::Borrowed(bytes) }], bytes.len() as u64, false)
    }

    /// A file of so many bytes of which these parts are there, in their order, and none touches the next. `misses_magic` when
    /// the magic of build information was seen in what is not there.
    pub(super) fn new(parts: Vec<Part<'data>>, length: u64, misses_magic: bool) -> Self {
        Self { parts, length, misses_magic }
    }

    /// Whether the magic of build information was seen in what is not there.
    pub(super) fn misses_magic(&self) -> bool {
        self.misses_magic
    }

    /// Whether the file, kept or not, has these bytes.
    pub(super) fn contains(&self, range: &Range<u64>) -> bool {
        range.start <= range.end && range.end <= self.length
    }

    /// Whether all of these bytes are there.
    pub(super) fn has(&self, range: &Range<u64>) -> bool {
        range.is_empty() || self.parts(range).any(|(start, bytes)| slice(range, start, bytes).is_some())
    }

    /// So many bytes from `offset` on.
    pub(super) fn read(&self, offset: u64, length: usize) -> Option<&[u8]> {
        let range = offset..offset.checked_add(length as u64)?;
        if range.is_empty() {
            return Some(&[]);
        }
        self.parts(&range).find_map(|(start, bytes)| slice(&range, start, bytes))
    }

    /// What is there of the range, with where it stands in the file.
    pub(super) fn parts(&self, range: &Range<u64>) -> impl Iterator<Item = (u64, &[u8])> {
        let first = self.parts.partition_point(|part| part.end() <= range.start);
        let range = range.clone();
        self.parts
            .iter()
            .skip(first)
            .map_while(move |part| {
                let start = part.start.max(range.start);
                let end = part.end().min(range.end);
                (start < end).then(|| Some((start, slice(&(start..end), part.start, &part.bytes)?)))
            })
            .flatten()
    }
}

/// The range of a file, of which `bytes` begin at `start`.
fn slice<'bytes>(range: &Range<u64>, start: u64, bytes: &'bytes [u8]) -> Option<&'bytes [u8]> {
    let begin = usize::try_from(range.start.checked_sub(start)?).ok()?;
    let end = usize::try_from(range.end.checked_sub(start)?).ok()?;
    bytes.get(begin..end)
}

impl<'a> ReadRef<'a> for &'a Sparse<'_> {
    fn len(self) -> Result<u64, ()> {
        Ok(self.length)
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        let size = usize::try_from(size).map_err(drop)?;
        self.read(offset, size).ok_or(())
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        let range = range.start..range.end.min(range.start.saturating_add(MAX_NAME));
        let (start, bytes) = self.parts(&range).next().ok_or(())?;
        let length = memchr::memchr(delimiter, bytes).filter(|_| start == range.start).ok_or(())?;
        bytes.get(..length).ok_or(())
    }
}
