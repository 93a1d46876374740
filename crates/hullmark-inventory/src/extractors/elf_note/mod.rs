//! The package that an ELF file was built for, from its note `.note.package`
//! (<https://uapi-group.org/specifications/specs/package_metadata_for_executable_files/>).
//!
//! The note says of itself what it is and how long it is, so it is recognised as the bytes pass, wherever it stands.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use hullmark_types::PackageKind;
use memchr::memmem::Finder;
use serde::Deserialize;

use crate::text::excerpt;
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Passing};

/// The type of the note and its owner, as they stand in a file of little-endian and in one of big-endian byte order.
const MARKS: [&[u8; 8]; 2] = [b"\x7e\x1a\xfe\xcaFDO\0", b"\xca\xfe\x1a\x7eFDO\0"];
static FINDERS: LazyLock<[Finder<'static>; 2]> = LazyLock::new(|| MARKS.map(Finder::new));
/// What stands before the mark: the lengths of the owner's name and of the text.
const LENGTHS: usize = 8;
/// The longest text.
const MAX_TEXT: usize = 16 * 1024;
/// How much is searched at once.
const WINDOW: usize = 128 * 1024;
/// How much of it is searched again together with what follows: a whole note.
const OVERLAP: usize = LENGTHS + 8 + MAX_TEXT;

/// Reads the notes in ELF files.
pub struct ElfNote;

impl Extractor for ElfNote {
    fn name(&self) -> &'static str {
        "elf-note"
    }

    fn summary(&self) -> &'static str {
        "Packages that ELF programs and libraries of any size say they were built for, from the note `.note.package`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Generic]
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        let name = file.file_name();
        file.is_executable() || name.ends_with(".so") || name.contains(".so.")
    }

    fn accepts(&self, head: &[u8]) -> bool {
        head.starts_with(b"\x7fELF")
    }

    fn passing(&self, _: &FileFacts<'_>, _: &[u8]) -> Option<Box<dyn Passing>> {
        Some(Box::new(Search::default()))
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        let mut search = Box::new(Search::default());
        search.bytes(file.bytes);
        search.finish(file.path)
    }
}

/// The search for the note in a file as it passes.
#[derive(Default)]
struct Search {
    window: Vec<u8>,
    text: Option<Vec<u8>>,
}

impl Search {
    fn search(&mut self) {
        self.text = FINDERS.iter().zip([false, true]).find_map(|(finder, big_endian)| {
            finder
                .find_iter(&self.window)
                .find_map(|at| text(&self.window, at, big_endian).map(<[u8]>::to_vec))
        });
        if self.text.is_some() {
            self.window = Vec::new();
        } else {
            self.window.drain(..self.window.len().saturating_sub(OVERLAP));
        }
    }
}

/// The text of the note whose mark is at `at`, if it is one, and whole.
fn text(window: &[u8], at: usize, big_endian: bool) -> Option<&[u8]> {
    let lengths = window.get(at.checked_sub(LENGTHS)?..at)?;
    let (name, text) = lengths.split_first_chunk::<4>()?;
    let text = text.first_chunk::<4>()?;
    let number = |bytes: &[u8; 4]| {
        if big_endian { u32::from_be_bytes(*bytes) } else { u32::from_le_bytes(*bytes) }
    };
    let length = usize::try_from(number(text)).ok().filter(|length| *length <= MAX_TEXT)?;
    let start = at.checked_add(8)?;
    let text = window.get(start..start.checked_add(length)?)?;
    (number(name) == 4 && text.first() == Some(&b'{')).then_some(text)
}

impl Passing for Search {
    fn bytes(&mut self, mut bytes: &[u8]) {
        // Windows are the same however the bytes are cut.
        while self.text.is_none() && !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(WINDOW.saturating_sub(self.window.len())));
            self.window.extend_from_slice(now);
            bytes = later;
            if self.window.len() == WINDOW {
                self.search();
            }
        }
    }

    fn kept(&self) -> u64 {
        (self.window.capacity() + self.text.as_ref().map_or(0, Vec::capacity)) as u64
    }

    fn max_kept(&self) -> u64 {
        (2 * WINDOW + MAX_TEXT) as u64
    }

    fn finish(mut self: Box<Self>, path: &str) -> Extraction {
        if self.text.is_none() {
            self.search();
        }
        let mut found = Extraction::default();
        if let Some(text) = &self.text {
            package(text, path, &mut found);
        }
        found
    }
}

