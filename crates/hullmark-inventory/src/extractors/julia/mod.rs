//! Julia packages, from the `Project.toml` of each in a depot (`packages/NAME/SLUG/`) and in the standard library
//! (`stdlib/vVERSION/NAME/`) (<https://pkgdocs.julialang.org/v1/toml-files/>).

use std::collections::BTreeMap;

use hullmark_types::PackageKind;
use toml::{Table, Value};

use crate::text::{excerpt, non_empty};
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Requirement};

/// Reads depots of Julia.
pub struct Julia;

impl Extractor for Julia {
    fn name(&self) -> &'static str {
        "julia"
    }

    fn summary(&self) -> &'static str {
        "Julia packages, from `packages/NAME/SLUG/Project.toml` in a depot and `stdlib/v*/NAME/Project.toml` of Julia itself"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Julia]
    }

    fn max_file_size(&self) -> u64 {
        1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        matches!(file.file_name(), "Project.toml" | "JuliaProject.toml") && place(file.directory()).is_some()
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// The name of the package whose directory it is, and whether it is a part of Julia.
fn place(directory: &str) -> Option<(&str, bool)> {
    let mut parts = directory.rsplit('/');
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
    let is_slug = matches!(first.len(), 4 | 5) && first.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match third {
        "packages" if is_slug => Some((second, false)),
        "stdlib" if second.starts_with('v') => Some((first, true)),
        _ => None,
    }
}

/// Reads the project file of a package. In a directory that looks like a depot and is none there may be a project of another
/// name; nothing is said of it. Parts of Julia may have no version of their own.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let Some((expected, is_standard)) = place(file.directory()) else { return found };
    let table = match toml::from_str::<Table>(&String::from_utf8_lossy(file.bytes)) {
        Ok(table) => table,
        Err(error) => {
            let message = format!("it is not TOML: {}", excerpt(error.message()));
            found.gap("malformed-package-metadata", file.path, message);
            return found;
        }
    };
    let text = |key: &str| table.get(key).and_then(Value::as_str).and_then(non_empty);
    let Some(name) = text("name").filter(|name| name == expected) else { return found };
    let version = text("version");
    if version.is_none() && !is_standard {
        found.note("package-without-version", file.path, format!("`{}` has no version", excerpt(&name)));
    }
    let needed = table.get("deps").and_then(Value::as_table).into_iter().flat_map(Table::keys);
    let mut properties = BTreeMap::new();
    properties.extend(text("uuid").map(|uuid| ("julia:uuid".to_owned(), uuid)));
    if is_standard {
        properties.insert("julia:standard-library".to_owned(), "true".to_owned());
    }
    let package = FoundPackage {
        requires: needed.map(|name| Requirement { name: name.clone(), version: None }).collect(),
        properties,
        ..FoundPackage::new(PackageKind::Julia, name, version.unwrap_or_default())
    };
    found.add_package(file.path, package);
    found
}
