//! Sparse files: only the parts that are not zero are stored, with a map of them. Old GNU format, and GNU's versions 0.0, 0.1
//! and 1.0 in pax records (<https://www.gnu.org/software/tar/manual/html_section/Sparse-Formats.html>).

use std::io::{self, Read};

use super::header::{Block, field, number};
use super::pax::{Records, decimal};

/// The most parts of one file, as in Go.
const MAX_PARTS: usize = 1 << 20;

/// A part of a file that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// Where the stored parts of a file belong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Map(Vec<Part>);

impl Map {
    /// Whether the parts are in order, do not overlap, and lie within the file.
    pub(crate) fn fits(&self, size: u64) -> bool {
        let mut end = 0;
        self.0.iter().all(|part| {
            let in_order = part.offset >= end;
            end = part.offset.saturating_add(part.length);
            in_order && end <= size
        })
    }

    fn push(&mut self, offset: Option<u64>, length: Option<u64>) -> Option<()> {
        self.0.push(Part { offset: offset?, length: length? });
        (self.0.len() <= MAX_PARTS).then_some(())
    }

    /// Takes in the entries of an old GNU map, from a header or from a block behind it; `None` when they are malformed.
    pub(crate) fn extend_from_block(&mut self, block: &Block, start: usize, entries: usize) -> Option<()> {
        for position in 0..entries {
            let offset = field(block, start + position * 24, 12);
            if offset.first() == Some(&0) {
                break;
            }
            self.push(number(offset), number(field(block, start + position * 24 + 12, 12)))?;
        }
        Some(())
    }

    /// The map in the records of versions 0.0 and 0.1.
    pub(crate) fn from_records(records: &Records) -> Option<Self> {
        let count = records.number("GNU.sparse.numblocks").flatten()?;
        let mut map = Self::default();
        if let Some(text) = records.get("GNU.sparse.map") {
            let mut numbers = text.split(|byte| *byte == b',');
            while let Some(offset) = numbers.next() {
                map.push(decimal(offset), numbers.next().and_then(decimal))?;
            }
        }
        (map.0.len() as u64 == count).then_some(map)
    }

    /// The map at the start of the content, of version 1.0: decimal lines, filled up to a whole block.
    pub(crate) fn from_content(content: &mut dyn Read) -> io::Result<Option<Self>> {
        let mut lines = Lines { content, block: Vec::new(), position: 0 };
        let Some(count) = lines.next()? else { return Ok(None) };
        let mut map = Self::default();
        for _ in 0..count {
            let (offset, length) = (lines.next()?, lines.next()?);
            if map.push(offset, length).is_none() {
                return Ok(None);
            }
        }
        Ok(Some(map))
    }
}

/// Reads decimal lines, block by block, so that nothing behind them is taken.
struct Lines<'a> {
    content: &'a mut dyn Read,
    block: Vec<u8>,
    position: usize,
}

impl Lines<'_> {
    fn next(&mut self) -> io::Result<Option<u64>> {
        let mut digits = Vec::new();
        loop {
            if self.position == self.block.len() {
                self.block.resize(super::header::BLOCK, 0);
                self.content.read_exact(&mut self.block)?;
                self.position = 0;
            }
            let byte = self.block.get(self.position).copied().unwrap_or_default();
            self.position += 1;
            match byte {
                b'\n' => return Ok(decimal(&digits)),
                _ if digits.len() > 20 => return Ok(None),
                _ => digits.push(byte),
            }
        }
    }
}

/// Which format the pax records announce, if any.
pub(crate) enum Announced {
    None,
    /// The map is in the records.
    Records,
    /// The map is at the start of the content.
    Content,
}

pub(crate) fn announced(records: &Records) -> Announced {
    match (records.get("GNU.sparse.major"), records.get("GNU.sparse.minor")) {
        (Some(b"0"), Some(b"0" | b"1")) => Announced::Records,
        (Some(b"1"), Some(b"0")) => Announced::Content,
        (None, None) if records.get("GNU.sparse.map").is_some() => Announced::Records,
        _ => Announced::None,
    }
}

/// The zeros of sparse files are as many as may be made up in one layer.
#[derive(Debug, thiserror::Error)]
#[error("the sparse files of the layer have more zeros than the limit on its size; the rest was not read")]
pub(crate) struct TooManyZeros;

impl TooManyZeros {
    /// Whether an error is this one.
    pub(crate) fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

/// Reads a sparse file as it was: the stored parts, and zeros between them.
pub(crate) struct Expanded<'a> {
    pub(crate) stored: &'a mut dyn Read,
    pub(crate) map: &'a Map,
    pub(crate) size: u64,
    /// How many zeros may still be made up, here and for other files.
    pub(crate) zeros_left: &'a mut u64,
    pub(crate) next: usize,
    pub(crate) position: u64,
}

impl Read for Expanded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut part = self.map.0.get(self.next);
        while part.is_some_and(|part| part.offset + part.length <= self.position) {
            self.next += 1;
            part = self.map.0.get(self.next);
        }
        let at_most = |end: u64, length: usize| {
            usize::try_from(end - self.position).map_or(length, |left| left.min(length))
        };
        let length = match part {
            Some(part) if part.offset <= self.position => {
                let wanted = at_most(part.offset + part.length, buffer.len());
                let read = self.stored.read(buffer.get_mut(..wanted).unwrap_or_default())?;
                if read == 0 && wanted > 0 {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "less of the sparse file is stored than its map says",
                    ));
                }
                read
            }
            _ => {
                let wanted = at_most(part.map_or(self.size, |part| part.offset), buffer.len());
                let zeros = buffer.get_mut(..wanted).unwrap_or_default();
                zeros.fill(0);
                let left = self.zeros_left.checked_sub(wanted as u64);
                *self.zeros_left = left.ok_or_else(|| io::Error::other(TooManyZeros))?;
                wanted
            }
        };
        self.position += length as u64;
        Ok(length)
    }
}
