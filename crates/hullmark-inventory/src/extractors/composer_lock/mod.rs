//! What Composer locked (<https://getcomposer.org/doc/01-basic-usage.md#commit-your-composer-lock-file-to-version-control>).

use std::collections::BTreeMap;

use hullmark_types::{Checksum, PackageKind};
use serde_json::{Map, Value};

use crate::text::{excerpt, non_empty};
use crate::{Evidence, Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Requirement};

/// Reads the lock files of Composer.
pub struct ComposerLock;

impl Extractor for ComposerLock {
    fn name(&self) -> &'static str {
        "composer-lock"
    }

    fn summary(&self) -> &'static str {
        "PHP packages that Composer locked, from `composer.lock`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Composer]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn evidence(&self) -> Evidence {
        Evidence::Project
    }

    fn max_file_size(&self) -> u64 {
        32 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        file.file_name() == "composer.lock"
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Reads the lock file. An entry without name or version is a gap `malformed-lock-file`, and the others are listed.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let document = match serde_json::from_slice::<Value>(file.bytes) {
        Ok(document) => document,
        Err(error) => {
            found.gap("malformed-lock-file", file.path, format!("the lock file is not JSON: {error}"));
            return found;
        }
    };
    if !document.is_object() {
        found.gap("malformed-lock-file", file.path, "the lock file is not a JSON object");
    }
    for (key, development) in [("packages", false), ("packages-dev", true)] {
        let entries = document.get(key).and_then(Value::as_array).into_iter().flatten();
        for (position, entry) in entries.enumerate() {
            let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).and_then(non_empty);
            let name = text("/name");
            let (Some(name), Some(version)) = (&name, text("/version")) else {
                let name = name.as_deref().map_or("no name".to_owned(), excerpt);
                let message =
                    format!("entry {} of `{key}` ({name}) does not have both name and version", position + 1);
                found.gap("malformed-lock-file", file.path, message);
                continue;
            };
            let licenses = match entry.get("license") {
                Some(Value::String(license)) => non_empty(license).into_iter().collect(),
                Some(Value::Array(list)) => {
                    list.iter().filter_map(Value::as_str).filter_map(non_empty).collect()
                }
                _ => Vec::new(),
            };
            // PHP itself and its extensions have no vendor.
            let requires = entry.get("require").and_then(Value::as_object).into_iter().flat_map(Map::keys);
            let requires = requires.filter(|name| name.contains('/'));
            let sha1 = text("/dist/shasum").filter(|sum| sum.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let commit = text("/source/reference").map(|commit| ("composer:commit".to_owned(), commit));
            let package = FoundPackage {
                licenses,
                development,
                requires: requires.map(|name| Requirement { name: name.clone(), version: None }).collect(),
                checksums: sha1
                    .map(|value| Checksum { algorithm: "sha1".to_owned(), value: value.to_ascii_lowercase() })
                    .into_iter()
                    .collect(),
                properties: BTreeMap::from_iter(commit),
                ..FoundPackage::new(PackageKind::Composer, name.as_str(), version)
            };
            found.add_package(file.path, package);
        }
    }
    found
}
