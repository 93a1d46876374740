//! Slices of Ubuntu packages, from the manifest that Chisel leaves in an image
//! (<https://documentation.ubuntu.com/chisel/en/latest/reference/manifest/>): a line of JSON per fact, compressed with zstd.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};

use hullmark_types::{Checksum, Diagnostic, PackageKind};
use serde::Deserialize;

use crate::{Extraction, Extractor, FoundPackage, MAX_OWNED_BYTES, OpenFile, OwnedFiles};

/// The most bytes of a manifest that are read, uncompressed.
const MAX_UNCOMPRESSED: u64 = 256 * 1024 * 1024;

/// The longest line.
const MAX_LINE: u64 = 256 * 1024;

/// The largest window of the compression, as a power of two: 32 MiB.
const MAX_WINDOW: u32 = 25;

/// Reads Chisel's manifest.
pub struct Chisel;

impl Extractor for Chisel {
    fn name(&self) -> &'static str {
        "chisel"
    }

    fn summary(&self) -> &'static str {
        "Ubuntu packages of which slices were installed by Chisel, from `var/lib/chisel/manifest.wall`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Deb]
    }

    fn well_known_paths(&self) -> &'static [&'static str] {
        &["var/lib/chisel/manifest.wall"]
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// A line. Its `kind` says which of the facts it has.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(default, borrow)]
    kind: Cow<'a, str>,
    #[serde(default, borrow)]
    name: Cow<'a, str>,
    #[serde(default, borrow)]
    version: Cow<'a, str>,
    #[serde(default, borrow)]
    sha256: Cow<'a, str>,
    #[serde(default, borrow)]
    arch: Cow<'a, str>,
    #[serde(default, borrow)]
    path: Cow<'a, str>,
    #[serde(default, borrow)]
    slices: Vec<Cow<'a, str>>,
}

/// Reads a manifest. A line that is malformed is a gap `malformed-package-database`; the rest goes on.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let mut owned = Owned { files: BTreeMap::new(), left: MAX_OWNED_BYTES };
    if let Err(message) = read(file, &mut found, &mut owned) {
        found.gap("malformed-package-database", file.path, message);
    }
    if owned.left == 0 {
        let message = "the paths of installed files take too much memory; the rest was not taken";
        found.report_once(Diagnostic::gap("limit-owned-files", file.path, message));
    }
    let lists = owned.files.into_iter();
    found.owned.extend(lists.map(|(package, files)| OwnedFiles { package, architecture: None, files }));
    found
}

struct Owned {
    files: BTreeMap<String, Vec<String>>,
    left: usize,
}

impl Owned {
    fn add(&mut self, package: &str, path: &str) {
        let path = path.trim_matches('/');
        match self.left.checked_sub(path.len() + size_of::<String>()) {
            _ if path.is_empty() => {}
            Some(left) => {
                self.left = left;
                self.files.entry(package.to_owned()).or_default().push(path.to_owned());
            }
            None => self.left = 0,
        }
    }
}

fn read(file: &OpenFile<'_>, found: &mut Extraction, owned: &mut Owned) -> Result<(), String> {
    let unreadable = |error: std::io::Error| format!("the manifest cannot be uncompressed: {error}");
    let mut decoder = zstd::stream::read::Decoder::with_buffer(file.bytes).map_err(unreadable)?;
    decoder.window_log_max(MAX_WINDOW).map_err(unreadable)?;
    let mut reader = BufReader::new(decoder.take(MAX_UNCOMPRESSED));
    let mut bytes = Vec::new();
    for number in 1_usize.. {
        bytes.clear();
        reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes).map_err(unreadable)?;
        if bytes.is_empty() {
            break;
        }
        if bytes.last() != Some(&b'\n') && bytes.len() as u64 == MAX_LINE {
            return Err(format!("line {number} is longer than {MAX_LINE} bytes; the rest was not read"));
        }
        match serde_json::from_slice::<Line<'_>>(&bytes) {
            Ok(line) => take(file.path, &line, found, owned),
            Err(error) => {
                let message = format!("line {number} cannot be read: {error}");
                found.gap("malformed-package-database", file.path, message);
            }
        }
    }
    if reader.get_ref().limit() == 0 {
        let message = format!("the manifest is longer than {MAX_UNCOMPRESSED} bytes; the rest was not read");
        found.gap("limit-uncompressed-size", file.path, message);
    }
    Ok(())
}

fn take(path: &str, line: &Line<'_>, found: &mut Extraction, owned: &mut Owned) {
    match line.kind.as_ref() {
        "package" => {
            let checksums = (!line.sha256.is_empty()).then(|| Checksum {
                algorithm: "sha256".to_owned(),
                value: line.sha256.to_ascii_lowercase(),
            });
            let package = FoundPackage {
                architecture: Some(line.arch.as_ref()).filter(|arch| !arch.is_empty()).map(str::to_owned),
                checksums: checksums.into_iter().collect(),
                ..FoundPackage::new(PackageKind::Deb, line.name.as_ref(), line.version.as_ref())
            };
            found.add_package(path, package);
        }
        "path" => {
            // A slice is named `PACKAGE_SLICE`.
            let mut packages: Vec<_> = line
                .slices
                .iter()
                .filter_map(|slice| slice.split_once('_'))
                .map(|(package, _)| package)
                .collect();
            packages.dedup();
            packages.iter().for_each(|package| owned.add(package, &line.path));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], codes: &[&str]) -> Extraction {
        let found = parse(&OpenFile { path: "var/lib/chisel/manifest.wall", bytes });
        assert_eq!(found.diagnostics.iter().map(|one| one.code.as_str()).collect::<Vec<_>>(), codes);
        found
    }

    #[test]
    fn manifests_that_are_cut_off_or_grow_are_said() {
        let line = "{\"kind\":\"package\",\"name\":\"a\",\"version\":\"1\"}\n";
        let whole = zstd::bulk::compress(line.repeat(3).as_bytes(), 3).unwrap();
        assert_eq!(check(&whole, &[]).packages.len(), 3);
        check(&whole[..whole.len() - 3], &["malformed-package-database"]);
        check(b"no zstd", &["malformed-package-database"]);
        let one_line = zstd::bulk::compress(&vec![b' '; 10_000_000], 3).unwrap();
        check(&one_line, &["malformed-package-database"]);
        let broken = zstd::bulk::compress(format!("{line}{{\n{line}").as_bytes(), 3).unwrap();
        assert_eq!(check(&broken, &["malformed-package-database"]).packages.len(), 2);
    }
}
