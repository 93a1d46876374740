//! Node.js packages, from the `package.json` of each directory directly under a `node_modules`
//! (<https://docs.npmjs.com/cli/configuring-npm/package-json>).

use hullmark_types::PackageKind;
use serde_json::Value;

use crate::text::{excerpt, non_empty};
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile};

/// Reads the manifests of installed Node.js packages.
pub struct Npm;

impl Extractor for Npm {
    fn name(&self) -> &'static str {
        "npm"
    }

    fn summary(&self) -> &'static str {
        "Node.js packages, from `node_modules/NAME/package.json` and `node_modules/@SCOPE/NAME/package.json`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Npm]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn max_file_size(&self) -> u64 {
        8 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        file.file_name() == "package.json" && name_from_path(file.path).is_some()
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Reads a manifest. Without `name` the directory names the package, as it does for Node.js; without `version` the
/// package has an empty version and a note. With neither, the file only sets options for a directory: a note, no
/// package. Bytes that are not a JSON object are a gap `malformed-package-metadata`.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let bytes = file.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file.bytes);
    let manifest = match serde_json::from_slice::<Value>(bytes) {
        Ok(Value::Object(manifest)) => manifest,
        Ok(_) => {
            found.gap("malformed-package-metadata", file.path, "the manifest is not a JSON object");
            return found;
        }
        Err(error) => {
            found.gap("malformed-package-metadata", file.path, format!("the manifest is not JSON: {error}"));
            return found;
        }
    };
    let text = |key: &str| manifest.get(key).and_then(Value::as_str).and_then(non_empty);
    let (name, version) = match (text("name"), text("version")) {
        (None, None) => {
            found.note("not-a-package", file.path, "the manifest has neither name nor version");
            return found;
        }
        (name, version) => (name.or_else(|| name_from_path(file.path)), version),
    };
    let Some(name) = name else {
        found.gap("malformed-package-metadata", file.path, "the manifest has no name");
        return found;
    };
    if version.is_none() {
        found.note("package-without-version", file.path, format!("`{}` has no version", excerpt(&name)));
    }
    let package = FoundPackage {
        licenses: licenses(&manifest),
        vendor: manifest.get("author").and_then(author),
        ..FoundPackage::new(PackageKind::Npm, name, version.unwrap_or_default())
    };
    found.add_package(file.path, package);
    found
}

/// The name of the package whose directory directly under a `node_modules` holds `path`; `None` for any deeper file.
fn name_from_path(path: &str) -> Option<String> {
    let after = match path.rsplit_once("/node_modules/") {
        Some((_, after)) => after,
        None => path.strip_prefix("node_modules/")?,
    };
    let parts: Vec<_> = after.split('/').collect();
    match parts.as_slice() {
        [name, _] if !name.starts_with(['.', '@']) => Some((*name).to_owned()),
        [scope, name, _] if scope.starts_with('@') => Some(format!("{scope}/{name}")),
        _ => None,
    }
}

/// `license` as text or `{ "type": ... }`, or the old list `licenses` of either.
fn licenses(manifest: &serde_json::Map<String, Value>) -> Vec<String> {
    let one = |value: &Value| value.as_str().or_else(|| value.get("type")?.as_str()).and_then(non_empty);
    match (manifest.get("license"), manifest.get("licenses")) {
        (Some(license), _) => one(license).into_iter().collect(),
        (None, Some(Value::Array(list))) => list.iter().filter_map(one).collect(),
        _ => Vec::new(),
    }
}

fn author(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value.get("name")?.as_str()).and_then(non_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_direct_children_of_node_modules_are_packages() {
        let check = |path: &str, expected: Option<&str>| {
            assert_eq!(name_from_path(path).as_deref(), expected, "{path}");
        };
        check("app/node_modules/a/package.json", Some("a"));
        check("node_modules/a/package.json", Some("a"));
        check("app/node_modules/@s/a/package.json", Some("@s/a"));
        check("app/node_modules/.pnpm/a@1/node_modules/a/package.json", Some("a"));
        check("app/node_modules/a/test/fixtures/package.json", None);
        check("app/node_modules/a/dist/package.json", None);
        check("app/node_modules/@s/package.json", None);
        check("app/node_modules/.cache/package.json", None);
        check("app/package.json", None);
    }
}
