//! ELF executables of Go are read as they pass: the same is found as in the whole file, and little of it is kept.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::io::{self, BufReader, Read};

use common::{Layer, codes, inventory, packages};
use hullmark_image::{Entry, EntryKind, LayerVisitor, Memory};
use hullmark_inventory::extractors::go_binary::{GoBinary, parse};
use hullmark_inventory::{Extraction, Extractor, FileFacts, LayerCollector, OpenFile, Passing};
use proptest::prelude::*;

const START: &[u8] = b"\x30\x77\xaf\x0c\x92\x74\x08\x02\x41\xe1\xc1\x07\xe6\xd6\x18\xe6";
const END: &[u8] = b"\xf9\x32\x43\x31\x86\x18\x20\x72\x00\x82\x42\x10\x41\x16\xd8\xf2";
const MODULES: &str =
    "path\texample.com/tool\nmod\texample.com/tool\tv1.0.0\ndep\texample.com/lib\tv1.2.3\th1:x=\n";
const ADDRESS: u64 = 0x40_0000;

/// How an executable is laid out.
#[derive(Debug, Clone)]
struct Program {
    is_64_bit: bool,
    big_endian: bool,
    /// Go before 1.18: pointers to strings in read-only data.
    has_pointers: bool,
    has_build_information: bool,
    /// Section headers: at the beginning as Go's linker has them, at the end as others do, or stripped.
    sections: Sections,
    version: String,
    modules: String,
    /// Bytes between the parts.
    gap: usize,
    /// Bytes of the writable data before the build information.
    data: usize,
    /// Bytes between the build information and the headers of the strings that it points to.
    apart: usize,
    /// What stands behind the end of the executable.
    appended: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Sections {
    First,
    Last,
    Stripped,
}

impl Default for Program {
    fn default() -> Self {
        Self {
            is_64_bit: true,
            big_endian: false,
            has_pointers: false,
            has_build_information: true,
            sections: Sections::First,
            version: "go1.22.1".to_owned(),
            modules: MODULES.to_owned(),
            gap: 70_000,
            data: 64,
            apart: 0,
            appended: Vec::new(),
        }
    }
}

impl Program {
    fn number(&self, value: u64, size: usize) -> Vec<u8> {
        if self.big_endian {
            value.to_be_bytes()[8 - size..].to_vec()
        } else {
            value.to_le_bytes()[..size].to_vec()
        }
    }

    fn word(&self, value: u64) -> Vec<u8> {
        self.number(value, if self.is_64_bit { 8 } else { 4 })
    }

    fn fill(&self, file: &mut Vec<u8>) {
        let end = (file.len() + self.gap).next_multiple_of(4096);
        file.resize(end, 0xcc);
    }

    fn segment(&self, flags: u64, start: usize, end: usize) -> Vec<u8> {
        let (address, size) = (ADDRESS + start as u64, (end - start) as u64);
        let mut header = self.number(1, 4);
        if self.is_64_bit {
            header.extend(self.number(flags, 4));
        }
        for word in [start as u64, address, address, size, size] {
            header.extend(self.word(word));
        }
        if !self.is_64_bit {
            header.extend(self.number(flags, 4));
        }
        header.extend(self.word(4096));
        header
    }

    fn section(&self, name: usize, kind: u64, start: usize, end: usize) -> Vec<u8> {
        let mut header = [self.number(name as u64, 4), self.number(kind, 4)].concat();
        for word in [0, ADDRESS + start as u64, start as u64, (end - start) as u64] {
            header.extend(self.word(word));
        }
        header.extend([0; 8]);
        header.extend(self.word(16));
        header.extend(self.word(0));
        header
    }

