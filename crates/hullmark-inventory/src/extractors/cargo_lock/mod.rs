//! What Cargo locked (<https://doc.rust-lang.org/cargo/guide/cargo-toml-vs-cargo-lock.html>).

use hullmark_types::{Checksum, PackageKind};
use toml::{Table, Value};

use crate::text::{excerpt, non_empty};
use crate::{Evidence, Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Requirement};

/// The source of crates that need no word.
const CRATES_IO: &[&str] =
    &["registry+https://github.com/rust-lang/crates.io-index", "sparse+https://index.crates.io/"];

/// Reads the lock files of Cargo.
pub struct CargoLock;

impl Extractor for CargoLock {
    fn name(&self) -> &'static str {
        "cargo-lock"
    }

    fn summary(&self) -> &'static str {
        "Rust crates that Cargo locked, from `Cargo.lock`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Cargo]
    }

    fn evidence(&self) -> Evidence {
        Evidence::Project
    }

    fn max_file_size(&self) -> u64 {
        16 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        file.file_name() == "Cargo.lock"
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Reads the lock file. Crates without a source are those of the project itself. An entry without name or version is a gap
/// `malformed-lock-file`, and the others are listed.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let table = match toml::from_str::<Table>(&String::from_utf8_lossy(file.bytes)) {
        Ok(table) => table,
        Err(error) => {
            let message = format!("the lock file is not TOML: {}", excerpt(error.message()));
            found.gap("malformed-lock-file", file.path, message);
            return found;
        }
    };
    // The first form had the checksums in a table of their own: `checksum NAME VERSION (SOURCE)`.
    let metadata = table.get("metadata").and_then(Value::as_table);
    let entries = table.get("package").and_then(Value::as_array).into_iter().flatten();
    for (position, entry) in entries.enumerate() {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).and_then(non_empty);
        let (Some(name), Some(version)) = (text("name"), text("version")) else {
            let message = format!("entry {} does not have both name and version", position + 1);
            found.gap("malformed-lock-file", file.path, message);
            continue;
        };
        let Some(source) = text("source") else { continue };
        let apart =
            || metadata?.get(&format!("checksum {name} {version} ({source})"))?.as_str().map(str::to_owned);
        let checksum =
            text("checksum").or_else(apart).filter(|sum| sum.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let needs = entry.get("dependencies").and_then(Value::as_array).into_iter().flatten();
        let requires = needs.filter_map(Value::as_str).filter_map(|need| {
            // `NAME`, `NAME VERSION` or `NAME VERSION (SOURCE)`.
            let mut words = need.split_whitespace();
            Some(Requirement { name: words.next()?.to_owned(), version: words.next().map(str::to_owned) })
        });
        let mut package = FoundPackage {
            requires: requires.collect(),
            checksums: checksum
                .map(|value| Checksum { algorithm: "sha256".to_owned(), value: value.to_ascii_lowercase() })
                .into_iter()
                .collect(),
            ..FoundPackage::new(PackageKind::Cargo, name, version)
        };
        if !CRATES_IO.contains(&source.as_str()) {
            package.properties.insert("cargo:source".to_owned(), source);
        }
        found.add_package(file.path, package);
    }
    found
}
