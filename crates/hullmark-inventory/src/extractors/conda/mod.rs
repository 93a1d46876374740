//! Packages that conda, mamba or micromamba installed in an environment, from the record of each in `conda-meta`
//! (<https://docs.conda.io/projects/conda/en/stable/dev-guide/deep-dives/install.html>).

use std::collections::BTreeMap;

use hullmark_types::{Checksum, PackageKind};
use serde_json::{Map, Value};

use crate::text::non_empty;
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Requirement};

/// Reads the records of conda's packages.
pub struct Conda;

impl Extractor for Conda {
    fn name(&self) -> &'static str {
        "conda"
    }

    fn summary(&self) -> &'static str {
        "Packages of conda, mamba and micromamba, from `conda-meta/*.json` of each environment"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Conda]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn max_file_size(&self) -> u64 {
        32 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        file.file_name().ends_with(".json") && file.directory().rsplit('/').next() == Some("conda-meta")
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Reads a record. One without name or version is a gap `malformed-package-metadata`.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let record = match serde_json::from_slice::<Value>(file.bytes) {
        Ok(Value::Object(record)) => record,
        Ok(_) => {
            found.gap("malformed-package-metadata", file.path, "the record is not a JSON object");
            return found;
        }
        Err(error) => {
            found.gap("malformed-package-metadata", file.path, format!("the record is not JSON: {error}"));
            return found;
        }
    };
    let (Some(name), Some(version)) = (text(&record, "name"), text(&record, "version")) else {
        found.gap("malformed-package-metadata", file.path, "the record does not have both name and version");
        return found;
    };
    let requires = record.get("depends").and_then(Value::as_array).into_iter().flatten();
    let requires = requires.filter_map(Value::as_str).filter_map(|spec| spec.split_whitespace().next());
    let package = FoundPackage {
        licenses: text(&record, "license").into_iter().collect(),
        requires: requires.map(|name| Requirement { name: name.to_owned(), version: None }).collect(),
        checksums: ["md5", "sha256"]
            .into_iter()
            .filter_map(|algorithm| checksum(&record, algorithm))
            .collect(),
        properties: properties(&record),
        ..FoundPackage::new(PackageKind::Conda, name, version)
    };
    found.add_package(file.path, package);
    found
}

fn text(record: &Map<String, Value>, key: &str) -> Option<String> {
    record.get(key)?.as_str().and_then(non_empty)
}

fn checksum(record: &Map<String, Value>, algorithm: &str) -> Option<Checksum> {
    let value = text(record, algorithm)?;
    let is_sound = value.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_sound.then(|| Checksum { algorithm: algorithm.to_owned(), value: value.to_ascii_lowercase() })
}

fn properties(record: &Map<String, Value>) -> BTreeMap<String, String> {
    let subdirectory = text(record, "subdir");
    let archive = text(record, "fn").or_else(|| text(record, "url")).unwrap_or_default();
    let form = ["conda", "tar.bz2"].into_iter().find(|form| archive.ends_with(&format!(".{form}")));
    let channel = text(record, "channel").and_then(|channel| channel_name(&channel, subdirectory.as_deref()));
    let facts = [
        ("conda:build", text(record, "build")),
        ("conda:channel", channel),
        ("conda:subdir", subdirectory),
        ("conda:type", form.map(str::to_owned)),
    ];
    facts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// The name of a channel, which may be given by its address, and that with a token for access.
fn channel_name(channel: &str, subdirectory: Option<&str>) -> Option<String> {
    let path = match channel.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?.1,
        None => channel,
    };
    let path = path.trim_matches('/');
    let path = match path.strip_prefix("t/").and_then(|rest| rest.split_once('/')) {
        Some((_, path)) => path,
        None => path,
    };
    let path = subdirectory.and_then(|name| path.strip_suffix(name)).unwrap_or(path).trim_end_matches('/');
    non_empty(path.strip_prefix("pkgs/").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_have_names() {
        let check = |channel: &str, expected: Option<&str>| {
            assert_eq!(channel_name(channel, Some("linux-64")).as_deref(), expected, "{channel}");
        };
        check("https://repo.anaconda.com/pkgs/main/linux-64", Some("main"));
        check("https://conda.anaconda.org/conda-forge/linux-64", Some("conda-forge"));
        check("https://conda.anaconda.org/t/a-secret/private/linux-64/", Some("private"));
        check("conda-forge", Some("conda-forge"));
        check("https://example.com", None);
    }
}
