//! The few parts of tar that reading one file from a binary package needs.
//!
//! Formats: POSIX ustar and pax, and the long names of GNU tar. Not a general reader: it gives names and contents of
//! entries in order, and what it does not know it passes over.

use std::io::{self, Read};

const BLOCK: usize = 512;
const MAX_NAME: u64 = 64 * 1024;

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, without a leading `./` or `/`.
    pub name: String,
    /// The type flag: `0` for a file, `2` for a symbolic link, `5` for a directory.
    pub kind: u8,
    /// Bytes of content that follow.
    pub size: u64,
    /// For a link, where it leads, cut to a hundred bytes.
    pub target: String,
}

/// Reads entries one after the other.
pub struct Reader<R> {
    inner: R,
    /// What is left of the content of the current entry, and of the padding after it.
    content: u64,
    padding: u64,
}

impl<R: Read> Reader<R> {
    pub fn new(inner: R) -> Self {
        Self { inner, content: 0, padding: 0 }
    }

    /// The next entry; `None` at the end.
    pub fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut long_name = None;
        loop {
            let rest = self.content.saturating_add(self.padding);
            let skipped = io::copy(&mut (&mut self.inner).take(rest), &mut io::sink())?;
            if skipped < rest {
                return Err(invalid("the tar ends within an entry"));
            }
            let mut header = [0; BLOCK];
            if !read_block(&mut self.inner, &mut header)? || header.iter().all(|byte| *byte == 0) {
                (self.content, self.padding) = (0, 0);
                return Ok(None);
            }
            let size = number(field(&header, 124, 12))?;
            self.content = size;
            self.padding = size.next_multiple_of_block().saturating_sub(size);
            match header.get(156).copied().unwrap_or_default() {
                b'L' => long_name = Some(text(&self.special()?)),
                b'x' => long_name = pax_path(&self.special()?).or(long_name),
                b'K' | b'g' => {
                    self.special()?;
                }
                kind => {
                    let name = long_name.take().unwrap_or_else(|| short_name(&header));
                    let name = name.trim_start_matches("./").trim_start_matches('/').to_owned();
                    let target = text(field(&header, 157, 100));
                    return Ok(Some(Entry { name, kind: if kind == 0 { b'0' } else { kind }, size, target }));
                }
            }
        }
    }

    /// The content of the current entry, at most `limit` bytes of it.
    pub fn content(&mut self, limit: u64) -> io::Result<Vec<u8>> {
        let wanted = self.content.min(limit);
        let mut bytes = Vec::new();
        let count = (&mut self.inner).take(wanted).read_to_end(&mut bytes)? as u64;
        self.content -= count;
        if count < wanted { Err(invalid("the tar ends within an entry")) } else { Ok(bytes) }
    }

    fn special(&mut self) -> io::Result<Vec<u8>> {
        if self.content > MAX_NAME {
            return Err(invalid("a name in the tar is too long"));
        }
        self.content(MAX_NAME)
    }
}

trait NextMultiple {
    fn next_multiple_of_block(self) -> u64;
}

impl NextMultiple for u64 {
    fn next_multiple_of_block(self) -> u64 {
        self.checked_next_multiple_of(BLOCK as u64).unwrap_or(self)
    }
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Fills `block`; `false` when there is nothing left.
fn read_block(reader: &mut impl Read, block: &mut [u8; BLOCK]) -> io::Result<bool> {
    let mut bytes = Vec::with_capacity(BLOCK);
    match reader.take(BLOCK as u64).read_to_end(&mut bytes)? {
        0 => Ok(false),
        BLOCK => {
            block.copy_from_slice(&bytes);
            Ok(true)
        }
        _ => Err(invalid("the tar ends within a header")),
    }
}

fn field(header: &[u8; BLOCK], offset: usize, length: usize) -> &[u8] {
    header.get(offset..offset + length).unwrap_or(&[])
}

/// Octal digits, or base 256 where the first bit is set.
fn number(field: &[u8]) -> io::Result<u64> {
    if field.first().is_some_and(|first| first & 0x80 != 0) {
        let (high, low) = field.split_at(field.len().saturating_sub(8));
        let fits = high.iter().enumerate().all(|(at, byte)| *byte == if at == 0 { 0x80 } else { 0 });
        let low = <[u8; 8]>::try_from(low).map_err(|_| invalid("a size in the tar cannot be read"))?;
        return if fits {
            Ok(u64::from_be_bytes(low))
        } else {
            Err(invalid("a size in the tar is too large"))
        };
    }
    let digits = text(field);
    u64::from_str_radix(digits.trim(), 8).map_err(|_| invalid("a size in the tar cannot be read"))
}

/// The text before the first zero byte.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

fn short_name(header: &[u8; BLOCK]) -> String {
    let name = text(field(header, 0, 100));
    let prefix = text(field(header, 345, 155));
    if field(header, 257, 6) == b"ustar\0" && !prefix.is_empty() { format!("{prefix}/{name}") } else { name }
}

/// The `path` of a pax header: records of the form `LENGTH KEY=VALUE\n`.
fn pax_path(mut bytes: &[u8]) -> Option<String> {
    let mut found = None;
    while let Some(space) = bytes.iter().position(|byte| *byte == b' ') {
        let length: usize = std::str::from_utf8(bytes.get(..space)?).ok()?.parse().ok()?;
        let record = bytes.get(space + 1..length.checked_sub(1)?)?;
        if let Some(path) = record.strip_prefix(b"path=") {
            found = Some(String::from_utf8_lossy(path).into_owned());
        }
        bytes = bytes.get(length..)?;
    }
    found
}
