//! Python distributions, from the metadata that installers leave beside the code
//! (<https://packaging.python.org/en/latest/specifications/core-metadata/>).

use hullmark_types::PackageKind;
use serde_json::Value;

use crate::text::{lines, non_empty};
use crate::zip::Zip;
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Requirement};

/// The metadata in a packed egg.
const EGG_METADATA: &str = "EGG-INFO/PKG-INFO";

/// The most bytes of metadata in a packed egg.
const MAX_EGG_METADATA: u64 = 8 * 1024 * 1024;

/// Reads the metadata of installed Python distributions.
pub struct Python;

impl Extractor for Python {
    fn name(&self) -> &'static str {
        "python"
    }

    fn summary(&self) -> &'static str {
        "Python distributions, from `*.dist-info/METADATA`, `*.egg-info/PKG-INFO`, `*.egg/EGG-INFO/PKG-INFO`, `*.egg-info` files and packed eggs (`*.egg`), with what they need and, from `direct_url.json`, where they came from"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Pypi]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn max_file_size(&self) -> u64 {
        64 * 1024 * 1024
    }

    fn version(&self) -> u32 {
        2
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        let directory = file.directory();
        match file.file_name() {
            "METADATA" => directory.ends_with(".dist-info"),
            "PKG-INFO" => directory.ends_with(".egg-info") || directory.ends_with(".egg/EGG-INFO"),
            "direct_url.json" => directory.ends_with(".dist-info"),
            name => name.ends_with(".egg-info") || name.ends_with(".egg"),
        }
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        match file.file_name() {
            "direct_url.json" => direct_url(file),
            name if name.ends_with(".egg") => packed_egg(file),
            _ => parse(file),
        }
    }
}

/// Reads the metadata in a packed egg.
fn packed_egg(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let read = Zip::open(file.bytes).and_then(|zip| {
        for member in zip.members() {
            let member = member?;
            if member.name == EGG_METADATA.as_bytes() {
                return zip.read(&member, MAX_EGG_METADATA).map(Some);
            }
        }
        Ok(None)
    });
    match read {
        Ok(Some(bytes)) => {
            found = parse(&OpenFile { path: file.path, bytes: &bytes });
            for package in &mut found.packages {
                package.inside = Some(EGG_METADATA.to_owned());
            }
        }
        Ok(None) => found.gap("malformed-archive", file.path, format!("there is no `{EGG_METADATA}`")),
        Err(error) => found.gap("malformed-archive", file.path, error.to_string()),
    }
    found
}

/// Where a distribution came from that no index named
/// (<https://packaging.python.org/en/latest/specifications/direct-url/>).
fn direct_url(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let origin = match serde_json::from_slice::<Value>(file.bytes) {
        Ok(origin) => origin,
        Err(error) => {
            found.gap("malformed-package-metadata", file.path, format!("the file is not JSON: {error}"));
            return found;
        }
    };
    let text = |pointer: &str| origin.pointer(pointer).and_then(Value::as_str).and_then(non_empty);
    let facts = [
        ("python:url", text("/url").map(|url| without_credentials(&url))),
        ("python:commit", text("/vcs_info/commit_id")),
        (
            "python:editable",
            origin.pointer("/dir_info/editable").filter(|value| **value == true).map(|_| "true".to_owned()),
        ),
    ];
    let details = found.details.get_or_insert_default();
    for (key, value) in facts {
        // A property is cut where a package has it as well.
        details
            .properties
            .extend(value.filter(|value| value.len() <= 1024).map(|value| (key.to_owned(), value)));
    }
    found
}

