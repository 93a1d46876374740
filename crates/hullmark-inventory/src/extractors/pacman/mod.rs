//! Packages of Arch Linux and its kin, from the local database of pacman: a directory per package with `desc` and `files`, which
//! hold values below a line `%KEY%`.

use hullmark_types::{PackageKind, SourcePackage};

use crate::text::{excerpt, lines, non_empty};
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile, OwnedFiles};

const DATABASE: &str = "var/lib/pacman/local/";

/// Reads pacman's database.
pub struct Pacman;

impl Extractor for Pacman {
    fn name(&self) -> &'static str {
        "pacman"
    }

    fn summary(&self) -> &'static str {
        "Packages of Arch Linux and its kin, from `desc` and `files` in `var/lib/pacman/local/*`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Alpm]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        matches!(file.file_name(), "desc" | "files") && package_directory(file.path).is_some()
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        match (file.file_name(), package_directory(file.path)) {
            ("files", Some(directory)) => files(file, directory),
            _ => parse(file),
        }
    }
}

/// `NAME-VERSION-RELEASE`, where the file is.
fn package_directory(path: &str) -> Option<&str> {
    let (directory, _) =
        path.strip_prefix(DATABASE)?.split_once('/').filter(|(_, name)| !name.contains('/'))?;
    Some(directory)
}

/// Gives each value with its key to `each`.
fn values(bytes: &[u8], mut each: impl FnMut(&str, &str)) {
    let mut key = String::new();
    for (_, line) in lines(bytes) {
        let line = line.trim_end();
        match line.strip_prefix('%').and_then(|rest| rest.strip_suffix('%')) {
            Some(name) if !name.is_empty() => name.clone_into(&mut key),
            _ if line.is_empty() => key.clear(),
            _ if key.is_empty() => {}
            _ => each(&key, line),
        }
    }
}

/// Reads `desc`. One without name or version is a gap `malformed-package-database`.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let [mut name, mut version, mut base, mut architecture, mut packager] = [const { None }; 5];
    let mut licenses = Vec::new();
    values(file.bytes, |key, value| {
        let slot = match key {
            "NAME" => &mut name,
            "VERSION" => &mut version,
            "BASE" => &mut base,
            "ARCH" => &mut architecture,
            "PACKAGER" => &mut packager,
            "LICENSE" if licenses.len() < 64 => return licenses.extend(non_empty(value)),
            _ => return,
        };
        if slot.is_none() {
            *slot = non_empty(value);
        }
    });
    let (Some(name), Some(version)) = (name, version) else {
        let message = "the package has no `%NAME%` or no `%VERSION%`";
        found.gap("malformed-package-database", file.path, message);
        return found;
    };
    let package = FoundPackage {
        source: base.map(|name| SourcePackage { name, version: version.clone() }),
        architecture,
        licenses,
        vendor: packager,
        ..FoundPackage::new(PackageKind::Alpm, name, version)
    };
    found.add_package(file.path, package);
    found
}

/// Reads `files`.
fn files(file: &OpenFile<'_>, directory: &str) -> Extraction {
    let mut found = Extraction::default();
    // The name may have dashes; version and release have none.
    let Some((name, _)) = directory.rsplit_once('-').and_then(|(rest, _)| rest.rsplit_once('-')) else {
        let message = format!("`{}` is not named after a package", excerpt(directory));
        found.gap("malformed-package-database", file.path, message);
        return found;
    };
    let mut owned = OwnedFiles { package: name.to_owned(), ..OwnedFiles::default() };
    values(file.bytes, |key, value| {
        if key == "FILES" {
            owned.files.push(value.trim_matches('/').to_owned());
        }
    });
    if !owned.files.is_empty() {
        found.owned.push(owned);
    }
    found
}
