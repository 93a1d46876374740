//! Programs that no package manager knows, such as those that official images build from source: recognised by their names and by
//! what they hold. Each kind of program is a row of a table; see [`rows`].

mod rows;

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use hullmark_types::{Confidence, PackageKind};
use regex::bytes::{Regex, RegexBuilder};

use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Passing};

/// How much is searched at once.
const WINDOW: usize = 256 * 1024;
/// How much of it is searched again together with what follows. No match is longer than this without [`MARGIN`].
const OVERLAP: usize = 1024;
/// A match that ends so near the end of a window may go on behind it.
const MARGIN: usize = 64;
/// The longest version.
const MAX_VERSION: usize = 64;

/// What programs begin with: ELF, PE, Mach-O in both byte orders, and several Mach-O in one file.
const PROGRAMS: &[&[u8]] =
    &[b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe"];

/// One kind of program.
pub(crate) struct Classifier {
    /// What it is called: the name of the package.
    name: &'static str,
    /// The names of its files; behind each a number may follow (`exim4`, `libexpat.so.1.8`). With a `*` that number is the beginning
    /// of the version (`python3.11`, `libpython3.11.so.1.0`). One with a `/` is the end of the path of a text, such as
    /// `go/VERSION`.
    files: &'static [&'static str],
    /// Regular expressions for bytes, of which the first that matches counts. The first group is the version.
    patterns: &'static [&'static str],
    /// Vendor and product in the words of the CPE dictionary, `vendor:product`.
    cpe: &'static str,
    /// Bytes as the program holds them, and the version that they are evidence of.
    #[cfg_attr(not(test), expect(dead_code, reason = "data for tests, kept beside what it tests"))]
    sample: (&'static [u8], &'static str),
}

impl Classifier {
    const fn new(
        name: &'static str,
        files: &'static [&'static str],
        patterns: &'static [&'static str],
        cpe: &'static str,
        sample: (&'static [u8], &'static str),
    ) -> Self {
        Self { name, files, patterns, cpe, sample }
    }

    fn is_text(&self) -> bool {
        self.files.iter().any(|file| file.contains('/'))
    }
}

/// The names of all rows, sorted.
pub(crate) fn recognised() -> Vec<&'static str> {
    let mut names: Vec<_> = rows::all().map(|row| row.name).collect();
    names.sort_unstable();
    names
}

/// A row with its patterns, which are compiled when the first file needs them.
struct Recogniser {
    row: &'static Classifier,
    compiled: OnceLock<Vec<Regex>>,
}

impl Recogniser {
    fn compiled(&self) -> &[Regex] {
        self.compiled.get_or_init(|| {
            let compile = |pattern: &&str| {
                RegexBuilder::new(pattern).unicode(false).multi_line(false).size_limit(1 << 20).build().ok()
            };
            self.row.patterns.iter().filter_map(compile).collect()
        })
    }

    /// The first version in `window` that begins with `beginning`, of which all before `end` may end a match.
    fn version(&self, window: &[u8], end: usize, beginning: Option<&str>) -> Option<String> {
        self.compiled().iter().find_map(|pattern| {
            let matches = pattern.captures_iter(window);
            let whole = matches.take_while(|found| found.get(0).is_some_and(|whole| whole.end() <= end));
            let mut versions = whole.filter_map(|found| {
                let text = std::str::from_utf8(found.get(1)?.as_bytes()).ok()?;
                (text.len() <= MAX_VERSION).then(|| text.to_owned())
            });
            versions.find(|version| {
                let rest = beginning.map(|beginning| version.strip_prefix(beginning));
                rest.is_none_or(|rest| {
                    rest.is_some_and(|rest| !rest.starts_with(|one: char| one.is_ascii_digit()))
                })
            })
        })
    }

    fn package(&self, version: String) -> FoundPackage {
        let cpe = format!("cpe:2.3:a:{}:{version}:*:*:*:*:*:*:*", self.row.cpe);
        FoundPackage {
            confidence: Confidence::Recognised,
            properties: BTreeMap::from([("cpe".to_owned(), cpe)]),
            ..FoundPackage::new(PackageKind::Generic, self.row.name, version)
        }
    }
}

/// All rows.
static RECOGNISERS: LazyLock<Vec<Recogniser>> =
    LazyLock::new(|| rows::all().map(|row| Recogniser { row, compiled: OnceLock::new() }).collect());

/// A name of files as a row has it, and the row.
type Named = (&'static str, &'static Recogniser);

