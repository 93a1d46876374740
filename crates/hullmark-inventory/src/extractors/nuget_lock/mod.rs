//! What NuGet locked: `packages.lock.json`
//! (<https://learn.microsoft.com/nuget/consume-packages/package-references-in-project-files#locking-dependencies>).

use std::collections::BTreeMap;

use hullmark_types::PackageKind;
use serde::Deserialize;

use crate::nuget::{Lenient, normalized, sha512, without_mark};
use crate::text::excerpt;
use crate::{Evidence, Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Requirement};

/// Reads the lock files of NuGet.
pub struct NugetLock;

impl Extractor for NugetLock {
    fn name(&self) -> &'static str {
        "nuget-lock"
    }

    fn summary(&self) -> &'static str {
        ".NET packages that NuGet locked, from `packages.lock.json` and `packages.PROJECT.lock.json`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Nuget]
    }

    fn evidence(&self) -> Evidence {
        Evidence::Project
    }

    fn max_file_size(&self) -> u64 {
        32 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        let name = file.file_name();
        name.starts_with("packages.") && name.ends_with(".lock.json")
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

#[derive(Deserialize)]
struct Lock {
    dependencies: BTreeMap<String, Lenient<BTreeMap<String, Lenient<Entry>>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    r#type: String,
    resolved: Option<String>,
    content_hash: Option<String>,
    #[serde(default)]
    dependencies: BTreeMap<String, String>,
}

/// Reads a lock file: the packages of each framework, those of the project itself left out. A file of another form is a gap
/// `malformed-lock-file`, and so is a package; one without a resolved version is a gap `unresolved-version`.
fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let lock: Lock = match serde_json::from_slice(without_mark(file.bytes)) {
        Ok(lock) => lock,
        Err(error) => {
            found.gap("malformed-lock-file", file.path, format!("it is not a lock file of NuGet: {error}"));
            return found;
        }
    };
    // Name and version of each package in each framework, as requirements name it.
    let mut resolved: BTreeMap<(&str, String), (&str, String)> = BTreeMap::new();
    for (framework, name, entry) in entries(&lock) {
        if let Some(version) = &entry.resolved {
            resolved.insert((framework, name.to_lowercase()), (name, normalized(version)));
        }
    }
    let mut packages: BTreeMap<(String, String), FoundPackage> = BTreeMap::new();
    for (framework, name, entry) in entries(&lock) {
        if entry.r#type.eq_ignore_ascii_case("project") {
            continue;
        }
        let version = entry.resolved.as_deref().map(normalized).unwrap_or_default();
        if version.is_empty() {
            let message = format!("`{}` has no resolved version for {}", excerpt(name), excerpt(framework));
            found.gap("unresolved-version", file.path, message);
        }
        let package =
            packages.entry((name.to_lowercase(), version.clone())).or_insert_with(|| FoundPackage {
                checksums: entry.content_hash.as_deref().and_then(sha512).into_iter().collect(),
                ..FoundPackage::new(PackageKind::Nuget, name, version)
            });
        for needed in entry.dependencies.keys() {
            let needed = needed.to_lowercase();
            // What is the same for a processor as for the framework is written with the framework only.
            let base = framework.split_once('/').map_or(framework, |(base, _)| base);
            let known = resolved.get(&(framework, needed.clone())).or_else(|| resolved.get(&(base, needed)));
            if let Some((name, version)) = known {
                let requirement = Requirement { name: (*name).to_owned(), version: Some(version.clone()) };
                package.requires.push(requirement);
            }
        }
    }
    for (framework, packages) in &lock.dependencies {
        let broken = packages.sound().map(|packages| {
            packages.iter().filter(|(_, entry)| entry.sound().is_none()).map(|(name, _)| name.as_str())
        });
        match broken {
            None => found.gap(
                "malformed-lock-file",
                file.path,
                format!("the packages of `{}` are not a table", excerpt(framework)),
            ),
            Some(names) => names.for_each(|name| {
                let message = format!("`{}` of `{}` is not a package", excerpt(name), excerpt(framework));
                found.gap("malformed-lock-file", file.path, message);
            }),
        }
    }
    for mut package in packages.into_values() {
        package.requires.sort();
        package.requires.dedup();
        found.add_package(file.path, package);
    }
    found
}

fn entries(lock: &Lock) -> impl Iterator<Item = (&str, &str, &Entry)> {
    lock.dependencies.iter().flat_map(|(framework, packages)| {
        let packages = packages.sound().into_iter().flatten();
        packages.filter_map(|(name, entry)| Some((framework.as_str(), name.as_str(), entry.sound()?)))
    })
}
