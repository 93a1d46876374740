//! The table of contents of a layer, in JSON: eStargz
//! (<https://github.com/containerd/stargz-snapshotter/blob/main/docs/estargz.md>), which zstd:chunked uses with few additions.

use std::fmt;
use std::io::Read;

use hullmark_types::Digest;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Unfit;
use crate::tar::{Kind, Member};

/// The largest part of a file, in bytes: parts are verified before they are used.
pub(super) const MAX_CHUNK: u64 = 8 << 20;

/// A table of contents.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// In the order in which they stand.
    pub(super) files: Vec<File>,
}

/// An entry of the layer, with its parts.
#[derive(Debug, Clone)]
pub(super) struct File {
    name: Box<str>,
    link: Box<str>,
    kind: Kind,
    mode: u32,
    pub(super) size: u64,
    pub(super) chunks: Vec<Chunk>,
    /// Where its last part ends, where it is said.
    end: u64,
    /// Why its content cannot be read in parts.
    problem: Option<&'static str>,
}

/// A part of a file, compressed on its own.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    /// Where it begins in the layer.
    pub(super) offset: u64,
    /// Where it ends at the latest.
    pub(super) end: u64,
    /// How many bytes it has uncompressed.
    pub(super) length: u64,
    /// The digest of these; none for a hole.
    pub(super) digest: Option<Box<Digest>>,
}

impl File {
    /// It as a member of a tar.
    pub(super) fn member(&self) -> Member {
        let size = if self.is_regular() { self.size } else { 0 };
        Member {
            name: self.name.as_bytes().to_vec(),
            link: self.link.as_bytes().to_vec(),
            kind: self.kind,
            mode: self.mode,
            size,
            stored: size,
            sparse: None,
        }
    }

    pub(super) fn is_regular(&self) -> bool {
        self.kind == Kind::File
    }

    /// Why its content cannot be read in parts.
    pub(super) fn problem(&self) -> Option<&'static str> {
        let length = self.chunks.iter().fold(0_u64, |sum, chunk| sum.saturating_add(chunk.length));
        self.problem.or_else(|| (length != self.size).then_some("has a size that is not that of its parts"))
    }
}

/// An entry as written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    link_name: String,
    #[serde(default)]
    mode: i64,
    #[serde(default)]
    digest: String,
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    end_offset: u64,
    #[serde(default)]
    inner_offset: u64,
    #[serde(default)]
    chunk_offset: u64,
    #[serde(default)]
    chunk_size: u64,
    #[serde(default)]
    chunk_digest: String,
    #[serde(default)]
    chunk_type: String,
}

impl Contents {
    /// Reads a table of contents that needs at most `budget` bytes of memory and has at most `max_entries`. It begins at
    /// `offset` in the layer, so that all files lie before that.
    pub(super) fn read(json: impl Read, budget: u64, max_entries: u64, offset: u64) -> Result<Self, Unfit> {
        let mut contents = Self::default();
        let table = Table { contents: &mut contents, budget, max_entries };
        let mut json = serde_json::Deserializer::from_reader(json);
        let read = table.deserialize(&mut json).and_then(|()| json.end());
        read.map_err(|error| Unfit::Contents(format!("cannot be read: {error}")))?;
        contents.bound(offset);
        Ok(contents)
    }

    /// A part ends where the next one begins, or the file that it belongs to.
    fn bound(&mut self, end: u64) {
        let mut starts: Vec<u64> =
            self.files.iter().flat_map(|file| &file.chunks).map(|chunk| chunk.offset).collect();
        starts.sort_unstable();
        for file in &mut self.files {
            for chunk in &mut file.chunks {
                let next = starts.partition_point(|start| *start <= chunk.offset);
                let next = starts.get(next).copied().unwrap_or(end).min(end);
                chunk.end = if file.end > chunk.offset { next.min(file.end) } else { next };
            }
        }
    }

