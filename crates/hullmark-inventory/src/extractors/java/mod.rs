//! Java artifacts, from archives (jar, war, ear and their kin) and the archives in them, to a set depth.
//!
//! What Maven wrote into an archive (`META-INF/maven/GROUP/ARTIFACT/pom.properties`) names it, and each artifact that was merged
//! into it. An archive of which Maven says nothing is named by its manifest and its file name, which is less certain.

mod archive;
mod manifest;
mod names;
mod pom;

use hullmark_types::PackageKind;

use crate::{Extraction, Extractor, FileFacts, OpenFile};

/// How names of archives end: of Java, Jenkins, NiFi, Karaf, of resource adapters and of Liferay.
const EXTENSIONS: &[&str] = &["jar", "war", "ear", "par", "sar", "hpi", "jpi", "nar", "kar", "rar", "lpkg"];

/// What a zip archive begins with. A program may stand before it, but not before those of which RAR has the name too.
const ZIP: &[u8] = b"PK";

/// Reads Java archives.
pub struct Java;

impl Extractor for Java {
    fn name(&self) -> &'static str {
        "java"
    }

    fn summary(&self) -> &'static str {
        "Java artifacts, from `pom.properties`, `pom.xml`, the manifest and the name of archives (`*.jar`, `war`, `ear`, `par`, `sar`, `hpi`, `jpi`, `nar`, `kar`, `rar`, `lpkg`) and of the archives in them"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Maven]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn max_file_size(&self) -> u64 {
        256 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        is_archive(file.file_name())
    }

    fn accepts(&self, head: &[u8]) -> bool {
        !head.starts_with(b"Rar!")
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        archive::read(file)
    }
}

/// Whether the name is that of a Java archive.
fn is_archive(name: &str) -> bool {
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    !stem.is_empty() && EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}
