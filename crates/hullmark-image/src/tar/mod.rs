//! Reading tar, with the semantics of Go's `archive/tar`, which container runtimes use: what they would unpack is what is
//! seen here. POSIX ustar and pax (<https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html>), GNU and V7.

mod header;
mod pax;
mod sparse;

use std::io::{self, BufRead, Read};

pub(crate) use header::looks_like_tar;
use header::{BLOCK, Block, checksum_holds, field, number, until_zero};
use pax::Records;
use sparse::Announced;
pub(crate) use sparse::{Expanded, Map, TooManyZeros};

/// The largest pax record set or GNU long name, as in Go.
const MAX_SPECIAL: u64 = 1 << 20;

/// A tar that cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TarError {
    /// The bytes cannot be read.
    #[error("the tar cannot be read at byte {offset}: {source}")]
    Read { offset: u64, source: io::Error },
    /// The bytes are not those of a tar.
    #[error("the tar is malformed at byte {offset}: expected {expected}")]
    Malformed { offset: u64, expected: &'static str },
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    /// A file of which only the parts that are not zero are stored.
    Sparse,
    Directory,
    Symlink,
    Hardlink,
    Other,
}

/// One member, as written.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) name: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    /// Size of the content; for sparse files with its zeros.
    pub(crate) size: u64,
    /// Size of the content as stored.
    pub(crate) stored: u64,
    /// Which parts of a sparse file are stored.
    pub(crate) sparse: Option<Map>,
}

/// Reads the members of a tar one after the other. What nobody reads is passed over where the input has it.
pub(crate) struct TarReader<'a, R: ?Sized = dyn BufRead + 'a> {
    input: &'a mut R,
    offset: u64,
    /// Bytes of the present member's content that were not read yet, and the padding behind them.
    left: u64,
    padding: u64,
}

/// What members before the next one say of it.
#[derive(Default)]
struct Overrides {
    /// GNU's long names beat those of pax, in whichever order they stand.
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    records: Records,
}

impl<'a, R: BufRead + ?Sized> TarReader<'a, R> {
    pub(crate) fn new(input: &'a mut R) -> Self {
        Self { input, offset: 0, left: 0, padding: 0 }
    }

    /// Position in the tar: the start of the content right after [`Self::next_member`].
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes from the present position to the next header.
    pub(crate) fn to_next(&self) -> u64 {
        self.left.saturating_add(self.padding)
    }

    /// The input, for one who moves it.
    pub(crate) fn input(&mut self) -> &mut R {
        self.input
    }

    /// Tells the reader that its input was moved to the next header.
    pub(crate) fn skipped(&mut self) {
        self.offset = self.offset.saturating_add(self.to_next());
        (self.left, self.padding) = (0, 0);
    }

    /// The content of the present member.
    pub(crate) fn content(&mut self) -> Content<'_, 'a, R> {
        Content { tar: self }
    }

    /// Moves to the next member; `None` at the end, which may be two empty blocks or the end of the bytes.
    pub(crate) fn next_member(&mut self) -> Result<Option<Member>, TarError> {
        let mut overrides = Overrides::default();
        loop {
            self.skip()?;
            let start = self.offset;
            let Some(block) = self.header_block()? else { return Ok(None) };
            let malformed = |expected| TarError::Malformed { offset: start, expected };
            let size = number(field(&block, 124, 12)).ok_or_else(|| malformed("a size"))?;
            let flag = block[156];
            if !matches!(flag, b'x' | b'g' | b'L' | b'K') {
                return self.member(&block, flag, size, overrides, start).map(Some);
            }
            if size > MAX_SPECIAL {
                return Err(malformed("at most 1 MiB of extended header"));
            }
            self.begin(size);
            let mut bytes = Vec::new();
            self.content()
                .read_to_end(&mut bytes)
                .map_err(|source| TarError::Read { offset: start, source })?;
            let text = Some(until_zero(&bytes).to_vec()).filter(|text| !text.is_empty());
            match flag {
                // Each set of records replaces the one before.
                b'x' => overrides.records = Records::parse(&bytes).ok_or_else(|| malformed("pax records"))?,
                b'L' => overrides.name = text,
                b'K' => overrides.link = text,
                // A global header is a member of its own: container runtimes ignore its records, and what stood before it
                // was about it.
                _ => overrides = Overrides::default(),
            }
        }
    }