/// The rows by the names of files.
static BY_NAME: LazyLock<BTreeMap<&'static str, Vec<Named>>> = LazyLock::new(|| {
    let mut by_name: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for recogniser in &*RECOGNISERS {
        for file in recogniser.row.files {
            let name = file.rsplit_once('/').map_or(*file, |(_, name)| name);
            by_name.entry(name.trim_end_matches('*')).or_default().push((*file, recogniser));
        }
    }
    by_name
});

/// The name of a file, as it is, without the extension of programs, and without the number that follows it: `python` of
/// `python3.11.exe`, `libpython` of `libpython3.11.so.1.0`.
fn names(path: &str) -> [&str; 3] {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let base = name.find(".so").map_or(name, |at| name.split_at(at).0);
    let base = base.strip_suffix(".exe").unwrap_or(base);
    let stem = base.trim_end_matches(|one: char| one.is_ascii_digit() || matches!(one, '.' | '-' | '_'));
    [name, base, stem]
}

/// A row that knows a file, and the beginning of the version if the name of the file has it.
type Known<'a> = (&'static Recogniser, Option<&'a str>);

/// The rows that know the file.
fn knowing(path: &str) -> Vec<Known<'_>> {
    let names = names(path);
    let [name, base, stem] = names;
    let number = base.strip_prefix(stem).unwrap_or_default().trim_start_matches(['-', '_']);
    let number = Some(number).filter(|number| !number.is_empty() && !number.contains(['-', '_']));
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut rows: Vec<Known<'_>> = Vec::new();
    for one in names {
        for (file, recogniser) in BY_NAME.get(one).into_iter().flatten() {
            let fits = match file.rsplit_once('/') {
                Some((above, _)) => one == name && ends_with_directory(directory, above),
                None => true,
            };
            if fits && !rows.iter().any(|(known, _)| known.row.name == recogniser.row.name) {
                rows.push((*recogniser, number.filter(|_| file.ends_with('*') && one == stem)));
            }
        }
    }
    rows
}

/// Whether the last parts of a path are those of `directory`.
fn ends_with_directory(path: &str, directory: &str) -> bool {
    path.strip_suffix(directory)
        .is_some_and(|rest| directory.is_empty() || rest.is_empty() || rest.ends_with('/'))
}

/// Recognises programs.
pub struct Classifiers;

impl Extractor for Classifiers {
    fn name(&self) -> &'static str {
        "classifiers"
    }

    fn summary(&self) -> &'static str {
        "Programs that no package manager knows, from their names and what they hold"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Generic]
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        names(file.path).iter().any(|name| BY_NAME.contains_key(name)) && !knowing(file.path).is_empty()
    }

    fn passing(&self, file: &FileFacts<'_>, head: &[u8]) -> Option<Box<dyn Passing>> {
        Some(Box::new(Searching::new(file.path, head)))
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        let mut searching = Box::new(Searching::new(file.path, file.bytes));
        searching.bytes(file.bytes);
        searching.finish(file.path)
    }
}

/// A search in a file as it passes.
struct Searching {
    /// The rows that are not found yet, and how their versions begin.
    rows: Vec<(&'static Recogniser, Option<String>)>,
    window: Vec<u8>,
    found: Vec<FoundPackage>,
}

impl Searching {
    fn new(path: &str, head: &[u8]) -> Self {
        let is_program = PROGRAMS.iter().any(|magic| head.starts_with(magic));
        let known = knowing(path).into_iter().filter(|(known, _)| known.row.is_text() || is_program);
        let rows = known.map(|(row, beginning)| (row, beginning.map(str::to_owned))).collect();
        Self { rows, window: Vec::new(), found: Vec::new() }
    }

