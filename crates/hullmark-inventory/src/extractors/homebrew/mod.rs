//! Formulas and casks of Homebrew, from `Cellar/NAME/VERSION/INSTALL_RECEIPT.json` and
//! `Caskroom/NAME/.metadata/VERSION/TIME/Casks/NAME.json`, wherever Homebrew is installed.

use std::collections::BTreeMap;

use hullmark_types::PackageKind;
use serde::Deserialize;

use crate::text::{lines, non_empty};
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile};

/// Reads what Homebrew writes down of an installation.
pub struct Homebrew;

impl Extractor for Homebrew {
    fn name(&self) -> &'static str {
        "homebrew"
    }

    fn summary(&self) -> &'static str {
        "Formulas and casks of Homebrew, from `Cellar/*/*/INSTALL_RECEIPT.json` and `Caskroom/*/.metadata/`, with licences from the formula"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Homebrew]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        Place::of(file.path).is_some()
    }

    fn max_file_size(&self) -> u64 {
        8 * 1024 * 1024
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        match Place::of(file.path) {
            Some(Place::Receipt { name, version }) => receipt(file, name, version),
            Some(Place::Cask { name, version }) => cask(file, name, version),
            Some(Place::Formula) => formula(file),
            None => Extraction::default(),
        }
    }
}

/// What a file is, by its path.
enum Place<'a> {
    Receipt { name: &'a str, version: &'a str },
    Formula,
    Cask { name: &'a str, version: &'a str },
}

impl<'a> Place<'a> {
    fn of(path: &'a str) -> Option<Self> {
        let mut parts = path.rsplit('/');
        let file = parts.next()?;
        if file == "INSTALL_RECEIPT.json" {
            let (version, name, cellar) = (parts.next()?, parts.next()?, parts.next()?);
            return (cellar == "Cellar").then_some(Self::Receipt { name, version });
        }
        let (stem, extension) = file.rsplit_once('.')?;
        match (extension, parts.next()?) {
            ("rb", ".brew") => {
                let (_, name, cellar) = (parts.next()?, parts.next()?, parts.next()?);
                (cellar == "Cellar" && name == stem).then_some(Self::Formula)
            }
            ("rb" | "json", "Casks") => {
                let (_, version, metadata) = (parts.next()?, parts.next()?, parts.next()?);
                let (name, room) = (parts.next()?, parts.next()?);
                (metadata == ".metadata" && room == "Caskroom" && name == stem)
                    .then_some(Self::Cask { name, version })
            }
            _ => None,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Receipt {
    source: Source,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Source {
    tap: Option<String>,
}

fn receipt(file: &OpenFile<'_>, name: &str, version: &str) -> Extraction {
    let mut found = Extraction::default();
    let mut properties = BTreeMap::new();
    match serde_json::from_slice::<Receipt>(file.bytes) {
        Ok(receipt) => {
            if let Some(tap) = receipt.source.tap.as_deref().and_then(non_empty) {
                properties.insert("homebrew:tap".to_owned(), tap);
            }
        }
        // Where it is says what is installed.
        Err(error) => {
            found.gap(
                "malformed-package-metadata",
                file.path,
                format!("the receipt cannot be read: {error}"),
            );
        }
    }
    let directory = file.directory();
    let package = FoundPackage {
        properties,
        details: vec![format!("{directory}/.brew/{name}.rb")],
        ..FoundPackage::new(PackageKind::Homebrew, name, version)
    };
    found.add_package(file.path, package);
    found
}

fn cask(file: &OpenFile<'_>, name: &str, version: &str) -> Extraction {
    let mut found = Extraction::default();
    let properties = BTreeMap::from([("homebrew:cask".to_owned(), "true".to_owned())]);
    found.add_package(
        file.path,
        FoundPackage { properties, ..FoundPackage::new(PackageKind::Homebrew, name, version) },
    );
    found
}

/// Reads the line `license "MIT"`, or `license any_of: ["MIT", "Apache-2.0"]`, of a formula.
fn formula(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let line = lines(file.bytes)
        .take(500)
        .find_map(|(_, line)| line.trim_start().strip_prefix("license ").map(|rest| rest.trim().to_owned()));
    let Some(line) = line else { return found };
    let names: Vec<_> = line.split('"').skip(1).step_by(2).filter(|name| !name.is_empty()).collect();
    let joined = if line.starts_with("any_of:") { names.join(" OR ") } else { names.join(" AND ") };
    found.detail_licenses(non_empty(&joined));
    found
}
