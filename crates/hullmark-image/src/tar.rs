//! Reading tar, with the semantics of Go's `archive/tar`, which container runtimes use: what they would unpack is what is
//! seen here. POSIX ustar and pax (<https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html>), GNU and V7.

use std::io::{self, Read};

/// Size of a block.
const BLOCK: usize = 512;

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
    /// Size of the content; for sparse files of what is stored.
    pub(crate) size: u64,
}

/// Reads the members of a tar one after the other.
pub(crate) struct TarReader<'a> {
    input: &'a mut dyn Read,
    offset: u64,
    /// Bytes of the present member's content that were not read yet, and the padding behind them.
    left: u64,
    padding: u64,
}

/// What pax records and GNU members say of the next member.
#[derive(Default)]
struct Overrides {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    sparse_name: Option<Vec<u8>>,
    sparse: bool,
}

impl<'a> TarReader<'a> {
    pub(crate) fn new(input: &'a mut dyn Read) -> Self {
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

    /// Tells the reader that its input was moved to the next header.
    pub(crate) fn skipped(&mut self) {
        self.offset = self.offset.saturating_add(self.to_next());
        (self.left, self.padding) = (0, 0);
    }

    /// The content of the present member.
    pub(crate) fn content(&mut self) -> Content<'_, 'a> {
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
            match flag {
                b'x' | b'g' | b'L' | b'K' => {
                    if size > MAX_SPECIAL {
                        return Err(malformed("at most 1 MiB of extended header"));
                    }
                    self.begin(size);
                    let mut bytes = Vec::new();
                    self.content()
                        .read_to_end(&mut bytes)
                        .map_err(|source| TarError::Read { offset: start, source })?;
                    match flag {
                        b'x' => pax(&bytes, &mut overrides).ok_or_else(|| malformed("pax records"))?,
                        b'L' => overrides.name = Some(until_zero(&bytes).to_vec()),
                        b'K' => overrides.link = Some(until_zero(&bytes).to_vec()),
                        // Container runtimes ignore global records.
                        _ => {}
                    }
                }
                _ => return self.member(&block, flag, size, overrides, start).map(Some),
            }
        }
    }

    fn member(
        &mut self,
        block: &[u8; BLOCK],
        flag: u8,
        size: u64,
        overrides: Overrides,
        start: u64,
    ) -> Result<Member, TarError> {
        let malformed = |expected| TarError::Malformed { offset: start, expected };
        let mut name = until_zero(field(block, 0, 100)).to_vec();
        let prefix = until_zero(field(block, 345, 155));
        if field(block, 257, 6) == b"ustar\0" && !prefix.is_empty() {
            name = [prefix, b"/", &name].concat();
        }
        let name = overrides.sparse_name.or(overrides.name).unwrap_or(name);
        let kind = match flag {
            0 if name.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' if overrides.sparse => Kind::Sparse,
            0 | b'0' | b'7' => Kind::File,
            b'S' => Kind::Sparse,
            b'1' => Kind::Hardlink,
            b'2' => Kind::Symlink,
            b'5' => Kind::Directory,
            _ => Kind::Other,
        };
        let mut stored = overrides.size.unwrap_or(size);
        // Links, directories and devices have no content, whatever their header says.
        if matches!(flag, b'1'..=b'6') {
            stored = 0;
        }
        if stored > i64::MAX as u64 {
            return Err(malformed("a size below 2^63"));
        }
        if flag == b'S' {
            let mut extended = block[482] != 0;
            while extended {
                let mut map = [0; BLOCK];
                self.fill(&mut map)?;
                extended = map[504] != 0;
            }
        }
        self.begin(stored);
        let mode = number(field(block, 100, 8)).ok_or_else(|| malformed("a mode"))?;
        Ok(Member {
            name,
            link: overrides.link.unwrap_or_else(|| until_zero(field(block, 157, 100)).to_vec()),
            kind,
            mode: (mode & 0o7777) as u32,
            size: stored,
        })
    }

    fn begin(&mut self, size: u64) {
        self.left = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    }

    fn skip(&mut self) -> Result<(), TarError> {
        let (wanted, content) = (self.to_next(), self.left);
        let read = io::copy(&mut (&mut *self.input).take(wanted), &mut io::sink())
            .map_err(|source| TarError::Read { offset: self.offset, source })?;
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

/// Reads the content of a member.
pub(crate) struct Content<'r, 'a> {
    tar: &'r mut TarReader<'a>,
}

impl Read for Content<'_, '_> {
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

/// Whether bytes begin like a tar: a header with a valid checksum, or an empty block.
pub(crate) fn looks_like_tar(head: &[u8]) -> bool {
    head.first_chunk::<BLOCK>().is_some_and(|block| *block == [0; BLOCK] || checksum_holds(block))
}

fn field(block: &[u8; BLOCK], start: usize, length: usize) -> &[u8] {
    block.get(start..start + length).unwrap_or_default()
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number in octal digits, or in base 256 when its first bit is set; `None` when it is neither, or negative.
fn number(bytes: &[u8]) -> Option<u64> {
    if let Some(first) = bytes.first().filter(|first| **first & 0x80 != 0) {
        if first & 0x40 != 0 {
            return None;
        }
        return bytes.iter().enumerate().try_fold(0_u64, |value, (position, byte)| {
            let byte = if position == 0 { byte & 0x3f } else { *byte };
            value.checked_mul(256)?.checked_add(u64::from(byte))
        });
    }
    let text = until_zero(bytes).trim_ascii();
    let text = std::str::from_utf8(text).ok()?;
    match text {
        "" => Some(0),
        _ if text.starts_with('+') => None,
        _ => u64::from_str_radix(text, 8).ok(),
    }
}

/// The sum of all bytes, with the checksum's own field taken as spaces; some old programs summed signed bytes.
fn checksum_holds(block: &[u8; BLOCK]) -> bool {
    let Some(expected) = number(field(block, 148, 8)) else { return false };
    let bytes = block
        .iter()
        .enumerate()
        .map(|(position, byte)| if (148..156).contains(&position) { b' ' } else { *byte });
    let unsigned: u64 = bytes.clone().map(u64::from).sum();
    let signed: i64 = bytes.map(|byte| i64::from(byte as i8)).sum();
    expected == unsigned || i64::try_from(expected) == Ok(signed)
}

/// Reads records `LENGTH KEY=VALUE\n`; `None` when they have another form.
fn pax(mut bytes: &[u8], overrides: &mut Overrides) -> Option<()> {
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(bytes.get(..space)?).ok()?.parse().ok()?;
        let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
        bytes = bytes.get(length..)?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        let (key, value) = (record.get(..equals)?, record.get(equals + 1..)?);
        if value.is_empty() {
            continue;
        }
        match key {
            b"path" => overrides.name = Some(value.to_vec()),
            b"linkpath" => overrides.link = Some(value.to_vec()),
            b"size" => overrides.size = Some(std::str::from_utf8(value).ok()?.parse().ok()?),
            b"GNU.sparse.name" => {
                overrides.sparse = true;
                overrides.sparse_name = Some(value.to_vec());
            }
            _ if key.starts_with(b"GNU.sparse.") => overrides.sparse = true,
            _ => {}
        }
    }
    Some(())
}
