//! Debian packages, from the database of dpkg (deb-control(5), dpkg(1)) and the one file per package that distroless
//! images have.

mod files;

use hullmark_types::{PackageKind, SourcePackage};

use crate::text::{excerpt, lines, non_empty};
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile};

const STATUS_DIRECTORY: &str = "var/lib/dpkg/status.d";
const INFO_DIRECTORY: &str = "var/lib/dpkg/info";

/// Reads dpkg's status and its lists of files.
pub struct Dpkg;

impl Extractor for Dpkg {
    fn name(&self) -> &'static str {
        "dpkg"
    }

    fn summary(&self) -> &'static str {
        "Debian and Ubuntu packages, from `var/lib/dpkg/status`, `status.d/*` and the file lists in `info/`"
    }

    fn well_known_paths(&self) -> &'static [&'static str] {
        &["var/lib/dpkg/status"]
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        match file.directory() {
            "var/lib/dpkg" => file.file_name() == "status",
            STATUS_DIRECTORY => true,
            INFO_DIRECTORY => file.file_name().ends_with(".list"),
            _ => false,
        }
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        match (file.directory(), file.file_name()) {
            (INFO_DIRECTORY, _) => files::parse_list(file),
            (STATUS_DIRECTORY, name) if name.ends_with(".md5sums") => files::parse_md5sums(file),
            _ => parse(file),
        }
    }
}

/// Reads stanzas of `Field: value` lines, continued by lines that start with white space, that empty lines end.
///
/// A package counts when its files are on disk: state `installed`, or unpacked and not yet configured. One that is
/// `half-installed` counts with a note. A stanza without `Status` (distroless) counts. A stanza without name or
/// version, and a line of another form, are gaps `malformed-package-database`; the rest goes on.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let mut stanza = Stanza::default();
    for (number, line) in lines(file.bytes) {
        if line.trim().is_empty() {
            std::mem::take(&mut stanza).finish(file, &mut found);
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
            _ => continue,
        };
        *slot = non_empty(value);
    }
    stanza.finish(file, &mut found);
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
}

impl Stanza {
    fn finish(self, file: &OpenFile<'_>, found: &mut Extraction) {
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
        let package = FoundPackage {
            source: Some(source_package(self.source.as_deref(), &name, &version)),
            architecture: self.architecture,
            vendor: self.maintainer,
            ..FoundPackage::new(PackageKind::Deb, name, version)
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
