//! Tars of any form: what tar writers make, and what no tar writer makes.

mod header;
mod sparse;

pub use header::{GNU_MAGIC, V7_MAGIC, base256, header, patched, pax_records};
pub use sparse::SparseFormat;

/// Puts a tar together, member by member.
#[derive(Debug, Clone, Default)]
pub struct TarBuilder {
    bytes: Vec<u8>,
}

impl TarBuilder {
    /// An empty tar.
    pub fn new() -> Self {
        Self::default()
    }

    /// A regular file; long names become GNU long names.
    #[must_use]
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.member(name.as_bytes(), b'0', content.as_ref(), b"", 0o644)
    }

    /// An executable file.
    #[must_use]
    pub fn executable(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.member(name.as_bytes(), b'0', content.as_ref(), b"", 0o755)
    }

    /// A directory.
    #[must_use]
    pub fn dir(self, name: &str) -> Self {
        self.member(name.as_bytes(), b'5', b"", b"", 0o755)
    }

    /// A symbolic link.
    #[must_use]
    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.member(name.as_bytes(), b'2', b"", target.as_bytes(), 0o777)
    }

    /// A hard link.
    #[must_use]
    pub fn hardlink(self, name: &str, target: &str) -> Self {
        self.member(name.as_bytes(), b'1', b"", target.as_bytes(), 0o644)
    }

    /// A whiteout of a path.
    #[must_use]
    pub fn whiteout(self, path: &str) -> Self {
        let name = match path.rsplit_once('/') {
            Some((directory, name)) => format!("{directory}/.wh.{name}"),
            None => format!(".wh.{path}"),
        };
        self.file(&name, "")
    }

    /// An opaque whiteout of a directory.
    #[must_use]
    pub fn opaque(self, directory: &str) -> Self {
        self.file(&format!("{directory}/.wh..wh..opq"), "")
    }

    /// Pax records for the next member.
    #[must_use]
    pub fn pax(self, records: &[(&str, &str)]) -> Self {
        let records: Vec<_> = records.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes())).collect();
        self.member(b"pax", b'x', &pax_records(&records), b"", 0o644)
    }

    /// Pax records for all members to come.
    #[must_use]
    pub fn global(self, records: &[(&str, &str)]) -> Self {
        let records: Vec<_> = records.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes())).collect();
        self.member(b"global", b'g', &pax_records(&records), b"", 0o644)
    }

    /// GNU's long name for the next member.
    #[must_use]
    pub fn gnu_name(self, name: &[u8]) -> Self {
        self.member(b"././@LongLink", b'L', &[name, b"\0"].concat(), b"", 0o644)
    }

    /// GNU's long target of a link for the next member.
    #[must_use]
    pub fn gnu_link(self, target: &[u8]) -> Self {
        self.member(b"././@LongLink", b'K', &[target, b"\0"].concat(), b"", 0o644)
    }

    /// A regular file whose name is any bytes.
    #[must_use]
    pub fn file_bytes(self, name: &[u8], content: impl AsRef<[u8]>) -> Self {
        self.member(name, b'0', content.as_ref(), b"", 0o644)
    }

    /// A regular file with its size in base 256.
    #[must_use]
    pub fn base256_file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref();
        let size = base256(content.len() as i128);
        self.sized_file(name, &size, content)
    }

    /// A regular file whose header has this field for its size, whatever the size of the content.
    #[must_use]
    pub fn sized_file(self, name: &str, size: &[u8; 12], content: impl AsRef<[u8]>) -> Self {
        let block = patched(header(name.as_bytes(), b'0', 0, b"", 0o644), &[GNU_MAGIC, (124, size)]);
        self.raw(&block).padded(content.as_ref())
    }

    /// A regular file whose pax records have its size, and whose header has another.
    #[must_use]
    pub fn pax_sized_file(self, name: &str, header_size: u64, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref();
        self.pax(&[("size", &content.len().to_string())])
            .raw(&header(name.as_bytes(), b'0', header_size, b"", 0o644))
            .padded(content)
    }

    /// A regular file whose header has a wrong checksum.
    #[must_use]
    pub fn wrong_checksum(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref();
        let mut block = header(name.as_bytes(), b'0', content.len() as u64, b"", 0o644);
        block[148] ^= 1;
        self.raw(&block).padded(content)
    }

    /// A member of any kind.
    #[must_use]
    pub fn member(mut self, name: &[u8], flag: u8, content: &[u8], link: &[u8], mode: u32) -> Self {
        if name.len() > 100 {
            self = self.gnu_name(name);
        }
        if link.len() > 100 {
            self = self.gnu_link(link);
        }
        self.raw(&header(name, flag, content.len() as u64, link, mode)).padded(content)
    }

    /// Bytes as they are.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Bytes, filled up to a whole block.
    #[must_use]
    pub fn padded(self, bytes: &[u8]) -> Self {
        let padding = (512 - bytes.len() % 512) % 512;
        self.raw(bytes).raw(&vec![0; padding])
    }

    /// The tar, with two empty blocks at its end.
    pub fn finish(self) -> Vec<u8> {
        self.raw(&[0; 1024]).bytes
    }

    /// The first bytes of the tar.
    pub fn finish_truncated(self, length: usize) -> Vec<u8> {
        let mut bytes = self.finish();
        bytes.truncate(length);
        bytes
    }

    /// The tar, without the empty blocks.
    pub fn finish_without_trailer(self) -> Vec<u8> {
        self.bytes
    }
}