/// The address without user and password.
fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
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
    let is_said = |name: &String| name != "UNKNOWN";
    let vendor =
        fields.author.filter(is_said).or(fields.author_address).or(fields.maintainer.filter(is_said));
    let details = match file.file_name() {
        "METADATA" => vec![format!("{}/direct_url.json", file.directory())],
        _ => Vec::new(),
    };
    let requires = fields.requires.into_iter().map(|name| Requirement { name, version: None }).collect();
    let package = FoundPackage {
        licenses,
        vendor,
        requires,
        details,
        ..FoundPackage::new(PackageKind::Pypi, name, version)
    };
    found.add_package(file.path, package);
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
    /// The name in the first `Author-email` that has one.
    author_address: Option<String>,
    maintainer: Option<String>,
    requires: Vec<String>,
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
            "maintainer" => &mut self.maintainer,
            "author-email" => {
                let name =
                    value.split_once('<').and_then(|(name, _)| non_empty(name.trim().trim_matches('"')));
                self.author_address = self.author_address.take().or(name);
                return;
            }
            "requires-dist" => {
                self.requires.extend(unconditional(value));
                return;
            }
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

/// The name of a requirement that does not depend on the platform, the version of Python or an extra
/// (<https://packaging.python.org/en/latest/specifications/dependency-specifiers/>).
fn unconditional(requirement: &str) -> Option<String> {
    let requirement = requirement.trim();
    let is_name = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    let end = requirement.find(|character| !is_name(character)).unwrap_or(requirement.len());
    let (name, rest) = requirement.split_at(end);
    // A `;` may be a part of an address.
    let has_marker = if rest.contains('@') { rest.contains(" ;") } else { rest.contains(';') };
    if has_marker { None } else { non_empty(name) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zip::tests::archive;

    #[test]
    fn packed_eggs_are_read() {
        let metadata = b"Metadata-Version: 1.0\nName: packed\nVersion: 1.2\nLicense: MIT\n";
        for deflated in [true, false] {
            let bytes = archive(&[("packed/__init__.py", b"", false), (EGG_METADATA, metadata, deflated)]);
            let file = OpenFile { path: "site-packages/packed-1.2-py3.9.egg", bytes: &bytes };
            let found = Python.extract(&file);
            let expected = FoundPackage {
                licenses: vec!["MIT".to_owned()],
                inside: Some(EGG_METADATA.to_owned()),
                ..FoundPackage::new(PackageKind::Pypi, "packed", "1.2")
            };
            assert_eq!(found.packages, [expected]);
        }
    }

    #[test]
    fn an_egg_that_cannot_be_read_is_said() {
        for bytes in [archive(&[("a", b"", false)]), b"PK".to_vec()] {
            let found = Python.extract(&OpenFile { path: "a.egg", bytes: &bytes });
            assert_eq!(found.diagnostics.len(), 1);
            assert_eq!(found.diagnostics[0].code, "malformed-archive");
        }
    }

    #[test]
    fn a_metadata_bomb_in_an_egg_is_bounded() {
        let zeros = vec![b'a'; usize::try_from(MAX_EGG_METADATA).unwrap() + 1];
        let bytes = archive(&[(EGG_METADATA, &zeros, true)]);
        let found = Python.extract(&OpenFile { path: "a.egg", bytes: &bytes });
        assert!(found.packages.is_empty());
        assert_eq!(found.diagnostics.len(), 1);
    }

    #[test]
    fn requirements_with_a_condition_are_left_out() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(unconditional(text).as_deref(), expected, "{text}");
        };
        check("urllib3 (<3,>=1.21.1)", Some("urllib3"));
        check(" zope.interface[test]>=5 ", Some("zope.interface"));
        check("colorama; platform_system == \"Windows\"", None);
        check("pytest>=7; extra == 'test'", None);
        check("a @ https://example.com/a;b.zip", Some("a"));
        check("a @ https://example.com/a.zip ; python_version < '3'", None);
        check("", None);
    }

    #[test]
    fn addresses_have_no_credentials() {
        assert_eq!(without_credentials("https://user:pass@example.com/a@b"), "https://example.com/a@b");
        assert_eq!(without_credentials("file:///src"), "file:///src");
    }
}