    fn push(&mut self, raw: Raw) -> Result<(), String> {
        if raw.kind == "chunk" {
            let file = self.files.last_mut().filter(|file| file.is_regular() && *file.name == *raw.name);
            let file = file.ok_or("expected a part to stand behind its file")?;
            file.add(&raw);
            return Ok(());
        }
        let kind = match raw.kind.as_str() {
            "reg" => Kind::File,
            "dir" => Kind::Directory,
            "symlink" => Kind::Symlink,
            "hardlink" => Kind::Hardlink,
            "char" | "block" | "fifo" => Kind::Other,
            _ => return Err("has an entry of an unknown type".to_owned()),
        };
        let mut file = File {
            name: raw.name.as_str().into(),
            link: raw.link_name.as_str().into(),
            kind,
            mode: u32::try_from(raw.mode & 0o7777).unwrap_or_default(),
            size: raw.size,
            chunks: Vec::new(),
            end: raw.end_offset,
            problem: None,
        };
        if kind == Kind::File && raw.size > 0 {
            file.add(&raw);
        }
        self.files.push(file);
        Ok(())
    }
}

impl File {
    fn add(&mut self, raw: &Raw) {
        let position = self.chunks.iter().fold(0_u64, |sum, chunk| sum.saturating_add(chunk.length));
        let length = match raw.chunk_size {
            0 => self.size.saturating_sub(raw.chunk_offset),
            length => length,
        };
        let is_hole = raw.chunk_type == "zeros";
        let digest =
            if raw.chunk_digest.is_empty() && length == self.size { &raw.digest } else { &raw.chunk_digest };
        let digest: Option<Digest> = digest.parse().ok();
        let problem = if raw.chunk_offset != position {
            Some("has parts that do not follow each other")
        } else if raw.inner_offset > 0 {
            Some("shares a part with others")
        } else if !is_hole && digest.is_none() {
            Some("has a part without a digest")
        } else if !is_hole && length > MAX_CHUNK {
            Some("has a part of more than 8 MiB")
        } else if !matches!(raw.chunk_type.as_str(), "" | "zeros") {
            Some("has a part of an unknown type")
        } else {
            None
        };
        self.problem = self.problem.or(problem);
        let digest = digest.filter(|_| !is_hole).map(Box::new);
        self.chunks.push(Chunk { offset: raw.offset, end: raw.offset, length, digest });
    }
}

/// Reads the document, entry by entry.
struct Table<'a> {
    contents: &'a mut Contents,
    budget: u64,
    max_entries: u64,
}

impl<'de> DeserializeSeed<'de> for Table<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Table<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with `version` and `entries`")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let (mut version, mut has_entries) = (None, false);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "version" if version.is_none() => version = Some(map.next_value::<u64>()?),
                "entries" if !has_entries => {
                    map.next_value_seed(Entries(&mut self))?;
                    has_entries = true;
                }
                "version" | "entries" => return Err(A::Error::custom("expected each member once")),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        match (version, has_entries) {
            (Some(1), true) => Ok(()),
            _ => Err(A::Error::custom("expected version 1 and entries")),
        }
    }
}

struct Entries<'a, 'b>(&'a mut Table<'b>);

