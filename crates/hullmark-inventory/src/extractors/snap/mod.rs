//! Snaps, from `meta/snap.yaml` where their content is unpacked: at the root of a snap, or where it is mounted.

use hullmark_types::PackageKind;
use serde::Deserialize;

use crate::text::non_empty;
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile};

/// Reads the metadata of snaps.
pub struct Snap;

impl Extractor for Snap {
    fn name(&self) -> &'static str {
        "snap"
    }

    fn summary(&self) -> &'static str {
        "Snaps whose content is unpacked, from `meta/snap.yaml`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Snap]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        file.file_name() == "snap.yaml" && (file.directory() == "meta" || file.directory().ends_with("/meta"))
    }

    fn max_file_size(&self) -> u64 {
        1024 * 1024
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    license: Option<String>,
    #[serde(default)]
    architectures: Vec<String>,
}

/// Reads the metadata of a snap. One that is malformed is a gap `malformed-package-metadata`.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let text = String::from_utf8_lossy(file.bytes);
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: 1,
            max_depth: 24,
            max_nodes: 50_000,
            max_events: 150_000,
            max_aliases: 100,
            max_anchors: 100,
        },
        with_snippet: false,
    };
    let metadata: Metadata = match serde_saphyr::from_str_with_options(&text, options) {
        Ok(metadata) => metadata,
        Err(error) => {
            let message = error.without_snippet().to_string();
            let message = message.lines().next().unwrap_or("it is no YAML");
            found.gap(
                "malformed-package-metadata",
                file.path,
                format!("the metadata cannot be read: {message}"),
            );
            return found;
        }
    };
    let version = metadata.version.unwrap_or_default();
    let architecture = match metadata.architectures.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    };
    let package = FoundPackage {
        architecture,
        licenses: metadata.license.as_deref().and_then(non_empty).into_iter().collect(),
        ..FoundPackage::new(PackageKind::Snap, metadata.name, version.trim())
    };
    found.add_package(file.path, package);
    found
}
