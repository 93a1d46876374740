//! Python distributions, from the metadata that installers leave beside the code
//! (<https://packaging.python.org/en/latest/specifications/core-metadata/>).

use hullmark_types::PackageKind;

use crate::text::{lines, non_empty};
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile};

/// Reads the metadata of installed Python distributions.
pub struct Python;

impl Extractor for Python {
    fn name(&self) -> &'static str {
        "python"
    }

    fn summary(&self) -> &'static str {
        "Python distributions, from `*.dist-info/METADATA`, `*.egg-info/PKG-INFO`, `*.egg/EGG-INFO/PKG-INFO` and `*.egg-info` files"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Pypi]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn max_file_size(&self) -> u64 {
        8 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        let directory = file.directory();
        match file.file_name() {
            "METADATA" => directory.ends_with(".dist-info"),
            "PKG-INFO" => directory.ends_with(".egg-info") || directory.ends_with(".egg/EGG-INFO"),
            name => name.ends_with(".egg-info"),
        }
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Reads the header fields of core metadata, up to the first empty line. Name and version that the file does not give
/// are taken from its path (`urllib3-1.26.5.dist-info`). Without a name, a gap `malformed-package-metadata`; without a
/// version, a package with an empty version and a note.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let mut fields = Fields::default();
    for (_, line) in lines(file.bytes) {
        if line.trim().is_empty() {
            break;
        }
        // A line that white space starts continues the field above; none of the fields read here has more than one.
        if let Some((key, value)) = line.split_once(':').filter(|_| !line.starts_with([' ', '\t'])) {
            fields.take(key, value);
        }
    }
    let (path_name, path_version) = from_path(file);
    let Some(name) = fields.name.or(path_name) else {
        found.gap("malformed-package-metadata", file.path, "there is no `Name`");
        return found;
    };
    let version = fields.version.or(path_version).unwrap_or_default();
    if version.is_empty() {
        found.note("package-without-version", file.path, "there is no `Version`");
    }
    let licenses = match (fields.license_expression, fields.license) {
        (Some(expression), _) => vec![expression],
        (None, Some(license)) if license != "UNKNOWN" => vec![license],
        _ => fields.classifiers,
    };
    let vendor = fields.author.filter(|author| author != "UNKNOWN");
    found.add_package(
        file.path,
        FoundPackage { licenses, vendor, ..FoundPackage::new(PackageKind::Pypi, name, version) },
    );
    found
}

#[derive(Default)]
struct Fields {
    name: Option<String>,
    version: Option<String>,
    license: Option<String>,
    license_expression: Option<String>,
    classifiers: Vec<String>,
    author: Option<String>,
}

impl Fields {
    /// The first of several fields with the same name counts, as in Python's `email` package.
    fn take(&mut self, key: &str, value: &str) {
        let slot = match key.to_ascii_lowercase().as_str() {
            "name" => &mut self.name,
            "version" => &mut self.version,
            "license" => &mut self.license,
            "license-expression" => &mut self.license_expression,
            "author" => &mut self.author,
            "classifier" => {
                if let Some((_, license)) =
                    value.trim().strip_prefix("License ::").and_then(|rest| rest.rsplit_once("::"))
                {
                    self.classifiers.extend(non_empty(license));
                }
                return;
            }
            _ => return,
        };
        if slot.is_none() {
            *slot = non_empty(value);
        }
    }
}

/// Name and version from `NAME-VERSION.dist-info`, `NAME-VERSION[-pyX.Y].egg-info` or `NAME-VERSION-pyX.Y.egg`.
fn from_path(file: &OpenFile<'_>) -> (Option<String>, Option<String>) {
    let holder = match file.file_name() {
        "METADATA" | "PKG-INFO" => file.directory().trim_end_matches("/EGG-INFO"),
        _ => file.path,
    };
    let last = holder.rsplit_once('/').map_or(holder, |(_, last)| last);
    let stem = [".dist-info", ".egg-info", ".egg"].iter().find_map(|suffix| last.strip_suffix(suffix));
    let mut parts = stem.unwrap_or("").split('-');
    let name = parts.next().and_then(non_empty);
    // The name has no `-` there: installers write `_` for it. What follows the version is a tag.
    let version = parts.next().filter(|text| text.starts_with(|first: char| first.is_ascii_digit()));
    (name, version.and_then(non_empty))
}
