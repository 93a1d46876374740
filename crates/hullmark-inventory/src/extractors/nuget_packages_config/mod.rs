//! The packages of older .NET projects: `packages.config` (<https://learn.microsoft.com/nuget/reference/packages-config>).

use hullmark_types::PackageKind;

use crate::nuget::normalized;
use crate::xml;
use crate::{Evidence, Extraction, Extractor, FileFacts, FoundPackage, OpenFile};

/// Reads the lists of packages of older projects.
pub struct NugetPackagesConfig;

impl Extractor for NugetPackagesConfig {
    fn name(&self) -> &'static str {
        "nuget-packages-config"
    }

    fn summary(&self) -> &'static str {
        ".NET packages of a project, from `packages.config` and `packages.PROJECT.config`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Nuget]
    }

    fn evidence(&self) -> Evidence {
        Evidence::Project
    }

    fn max_file_size(&self) -> u64 {
        8 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        let name = file.file_name();
        name.len() >= "packages.config".len()
            && name.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("packages."))
            && name.get(name.len() - 7..).is_some_and(|end| end.eq_ignore_ascii_case(".config"))
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Reads a list. What is not XML, or no such list, is a gap `malformed-project-file`, and so is a package without a name; one without
/// a version is a gap `unresolved-version`.
fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let document = xml::parse(file.bytes);
    if let Some(problem) = document.problem {
        found.gap("malformed-project-file", file.path, problem);
    }
    let Some(list) = document.root.filter(|root| root.name == "packages") else {
        found.gap("malformed-project-file", file.path, "it is not a list of packages");
        return found;
    };
    for package in list.all("package") {
        let line = package.line;
        let Some(name) = package.attribute("id").filter(|name| !name.is_empty()) else {
            found.gap("malformed-project-file", file.path, format!("line {line}: a package has no name"));
            continue;
        };
        let version = package.attribute("version").map(normalized).unwrap_or_default();
        if version.is_empty() {
            found.gap("unresolved-version", file.path, format!("line {line}: a package has no version"));
        }
        let is_true = |value: &str| value.eq_ignore_ascii_case("true");
        let package = FoundPackage {
            development: package.attribute("developmentDependency").is_some_and(is_true),
            ..FoundPackage::new(PackageKind::Nuget, name, version)
        };
        found.add_package(file.path, package);
    }
    found
}