    fn build(&self) -> Vec<u8> {
        let word = self.word(0).len();
        let (header_size, segment_size, section_size) =
            if self.is_64_bit { (64, 56, 64) } else { (52, 32, 40) };
        let names = b"\0.go.buildinfo\0.gopclntab\0.shstrtab\0";
        let section_count = 4;
        let mut file = vec![0; header_size + 2 * segment_size + section_count * section_size];
        self.fill(&mut file);

        let read_only = file.len();
        file.extend(b"unrelated go1. text devel ");
        file.extend([0xcc; 100]);
        let version = file.len();
        file.extend(self.version.as_bytes());
        file.extend(b"more");
        let modules = [START, self.modules.as_bytes(), END].concat();
        let modules_place = file.len();
        if self.has_pointers {
            file.extend(&modules);
        }
        self.fill(&mut file);
        let read_only_end = file.len();

        let data = file.len();
        file.resize(file.len() + self.data.next_multiple_of(16), 0xdd);
        let information = file.len();
        if self.has_build_information {
            file.extend(b"\xff Go buildinf:");
            file.push(u8::try_from(word).unwrap());
            file.push(u8::from(self.big_endian) | if self.has_pointers { 0 } else { 2 });
            if self.has_pointers {
                let headers = ADDRESS + (information + 64 + self.apart) as u64;
                file.extend(self.word(headers));
                file.extend(self.word(headers + 2 * word as u64));
                file.resize(information + 64 + self.apart, 0);
                for (place, length) in [(version, self.version.len()), (modules_place, modules.len())] {
                    file.extend(self.word(ADDRESS + place as u64));
                    file.extend(self.word(length as u64));
                }
            } else {
                file.resize(information + 32, 0);
                for text in [self.version.as_bytes(), &modules] {
                    let mut length = text.len();
                    while length >= 0x80 {
                        file.push(0x80 | (length & 0x7f) as u8);
                        length >>= 7;
                    }
                    file.push(u8::try_from(length).unwrap());
                    file.extend(text);
                }
            }
        }
        let information_end = file.len();
        self.fill(&mut file);
        let data_end = file.len();
        let names_place = file.len();
        file.extend(names);
        file.resize(file.len().next_multiple_of(8), 0);
        let sections = if self.sections == Sections::Last {
            let place = file.len();
            file.resize(place + section_count * section_size, 0);
            place
        } else {
            header_size + 2 * segment_size
        };

        let mut header = b"\x7fELF".to_vec();
        header.extend([if self.is_64_bit { 2 } else { 1 }, if self.big_endian { 2 } else { 1 }, 1]);
        header.resize(16, 0);
        header.extend([self.number(2, 2), self.number(62, 2), self.number(1, 4)].concat());
        let is_stripped = self.sections == Sections::Stripped;
        for place in [ADDRESS, header_size as u64, if is_stripped { 0 } else { sections as u64 }] {
            header.extend(self.word(place));
        }
        header.extend(self.number(0, 4));
        let count = if is_stripped { 0 } else { section_count };
        for half in [header_size, segment_size, 2, section_size, count, if is_stripped { 0 } else { 3 }] {
            header.extend(self.number(half as u64, 2));
        }
        header.extend(self.segment(4, read_only, read_only_end));
        header.extend(self.segment(6, data, data_end));
        file[..header.len()].copy_from_slice(&header);
        if !is_stripped {
            let table = [
                vec![0; section_size],
                self.section(if self.has_build_information { 1 } else { 0 }, 1, information, information_end),
                self.section(15, 1, read_only, read_only_end),
                self.section(26, 3, names_place, names_place + names.len()),
            ]
            .concat();
            file[sections..sections + table.len()].copy_from_slice(&table);
        }
        file.extend(&self.appended);
        file
    }
}

/// Programs of every kind that Go has written.
fn programs() -> Vec<Program> {
    let mut programs = Vec::new();
    for has_pointers in [false, true] {
        for (is_64_bit, big_endian) in [(true, false), (true, true), (false, false), (false, true)] {
            for sections in [Sections::First, Sections::Last, Sections::Stripped] {
                let version = if has_pointers { "go1.16.3" } else { "go1.22.1" }.to_owned();
                programs.push(Program {
                    is_64_bit,
                    big_endian,
                    has_pointers,
                    sections,
                    version,
                    ..Program::default()
                });
            }
        }
    }
    programs
}

fn passing(bytes: &[u8]) -> Box<dyn Passing> {
    let head = bytes.get(..64).unwrap_or(bytes);
    let facts = FileFacts { path: "tool", size: bytes.len() as u64, mode: 0o755 };
    GoBinary.passing(&facts, head).unwrap()
}

fn pass<'a>(bytes: &[u8], pieces: impl IntoIterator<Item = &'a [u8]>) -> Extraction {
    let mut passing = passing(bytes);
    for piece in pieces {
        passing.bytes(piece);
        assert!(passing.kept() <= passing.max_kept());
    }
    passing.finish("tool")
}

