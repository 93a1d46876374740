//! SBOM files that an image carries: CycloneDX and SPDX in JSON, as build tools, Wolfi's apks, Bitnami's components, hardened images and Python wheels
//! (PEP 770) leave them behind.
//!
//! What such a file names and a package manager knows as well is the package manager's: the merge takes it from there and lists
//! nothing twice.

mod cyclonedx;
mod elements;
mod item;
mod package_url;
mod spdx;

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use hullmark_types::PackageKind;

use crate::{Extraction, Extractor, FileFacts, OpenFile};
use elements::Elements;
use item::Items;

/// The name of the extractor.
pub(crate) const NAME: &str = "embedded-sbom";

/// How the names of SBOM files end.
const SUFFIXES: &[&str] = &[".bom.json", ".cdx.json", ".cyclonedx.json", ".sbom.json", ".spdx.json"];

/// Whole names of SBOM files.
const NAMES: &[&str] = &["bom.json", "cyclonedx.json", "sbom.json", "spdx.json"];

/// Directories in which every JSON file may be one.
const DIRECTORIES: &[&str] = &["sbom", "sboms"];

/// Directories in which SBOM files are of something else: of tests, and of how Node.js packages were developed.
const FOREIGN_DIRECTORIES: &[&str] = &["fixtures", "node_modules", "test", "testdata", "tests"];

/// What in a file makes it an SBOM.
const MARKS: &[&[u8]] = &[b"CycloneDX", b"spdxVersion", b"spdx.org"];

/// Reads SBOM files.
pub struct EmbeddedSbom;

impl Extractor for EmbeddedSbom {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "Packages of any kind that SBOM files in an image name and no package manager knows, from CycloneDX and SPDX in JSON (`*.cdx.json`, `*.spdx.json`, `*.bom.json`, `*.sbom.json`, `bom.json`, `sbom.json`, `.spdx-*.spdx` of Bitnami, and what is in directories named `sbom` or `sboms`)"
    }

    fn version(&self) -> u32 {
        2
    }

    fn kinds(&self) -> &'static [PackageKind] {
        PackageKind::ALL
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        let name = file.file_name();
        // Each component of Bitnami's images has one.
        if name.starts_with(".spdx-") && name.ends_with(".spdx") {
            return true;
        }
        if !name.ends_with(".json") {
            return false;
        }
        let is_named = NAMES.contains(&name) || SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
        let is_in = |known: &[&str]| file.directory().split('/').any(|part| known.contains(&part));
        (is_named || is_in(DIRECTORIES)) && !is_in(FOREIGN_DIRECTORIES)
    }

    fn accepts(&self, head: &[u8]) -> bool {
        without_mark(head).trim_ascii_start().starts_with(b"{")
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// The parts of a document that matter. Of each kind of document some are there.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(rename = "bomFormat")]
    bom_format: Option<String>,
    #[serde(rename = "spdxVersion")]
    spdx_version: Option<String>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    components: Elements<'a>,
    #[serde(borrow, default)]
    dependencies: Elements<'a>,
    #[serde(borrow, default)]
    packages: Elements<'a>,
    #[serde(borrow, default)]
    relationships: Elements<'a>,
    #[serde(borrow, default, rename = "documentDescribes")]
    describes: Elements<'a>,
    #[serde(borrow, default, rename = "@graph")]
    graph: Elements<'a>,
    /// The document itself, when an attestation (in-toto) wraps it.
    #[serde(borrow)]
    predicate: Option<&'a RawValue>,
}

/// Reads a document. A file that is none, whatever its name, is left alone; one that is malformed is a gap `malformed-sbom`, and so
/// is each of its elements that is.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let bytes = without_mark(file.bytes);
    if !MARKS.iter().any(|mark| memmem::find(bytes, mark).is_some()) {
        return found;
    }
    let document =
        serde_json::from_slice::<Document<'_>>(bytes).and_then(|document| match document.predicate {
            Some(predicate) => serde_json::from_str(predicate.get()),
            None => Ok(document),
        });
    let document = match document {
        Ok(document) => document,
        Err(error) => {
            found.gap("malformed-sbom", file.path, format!("it cannot be read: {error}"));
            return found;
        }
    };
    let mut items = Items::new(file.path, &mut found);
    if document.bom_format.as_deref() == Some("CycloneDX") {
        cyclonedx::read(&document, &mut items);
    } else if document.spdx_version.is_some() {
        spdx::read(&document, &mut items);
    } else if !document.graph.is_empty() {
        spdx::read_graph(&document, &mut items);
    }
    items.finish();
    found
}

/// Without the mark of byte order that some tools write.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}
