//! The stanzas of `status`, which dpkg and opkg write.

use hullmark_types::{PackageKind, SourcePackage};

use super::relations::names;
use crate::provided::Provided;
use crate::text::{excerpt, lines, non_empty};
use crate::{Extraction, FoundPackage, OpenFile, Requirement};

/// The property with what the field `Vendor` of a Debian package says. Distributions do not write the field.
pub(crate) const VENDOR_PROPERTY: &str = "deb:vendor";

/// What builders of packages write for a vendor when they are told none.
const NO_VENDOR: &str = "none";

/// Reads stanzas of `Field: value` lines, continued by lines that start with white space, that empty lines end.
///
/// A package counts when its files are on disk: state `installed`, or unpacked and not yet configured. One that is
/// `half-installed` counts with a note. A stanza without `Status` (distroless) counts. A stanza without name or
/// version, and a line of another form, are gaps `malformed-package-database`; the rest goes on.
pub(crate) fn parse_stanzas(file: &OpenFile<'_>, kind: PackageKind) -> Extraction {
    let mut found = Extraction::default();
    let mut stanza = Stanza::default();
    let mut provided = Provided::default();
    for (number, line) in lines(file.bytes) {
        if line.trim().is_empty() {
            std::mem::take(&mut stanza).finish(file, kind, &mut found, &mut provided);
            continue;
        }
        stanza.first_line.get_or_insert(number);
        if line.starts_with([' ', '\t']) {
            continue;
        }
        let field = line.split_once(':').filter(|(key, _)| is_field_name(key));
        let Some((key, value)) = field else {
            found.gap(
                "malformed-package-database",
                file.path,
                format!("line {number} is not a field: `{}`", excerpt(&line)),
            );
            continue;
        };
        let slot = match key.to_ascii_lowercase().as_str() {
            "package" => &mut stanza.name,
            "version" => &mut stanza.version,
            "status" => &mut stanza.status,
            "source" => &mut stanza.source,
            "architecture" => &mut stanza.architecture,
            "maintainer" => &mut stanza.maintainer,
            "depends" => &mut stanza.depends,
            "pre-depends" => &mut stanza.pre_depends,
            "provides" => &mut stanza.provides,
            "vendor" => &mut stanza.vendor,
            "license" => &mut stanza.license,
            "sourcename" => &mut stanza.source_name,
            _ => continue,
        };
        *slot = non_empty(value);
    }
    stanza.finish(file, kind, &mut found, &mut provided);
    provided.resolve(&mut found.packages);
    found
}

#[derive(Default)]
struct Stanza {
    first_line: Option<usize>,
    name: Option<String>,
    version: Option<String>,
    status: Option<String>,
    source: Option<String>,
    architecture: Option<String>,
    maintainer: Option<String>,
    vendor: Option<String>,
    depends: Option<String>,
    pre_depends: Option<String>,
    provides: Option<String>,
    license: Option<String>,
    source_name: Option<String>,
}

impl Stanza {
    fn finish(self, file: &OpenFile<'_>, kind: PackageKind, found: &mut Extraction, provided: &mut Provided) {
        let Some(first_line) = self.first_line else { return };
        let malformed = |found: &mut Extraction, what: &str| {
            let message = format!("the package at line {first_line} {what}");
            found.gap("malformed-package-database", file.path, message);
        };
        let state = self.status.as_deref().map(|status| status.split_whitespace().nth(2).unwrap_or(""));
        let half_installed = match state {
            Some("not-installed" | "config-files") => return,
            None
            | Some("installed" | "unpacked" | "half-configured" | "triggers-awaited" | "triggers-pending") => {
                false
            }
            Some("half-installed") => true,
            Some(_) => {
                malformed(found, "has a `Status` that dpkg does not know; it is taken as installed");
                false
            }
        };
        let (Some(name), Some(version)) = (self.name, self.version) else {
            return malformed(found, "has no `Package` or no `Version`");
        };
        if half_installed {
            let message = format!("`{}` is half-installed: its files may be there or not", excerpt(&name));
            found.note("half-installed-package", file.path, message);
        }
        provided.add(self.provides.iter().flat_map(|text| names(text)), &name);
        let relations = self.pre_depends.iter().chain(&self.depends);
        let (source, details) = match kind {
            PackageKind::Deb => (
                Some(source_package(self.source.as_deref(), &name, &version)),
                vec![format!("usr/share/doc/{name}/copyright")],
            ),
            // `Source` of opkg is where the package is built from, no name.
            _ => (self.source_name.map(|name| SourcePackage { name, version: version.clone() }), Vec::new()),
        };
        let vendor = self.vendor.filter(|_| kind == PackageKind::Deb);
        let requirement = |name: &str| Requirement { name: name.to_owned(), version: None };
        let package = FoundPackage {
            source,
            details,
            architecture: self.architecture,
            licenses: self.license.into_iter().collect(),
            requires: relations.flat_map(|text| names(text)).map(requirement).collect(),
            properties: vendor.iter().map(|vendor| (VENDOR_PROPERTY.to_owned(), vendor.clone())).collect(),
            vendor: vendor.filter(|vendor| vendor != NO_VENDOR).or(self.maintainer),
            ..FoundPackage::new(kind, name, version)
        };
        found.add_package(file.path, package);
    }
}

/// Reads `Source: name (version)`; both parts are those of the binary package unless they are given.
fn source_package(field: Option<&str>, name: &str, version: &str) -> SourcePackage {
    let field = field.unwrap_or(name);
    let (source, rest) = field.split_once('(').map_or((field, None), |(source, rest)| (source, Some(rest)));
    let own_version = rest.and_then(|rest| non_empty(rest.trim_end().trim_end_matches(')')));
    SourcePackage {
        name: non_empty(source).unwrap_or_else(|| name.to_owned()),
        version: own_version.unwrap_or_else(|| version.to_owned()),
    }
}

/// Field names are printable US-ASCII without space and colon (deb-control(5)).
fn is_field_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}
