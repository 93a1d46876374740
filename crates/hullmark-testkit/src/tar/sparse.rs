//! Sparse files in each of GNU's formats.

use super::{GNU_MAGIC, TarBuilder, header, patched};

/// How a sparse file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SparseFormat {
    /// The map in a header of type `S` and in blocks behind it.
    OldGnu,
    /// Two pax records for each part.
    Pax00,
    /// One pax record with all parts.
    Pax01,
    /// The map at the start of the content.
    Pax10,
}

impl SparseFormat {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::OldGnu, Self::Pax00, Self::Pax01, Self::Pax10];
}

impl TarBuilder {
    /// A sparse file of `size` bytes: `parts` (offset and content) are stored, the rest are holes.
    #[must_use]
    pub fn sparse(self, format: SparseFormat, name: &str, size: u64, parts: &[(u64, &[u8])]) -> Self {
        let stored: Vec<u8> = parts.iter().flat_map(|(_, content)| content.iter().copied()).collect();
        let (size_text, count) = (size.to_string(), parts.len().to_string());
        let lengths: Vec<(String, String)> =
            parts.iter().map(|(offset, content)| (offset.to_string(), content.len().to_string())).collect();
        match format {
            SparseFormat::OldGnu => self.old_gnu(name, size, parts, &stored),
            SparseFormat::Pax00 => {
                let mut records =
                    vec![("GNU.sparse.size", size_text.as_str()), ("GNU.sparse.numblocks", count.as_str())];
                for (offset, length) in &lengths {
                    records.extend([
                        ("GNU.sparse.offset", offset.as_str()),
                        ("GNU.sparse.numbytes", length.as_str()),
                    ]);
                }
                self.pax(&records).file(name, stored)
            }
            SparseFormat::Pax01 => {
                let map: Vec<String> =
                    lengths.iter().map(|(offset, length)| format!("{offset},{length}")).collect();
                self.pax(&[
                    ("GNU.sparse.major", "0"),
                    ("GNU.sparse.minor", "1"),
                    ("GNU.sparse.name", name),
                    ("GNU.sparse.size", &size_text),
                    ("GNU.sparse.numblocks", &count),
                    ("GNU.sparse.map", &map.join(",")),
                ])
                .file("GNUSparseFile.0/stored", stored)
            }
            SparseFormat::Pax10 => {
                let mut content = format!("{count}\n").into_bytes();
                for (offset, length) in &lengths {
                    content.extend(format!("{offset}\n{length}\n").into_bytes());
                }
                content.resize(content.len().next_multiple_of(512), 0);
                content.extend(stored);
                self.pax(&[
                    ("GNU.sparse.major", "1"),
                    ("GNU.sparse.minor", "0"),
                    ("GNU.sparse.name", name),
                    ("GNU.sparse.realsize", &size_text),
                ])
                .file("GNUSparseFile.0/stored", content)
            }
        }
    }

    fn old_gnu(self, name: &str, size: u64, parts: &[(u64, &[u8])], stored: &[u8]) -> Self {
        let entries: Vec<Vec<u8>> = parts
            .iter()
            .map(|(offset, content)| format!("{offset:011o}\0{:011o}\0", content.len()).into_bytes())
            .collect();
        let (first, rest) = entries.split_at(entries.len().min(4));
        let more = [u8::from(!rest.is_empty())];
        let size = format!("{size:011o}\0");
        let block = patched(
            header(name.as_bytes(), b'S', stored.len() as u64, b"", 0o644),
            &[GNU_MAGIC, (386, &first.concat()), (482, &more), (483, size.as_bytes())],
        );
        let mut tar = self.raw(&block);
        let mut blocks = rest.chunks(21).peekable();
        while let Some(chunk) = blocks.next() {
            let mut block = [0_u8; 512];
            let bytes = chunk.concat();
            block[..bytes.len()].copy_from_slice(&bytes);
            block[504] = u8::from(blocks.peek().is_some());
            tar = tar.raw(&block);
        }
        tar.padded(stored)
    }
}