impl<'de> DeserializeSeed<'de> for Entries<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Table { contents, budget, max_entries } = self.0;
        let mut count = 0;
        while let Some(raw) = list.next_element::<Raw>()? {
            count += 1;
            // The file, its part, the digest of it and its start, and what the allocator adds.
            let needed = 400 + raw.name.len() as u64 + raw.link_name.len() as u64;
            *budget = budget.checked_sub(needed).ok_or_else(|| A::Error::custom("it is too large"))?;
            if count > *max_entries {
                return Err(A::Error::custom("it has too many entries"));
            }
            contents.push(raw).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Contents, String> {
        Contents::read(json.as_bytes(), 1 << 20, 10, 1000).map_err(|error| error.to_string())
    }

    fn digest(letter: char) -> String {
        format!("sha256:{}", String::from(letter).repeat(64))
    }

    #[test]
    fn parts_end_where_the_next_begins() {
        let (a, b) = (digest('a'), digest('b'));
        let contents = read(&format!(
            r#"{{"version":1,"entries":[
            {{"name":"d/","type":"dir","mode":493}},
            {{"name":"d/f","type":"reg","size":10,"offset":100,"chunkSize":6,"chunkDigest":"{a}","endOffset":180}},
            {{"name":"d/f","type":"chunk","offset":150,"chunkOffset":6,"chunkDigest":"{b}"}},
            {{"name":"e","type":"reg","size":3,"offset":200,"digest":"{a}"}},
            {{"name":"l","type":"symlink","linkName":"e"}},{{"name":"empty","type":"reg"}}]}}"#
        ))
        .unwrap();
        let ends: Vec<_> = contents
            .files
            .iter()
            .map(|file| {
                file.chunks.iter().map(|chunk| (chunk.offset, chunk.end, chunk.length)).collect::<Vec<_>>()
            })
            .collect();
        let expected = [vec![], vec![(100, 150, 6), (150, 180, 4)], vec![(200, 1000, 3)], vec![], vec![]];
        assert_eq!(ends, expected);
        assert!(contents.files.iter().all(|file| file.problem().is_none()));
    }

    #[test]
    fn what_cannot_be_read_in_parts_is_found() {
        let a = digest('a');
        for (entries, expected) in [
            (
                format!(
                    r#"{{"name":"f","type":"reg","size":5,"offset":1,"chunkSize":4,"chunkDigest":"{a}"}}"#
                ),
                "size",
            ),
            (
                format!(
                    r#"{{"name":"f","type":"reg","size":5,"offset":1,"chunkOffset":1,"chunkDigest":"{a}"}}"#
                ),
                "follow",
            ),
            (
                format!(r#"{{"name":"f","type":"reg","size":5,"offset":1,"innerOffset":1,"digest":"{a}"}}"#),
                "shares",
            ),
            (r#"{"name":"f","type":"reg","size":5,"offset":1}"#.to_owned(), "without a digest"),
            (
                format!(r#"{{"name":"f","type":"reg","size":9999999,"offset":1,"digest":"{a}"}}"#),
                "more than 8 MiB",
            ),
        ] {
            let contents = read(&format!(r#"{{"version":1,"entries":[{entries}]}}"#)).unwrap();
            let problem = contents.files[0].problem().unwrap();
            assert!(problem.contains(expected), "{problem}");
        }
    }

    #[test]
    fn documents_that_are_none_are_refused() {
        for json in [
            "",
            "[]",
            "{}",
            r#"{"version":2,"entries":[]}"#,
            r#"{"version":1,"entries":[],"entries":[]}"#,
            r#"{"version":1,"entries":[]} x"#,
            r#"{"version":1,"entries":[{"name":"x","type":"door"}]}"#,
            r#"{"version":1,"entries":[{"name":"x","type":"chunk"}]}"#,
            r#"{"version":1,"entries":[{"name":"x","name":"y","type":"dir"}]}"#,
            r#"{"version":1,"entries":[{"name":"x","type":"reg","size":-1}]}"#,
        ] {
            assert!(read(json).is_err(), "{json}");
        }
        let many = [r#"{"name":"x","type":"dir"}"#; 11].join(",");
        assert!(read(&format!(r#"{{"version":1,"entries":[{many}]}}"#)).unwrap_err().contains("too many"));
        let long =
            format!(r#"{{"version":1,"entries":[{{"name":"{}","type":"dir"}}]}}"#, "x".repeat(1 << 20));
        assert!(read(&long).unwrap_err().contains("too large"));
    }

    proptest::proptest! {
        /// Whatever the document says, parts lie before the table of contents, or are found to be nonsense.
        #[test]
        fn any_entries_are_read_or_refused(
            numbers in proptest::collection::vec(proptest::prelude::any::<u64>(), 5..40),
            kinds in proptest::collection::vec(0..4_usize, 5),
        ) {
            let entries = numbers.chunks_exact(5).zip(kinds.iter().cycle()).map(|(numbers, kind)| {
                let kind = ["reg", "chunk", "reg", "dir"][*kind];
                let [size, offset, end, at, length] = [0, 1, 2, 3, 4].map(|index: usize| numbers[index] >> (numbers[index] % 64));
                format!(
                    r#"{{"name":"f","type":"{kind}","size":{size},"offset":{offset},"endOffset":{end},"chunkOffset":{at},
                    "chunkSize":{length},"chunkDigest":"{}"}}"#,
                    digest('a')
                )
            });
            let json = format!(r#"{{"version":1,"entries":[{}]}}"#, entries.collect::<Vec<_>>().join(","));
            for file in read(&json).map(|contents| contents.files).unwrap_or_default() {
                let _ = file.problem();
                proptest::prop_assert!(file.chunks.iter().all(|chunk| chunk.end <= 1000));
            }
        }
    }
}
