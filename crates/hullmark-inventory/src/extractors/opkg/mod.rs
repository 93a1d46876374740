//! Packages of OpenWrt and of systems made with Yocto, from the database of opkg, which has the form of dpkg's.

use hullmark_types::PackageKind;

use super::dpkg::{parse_list, parse_stanzas};
use crate::{Extraction, Extractor, FileFacts, OpenFile};

/// Where the database is: OpenWrt, Yocto, older systems, Entware.
const DIRECTORIES: &[&str] = &["opt/lib/opkg", "usr/lib/opkg", "var/lib/opkg", "var/opkg"];

/// Reads opkg's status and its lists of files.
pub struct Opkg;

impl Extractor for Opkg {
    fn name(&self) -> &'static str {
        "opkg"
    }

    fn summary(&self) -> &'static str {
        "Packages of OpenWrt, Yocto and Entware, from `status` and the file lists in `info/` of `usr/lib/opkg`, `var/lib/opkg`, `var/opkg` and `opt/lib/opkg`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Opkg]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        match file.file_name() {
            "status" => DIRECTORIES.contains(&file.directory()),
            name if name.ends_with(".list") => file
                .directory()
                .strip_suffix("/info")
                .is_some_and(|directory| DIRECTORIES.contains(&directory)),
            _ => false,
        }
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        match file.file_name() {
            "status" => parse_stanzas(file, PackageKind::Opkg),
            _ => without_sizes(parse_list(file)),
        }
    }
}

/// Yocto's lists have mode and size behind each path, separated by tabs.
fn without_sizes(mut found: Extraction) -> Extraction {
    for file in found.owned.iter_mut().flat_map(|owned| &mut owned.files) {
        if let Some(end) = file.find('\t') {
            file.truncate(end);
        }
    }
    found
}
