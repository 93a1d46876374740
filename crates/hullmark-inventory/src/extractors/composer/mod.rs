//! PHP packages that Composer installed, from `vendor/composer/installed.json`: a list (Composer 1), or an object with a list
//! (Composer 2).

use std::collections::{BTreeMap, BTreeSet};

use hullmark_types::{Checksum, PackageKind};
use serde_json::{Map, Value};

use crate::text::{excerpt, non_empty};
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Requirement};

/// Of many packages that provide one interface so many are enough.
const MAX_PROVIDERS: usize = 16;

/// Reads Composer's list of what it installed.
pub struct Composer;

impl Extractor for Composer {
    fn name(&self) -> &'static str {
        "composer"
    }

    fn summary(&self) -> &'static str {
        "PHP packages that Composer 1 or 2 installed, from `composer/installed.json` in the vendor directory"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Composer]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn max_file_size(&self) -> u64 {
        32 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        file.file_name() == "installed.json"
            && file.directory().rsplit('/').next().is_some_and(|name| name == "composer")
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Reads the list. An entry without name or version is a gap `malformed-package-metadata`, and the others are listed.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let document = match serde_json::from_slice::<Value>(file.bytes) {
        Ok(document) => document,
        Err(error) => {
            found.gap("malformed-package-metadata", file.path, format!("the list is not JSON: {error}"));
            return found;
        }
    };
    let list = document.as_array().or_else(|| document.get("packages")?.as_array());
    let Some(list) = list else {
        found.gap("malformed-package-metadata", file.path, "the document has no list of packages");
        return found;
    };
    let development: BTreeSet<String> = document
        .get("dev-package-names")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_lowercase))
        .collect();
    let providers = providers(list);
    for (position, entry) in list.iter().enumerate() {
        let name = text(entry, "name");
        let (Some(name), Some(version)) = (&name, text(entry, "version")) else {
            let name = name.as_deref().map_or("no name".to_owned(), excerpt);
            let message = format!("entry {} ({name}) does not have both name and version", position + 1);
            found.gap("malformed-package-metadata", file.path, message);
            continue;
        };
        let package = FoundPackage {
            licenses: licenses(entry),
            vendor: vendor(entry),
            development: development.contains(&name.to_lowercase()),
            requires: requires(entry, &providers),
            checksums: checksum(entry).into_iter().collect(),
            properties: properties(entry),
            ..FoundPackage::new(PackageKind::Composer, name.as_str(), version)
        };
        found.add_package(file.path, package);
    }
    found
}

fn text(entry: &Value, key: &str) -> Option<String> {
    entry.get(key)?.as_str().and_then(non_empty)
}

fn object<'a>(entry: &'a Value, key: &str) -> Option<&'a Map<String, Value>> {
    entry.get(key)?.as_object()
}

/// Who bears a name, or replaces or provides what bears it. Names do not differ by case.
fn providers(list: &[Value]) -> BTreeMap<String, Vec<String>> {
    let mut providers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in list {
        let Some(name) = text(entry, "name") else { continue };
        let others =
            ["replace", "provide"].into_iter().filter_map(|key| object(entry, key)).flat_map(Map::keys);
        for provided in std::iter::once(&name).chain(others) {
            let names = providers.entry(provided.to_lowercase()).or_default();
            if !names.contains(&name) && names.len() < MAX_PROVIDERS {
                names.push(name.clone());
            }
        }
    }
    providers
}

/// What is required of the list; PHP itself and its extensions are not in it.
fn requires(entry: &Value, providers: &BTreeMap<String, Vec<String>>) -> Vec<Requirement> {
    let names = object(entry, "require").into_iter().flat_map(Map::keys);
    let found: BTreeSet<&String> =
        names.filter_map(|name| providers.get(&name.to_lowercase())).flatten().collect();
    found.into_iter().map(|name| Requirement { name: name.clone(), version: None }).collect()
}

/// A text, or a list of texts of which one may be chosen.
fn licenses(entry: &Value) -> Vec<String> {
    match entry.get("license") {
        Some(Value::String(license)) => non_empty(license).into_iter().collect(),
        Some(Value::Array(list)) => list.iter().filter_map(|license| non_empty(license.as_str()?)).collect(),
        _ => Vec::new(),
    }
}

fn vendor(entry: &Value) -> Option<String> {
    let authors = entry.get("authors")?.as_array()?;
    let names: Vec<String> = authors.iter().take(16).filter_map(|author| text(author, "name")).collect();
    non_empty(&names.join(", "))
}

/// The SHA-1 of the archive that was installed; most repositories give none.
fn checksum(entry: &Value) -> Option<Checksum> {
    let value = text(entry.get("dist")?, "shasum")?.to_lowercase();
    let is_sha1 = value.len() == 40 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_sha1.then(|| Checksum { algorithm: "sha1".to_owned(), value })
}

fn properties(entry: &Value) -> BTreeMap<String, String> {
    let reference = ["source", "dist"].iter().find_map(|key| text(entry.get(*key)?, "reference"));
    let kind = text(entry, "type").filter(|kind| kind != "library");
    [("composer:reference", reference), ("composer:type", kind)]
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
}
