//! Zip archives that are in memory, member by member, without a list of members
//! (<https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>).
//!
//! What an archive claims is checked against its bytes: a member must lie within them, and what it inflates to is bounded by
//! whoever reads it.

use std::borrow::Cow;
use std::io::Read;

use flate2::Crc;
use flate2::bufread::DeflateDecoder;

/// Begins the record at the end.
const END: &[u8] = b"PK\x05\x06";
/// The length of that record without its comment.
const END_LENGTH: usize = 22;
/// The longest comment.
const MAX_COMMENT: usize = 0xffff;
/// Begins the pointer to the larger record at the end, just before the record at the end.
const LOCATOR: &[u8] = b"PK\x06\x07";
const LOCATOR_LENGTH: usize = 20;
/// Begins the larger record at the end.
const END_64: &[u8] = b"PK\x06\x06";
/// Begins what the directory says of a member.
const ENTRY: &[u8] = b"PK\x01\x02";
const ENTRY_LENGTH: usize = 46;
/// Begins a member.
const LOCAL: &[u8] = b"PK\x03\x04";
const LOCAL_LENGTH: usize = 30;
/// The extra field with large numbers.
const EXTRA_64: u16 = 1;

/// Why an archive or a member cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ZipError {
    #[error("it has no directory of its members, so it is no zip archive or a part of one")]
    NoDirectory,
    #[error("its directory is damaged at byte {0}")]
    Directory(usize),
    #[error("the member does not lie within the archive")]
    Outside,
    #[error("the member is encrypted")]
    Encrypted,
    #[error("the member is compressed by method {0}, which is neither 0 (stored) nor 8 (deflate)")]
    Method(u16),
    #[error("the member cannot be inflated")]
    Damaged,
    #[error("the member does not have the checksum that the directory names")]
    Checksum,
    #[error("the member has more than {0} bytes")]
    TooLarge(u64),
}

/// An archive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Zip<'a> {
    bytes: &'a [u8],
    /// Where the archive begins: bytes before it are a program that unpacks it.
    start: usize,
    directory: usize,
    /// Where the directory ends.
    end: usize,
}