    fn search(&mut self, is_last: bool) {
        let length = self.window.len();
        let end = if is_last { length } else { length.saturating_sub(MARGIN) };
        let (window, found) = (&self.window, &mut self.found);
        self.rows.retain(|(row, beginning)| match row.version(window, end, beginning.as_deref()) {
            Some(version) => {
                found.push(row.package(version));
                false
            }
            None => true,
        });
        self.window.drain(..length.saturating_sub(OVERLAP));
    }
}

impl Passing for Searching {
    fn bytes(&mut self, mut bytes: &[u8]) {
        // Windows are the same however the bytes are cut.
        while !self.rows.is_empty() && !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(WINDOW.saturating_sub(self.window.len())));
            self.window.extend_from_slice(now);
            bytes = later;
            if self.window.len() == WINDOW {
                self.search(false);
            }
        }
    }

    fn kept(&self) -> u64 {
        self.window.capacity() as u64
    }

    fn max_kept(&self) -> u64 {
        2 * WINDOW as u64
    }

    fn finish(mut self: Box<Self>, path: &str) -> Extraction {
        self.search(true);
        let mut extraction = Extraction::default();
        for package in std::mem::take(&mut self.found) {
            extraction.add_package(path, package);
        }
        extraction
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(row: &'static Recogniser, bytes: &[u8]) -> Vec<String> {
        let mut searching = Searching { rows: vec![(row, None)], window: Vec::new(), found: Vec::new() };
        bytes.chunks(1000).for_each(|piece| searching.bytes(piece));
        let found = Box::new(searching).finish("x");
        found.packages.into_iter().map(|package| package.version).collect()
    }

    /// Bytes as those of a program before and after a sample.
    fn padded(sample: &[u8], before: usize) -> Vec<u8> {
        [vec![0x90; before], sample.to_vec(), vec![0x90; 100_000]].concat()
    }

    #[test]
    fn each_row_recognises_its_sample_wherever_it_is_and_nothing_that_only_resembles_it() {
        for recogniser in &*RECOGNISERS {
            let row = recogniser.row;
            let (sample, version) = row.sample;
            assert_eq!(
                recogniser.compiled().len(),
                row.patterns.len(),
                "{}: a pattern cannot be compiled",
                row.name
            );
            for before in [0, WINDOW - 3, WINDOW - OVERLAP, WINDOW + 5] {
                assert_eq!(
                    search(recogniser, &padded(sample, before)),
                    [version],
                    "{} at {before}",
                    row.name
                );
            }
            // The same bytes without a version, and the version without what stands around it.
            let blurred: Vec<u8> =
                sample.iter().map(|byte| if byte.is_ascii_digit() { b'x' } else { *byte }).collect();
            assert_eq!(
                search(recogniser, &padded(&blurred, 10)),
                [""; 0],
                "{} without its version",
                row.name
            );
            let only = format!(" {version} ");
            if !row.is_text() {
                assert_eq!(
                    search(recogniser, &padded(only.as_bytes(), 10)),
                    [""; 0],
                    "{} only its version",
                    row.name
                );
            }
        }
    }

    #[test]
    fn the_table_is_sorted_and_whole() {
        for table in rows::TABLES {
            let names: Vec<_> = table.iter().map(|row| row.name).collect();
            assert!(names.is_sorted(), "{names:?}");
        }
        assert!(rows::all().count() >= 80, "{}", rows::all().count());
        for row in rows::all() {
            assert!(!row.files.is_empty() && !row.patterns.is_empty(), "{}", row.name);
            assert_eq!(row.cpe.split(':').count(), 2, "{}", row.name);
            for file in row.files {
                let path = format!("usr/local/{}", file.trim_matches(['*', '/']));
                assert!(knowing(&path).iter().any(|(known, _)| known.row.name == row.name), "{path}");
            }
        }
    }

    #[test]
    fn a_version_goes_on_as_the_name_of_the_file_does() {
        let row = RECOGNISERS.iter().find(|one| one.row.name == "python").unwrap();
        let bytes = b"\x003.1.4\x00 \x003.45.1\x00 \x003.11.2\x00";
        assert_eq!(row.version(bytes, bytes.len(), Some("3.11")).as_deref(), Some("3.11.2"));
        assert_eq!(row.version(bytes, bytes.len(), Some("3.1")).as_deref(), Some("3.1.4"));
        assert_eq!(row.version(bytes, bytes.len(), Some("3.12")), None);
    }

    #[test]
    fn names_of_files_may_go_on_with_a_version() {
        let known =
            |path| knowing(path).iter().map(|(row, number)| (row.row.name, *number)).collect::<Vec<_>>();
        for path in ["usr/bin/python3.11", "usr/lib/libpython3.11.so.1.0", "c/python3.11.exe"] {
            assert_eq!(known(path), [("python", Some("3.11"))], "{path}");
        }
        assert_eq!(known("usr/bin/python"), [("python", None)]);
        assert_eq!(known("usr/lib/libruby-3.1.so.3.1.2"), [("ruby", Some("3.1"))]);
        assert_eq!(known("usr/sbin/exim4"), [("exim", None)]);
        assert_eq!(known("lib/ld-musl-x86_64.so.1"), [("musl", None)]);
        let names = |path| knowing(path).iter().map(|(row, _)| row.row.name).collect::<Vec<_>>();
        assert_eq!(names("usr/local/go/VERSION"), ["go"]);
        assert_eq!(names("usr/share/doc/VERSION"), [""; 0]);
        assert_eq!(names("usr/bin/python3-config.py"), [""; 0]);
    }
}
