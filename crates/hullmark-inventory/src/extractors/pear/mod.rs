//! PHP packages and extensions that `pear` and `pecl` installed, from their registry: a file `NAME.reg` for each package, in
//! `.registry` or a directory of its channel there, with a serialised array of PHP.

mod serialized;

use std::collections::BTreeSet;

use hullmark_types::PackageKind;

use crate::text::non_empty;
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Requirement};

/// The channel of packages whose record does not say it.
const DEFAULT_CHANNEL: &str = "pear.php.net";

/// Reads PEAR's registry.
pub struct Pear;

impl Extractor for Pear {
    fn name(&self) -> &'static str {
        "pear"
    }

    fn summary(&self) -> &'static str {
        "PHP packages and extensions of PEAR and PECL, from `.registry/**/*.reg`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Pear]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn max_file_size(&self) -> u64 {
        16 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        file.file_name().ends_with(".reg")
            && file.directory().rsplit('/').take(2).any(|directory| directory == ".registry")
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Reads a record of the registry, which comes from a `package.xml` of version 1 or 2. What is read before a broken place
/// counts, and the break is a gap `malformed-package-database`.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let mut record = Record::default();
    if let Err(problem) = serialized::visit(file.bytes, &mut |path, value| record.fact(path, value)) {
        found.gap("malformed-package-database", file.path, problem);
    }
    let (Some(name), Some(version)) = (record.name, record.version) else {
        let message = "the record does not say both name and version of the package";
        found.gap("malformed-package-database", file.path, message);
        return found;
    };
    // A package of another channel lies in the directory of that channel.
    let directory = file.directory().rsplit('/').next().and_then(|name| name.strip_prefix(".channel."));
    let channel = record.channel.or_else(|| directory.map(str::to_owned));
    let channel = channel.unwrap_or_else(|| DEFAULT_CHANNEL.to_owned());
    let package = FoundPackage {
        licenses: record.licenses.into_iter().collect(),
        vendor: non_empty(&record.leads.into_iter().collect::<Vec<_>>().join(", ")),
        requires: record.requires.into_iter().map(|name| Requirement { name, version: None }).collect(),
        ..FoundPackage::new(PackageKind::Pear, format!("{channel}/{name}"), version)
    };
    found.add_package(file.path, package);
    found
}

/// What is taken of a record.
#[derive(Default)]
struct Record {
    name: Option<String>,
    version: Option<String>,
    channel: Option<String>,
    licenses: BTreeSet<String>,
    leads: BTreeSet<String>,
    requires: BTreeSet<String>,
    /// Name of the required package that is being read; its channel follows.
    required: Option<String>,
}

impl Record {
    fn fact(&mut self, path: &[&[u8]], value: &[u8]) {
        let text = || non_empty(&String::from_utf8_lossy(value));
        match path {
            [b"name"] | [b"package"] if self.name.is_none() => self.name = text(),
            [b"channel"] => self.channel = text(),
            [b"version"] | [b"version", b"release"] => self.version = text(),
            [b"license"] | [b"license", b"_content"] | [b"release_license"] => self.licenses.extend(text()),
            [b"lead", b"name"] | [b"lead", _, b"name"] if self.leads.len() < 16 => self.leads.extend(text()),
            [b"dependencies", b"required", b"package", .., b"name"] => self.required = text(),
            [b"dependencies", b"required", b"package", .., b"channel"] => {
                if let (Some(name), Some(channel)) = (self.required.take(), text()) {
                    self.requires.insert(format!("{channel}/{name}"));
                }
            }
            _ => {}
        }
    }
}
