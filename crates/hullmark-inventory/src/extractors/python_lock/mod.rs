//! What Poetry, PDM, uv, Pipenv and pip lock locked (<https://packaging.python.org/en/latest/specifications/pylock-toml/>).

use hullmark_types::{Checksum, PackageKind};
use serde_json::Value;

use crate::text::{excerpt, non_empty};
use crate::{Evidence, Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Requirement};

/// Reads the lock files of Python.
pub struct PythonLock;

impl Extractor for PythonLock {
    fn name(&self) -> &'static str {
        "python-lock"
    }

    fn summary(&self) -> &'static str {
        "Python distributions that were locked, from `poetry.lock`, `pdm.lock`, `uv.lock`, `pylock.toml`, `pylock.*.toml` and `Pipfile.lock`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Pypi]
    }

    fn evidence(&self) -> Evidence {
        Evidence::Project
    }

    fn max_file_size(&self) -> u64 {
        32 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        let name = file.file_name();
        matches!(name, "poetry.lock" | "pdm.lock" | "uv.lock" | "pylock.toml" | "Pipfile.lock")
            || (name.starts_with("pylock.") && name.ends_with(".toml"))
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Reads a lock file. What lies in the project itself is no package. An entry without name or version is a gap
/// `malformed-lock-file`, and the others are listed.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let text = String::from_utf8_lossy(file.bytes);
    let is_pipenv = file.file_name() == "Pipfile.lock";
    let document = match is_pipenv {
        true => serde_json::from_str::<Value>(&text).map_err(|error| error.to_string()),
        false => toml::from_str::<Value>(&text).map_err(|error| error.message().to_owned()),
    };
    match document {
        Ok(document) if is_pipenv => pipenv(&document, file.path, &mut found),
        Ok(document) => entries(&document, file.path, &mut found),
        Err(error) => {
            let message = format!("the lock file cannot be read: {}", excerpt(&error));
            found.gap("malformed-lock-file", file.path, message);
        }
    }
    found
}

/// `{"default": {NAME: {"version": "==1.0", "hashes": ["sha256:..."]}}, "develop": ...}`
fn pipenv(document: &Value, path: &str, found: &mut Extraction) {
    for (key, development) in [("default", false), ("develop", true)] {
        for (name, entry) in document.get(key).and_then(Value::as_object).into_iter().flatten() {
            let version =
                entry.get("version").and_then(Value::as_str).and_then(|text| text.strip_prefix("=="));
            let commit = entry.get("ref").and_then(Value::as_str);
            if entry.get("path").is_some() || entry.get("file").is_some() && version.is_none() {
                continue;
            }
            let Some(version) = version.or(commit) else {
                let message = format!("`{}` has no version", excerpt(name));
                found.gap("malformed-lock-file", path, message);
                continue;
            };
            let hashes = entry.get("hashes").and_then(Value::as_array).into_iter().flatten();
            let package = FoundPackage {
                development,
                checksums: hashes.filter_map(Value::as_str).filter_map(checksum).collect(),
                ..FoundPackage::new(PackageKind::Pypi, name.as_str(), version)
            };
            found.add_package(path, package);
        }
    }
}

/// `[[package]]`, in pylock `[[packages]]`, with name and version.
fn entries(document: &Value, path: &str, found: &mut Extraction) {
    let list = document.get("package").or_else(|| document.get("packages")).and_then(Value::as_array);
    for (position, entry) in list.into_iter().flatten().enumerate() {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).and_then(non_empty);
        let source = entry.get("source");
        let is_of = |kind: &str| source.is_some_and(|source| source.get(kind).is_some());
        let is_local = ["editable", "virtual", "directory", "path"].iter().any(|kind| is_of(kind))
            || source.and_then(|source| source.get("type")).and_then(Value::as_str) == Some("directory")
            || entry.get("directory").is_some()
            || entry.get("path").is_some();
        if is_local {
            continue;
        }
        let name = text("name");
        let (Some(name), Some(version)) = (&name, text("version")) else {
            let name = name.as_deref().map_or("no name".to_owned(), excerpt);
            let message = format!("entry {} ({name}) does not have both name and version", position + 1);
            found.gap("malformed-lock-file", path, message);
            continue;
        };
        let groups = entry.get("groups").and_then(Value::as_array);
        let is_main = groups.is_none_or(|groups| {
            groups.is_empty() || groups.iter().any(|group| matches!(group.as_str(), Some("main" | "default")))
        });
        let category = text("category").is_none_or(|category| category == "main");
        let files = ["files", "wheels"].into_iter().filter_map(|key| entry.get(key)?.as_array()).flatten();
        let files = files.chain(entry.get("sdist"));
        let hashes = files.flat_map(|file| {
            let one = file.get("hash").and_then(Value::as_str).and_then(checksum);
            let table = file.get("hashes").and_then(Value::as_object).into_iter().flatten();
            let table =
                table.filter_map(|(algorithm, value)| checksum(&format!("{algorithm}:{}", value.as_str()?)));
            one.into_iter().chain(table).collect::<Vec<_>>()
        });
        let mut package = FoundPackage {
            development: !is_main || !category,
            requires: requires(entry.get("dependencies")),
            checksums: hashes.collect(),
            ..FoundPackage::new(PackageKind::Pypi, name.as_str(), version)
        };
        let commit = source
            .and_then(|source| source.get("resolved_reference").or_else(|| source.get("git")))
            .or_else(|| entry.get("revision"))
            .or_else(|| entry.get("vcs")?.get("commit-id"))
            .and_then(Value::as_str);
        if let Some(commit) = commit {
            package.properties.insert("python:revision".to_owned(), commit.to_owned());
        }
        found.add_package(path, package);
    }
}

/// A table by name (Poetry), a list of tables with `name` (uv, pylock), or of texts that begin with a name (PDM).
fn requires(value: Option<&Value>) -> Vec<Requirement> {
    let name = |text: &str| {
        let end = text.find(|one: char| !one.is_ascii_alphanumeric() && !matches!(one, '-' | '_' | '.'));
        text.get(..end.unwrap_or(text.len())).filter(|name| !name.is_empty()).map(str::to_owned)
    };
    let names: Vec<String> = match value {
        Some(Value::Object(table)) => table.keys().cloned().collect(),
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(|one| one.get("name").and_then(Value::as_str).or_else(|| one.as_str()).and_then(name))
            .collect(),
        _ => Vec::new(),
    };
    names.into_iter().map(|name| Requirement { name, version: None }).collect()
}

/// `ALGORITHM:HEX`.
fn checksum(text: &str) -> Option<Checksum> {
    let (algorithm, value) = text.split_once(':')?;
    let is_sound = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_sound
        .then(|| Checksum { algorithm: algorithm.to_ascii_lowercase(), value: value.to_ascii_lowercase() })
}
