//! Node.js packages, from the `package.json` of each directory directly under a `node_modules`
//! (<https://docs.npmjs.com/cli/configuring-npm/package-json>).

use std::collections::BTreeSet;

use hullmark_types::PackageKind;
use serde_json::Value;

use crate::text::{excerpt, non_empty};
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Requirement};

mod yarn_cache;

/// Reads the manifests of installed Node.js packages.
pub struct Npm;

impl Extractor for Npm {
    fn name(&self) -> &'static str {
        "npm"
    }

    fn summary(&self) -> &'static str {
        "Node.js packages, from `node_modules/NAME/package.json` and `node_modules/@SCOPE/NAME/package.json`, from `package.json` in directories named after package and version (`NAME-vVERSION`, `NAME@VERSION`, `NAME/VERSION`) and from the archives that Yarn runs packages out of (`.yarn/cache/*.zip`)"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Npm]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn max_file_size(&self) -> u64 {
        64 * 1024 * 1024
    }

    fn version(&self) -> u32 {
        2
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        match file.file_name() {
            "package.json" => name_from_path(file.path).is_some() || may_be_named(file.path),
            name => name.ends_with(".zip") && yarn_cache::is_cache(file.directory()),
        }
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        let name = file.file_name();
        if name.ends_with(".zip") && yarn_cache::is_cache(file.directory()) {
            return yarn_cache::parse(file);
        }
        let found = parse(file);
        if name_from_path(file.path).is_none() && may_be_named(file.path) {
            // Only where the directory says the same it is that of a package, and not a project or material for a test.
            let is_named =
                |package: &FoundPackage| is_named(file.directory(), &package.name, &package.version);
            return if found.packages.iter().all(is_named) && !found.packages.is_empty() {
                found
            } else {
                Extraction::default()
            };
        }
        found
    }
}

/// Whether the directory may be named after a package and its version: the name has a digit, and the directory lies
/// neither in another package nor among material for tests.
fn may_be_named(path: &str) -> bool {
    let mut directories = path.rsplit('/').skip(1);
    let foreign = ["node_modules", "fixtures", "__fixtures__", "test", "tests", "testdata"];
    directories.next().is_some_and(|last| last.bytes().any(|byte| byte.is_ascii_digit()))
        && !directories.any(|part| foreign.contains(&part))
}

/// Whether a directory is named after a package and its version, as those of Yarn in Node.js images, of Corepack and of the
/// caches of Bun and Deno are.
fn is_named(directory: &str, name: &str, version: &str) -> bool {
    let ends_with = |end: String| {
        directory.strip_suffix(end.as_str()).is_some_and(|before| before.is_empty() || before.ends_with('/'))
    };
    // Bun adds `@@@1`.
    let directory_name = directory.rsplit('/').next().unwrap_or_default();
    let bare = name.rsplit('/').next().unwrap_or(name);
    !version.is_empty()
        && (ends_with(format!("{bare}-{version}"))
            || ends_with(format!("{bare}-v{version}"))
            || ends_with(format!("{name}@{version}"))
            || ends_with(format!("{name}/{version}"))
            || directory_name.starts_with(&format!("{bare}@{version}@@")))
}

/// Reads a manifest. Without `name` the directory names the package, as it does for Node.js; without `version` the
/// package has an empty version and a note. With neither, the file only sets options for a directory: a note, no
/// package. Bytes that are not a JSON object are a gap `malformed-package-metadata`.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    manifest(&mut found, file, file.path);
    found
}

/// Reads a manifest that is at `place` in an image or in an archive.
fn manifest(found: &mut Extraction, file: &OpenFile<'_>, place: &str) {
    let bytes = file.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file.bytes);
    let manifest = match serde_json::from_slice::<Value>(bytes) {
        Ok(Value::Object(manifest)) => manifest,
        Ok(_) => {
            found.gap("malformed-package-metadata", file.path, "the manifest is not a JSON object");
            return;
        }
        Err(error) => {
            found.gap("malformed-package-metadata", file.path, format!("the manifest is not JSON: {error}"));
            return;
        }
    };
    let text = |key: &str| manifest.get(key).and_then(Value::as_str).and_then(non_empty);
    let (name, version) = match (text("name"), text("version")) {
        (None, None) => {
            found.note("not-a-package", file.path, "the manifest has neither name nor version");
            return;
        }
        (name, version) => (name.or_else(|| name_from_path(place)), version),
    };
    let Some(name) = name else {
        found.gap("malformed-package-metadata", file.path, "the manifest has no name");
        return;
    };
    if version.is_none() {
        found.note("package-without-version", file.path, format!("`{}` has no version", excerpt(&name)));
    }
    let package = FoundPackage {
        licenses: licenses(&manifest),
        vendor: manifest.get("author").and_then(author),
        requires: requires(&manifest),
        ..FoundPackage::new(PackageKind::Npm, name, version.unwrap_or_default())
    };
    found.add_package(file.path, package);
}

/// What it needs to run, be it optional, and what it expects beside itself.
fn requires(manifest: &serde_json::Map<String, Value>) -> Vec<Requirement> {
    let fields = ["dependencies", "optionalDependencies", "peerDependencies"];
    let named = fields.into_iter().filter_map(|field| manifest.get(field)?.as_object());
    let names: BTreeSet<&String> = named.flat_map(|packages| packages.keys()).collect();
    names.into_iter().map(|name| Requirement { name: name.clone(), version: None }).collect()
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

    #[test]
    fn directories_may_be_named_after_a_package() {
        let check = |directory: &str, name: &str, version: &str, expected: bool| {
            assert_eq!(is_named(directory, name, version), expected, "{directory}");
        };
        check("opt/yarn-v1.22.22", "yarn", "1.22.22", true);
        check("root/.cache/node/corepack/v1/pnpm/9.0.0", "pnpm", "9.0.0", true);
        check("root/.bun/install/cache/left@1.0.0@@@1", "left", "1.0.0", true);
        check("root/.bun/install/cache/@s/left@1.0.0@@@1", "@s/left", "1.0.0", true);
        check("deno-dir/npm/registry.npmjs.org/@s/left/1.0.0", "@s/left", "1.0.0", true);
        check("srv/app-1", "app", "1.0.0", false);
        check("srv/app2", "app2", "", false);
        check("opt/other-left-1.0.0", "left", "1.0.0", false);
        assert!(!may_be_named("app/test/left-1.0.0/package.json"));
        assert!(!may_be_named("app/node_modules/x/left-1.0.0/package.json"));
        assert!(!may_be_named("srv/app/package.json"));
    }
}