/// What the text says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Note {
    #[serde(rename = "type")]
    kind: Option<String>,
    name: Option<String>,
    version: Option<String>,
    architecture: Option<String>,
    os: Option<String>,
    os_version: Option<String>,
    os_cpe: Option<String>,
}

fn package(text: &[u8], path: &str, found: &mut Extraction) {
    let end = text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let note: Note = match serde_json::from_slice(text.get(..end).unwrap_or_default()) {
        Ok(note) => note,
        Err(error) => {
            let message = format!("the note of its package is not valid: {}", excerpt(&error.to_string()));
            return found.gap("malformed-build-information", path, message);
        }
    };
    // The note may say no more than the distribution.
    let Some(name) = note.name.filter(|name| !name.is_empty()) else { return };
    let properties = [
        ("elf:package-type", note.kind),
        ("elf:os", note.os.clone()),
        ("elf:os-version", note.os_version),
        ("elf:os-cpe", note.os_cpe),
    ];
    let properties = properties.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    let package = FoundPackage {
        architecture: note.architecture.filter(|architecture| !architecture.is_empty()),
        vendor: note.os,
        properties: properties.collect::<BTreeMap<_, _>>(),
        ..FoundPackage::new(PackageKind::Generic, name, note.version.unwrap_or_default())
    };
    found.add_package(path, package);
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"type":"rpm","name":"coreutils","version":"9.1-6.fc38","architecture":"x86_64","os":"fedora","osVersion":"38","osCpe":"cpe:/o:fedoraproject:fedora:38"}"#;

    fn note(text: &str, big_endian: bool) -> Vec<u8> {
        let number = |value: u32| if big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
        let length = u32::try_from(text.len()).unwrap();
        [&number(4)[..], &number(length), &number(0xcafe_1a7e), b"FDO\0", text.as_bytes()].concat()
    }

    fn read(note: &[u8], before: usize) -> Extraction {
        let noise = MARKS[0].repeat(before / 8 + 1);
        let bytes = [b"\x7fELF", noise.as_slice(), note, noise.as_slice()].concat();
        let path = "usr/bin/x";
        let found = ElfNote.extract(&OpenFile { path, bytes: &bytes });
        let mut search = Box::new(Search::default());
        bytes.chunks(1000).for_each(|piece| search.bytes(piece));
        assert_eq!(search.finish(path), found);
        found
    }

    #[test]
    fn the_note_is_found_wherever_it_is() {
        for before in [0, WINDOW - 100, WINDOW, WINDOW - OVERLAP, 2 * WINDOW + 17] {
            for big_endian in [false, true] {
                let found = read(&note(TEXT, big_endian), before);
                assert!(found.diagnostics.is_empty());
                let [package] = found.packages.as_slice() else { panic!("{before}: {found:?}") };
                assert_eq!((package.name.as_str(), package.version.as_str()), ("coreutils", "9.1-6.fc38"));
                assert_eq!(package.properties["elf:os-version"], "38");
                assert_eq!(package.vendor.as_deref(), Some("fedora"));
            }
        }
    }

    #[test]
    fn what_is_no_note_is_none_and_a_broken_one_is_a_gap() {
        assert!(read(b"", 100).is_empty());
        assert!(read(&note(r#"{"os":"arch"}"#, false), 0).is_empty());
        assert!(read(&note("text", false), 0).is_empty());
        let padded = note(&format!("{TEXT}\0\0\0"), false);
        assert_eq!(read(&padded, 0).packages.len(), 1);
        let found = read(&note(r#"{"name":1}"#, false), 0);
        assert_eq!(found.diagnostics[0].code, "malformed-build-information");
        let long = format!("{{\"name\":\"{}\"}}", "x".repeat(MAX_TEXT));
        assert!(read(&note(&long, false), 0).is_empty());
    }
}
