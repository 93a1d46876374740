//! What npm locked (<https://docs.npmjs.com/cli/configuring-npm/package-lock-json>), in each of its three forms.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hullmark_types::{Checksum, PackageKind};
use serde_json::{Map, Value};

use crate::text::{excerpt, non_empty};
use crate::{Evidence, Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Requirement};

/// Where packages are.
const MODULES: &str = "node_modules/";

/// How deep packages may be within each other in the first form.
const MAX_DEPTH: usize = 64;

/// Reads the lock files of npm.
pub struct NpmLock;

impl Extractor for NpmLock {
    fn name(&self) -> &'static str {
        "npm-lock"
    }

    fn summary(&self) -> &'static str {
        "Node.js packages that npm locked, from `package-lock.json` and `npm-shrinkwrap.json`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Npm]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn evidence(&self) -> Evidence {
        Evidence::Project
    }

    fn max_file_size(&self) -> u64 {
        64 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        matches!(file.file_name(), "package-lock.json" | "npm-shrinkwrap.json")
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Reads the lock file. Members of the project and links to them are no packages. An entry without a version is a gap
/// `malformed-lock-file`, and the others are listed.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let document = match serde_json::from_slice::<Value>(file.bytes) {
        Ok(document) => document,
        Err(error) => {
            found.gap("malformed-lock-file", file.path, format!("the lock file is not JSON: {error}"));
            return found;
        }
    };
    let mut entries: BTreeMap<String, &Map<String, Value>> = BTreeMap::new();
    match document.get("packages").and_then(Value::as_object) {
        Some(packages) => {
            let objects =
                packages.iter().filter_map(|(path, entry)| Some((path.clone(), entry.as_object()?)));
            entries.extend(objects);
        }
        None => nested(document.get("dependencies"), "", 0, &mut entries),
    }
    for (path, entry) in &entries {
        let Some(at) = path.rfind(MODULES) else { continue };
        if entry.get("link").and_then(Value::as_bool) == Some(true) {
            continue;
        }
        let text = |key: &str| entry.get(key).and_then(Value::as_str).and_then(non_empty);
        let alias = path.get(at + MODULES.len()..).unwrap_or_default();
        let name = text("name").unwrap_or_else(|| alias.to_owned());
        let version = text("version").filter(|version| !version.starts_with("file:"));
        let Some(version) = version else {
            if text("version").is_none() {
                found.gap("malformed-lock-file", file.path, format!("`{}` has no version", excerpt(path)));
            }
            continue;
        };
        // The first form writes an alias into the version: `npm:NAME@VERSION`.
        let (name, version) = match version.strip_prefix("npm:").and_then(|text| text.rsplit_once('@')) {
            Some((name, version)) => (name.to_owned(), version.to_owned()),
            None => (name, version),
        };
        let is = |key: &str| entry.get(key).and_then(Value::as_bool) == Some(true);
        let license = entry.get("license").and_then(Value::as_str).and_then(non_empty);
        let mut package = FoundPackage {
            licenses: license.into_iter().collect(),
            development: is("dev") || is("devOptional"),
            requires: requires(path, entry, &entries),
            checksums: text("integrity")
                .iter()
                .flat_map(|text| text.split_whitespace())
                .filter_map(checksum)
                .collect(),
            ..FoundPackage::new(PackageKind::Npm, name, version)
        };
        if let Some(resolved) = text("resolved").filter(|address| address.starts_with("git")) {
            package.properties.insert("npm:resolved".to_owned(), resolved);
        }
        found.add_package(file.path, package);
    }
    found
}

/// The first form, as the second writes it: packages by the path that they are installed at.
fn nested<'a>(
    dependencies: Option<&'a Value>,
    above: &str,
    depth: usize,
    entries: &mut BTreeMap<String, &'a Map<String, Value>>,
) {
    if depth > MAX_DEPTH {
        return;
    }
    for (name, entry) in dependencies.and_then(Value::as_object).into_iter().flatten() {
        let Some(entry) = entry.as_object() else { continue };
        let path = format!("{above}{MODULES}{name}");
        nested(entry.get("dependencies"), &format!("{path}/"), depth + 1, entries);
        entries.insert(path, entry);
    }
}

/// What a package needs, in the version that Node.js finds from where the package is.
fn requires(
    path: &str,
    entry: &Map<String, Value>,
    entries: &BTreeMap<String, &Map<String, Value>>,
) -> Vec<Requirement> {
    let is_first_form = entry.get("requires").is_some();
    let keys: &[&str] = if is_first_form {
        &["requires"]
    } else {
        &["dependencies", "optionalDependencies", "peerDependencies"]
    };
    let names = keys.iter().filter_map(|key| entry.get(*key)?.as_object()).flat_map(Map::keys);
    let resolve = |name: &String| {
        let mut directory = format!("{path}/");
        loop {
            if let Some(needed) = entries.get(&format!("{directory}{MODULES}{name}")) {
                let text = |key: &str| needed.get(key).and_then(Value::as_str).map(str::to_owned);
                return Some(Requirement {
                    name: text("name").unwrap_or_else(|| name.clone()),
                    version: Some(text("version")?),
                });
            }
            // The directory above the `node_modules` that holds this one.
            let at = directory.trim_end_matches('/').rfind(MODULES)?;
            directory.truncate(at);
        }
    };
    names.filter_map(resolve).collect()
}

/// `sha512-BASE64`.
fn checksum(text: &str) -> Option<Checksum> {
    let (algorithm, encoded) = text.split_once('-')?;
    let bytes = STANDARD.decode(encoded).ok().filter(|bytes| !bytes.is_empty())?;
    let value = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(Checksum { algorithm: algorithm.to_ascii_lowercase(), value })
}