/// What the directory says of a member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'a> {
    /// Its path, as written.
    pub(crate) name: &'a [u8],
    stored_size: u64,
    method: u16,
    is_encrypted: bool,
    checksum: u32,
    offset: u64,
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(N)?)?;
    Some(field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn index<const N: usize>(bytes: &[u8], at: usize) -> Option<usize> {
    number::<N>(bytes, at).and_then(|number| usize::try_from(number).ok())
}

fn has(bytes: &[u8], at: usize, magic: &[u8]) -> bool {
    bytes.get(at..).is_some_and(|rest| rest.starts_with(magic))
}

impl<'a> Zip<'a> {
    /// Finds the directory.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, ZipError> {
        let lowest = bytes.len().saturating_sub(END_LENGTH + MAX_COMMENT);
        let mut at = bytes.len().checked_sub(END_LENGTH).ok_or(ZipError::NoDirectory)?;
        loop {
            // The comment may hold the magic too: its length must fit.
            if has(bytes, at, END)
                && index::<2>(bytes, at + 20).is_some_and(|comment| at + END_LENGTH + comment <= bytes.len())
                && let Some(zip) = Self::with_end(bytes, at)
            {
                return Ok(zip);
            }
            if at == lowest {
                return Err(ZipError::NoDirectory);
            }
            at -= 1;
        }
    }

    fn with_end(bytes: &'a [u8], end: usize) -> Option<Self> {
        let (mut size, mut offset) = (index::<4>(bytes, end + 12)?, index::<4>(bytes, end + 16)?);
        let mut at = end;
        if let Some(locator) = end.checked_sub(LOCATOR_LENGTH).filter(|at| has(bytes, *at, LOCATOR)) {
            let said = index::<8>(bytes, locator + 8)?;
            let larger = [locator.checked_sub(56), Some(said)];
            let larger = larger.into_iter().flatten().find(|at| has(bytes, *at, END_64))?;
            (size, offset) = (index::<8>(bytes, larger + 40)?, index::<8>(bytes, larger + 48)?);
            at = larger;
        }
        let directory = at.checked_sub(size)?;
        let start = directory.checked_sub(offset)?;
        Some(Self { bytes, start, directory, end: at })
    }

    /// The members in the order of the directory. After an error there are none.
    pub(crate) fn members(self) -> impl Iterator<Item = Result<Member<'a>, ZipError>> {
        let mut at = self.directory;
        std::iter::from_fn(move || {
            if at >= self.end {
                return None;
            }
            match self.member(at) {
                Some((member, next)) => {
                    at = next;
                    Some(Ok(member))
                }
                None => {
                    let place = std::mem::replace(&mut at, self.end);
                    Some(Err(ZipError::Directory(place)))
                }
            }
        })
    }

    fn member(&self, at: usize) -> Option<(Member<'a>, usize)> {
        let bytes = self.bytes.get(..self.end)?;
        if !has(bytes, at, ENTRY) {
            return None;
        }
        let name = at + ENTRY_LENGTH;
        let extra = name + index::<2>(bytes, at + 28)?;
        let comment = extra + index::<2>(bytes, at + 30)?;
        let next = comment + index::<2>(bytes, at + 32)?;
        let mut numbers =
            [number::<4>(bytes, at + 24)?, number::<4>(bytes, at + 20)?, number::<4>(bytes, at + 42)?];
        larger_numbers(bytes.get(extra..comment)?, &mut numbers);
        let [_, stored_size, offset] = numbers;
        let member = Member {
            name: bytes.get(name..extra)?,
            stored_size,
            method: u16::try_from(number::<2>(bytes, at + 10)?).ok()?,
            is_encrypted: number::<2>(bytes, at + 8)? & 1 == 1,
            checksum: u32::try_from(number::<4>(bytes, at + 16)?).ok()?,
            offset,
        };
        (next <= self.end).then_some((member, next))
    }

    /// The bytes of a member as they are stored, and where they are.
    pub(crate) fn stored(&self, member: &Member<'_>) -> Result<(usize, &'a [u8]), ZipError> {
        let found = || {
            let local = usize::try_from(member.offset).ok()?.checked_add(self.start)?;
            let header = self.bytes.get(local..local.checked_add(LOCAL_LENGTH)?)?;
            if !header.starts_with(LOCAL) {
                return None;
            }
            let data = local + LOCAL_LENGTH + index::<2>(header, 26)? + index::<2>(header, 28)?;
            let end = data.checked_add(usize::try_from(member.stored_size).ok()?)?;
            Some((data, self.bytes.get(data..end).filter(|_| end <= self.directory)?))
        };
        found().ok_or(ZipError::Outside)
    }

    /// The content of a member that has at most `limit` bytes.
    pub(crate) fn read(&self, member: &Member<'_>, limit: u64) -> Result<Cow<'a, [u8]>, ZipError> {
        let content = self.inflated(member, limit.saturating_add(1))?;
        if content.len() as u64 > limit {
            return Err(ZipError::TooLarge(limit));
        }
        let mut checksum = Crc::new();
        checksum.update(&content);
        match checksum.sum() == member.checksum {
            true => Ok(content),
            false => Err(ZipError::Checksum),
        }
    }

    /// The first bytes of a member, at most `limit`. They have no checksum.
    pub(crate) fn read_beginning(&self, member: &Member<'_>, limit: u64) -> Result<Cow<'a, [u8]>, ZipError> {
        self.inflated(member, limit)
    }

    fn inflated(&self, member: &Member<'_>, limit: u64) -> Result<Cow<'a, [u8]>, ZipError> {
        if member.is_encrypted {
            return Err(ZipError::Encrypted);
        }
        let (_, stored) = self.stored(member)?;
        match member.method {
            0 => {
                let end = usize::try_from(limit).unwrap_or(usize::MAX).min(stored.len());
                Ok(Cow::Borrowed(stored.get(..end).unwrap_or_default()))
            }
            8 => {
                let mut content = Vec::new();
                let read = DeflateDecoder::new(stored).take(limit).read_to_end(&mut content);
                read.map_err(|_| ZipError::Damaged)?;
                Ok(Cow::Owned(content))
            }
            other => Err(ZipError::Method(other)),
        }
    }
}

impl Member<'_> {
    /// Its path, with characters in place of bytes that are not UTF-8.
    pub(crate) fn path(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.name)
    }

    /// Whether its bytes are stored as they are.
    pub(crate) fn is_stored(&self) -> bool {
        self.method == 0
    }
}

