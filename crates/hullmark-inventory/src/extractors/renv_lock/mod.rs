//! What renv locked for a project of R (<https://rstudio.github.io/renv/articles/lockfile.html>).

use std::collections::BTreeMap;

use hullmark_types::PackageKind;
use serde_json::Value;

use crate::text::{excerpt, non_empty};
use crate::{Evidence, Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Requirement};

/// Reads the lock files of renv.
pub struct RenvLock;

impl Extractor for RenvLock {
    fn name(&self) -> &'static str {
        "renv-lock"
    }

    fn summary(&self) -> &'static str {
        "R packages that renv locked, from `renv.lock`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Cran]
    }

    fn evidence(&self) -> Evidence {
        Evidence::Project
    }

    fn max_file_size(&self) -> u64 {
        16 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        file.file_name() == "renv.lock"
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Reads the lock file. An entry without version is a gap `malformed-lock-file`, and the others are listed.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let document = match serde_json::from_slice::<Value>(file.bytes) {
        Ok(document) => document,
        Err(error) => {
            found.gap("malformed-lock-file", file.path, format!("the lock file is not JSON: {error}"));
            return found;
        }
    };
    let Some(packages) = document.get("Packages").and_then(Value::as_object) else {
        found.gap("malformed-lock-file", file.path, "the lock file has no `Packages`");
        return found;
    };
    for (key, entry) in packages {
        let text = |field: &str| entry.get(field).and_then(Value::as_str).and_then(non_empty);
        let Some(version) = text("Version") else {
            let message = format!("package `{}` has no version", excerpt(key));
            found.gap("malformed-lock-file", file.path, message);
            continue;
        };
        // The base system of R is among what is required, and is no package of the file.
        let requires = entry.get("Requirements").and_then(Value::as_array).into_iter().flatten();
        let requires = requires.filter_map(Value::as_str);
        let commit = text("RemoteSha").map(|commit| ("cran:commit".to_owned(), commit));
        let repository = text("Repository").map(|name| ("cran:repository".to_owned(), name));
        let package = FoundPackage {
            requires: requires.map(|name| Requirement { name: name.to_owned(), version: None }).collect(),
            properties: commit.into_iter().chain(repository).collect::<BTreeMap<_, _>>(),
            ..FoundPackage::new(PackageKind::Cran, text("Package").unwrap_or_else(|| key.clone()), version)
        };
        found.add_package(file.path, package);
    }
    found
}
