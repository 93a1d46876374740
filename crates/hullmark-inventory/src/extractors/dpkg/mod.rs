//! Debian packages, from the database of dpkg (deb-control(5), dpkg(1)) and the one file per package that distroless
//! images have.

mod copyright;
mod files;
mod relations;
mod status;

use hullmark_types::PackageKind;

use crate::{Extraction, Extractor, FileFacts, OpenFile};

pub(crate) use files::parse_list;
pub(crate) use status::{VENDOR_PROPERTY, parse_stanzas};

const STATUS_DIRECTORY: &str = "var/lib/dpkg/status.d";
const INFO_DIRECTORY: &str = "var/lib/dpkg/info";

/// Reads dpkg's status and its lists of files.
pub struct Dpkg;

impl Extractor for Dpkg {
    fn name(&self) -> &'static str {
        "dpkg"
    }

    fn summary(&self) -> &'static str {
        "Debian and Ubuntu packages, from `var/lib/dpkg/status`, `status.d/*` and the file lists in `info/`, with licences from `usr/share/doc/*/copyright`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Deb]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn version(&self) -> u32 {
        4
    }

    fn well_known_paths(&self) -> &'static [&'static str] {
        &["var/lib/dpkg/status"]
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        match file.directory() {
            "var/lib/dpkg" => file.file_name() == "status",
            STATUS_DIRECTORY => true,
            INFO_DIRECTORY => file.file_name().ends_with(".list"),
            directory => {
                file.file_name() == "copyright"
                    && directory.strip_prefix("usr/share/doc/").is_some_and(|name| !name.contains('/'))
            }
        }
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        match (file.directory(), file.file_name()) {
            (INFO_DIRECTORY, _) => files::parse_list(file),
            (STATUS_DIRECTORY, name) if name.ends_with(".md5sums") => files::parse_md5sums(file),
            (_, "copyright") => copyright::parse(file),
            _ => parse(file),
        }
    }
}

/// Reads the database, or the part of it that distroless images have for each package.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    parse_stanzas(file, PackageKind::Deb)
}