fn whole(bytes: &[u8]) -> Extraction {
    parse(&OpenFile { path: "tool", bytes })
}

/// Both ways find `expected` packages and diagnostics.
fn check(name: &str, bytes: &[u8], expected: &[&str], lengths: &[usize]) {
    let expected: Vec<_> = expected.iter().map(|text| (*text).to_owned()).collect();
    let found = whole(bytes);
    assert_eq!(short(&found), expected, "{name}");
    for length in lengths {
        let passed = pass(bytes, bytes.chunks(*length));
        assert_eq!(passed, found, "{name} in pieces of {length} bytes");
    }
}

fn short(found: &Extraction) -> Vec<String> {
    let packages = found.packages.iter().map(|package| format!("{} {}", package.name, package.version));
    let diagnostics = found.diagnostics.iter().map(|diagnostic| diagnostic.code.clone());
    packages.chain(diagnostics).collect()
}

const LENGTHS: &[usize] = &[7, 4096, 100_000, usize::MAX];

#[test]
fn what_passes_is_found_as_in_the_whole_file() {
    for program in programs() {
        let stdlib = format!("stdlib {}", &program.version[2..].to_owned());
        let stdlib = if program.has_pointers { stdlib } else { "stdlib 1.22.1".to_owned() };
        let expected = [stdlib.as_str(), "example.com/tool v1.0.0", "example.com/lib v1.2.3"];
        check(&format!("{program:?}"), &program.build(), &expected, LENGTHS);
    }
}

#[test]
fn bytes_may_pass_one_by_one() {
    for has_pointers in [false, true] {
        let program = Program { has_pointers, sections: Sections::Last, ..Program::default() };
        let expected = ["stdlib 1.22.1", "example.com/tool v1.0.0", "example.com/lib v1.2.3"];
        check(&format!("{program:?}"), &program.build(), &expected, &[1]);
    }
}

#[test]
fn what_stands_behind_the_section_headers_changes_nothing() {
    for has_pointers in [false, true] {
        let appended = vec![b'z'; 300_000];
        let program = Program { has_pointers, sections: Sections::Last, appended, ..Program::default() };
        let expected = ["stdlib 1.22.1", "example.com/tool v1.0.0", "example.com/lib v1.2.3"];
        check(&format!("{program:?}"), &program.build(), &expected, LENGTHS);
    }
}

#[test]
fn a_program_of_go_without_build_information_is_a_gap_and_another_is_nothing() {
    for sections in [Sections::First, Sections::Last] {
        let program = Program { has_build_information: false, sections, ..Program::default() };
        let found = whole(&program.build());
        assert!(found.diagnostics[0].message.contains("without build information"));
        check("missing", &program.build(), &["malformed-build-information"], LENGTHS);
    }
    let program =
        Program { has_build_information: false, sections: Sections::Stripped, ..Program::default() };
    let mut bytes = program.build();
    check("not Go", &bytes, &[], LENGTHS);
    bytes[300..304].copy_from_slice(b"UPX!");
    check("packed", &bytes, &["packed-executable"], LENGTHS);
    bytes.truncate(100);
    check("truncated", &bytes, &[], &[1, 7, usize::MAX]);
    check("only the magic", &bytes[..4], &[], &[1, usize::MAX]);
}