/// Size, stored size and offset are in the extra field where they are too large for four bytes.
fn larger_numbers(mut extra: &[u8], numbers: &mut [u64; 3]) {
    while let (Some(id), Some(length)) = (number::<2>(extra, 0), index::<2>(extra, 2)) {
        let Some(field) = extra.get(4..4 + length) else { return };
        if id == u64::from(EXTRA_64) {
            let mut at = 0;
            for one in numbers.iter_mut().filter(|number| **number == u64::from(u32::MAX)) {
                let Some(larger) = number::<8>(field, at) else { return };
                *one = larger;
                at += 8;
            }
        }
        extra = extra.get(4 + length..).unwrap_or_default();
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests fail by panicking")]
pub(crate) mod tests {
    use std::io::Write;

    use proptest::prelude::*;
    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    /// An archive with these members, deflated or stored.
    pub(crate) fn archive(members: &[(&str, &[u8], bool)]) -> Vec<u8> {
        let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, content, deflated) in members {
            let method = match deflated {
                true => zip::CompressionMethod::Deflated,
                false => zip::CompressionMethod::Stored,
            };
            writer.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn contents(bytes: &[u8]) -> Vec<(String, Result<Vec<u8>, ZipError>)> {
        let zip = Zip::open(bytes).unwrap();
        let read =
            |member: Member<'_>| (member.path().into_owned(), zip.read(&member, 1000).map(Cow::into_owned));
        zip.members().map(|member| read(member.unwrap())).collect()
    }

    #[test]
    fn members_are_read_stored_and_deflated_behind_a_program_and_before_a_comment() {
        let own = archive(&[("a/b", b"stored", false), ("c", &[b'x'; 900], true)]);
        let expected =
            vec![("a/b".to_owned(), Ok(b"stored".to_vec())), ("c".to_owned(), Ok(vec![b'x'; 900]))];
        assert_eq!(contents(&own), expected);
        assert_eq!(contents(&[b"#!/bin/sh\nexec java -jar \"$0\"\n", own.as_slice()].concat()), expected);
        let mut commented = own.clone();
        let length = commented.len();
        commented[length - 2..].copy_from_slice(&26_u16.to_le_bytes());
        commented.extend(b"PK\x05\x06 a comment with a magic");
        assert_eq!(contents(&commented), expected);
    }

    #[test]
    fn what_a_member_inflates_to_is_bounded() {
        let bytes = archive(&[("zeros", &vec![0; 100_000], true), ("small", b"x", true)]);
        let found = contents(&bytes);
        assert_eq!(found[0].1, Err(ZipError::TooLarge(1000)));
        assert_eq!(found[1].1, Ok(b"x".to_vec()));
        let zip = Zip::open(&bytes).unwrap();
        let member = zip.members().next().unwrap().unwrap();
        assert_eq!(zip.read_beginning(&member, 10).unwrap().as_ref(), [0; 10]);
    }

    #[test]
    fn what_is_not_whole_is_said() {
        let bytes = archive(&[("a", b"content", false)]);
        assert_eq!(Zip::open(&bytes[..bytes.len() - 1]).unwrap_err(), ZipError::NoDirectory);
        assert_eq!(Zip::open(b"").unwrap_err(), ZipError::NoDirectory);
        let mut damaged = bytes.clone();
        let at = damaged.windows(7).position(|window| window == b"content").unwrap();
        damaged[at] = b'C';
        assert_eq!(contents(&damaged)[0].1, Err(ZipError::Checksum));
        let mut outside = bytes.clone();
        let entry = outside.windows(4).position(|window| window == ENTRY).unwrap();
        outside[entry + 42] = 200;
        assert_eq!(contents(&outside)[0].1, Err(ZipError::Outside));
        let mut encrypted = bytes.clone();
        encrypted[entry + 8] |= 1;
        assert_eq!(contents(&encrypted)[0].1, Err(ZipError::Encrypted));
        let mut method = bytes.clone();
        method[entry + 10] = 12;
        assert_eq!(contents(&method)[0].1, Err(ZipError::Method(12)));
        let mut directory = bytes;
        directory[entry] = b'X';
        let members: Vec<_> = Zip::open(&directory).unwrap().members().collect();
        assert!(matches!(members.as_slice(), [Err(ZipError::Directory(_))]));
    }

    proptest! {
        #[test]
        fn damaged_archives_never_panic(position in 0_usize..300, byte in any::<u8>(), cut in 0_usize..300) {
            let mut bytes = archive(&[("a/b", b"stored", false), ("c", &[b'x'; 900], true)]);
            let length = bytes.len();
            bytes[position % length] = byte;
            bytes.truncate(length - cut % length);
            if let Ok(zip) = Zip::open(&bytes) {
                for member in zip.members().flatten() {
                    let _ = zip.read(&member, 1000);
                }
            }
        }
    }
}
