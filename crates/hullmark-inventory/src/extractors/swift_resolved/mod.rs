//! What the Swift Package Manager resolved: `Package.resolved`, versions 1 to 3
//! (<https://docs.swift.org/swiftpm/documentation/packagemanagerdocs/>).

use std::collections::BTreeMap;

use hullmark_types::PackageKind;
use serde_json::Value;

use crate::text::{excerpt, non_empty};
use crate::{Evidence, Extraction, Extractor, FileFacts, FoundPackage, OpenFile};

/// Reads `Package.resolved`.
pub struct SwiftResolved;

impl Extractor for SwiftResolved {
    fn name(&self) -> &'static str {
        "swift-resolved"
    }

    fn summary(&self) -> &'static str {
        "Swift packages that the Swift Package Manager or Xcode resolved, from `Package.resolved`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Swift]
    }

    fn evidence(&self) -> Evidence {
        Evidence::Project
    }

    fn max_file_size(&self) -> u64 {
        16 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        file.file_name() == "Package.resolved"
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Reads the pins. One without place is a gap `malformed-lock-file`; local packages are none.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let document = match serde_json::from_slice::<Value>(file.bytes) {
        Ok(document) => document,
        Err(error) => {
            found.gap("malformed-lock-file", file.path, format!("the lock file is not JSON: {error}"));
            return found;
        }
    };
    // Version 1 has an object around the list.
    let pins = document.get("pins").or_else(|| document.pointer("/object/pins")).and_then(Value::as_array);
    let Some(pins) = pins else {
        found.gap("malformed-lock-file", file.path, "the lock file has no list of pins");
        return found;
    };
    for (position, pin) in pins.iter().enumerate() {
        let text = |pointer: &str| pin.pointer(pointer).and_then(Value::as_str).and_then(non_empty);
        let kind = text("/kind").unwrap_or_default();
        if kind.starts_with("local") || kind == "fileSystem" {
            continue;
        }
        let commit = text("/state/revision");
        // Pins of a branch have a commit only.
        let version = text("/state/version").or_else(|| commit.clone());
        let place = text("/location").or_else(|| text("/repositoryURL"));
        // Packages of a registry have an identity `scope.name` and no address.
        let name = place.as_deref().map(repository).or_else(|| text("/identity"));
        let (Some(name), Some(version)) = (name, version) else {
            let name = text("/identity").or_else(|| text("/package")).unwrap_or_default();
            let message =
                format!("pin {} (`{}`) does not have both place and version", position + 1, excerpt(&name));
            found.gap("malformed-lock-file", file.path, message);
            continue;
        };
        let properties = BTreeMap::from_iter(commit.map(|commit| ("swift:commit".to_owned(), commit)));
        let package = FoundPackage { properties, ..FoundPackage::new(PackageKind::Swift, name, version) };
        found.add_package(file.path, package);
    }
    found
}

/// The address of a repository without scheme, credentials and `.git`, as advisories write it.
fn repository(address: &str) -> String {
    let rest = match address.split_once("://") {
        Some((_, rest)) => rest.to_owned(),
        // `git@host:owner/name`
        None => address.replacen(':', "/", 1),
    };
    let (host, path) = rest.split_once('/').unwrap_or((&rest, ""));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    if path.is_empty() { host.to_owned() } else { format!("{host}/{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_have_one_name() {
        for address in [
            "https://github.com/apple/swift-nio.git",
            "https://user:secret@github.com/apple/swift-nio",
            "git@github.com:apple/swift-nio.git",
            "ssh://git@github.com/apple/swift-nio/",
        ] {
            assert_eq!(repository(address), "github.com/apple/swift-nio", "{address}");
        }
    }
}