#[test]
fn build_information_may_be_anywhere_in_any_amount_of_data() {
    for sections in [Sections::First, Sections::Last, Sections::Stripped] {
        let program = Program { sections, data: 18 << 20, ..Program::default() };
        let expected = ["stdlib 1.22.1", "example.com/tool v1.0.0", "example.com/lib v1.2.3"];
        check("far", &program.build(), &expected, &[1 << 20]);
    }
}

/// What the whole file has, but not what is kept, is a gap.
fn check_not_kept(program: &Program) {
    let bytes = program.build();
    assert!(!whole(&bytes).packages.is_empty(), "{program:?}");
    let found = pass(&bytes, bytes.chunks(1 << 20));
    assert_eq!(short(&found), ["malformed-build-information"], "{program:?}");
    assert!(found.diagnostics[0].message.contains("not kept"), "{}", found.diagnostics[0].message);
}

#[test]
fn what_is_not_kept_is_a_gap() {
    let many = || format!("mod\tx\tv1.0.0\n{}", "build\tk=v\n".repeat(200_000));
    let old = Program { has_pointers: true, ..Program::default() };
    // No version of Go, in read-only data.
    check_not_kept(&Program { version: "unheard-of".to_owned(), ..old.clone() });
    // A list of modules that is longer than any real one.
    check_not_kept(&Program { modules: many(), ..old.clone() });
    check_not_kept(&Program { modules: many(), data: 17 << 20, ..Program::default() });
    // Pointers behind more data than is kept.
    check_not_kept(&Program { data: 17 << 20, apart: 600_000, ..old });
    // More of what the build information begins with than any program has, in more data than is kept.
    let mut bytes = Program { data: 20 << 20, gap: 100_000, ..Program::default() }.build();
    for copy in 0..10 {
        bytes[66_000 + 100 * copy + 1..][..14].copy_from_slice(b"\xff Go buildinf:");
    }
    assert_eq!(whole(&bytes).packages.len(), 3);
    let found = pass(&bytes, bytes.chunks(1 << 20));
    assert!(found.diagnostics[0].message.contains("not kept"), "{found:?}");
}

#[test]
fn a_hostile_program_is_kept_within_the_bound() {
    let mut bytes = Program { data: 1 << 20, ..Program::default() }.build();
    bytes.resize(48 << 20, 0);
    let writable = Program::default().segment(7, 0, bytes.len());
    // All of the file is writable, many times, and the rest of it is what is looked for.
    bytes[56..58].copy_from_slice(&1000_u16.to_le_bytes());
    for index in 0..1000 {
        bytes[64 + 56 * index..][..56].copy_from_slice(&writable);
    }
    let lures = [b"\xff Go buildinf:".as_slice(), START, b"go1.", b"devel "].concat();
    for chunk in bytes[2 << 20..].chunks_mut(4000) {
        let length = lures.len().min(chunk.len());
        chunk[..length].copy_from_slice(&lures[..length]);
    }
    let mut passing = passing(&bytes);
    assert!(passing.max_kept() <= 28 << 20);
    let mut most = passing.max_kept();
    for chunk in bytes.chunks(100_000) {
        passing.bytes(chunk);
        assert!(passing.kept() <= passing.max_kept() && passing.max_kept() <= most);
        most = passing.max_kept();
    }
    assert!(passing.kept() > 16 << 20);
    let _ = passing.finish("tool");
}

#[test]
fn little_is_kept_of_a_large_program() {
    let mut bytes = Program { sections: Sections::Last, gap: 4 << 20, ..Program::default() }.build();
    // What is writable is small.
    bytes[64 + 56 + 32..][..8].copy_from_slice(&4096_u64.to_le_bytes());
    let mut passing = passing(&bytes);
    bytes.chunks(65_536).for_each(|chunk| passing.bytes(chunk));
    assert!(passing.kept() < 2 << 20, "{}", passing.kept());
    assert!(passing.max_kept() < 12 << 20, "{}", passing.max_kept());
}

