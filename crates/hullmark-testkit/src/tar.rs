//! Tars of any form.

/// Puts a tar together, member by member.
#[derive(Debug, Clone, Default)]
pub struct TarBuilder {
    bytes: Vec<u8>,
}

/// A ustar header block for a member, with a valid checksum.
pub fn header(name: &[u8], flag: u8, size: u64, link: &[u8], mode: u32) -> [u8; 512] {
    let mut block = [0_u8; 512];
    let mut put = |start: usize, bytes: &[u8]| block[start..start + bytes.len()].copy_from_slice(bytes);
    put(0, &name[..name.len().min(100)]);
    put(100, format!("{mode:07o}\0").as_bytes());
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    match size < 1 << 33 {
        true => put(124, format!("{size:011o}\0").as_bytes()),
        false => {
            put(124, &[0x80, 0, 0, 0]);
            put(128, &size.to_be_bytes());
        }
    }
    put(136, b"00000000000\0");
    put(156, &[flag]);
    put(157, &link[..link.len().min(100)]);
    put(257, b"ustar\x0000");
    with_checksum(block)
}

fn with_checksum(mut block: [u8; 512]) -> [u8; 512] {
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
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
        let mut text = Vec::new();
        for (key, value) in records {
            let body = key.len() + value.len() + 3;
            let mut length = body + 1;
            while length != body + length.to_string().len() {
                length = body + length.to_string().len();
            }
            text.extend(format!("{length} {key}={value}\n").into_bytes());
        }
        self.member(b"pax", b'x', &text, b"", 0o644)
    }

    /// A member of any kind.
    #[must_use]
    pub fn member(mut self, name: &[u8], flag: u8, content: &[u8], link: &[u8], mode: u32) -> Self {
        if name.len() > 100 {
            self = self.member(b"././@LongLink", b'L', &[name, b"\0"].concat(), b"", 0o644);
        }
        if link.len() > 100 {
            self = self.member(b"././@LongLink", b'K', &[link, b"\0"].concat(), b"", 0o644);
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

    /// The tar, without the empty blocks.
    pub fn finish_without_trailer(self) -> Vec<u8> {
        self.bytes
    }
}
