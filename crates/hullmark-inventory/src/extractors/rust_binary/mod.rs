//! Rust crates, from the list that cargo-auditable puts into programs: JSON, compressed by zlib, in the section `.dep-v0`
//! (<https://github.com/rust-secure-code/cargo-auditable/blob/master/PARSING.md>).
//!
//! Where the section is stands at the end of an ELF file, and a program may be of any size, so the list is recognised by itself as
//! the bytes pass: a zlib stream of a text that begins like one.

use flate2::{Decompress, FlushDecompress, Status};
use hullmark_types::PackageKind;
use serde::Deserialize;

use crate::text::excerpt;
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Passing, Requirement};

/// The largest list, compressed.
const MAX_STORED: usize = 8 * 1024 * 1024;
/// The largest list.
const MAX_LIST: usize = 64 * 1024 * 1024;
/// How every list begins.
const BEGINNING: &[u8] = b"{\"packages\":[";
/// So many bytes show whether a stream begins like a list: a header of dynamic codes has at most 320 bytes.
const PROBE: usize = 512;
/// How much is searched at once.
const WINDOW: usize = 256 * 1024;

/// Reads the lists of crates in programs.
pub struct RustBinary;

impl Extractor for RustBinary {
    fn name(&self) -> &'static str {
        "rust-binary"
    }

    fn summary(&self) -> &'static str {
        "Rust crates, from the list that cargo-auditable puts into ELF, PE and Mach-O programs and libraries of any size"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Cargo]
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        let name = file.file_name();
        file.is_executable()
            || [".exe", ".dll", ".so", ".node", ".wasm"].iter().any(|end| name.ends_with(end))
    }

    fn accepts(&self, head: &[u8]) -> bool {
        const MAGICS: [&[u8]; 7] = [
            b"\x7fELF",
            b"MZ",
            b"\0asm",
            b"\xcf\xfa\xed\xfe",
            b"\xfe\xed\xfa\xcf",
            b"\xce\xfa\xed\xfe",
            b"\xca\xfe\xba\xbe",
        ];
        MAGICS.iter().any(|magic| head.starts_with(magic))
    }

    fn passing(&self, _: &FileFacts<'_>, _: &[u8]) -> Option<Box<dyn Passing>> {
        Some(Box::new(Search::new()))
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        let mut search = Box::new(Search::new());
        search.bytes(file.bytes);
        search.finish(file.path)
    }
}

/// The search for the list in a program as it passes.
struct Search {
    window: Vec<u8>,
    /// The bytes of the list, once its beginning was found.
    list: Option<Vec<u8>>,
    inflater: Decompress,
}

impl Search {
    fn new() -> Self {
        Self { window: Vec::new(), list: None, inflater: Decompress::new(true) }
    }

    /// Looks for the beginning of the list in the window, of which the last [`PROBE`] bytes are looked at again with what
    /// follows them.
    fn search(&mut self, is_last: bool) {
        let length = self.window.len();
        let end = if is_last { length } else { length.saturating_sub(PROBE) };
        let mut at = 0;
        while let Some(found) = self.window.get(at..end).and_then(|rest| memchr::memchr(0x78, rest)) {
            at += found;
            if self.is_beginning(at) {
                self.list = self.window.get(at..).map(<[u8]>::to_vec);
                self.window = Vec::new();
                return;
            }
            at += 1;
        }
        self.window.drain(..end.min(length));
    }

    /// Whether the bytes at a place are a zlib stream of a text that begins like a list.
    fn is_beginning(&mut self, at: usize) -> bool {
        // The second byte makes the first two a multiple of 31: no dictionary, and one of four levels.
        if !matches!(self.window.get(at + 1), Some(0x01 | 0x5e | 0x9c | 0xda)) {
            return false;
        }
        let probe = self.window.get(at..self.window.len().min(at + PROBE)).unwrap_or_default();
        let mut text = [0; BEGINNING.len()];
        self.inflater.reset(true);
        let _ = self.inflater.decompress(probe, &mut text, FlushDecompress::None);
        text == BEGINNING
    }
}

impl Passing for Search {
    fn bytes(&mut self, mut bytes: &[u8]) {
        // Windows are the same however the bytes are cut.
        while self.list.is_none() && !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(WINDOW.saturating_sub(self.window.len())));
            self.window.extend_from_slice(now);
            bytes = later;
            if self.window.len() == WINDOW {
                self.search(false);
            }
        }
        if let Some(list) = &mut self.list {
            let room = (MAX_STORED + 1).saturating_sub(list.len()).min(bytes.len());
            list.extend_from_slice(bytes.get(..room).unwrap_or_default());
        }
    }

    fn kept(&self) -> u64 {
        (self.window.capacity() + self.list.as_ref().map_or(0, Vec::capacity)) as u64
    }

    fn max_kept(&self) -> u64 {
        (2 * WINDOW + 2 * MAX_STORED) as u64
    }

    fn finish(mut self: Box<Self>, path: &str) -> Extraction {
        if self.list.is_none() {
            self.search(true);
        }
        let mut found = Extraction::default();
        if let Some(list) = self.list.take() {
            match inflate(&list, &mut self.inflater) {
                Ok(text) => packages(&text, path, &mut found),
                Err(problem) => found.gap("malformed-build-information", path, problem),
            }
        }
        found
    }
}

