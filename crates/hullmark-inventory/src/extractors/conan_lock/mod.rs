//! What Conan locked, in the form of version 1 and of version 2 (<https://docs.conan.io/2/tutorial/versioning/lockfiles.html>).

use std::collections::BTreeMap;

use hullmark_types::PackageKind;
use serde_json::Value;

use crate::text::excerpt;
use crate::{Evidence, Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Requirement};

/// Reads the lock files of Conan.
pub struct ConanLock;

impl Extractor for ConanLock {
    fn name(&self) -> &'static str {
        "conan-lock"
    }

    fn summary(&self) -> &'static str {
        "C and C++ packages that Conan 1 or 2 locked, from `conan.lock`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Conan]
    }

    fn evidence(&self) -> Evidence {
        Evidence::Project
    }

    fn max_file_size(&self) -> u64 {
        16 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        file.file_name() == "conan.lock"
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Reads the references. One that has no version is a gap `malformed-lock-file`.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let document = match serde_json::from_slice::<Value>(file.bytes) {
        Ok(document) => document,
        Err(error) => {
            found.gap("malformed-lock-file", file.path, format!("the lock file is not JSON: {error}"));
            return found;
        }
    };
    if let Some(nodes) = document.pointer("/graph_lock/nodes").and_then(Value::as_object) {
        let reference = |node: &'_ Value| node.get("ref").and_then(Value::as_str).map(str::to_owned);
        for (key, node) in nodes {
            // The project itself has a path, and no reference that is whole.
            if node.get("path").is_some() {
                continue;
            }
            let Some(text) = reference(node) else { continue };
            let required = |field: &str| {
                let keys = node.get(field).and_then(Value::as_array).into_iter().flatten();
                keys.filter_map(Value::as_str)
                    .filter_map(|key| nodes.get(key))
                    .filter_map(reference)
                    .collect::<Vec<_>>()
            };
            let needed = required("requires");
            match package(&text) {
                Some(mut package) => {
                    let needed = needed.iter().filter_map(|text| self::package(text));
                    package.requires = needed
                        .map(|other| Requirement { name: other.name, version: Some(other.version) })
                        .collect();
                    found.add_package(file.path, package);
                }
                None if key == "0" => {}
                None => gap(&mut found, file, &text),
            }
        }
        return found;
    }
    let lists = [("requires", false), ("build_requires", true), ("python_requires", true)];
    if !lists.iter().any(|(key, _)| document.get(key).is_some_and(Value::is_array)) {
        found.gap("malformed-lock-file", file.path, "the lock file has neither `requires` nor `graph_lock`");
    }
    for (key, development) in lists {
        let references = document.get(key).and_then(Value::as_array).into_iter().flatten();
        for text in references.filter_map(Value::as_str) {
            match package(text) {
                Some(package) => found.add_package(file.path, FoundPackage { development, ..package }),
                None => gap(&mut found, file, text),
            }
        }
    }
    found
}

fn gap(found: &mut Extraction, file: &OpenFile<'_>, text: &str) {
    let message = format!("`{}` is not `name/version`", excerpt(text));
    found.gap("malformed-lock-file", file.path, message);
}

/// The package of `name/version@user/channel#revision%time`.
fn package(reference: &str) -> Option<FoundPackage> {
    let reference = reference.split('%').next().unwrap_or(reference);
    let (reference, revision) = match reference.split_once('#') {
        Some((reference, revision)) => (reference, Some(revision)),
        None => (reference, None),
    };
    let (reference, user) = match reference.split_once('@') {
        Some((reference, user)) => (reference, user.split_once('/')),
        None => (reference, None),
    };
    let (name, version) = reference.split_once('/')?;
    if name.is_empty() || version.is_empty() {
        return None;
    }
    let user =
        user.into_iter().flat_map(|(user, channel)| [("conan:user", user), ("conan:channel", channel)]);
    let properties = user.chain(revision.map(|revision| ("conan:revision", revision)));
    Some(FoundPackage {
        properties: properties
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect::<BTreeMap<_, _>>(),
        ..FoundPackage::new(PackageKind::Conan, name, version)
    })
}
