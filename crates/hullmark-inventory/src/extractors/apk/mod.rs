//! Alpine packages, from the database of apk-tools
//! (<https://wiki.alpinelinux.org/wiki/Apk_spec#Installed_Database_V2>).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hullmark_types::{Checksum, Diagnostic, PackageKind, SourcePackage};

use crate::provided::Provided;
use crate::text::{excerpt, lines, non_empty};
use crate::{Extraction, Extractor, FoundPackage, MAX_OWNED_BYTES, OpenFile, OwnedFiles, Requirement};

/// The most names of one field that are read.
const MAX_NAMES: usize = 4096;

const OWNED_LIMIT: &str = "the paths of installed files take too much memory; the rest was not taken";

/// Reads the installed database of apk.
pub struct Apk;

impl Extractor for Apk {
    fn name(&self) -> &'static str {
        "apk"
    }

    fn summary(&self) -> &'static str {
        "Alpine, Wolfi and Chainguard packages, from `lib/apk/db/installed` and `usr/lib/apk/db/installed`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Apk]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn version(&self) -> u32 {
        2
    }

    fn well_known_paths(&self) -> &'static [&'static str] {
        &["lib/apk/db/installed", "usr/lib/apk/db/installed"]
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Reads stanzas of `X:value` lines that empty lines end. A stanza without name or version, and a line of another form,
/// are gaps `malformed-package-database`; the rest goes on.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let mut stanza = Stanza::default();
    let mut listed = 0_usize;
    let mut provided = Provided::default();
    for (number, line) in lines(file.bytes) {
        if line.is_empty() {
            std::mem::take(&mut stanza).finish(file, &mut found, &mut provided);
            continue;
        }
        stanza.first_line.get_or_insert(number);
        let Some((key, value)) = line.split_once(':').filter(|(key, _)| key.len() == 1) else {
            found.gap(
                "malformed-package-database",
                file.path,
                format!("line {number} is not a field: `{}`", excerpt(&line)),
            );
            continue;
        };
        match key {
            "P" => stanza.name = non_empty(value),
            "V" => stanza.version = non_empty(value),
            "A" => stanza.architecture = non_empty(value),
            "o" => stanza.origin = non_empty(value),
            "L" => stanza.license = non_empty(value),
            "C" => stanza.checksum = checksum(value),
            "D" => stanza.depends = non_empty(value),
            "p" => stanza.provides = non_empty(value),
            "m" => stanza.maintainer = non_empty(value),
            "F" => {
                stanza.start_list(&mut found);
                stanza.directory = value.trim_matches('/').to_owned();
            }
            "R" => {
                stanza.start_list(&mut found);
                let path = match stanza.directory.as_str() {
                    "" => value.to_owned(),
                    directory => format!("{directory}/{value}"),
                };
                // Directories are written once in the file and repeated here, so that the result can be far larger.
                listed = listed.saturating_add(path.len()).saturating_add(size_of::<String>());
                if listed > MAX_OWNED_BYTES {
                    found.report_once(Diagnostic::gap("limit-owned-files", file.path, OWNED_LIMIT));
                } else if let Some(list) = found.owned.last_mut() {
                    list.files.push(path);
                }
            }
            _ => {}
        }
    }
    stanza.finish(file, &mut found, &mut provided);
    provided.resolve(&mut found.packages);
    found
}

#[derive(Default)]
struct Stanza {
    first_line: Option<usize>,
    name: Option<String>,
    version: Option<String>,
    architecture: Option<String>,
    origin: Option<String>,
    license: Option<String>,
    maintainer: Option<String>,
    checksum: Option<Checksum>,
    depends: Option<String>,
    provides: Option<String>,
    directory: String,
    listing: bool,
}

impl Stanza {
    fn start_list(&mut self, found: &mut Extraction) {
        if !self.listing {
            self.listing = true;
            found.owned.push(OwnedFiles::default());
        }
    }

    fn finish(self, file: &OpenFile<'_>, found: &mut Extraction, provided: &mut Provided) {
        let Some(first_line) = self.first_line else { return };
        let (Some(name), Some(version)) = (self.name, self.version) else {
            if self.listing {
                found.owned.pop();
            }
            let message = format!("the package at line {first_line} has no name (`P:`) or no version (`V:`)");
            return found.gap("malformed-package-database", file.path, message);
        };
        if self.listing
            && let Some(list) = found.owned.last_mut()
        {
            list.package.clone_from(&name);
            list.architecture.clone_from(&self.architecture);
        }
        let source =
            SourcePackage { name: self.origin.unwrap_or_else(|| name.clone()), version: version.clone() };
        provided.add(self.provides.iter().flat_map(|field| names(field)), &name);
        let requirement = |name: &str| Requirement { name: name.to_owned(), version: None };
        let package = FoundPackage {
            checksums: self.checksum.into_iter().collect(),
            requires: self.depends.iter().flat_map(|field| names(field)).map(requirement).collect(),
            source: Some(source),
            architecture: self.architecture,
            licenses: self.license.into_iter().collect(),
            vendor: self.maintainer,
            ..FoundPackage::new(PackageKind::Apk, name, version)
        };
        found.add_package(file.path, package);
    }
}

/// The names in a field of dependencies or of what is provided: `so:libz.so.1=1.3 tools~1.2 other@edge`. What begins with `!` is
/// a conflict.
fn names(field: &str) -> impl Iterator<Item = &str> {
    let words = field.split_ascii_whitespace().take(MAX_NAMES).filter(|word| !word.starts_with('!'));
    words.filter_map(|word| word.split(['=', '<', '>', '~', '@']).next()).filter(|name| !name.is_empty())
}

/// `Q1` and the SHA-1, or `Q2` and the SHA-256, of what apk calls the control segment, in base 64.
fn checksum(field: &str) -> Option<Checksum> {
    let (algorithm, length, value) = match field.split_at_checked(2)? {
        ("Q1", value) => ("sha1", 20, value),
        ("Q2", value) => ("sha256", 32, value),
        _ => return None,
    };
    let bytes = STANDARD.decode(value).ok().filter(|bytes| bytes.len() == length)?;
    let value = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(Checksum { algorithm: algorithm.to_owned(), value })
}
