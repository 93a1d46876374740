//! Haskell packages, from the package databases of GHC, cabal and stack: a file `*.conf` for each unit
//! (<https://downloads.haskell.org/ghc/latest/docs/users_guide/packages.html>).

use std::collections::{BTreeMap, BTreeSet};

use hullmark_types::PackageKind;

use crate::text::{cut, lines, non_empty};
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Requirement};

/// The most bytes taken of one field.
const MAX_FIELD: usize = 64 * 1024;
/// The fields that are of use.
const FIELDS: &[&str] = &["author", "depends", "license", "maintainer", "name", "package-name", "version"];

/// Reads the package databases of GHC.
pub struct Haskell;

impl Extractor for Haskell {
    fn name(&self) -> &'static str {
        "haskell"
    }

    fn summary(&self) -> &'static str {
        "Haskell packages, from `*.conf` in the package databases of GHC (`package.conf.d`), cabal (`package.db`) and stack (`pkgdb`)"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Hackage]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn max_file_size(&self) -> u64 {
        2 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        let directory = || file.directory().rsplit('/').next();
        file.file_name().ends_with(".conf")
            && matches!(directory(), Some("package.conf.d" | "package.db" | "pkgdb"))
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Reads a record. A library within a package stands for its package.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let fields = fields(file.bytes);
    let field = |name: &str| fields.get(name).and_then(|value| non_empty(value));
    let (Some(name), Some(version)) = (field("package-name").or_else(|| field("name")), field("version"))
    else {
        let message = "the record does not say both name and version of the package";
        found.gap("malformed-package-database", file.path, message);
        return found;
    };
    let units = fields.get("depends").map(String::as_str).unwrap_or_default();
    let needed: BTreeSet<&str> = units.split_whitespace().filter_map(package_of_unit).collect();
    let package = FoundPackage {
        licenses: field("license").into_iter().collect(),
        vendor: field("maintainer").or_else(|| field("author")),
        requires: needed
            .into_iter()
            .filter(|needed| *needed != name)
            .map(|name| Requirement { name: name.to_owned(), version: None })
            .collect(),
        ..FoundPackage::new(PackageKind::Hackage, name, version)
    };
    found.add_package(file.path, package);
    found
}

/// The package in `NAME-VERSION-HASH`. Each part of a name has a letter; the version has none.
fn package_of_unit(unit: &str) -> Option<&str> {
    let mut end = 0;
    for part in unit.split('-') {
        if end > 0 && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return unit.get(..end - 1);
        }
        end += part.len() + 1;
    }
    // Units that the compiler brings may have no version: `rts`.
    (!unit.is_empty() && !unit.contains('-')).then_some(unit)
}

/// The fields by name; lines that begin with white space continue the one before.
fn fields(bytes: &[u8]) -> BTreeMap<&'static str, String> {
    let mut fields: BTreeMap<&'static str, String> = BTreeMap::new();
    let mut current = None;
    for (_, line) in lines(bytes) {
        let (key, text) = match line.split_once(':') {
            _ if line.starts_with([' ', '\t']) => (current, line.trim()),
            Some((key, value)) => {
                (FIELDS.iter().find(|field| field.eq_ignore_ascii_case(key)).copied(), value.trim())
            }
            None => (None, ""),
        };
        if let Some(key) = key {
            let value = fields.entry(key).or_default();
            if value.len() < MAX_FIELD {
                value.push_str(if value.is_empty() { "" } else { " " });
                value.push_str(text);
                cut(value, MAX_FIELD);
            }
        }
        current = key;
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::package_of_unit;

    #[test]
    fn units_name_their_package() {
        for (unit, expected) in [
            ("base-4.18.0.0", Some("base")),
            ("text-icu-0.8.0.2-1f2e3d", Some("text-icu")),
            ("rts", Some("rts")),
            ("rts-1.0.2", Some("rts")),
            ("", None),
            ("a-b", None),
        ] {
            assert_eq!(package_of_unit(unit), expected, "{unit}");
        }
    }
}
