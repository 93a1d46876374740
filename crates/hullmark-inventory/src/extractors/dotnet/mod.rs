//! .NET packages, from the dependency list beside each application, library and shared framework: `NAME.deps.json`
//! (<https://github.com/dotnet/runtime/blob/main/docs/design/features/host-runtime-information.md>).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hullmark_types::{Checksum, PackageKind};
use serde::Deserialize;

use crate::text::excerpt;
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Requirement};

/// How the name of the run-time that an application brings along begins in the list.
const RUNTIME_PACK: &str = "runtimepack.";

/// Reads dependency lists of .NET.
pub struct Dotnet;

impl Extractor for Dotnet {
    fn name(&self) -> &'static str {
        "dotnet"
    }

    fn summary(&self) -> &'static str {
        ".NET packages, run-time packs and shared frameworks, from `*.deps.json`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Nuget]
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        file.file_name().ends_with(".deps.json")
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    #[serde(default)]
    runtime_target: Target,
    #[serde(default)]
    targets: BTreeMap<String, BTreeMap<String, Needs>>,
    libraries: BTreeMap<String, Library>,
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Target {
    Named {
        name: String,
    },
    /// Lists of .NET Core 1.
    Name(String),
    #[default]
    None,
}

#[derive(Deserialize)]
struct Needs {
    #[serde(default)]
    dependencies: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Library {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    sha512: String,
}

/// Reads a list. A library that is not named `NAME/VERSION` is a gap `malformed-package-metadata`, and the others are read.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let bytes = file.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file.bytes);
    let list: List = match serde_json::from_slice(bytes) {
        Ok(list) => list,
        Err(error) => {
            let message = format!("the list of dependencies cannot be read: {}", excerpt(&error.to_string()));
            found.gap("malformed-package-metadata", file.path, message);
            return found;
        }
    };
    let target = match &list.runtime_target {
        Target::Named { name } | Target::Name(name) => list.targets.get(name),
        Target::None => None,
    };
    let target = target.or_else(|| list.targets.values().next());
    for (key, library) in &list.libraries {
        let Some((name, version)) = key.split_once('/') else {
            let message = format!("`{}` is not a name and a version", excerpt(key));
            found.gap("malformed-package-metadata", file.path, message);
            continue;
        };
        let needs = target.and_then(|target| target.get(key));
        let requires = needs.iter().flat_map(|needs| &needs.dependencies).map(|(name, version)| {
            Requirement { name: plain(name).to_owned(), version: Some(version.clone()) }
        });
        let mut package = FoundPackage {
            requires: requires.collect(),
            checksums: checksum(&library.sha512).into_iter().collect(),
            ..FoundPackage::new(PackageKind::Nuget, plain(name), version)
        };
        // The application itself, and files that no package brought, are in no registry.
        if !matches!(library.kind.as_str(), "" | "package") {
            package.properties.insert("nuget:type".to_owned(), library.kind.clone());
        }
        found.add_package(file.path, package);
    }
    found
}

/// The name of the package that a run-time pack is.
fn plain(name: &str) -> &str {
    name.strip_prefix(RUNTIME_PACK).unwrap_or(name)
}

/// `sha512-BASE64`.
fn checksum(text: &str) -> Option<Checksum> {
    let bytes = STANDARD.decode(text.strip_prefix("sha512-")?).ok().filter(|bytes| bytes.len() == 64)?;
    let value = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(Checksum { algorithm: "sha512".to_owned(), value })
}