#[test]
fn layers_have_what_passes_however_large_the_program_and_little_the_memory() {
    let go = Program { has_pointers: true, sections: Sections::Last, data: 3 << 20, ..Program::default() };
    let bytes = go.build();
    let layer = Layer::new().program("usr/bin/tool", &bytes).hard_link("usr/bin/other", "usr/bin/tool");
    let found = inventory(&[layer]);
    assert_eq!(
        packages(&found),
        [
            "golang example.com/lib v1.2.3 since 0 in usr/bin/other@0 usr/bin/tool@0",
            "golang example.com/tool v1.0.0 since 0 in usr/bin/other@0 usr/bin/tool@0",
            "golang stdlib 1.22.1 since 0 in usr/bin/other@0 usr/bin/tool@0",
        ]
    );
    assert!(!codes(&found).iter().any(|code| code.contains("build-information")));

    // Several at once, each also read whole for another extractor, in less memory than they ask for.
    let memory = Memory::new(0);
    std::thread::scope(|scope| {
        for path in ["usr/bin/tool", "node_modules/x/package.json", "usr/bin/more"] {
            let (memory, bytes) = (memory.clone(), bytes.as_slice());
            scope.spawn(move || {
                let mut layer = LayerCollector::new(memory);
                let size = bytes.len() as u64;
                let entry = Entry { path: path.to_owned(), kind: EntryKind::File, mode: 0o755, size };
                layer.entry(&entry, &mut BufReader::new(bytes)).unwrap();
            });
        }
    });
    let pool = memory.files();
    assert_eq!(pool.take(pool.size()).unwrap().bytes(), pool.size());
}

/// Gives some bytes, then fails.
struct Broken<'a>(&'a [u8]);

impl Read for Broken<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() { Err(io::Error::other("broken")) } else { self.0.read(buffer) }
    }
}

#[test]
fn a_program_that_breaks_off_is_an_error_of_the_layer_and_no_finding() {
    let bytes = Program::default().build();
    let mut layer = LayerCollector::default();
    let entry = Entry {
        path: "usr/bin/tool".to_owned(),
        kind: EntryKind::File,
        mode: 0o755,
        size: bytes.len() as u64,
    };
    let broken = Broken(&bytes[..bytes.len() - 10]);
    assert_eq!(layer.entry(&entry, &mut BufReader::new(broken)).unwrap_err().to_string(), "broken");
    let mut only_the_file = LayerCollector::default();
    only_the_file.entry(&entry, &mut [].as_slice()).unwrap();
    assert!(!format!("{:?}", layer.finish(Vec::new())).contains("example.com"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_may_pass(bytes in proptest::collection::vec(any::<u8>(), 0..2048), length in 1_usize..300) {
        let bytes = [b"\x7fELF\x02\x01\x01".as_slice(), &bytes].concat();
        prop_assert_eq!(pass(&bytes, bytes.chunks(length)), whole(&bytes));
    }

    #[test]
    fn damaged_programs_pass_as_they_are_read_whole_or_are_a_gap(
        which in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        in_headers in any::<bool>(),
        lengths in proptest::collection::vec(1_usize..50_000, 1..8),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let programs = programs();
        let mut bytes = programs[which.index(programs.len())].build();
        let reach = if in_headers { 64 + 2 * 56 + 4 * 64 } else { bytes.len() };
        for (position, value) in changes {
            bytes[4 + position.index(reach - 4)] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()).max(4));
        }
        let mut pieces = Vec::new();
        let mut rest = bytes.as_slice();
        for length in lengths.iter().cycle() {
            let (piece, more) = rest.split_at(rest.len().min(*length));
            pieces.push(piece);
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
        let (passed, found) = (pass(&bytes, pieces), whole(&bytes));
        let is_gap = passed.diagnostics.iter().any(|said| said.message.contains("not kept"));
        prop_assert!(passed == found || is_gap && !found.is_empty(), "{:?} {:?}", passed, found);
    }
}