    fn member(
        &mut self,
        block: &Block,
        flag: u8,
        size: u64,
        overrides: Overrides,
        start: u64,
    ) -> Result<Member, TarError> {
        let malformed = |expected| TarError::Malformed { offset: start, expected };
        let Overrides { name, link, records } = overrides;
        let own = |key| records.get(key).map(<[u8]>::to_vec);
        let mut name = name.or_else(|| own("path")).unwrap_or_else(|| header::name(block));
        let link =
            link.or_else(|| own("linkpath")).unwrap_or_else(|| until_zero(field(block, 157, 100)).to_vec());
        let mut kind = match flag {
            0 if name.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' | b'S' => Kind::File,
            b'1' => Kind::Hardlink,
            b'2' => Kind::Symlink,
            b'5' => Kind::Directory,
            _ => Kind::Other,
        };
        // Links, directories and devices have no content, whatever their header says.
        let stored = match matches!(flag, b'1'..=b'6') || kind == Kind::Directory {
            true => 0,
            false => match records.number("size") {
                None => size,
                Some(size) => size.ok_or_else(|| malformed("a size in pax records"))?,
            },
        };
        let mut member_size = stored;
        let mut map = None;
        if flag == b'S' {
            if header::format(block) != header::Format::Gnu {
                return Err(malformed("a sparse file in GNU's format"));
            }
            member_size =
                number(field(block, 483, 12)).ok_or_else(|| malformed("the size of a sparse file"))?;
            map = Some(self.old_map(block, start)?);
            self.begin(stored);
        } else {
            self.begin(stored);
            let in_records = match sparse::announced(&records) {
                Announced::None => None,
                Announced::Records => Some(true),
                Announced::Content => Some(false),
            };
            if let Some(in_records) = in_records {
                name = own("GNU.sparse.name").unwrap_or(name);
                let size =
                    records.number("GNU.sparse.size").or_else(|| records.number("GNU.sparse.realsize"));
                if let Some(size) = size {
                    member_size = size.ok_or_else(|| malformed("the size of a sparse file"))?;
                }
                let found = match in_records {
                    true => Map::from_records(&records),
                    false => Map::from_content(&mut self.content())
                        .map_err(|source| TarError::Read { offset: start, source })?,
                };
                map = Some(found.ok_or_else(|| malformed("the map of a sparse file"))?);
            }
        }
        if let Some(map) = &map {
            if kind != Kind::File || !map.fits(member_size) {
                return Err(malformed("the map of a sparse file, with parts in order and inside the file"));
            }
            kind = Kind::Sparse;
        }
        // Go takes a mode of any sign; only its permission bits count.
        let mode = (number(field(block, 100, 8)).unwrap_or_default() & 0o7777) as u32;
        Ok(Member { name, link, kind, mode, size: member_size, stored, sparse: map })
    }

    /// The map of the old GNU format: four entries in the header, and more in blocks behind it.
    fn old_map(&mut self, block: &Block, start: u64) -> Result<Map, TarError> {
        let malformed = || TarError::Malformed { offset: start, expected: "the map of a sparse file" };
        let mut map = Map::default();
        map.extend_from_block(block, 386, 4).ok_or_else(malformed)?;
        let mut more = block[482] != 0;
        while more {
            let mut block = [0; BLOCK];
            self.fill(&mut block)?;
            map.extend_from_block(&block, 0, 21).ok_or_else(malformed)?;
            more = block[504] != 0;
        }
        Ok(map)
    }

    fn begin(&mut self, size: u64) {
        self.left = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    }

    fn skip(&mut self) -> Result<(), TarError> {
        let (wanted, content) = (self.to_next(), self.left);
        let read =
            pass_over(self.input, wanted).map_err(|source| TarError::Read { offset: self.offset, source })?;
        self.offset += read;
        (self.left, self.padding) = (0, 0);
        match read < content {
            // Padding may be missing at the very end.
            true => Err(TarError::Malformed {
                offset: self.offset,
                expected: "more content of a file; the tar ends early",
            }),
            false => Ok(()),
        }
    }

    fn header_block(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let Some(block) = self.block()? else { return Ok(None) };
        if block == [0; BLOCK] {
            return match self.block()? {
                None => Ok(None),
                Some(block) if block == [0; BLOCK] => Ok(None),
                Some(_) => Err(TarError::Malformed {
                    offset: self.offset - BLOCK as u64,
                    expected: "a second empty block",
                }),
            };
        }
        if !checksum_holds(&block) {
            return Err(TarError::Malformed {
                offset: self.offset - BLOCK as u64,
                expected: "a header with a valid checksum",
            });
        }
        Ok(Some(block))
    }

    /// The next block; `None` at the end of the bytes.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let mut block = [0; BLOCK];
        let mut length = 0;
        while length < BLOCK {
            match self.input.read(block.get_mut(length..).unwrap_or_default()) {
                Ok(0) if length == 0 => return Ok(None),
                Ok(0) => {
                    return Err(TarError::Malformed {
                        offset: self.offset,
                        expected: "a whole block; the tar ends early",
                    });
                }
                Ok(more) => {
                    length += more;
                    self.offset += more as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(TarError::Read { offset: self.offset, source }),
            }
        }
        Ok(Some(block))
    }

    fn fill(&mut self, block: &mut [u8; BLOCK]) -> Result<(), TarError> {
        let offset = self.offset;
        *block = self
            .block()?
            .ok_or(TarError::Malformed { offset, expected: "a sparse map; the tar ends early" })?;
        Ok(())
    }
}

/// Passes over at most `wanted` bytes; how many there were.
fn pass_over(input: &mut (impl BufRead + ?Sized), wanted: u64) -> io::Result<u64> {
    let mut left = wanted;
    while left > 0 {
        let length = match input.fill_buf() {
            Ok([]) => break,
            Ok(bytes) => usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len())),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        input.consume(length);
        left -= length as u64;
    }
    Ok(wanted - left)
}

/// Reads the content of a member.
pub(crate) struct Content<'r, 'a, R: ?Sized> {
    tar: &'r mut TarReader<'a, R>,
}

impl<R: BufRead + ?Sized> BufRead for Content<'_, '_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.tar.left == 0 {
            return Ok(&[]);
        }
        let left = usize::try_from(self.tar.left).unwrap_or(usize::MAX);
        match self.tar.input.fill_buf()? {
            [] => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the tar ends within the file")),
            bytes => Ok(bytes.get(..left.min(bytes.len())).unwrap_or_default()),
        }
    }

    fn consume(&mut self, length: usize) {
        self.tar.input.consume(length);
        self.tar.left = self.tar.left.saturating_sub(length as u64);
        self.tar.offset += length as u64;
    }
}

impl<R: BufRead + ?Sized> Read for Content<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.tar.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let length = self.tar.input.read(buffer.get_mut(..wanted).unwrap_or_default())?;
        if length == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the tar ends within the file"));
        }
        self.tar.left -= length as u64;
        self.tar.offset += length as u64;
        Ok(length)
    }
}