fn inflate(list: &[u8], inflater: &mut Decompress) -> Result<Vec<u8>, String> {
    inflater.reset(true);
    let mut text = Vec::new();
    loop {
        let rest = list.get(usize::try_from(inflater.total_in()).unwrap_or(usize::MAX)..).unwrap_or_default();
        text.reserve(64 * 1024);
        let before = text.len();
        match inflater.decompress_vec(rest, &mut text, FlushDecompress::None) {
            Ok(Status::StreamEnd) => return Ok(text),
            Ok(_) if text.len() > MAX_LIST => {
                return Err(format!("the list of crates has more than {MAX_LIST} bytes"));
            }
            Ok(_) if text.len() == before => return Err("the list of crates is cut short".to_owned()),
            Ok(_) => {}
            Err(error) => return Err(format!("the list of crates cannot be inflated: {error}")),
        }
    }
}

#[derive(Deserialize)]
struct List {
    packages: Vec<Crate>,
}

#[derive(Deserialize)]
struct Crate {
    name: String,
    version: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    dependencies: Vec<usize>,
    #[serde(default)]
    root: bool,
}

fn packages(text: &[u8], path: &str, found: &mut Extraction) {
    let list: List = match serde_json::from_slice(text) {
        Ok(list) => list,
        Err(error) => {
            let message = format!("the list of crates is not valid: {}", excerpt(&error.to_string()));
            return found.gap("malformed-build-information", path, message);
        }
    };
    for one in &list.packages {
        let requires = one.dependencies.iter().filter_map(|position| list.packages.get(*position));
        let requires = requires
            .map(|needed| Requirement { name: needed.name.clone(), version: Some(needed.version.clone()) });
        let mut package = FoundPackage {
            // What only the build needed is not in the program.
            development: one.kind.as_deref() == Some("build"),
            requires: requires.collect(),
            ..FoundPackage::new(PackageKind::Cargo, &one.name, &one.version)
        };
        if !one.source.is_empty() && one.source != "crates.io" {
            package.properties.insert("cargo:source".to_owned(), one.source.clone());
        }
        if one.root {
            package.properties.insert("cargo:root".to_owned(), "true".to_owned());
        }
        found.add_package(path, package);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn program(list: &str, before: usize) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(7));
        encoder.write_all(list.as_bytes()).unwrap();
        // Bytes that begin like a zlib stream, again and again.
        let noise = b"\x78\x9c\x01x\xda".repeat(before / 5 + 1);
        [b"\x7fELF".as_slice(), &noise, &encoder.finish().unwrap(), &noise].concat()
    }

    fn read(bytes: &[u8]) -> Extraction {
        RustBinary.extract(&OpenFile { path: "usr/bin/x", bytes })
    }

    const LIST: &str = r#"{"packages":[{"name":"app","version":"0.1.0","source":"local","dependencies":[1,2],"root":true},{"name":"cc","version":"1.0.90","source":"crates.io","kind":"build"},{"name":"itoa","version":"1.0.11","source":"crates.io"}]}"#;

    #[test]
    fn the_list_is_found_wherever_it_is() {
        for before in [0, 100, WINDOW - 300, WINDOW, 3 * WINDOW + 17] {
            let found = read(&program(LIST, before));
            let names: Vec<_> =
                found.packages.iter().map(|one| (one.name.as_str(), one.development)).collect();
            assert_eq!(names, [("app", false), ("cc", true), ("itoa", false)], "{before}");
            assert_eq!(found.packages[0].requires.len(), 2);
            assert!(found.diagnostics.is_empty());
        }
        assert!(read(b"\x7fELF no list").is_empty());
    }

    #[test]
    fn a_list_that_is_cut_or_wrong_is_a_gap() {
        let whole = program(LIST, 0);
        let codes =
            |bytes: &[u8]| read(bytes).diagnostics.into_iter().map(|one| one.code).collect::<Vec<_>>();
        let end = whole.len() - 6;
        assert_eq!(codes(&whole[..end - 40]), ["malformed-build-information"]);
        assert_eq!(codes(&program(r#"{"packages":[{"name":1}]}"#, 0)), ["malformed-build-information"]);
        assert_eq!(codes(&program(r#"{"packages":[]}"#, 0)), [""; 0]);
    }
}
