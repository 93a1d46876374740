//! What a scan is pointed at: an image, or the SBOM of one.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// An image to take apart, or an SBOM that says what an image contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An image or root file system.
    Image(hullmark_image::Target),
    /// A CycloneDX document (JSON).
    Sbom(PathBuf),
}

/// A text that names no target.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct TargetError(#[from] hullmark_image::TargetError);

impl Target {
    /// Reads a target: `sbom:FILE`, or whatever [`hullmark_image::Target::parse`] reads. A bare path of an existing
    /// file that begins like a JSON object is an SBOM.
    ///
    /// # Errors
    /// When the text names neither an existing file nor an image reference.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        if let Some(path) = text.strip_prefix("sbom:") {
            return Ok(Self::Sbom(PathBuf::from(path)));
        }
        if begins_like_json(Path::new(text)) {
            return Ok(Self::Sbom(PathBuf::from(text)));
        }
        Ok(Self::Image(hullmark_image::Target::parse(text)?))
    }
}

fn begins_like_json(path: &Path) -> bool {
    let mut start = [0; 64];
    let Ok(mut file) = File::open(path) else { return false };
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return false;
    }
    let Ok(length) = file.read(&mut start) else { return false };
    let text = start.get(..length).unwrap_or_default();
    text.iter().find(|byte| !byte.is_ascii_whitespace() && !matches!(byte, 0xEF | 0xBB | 0xBF)) == Some(&b'{')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_file_is_an_sbom_and_a_bare_word_an_image() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.cdx.json");
        std::fs::write(&path, "\n {\"bomFormat\": \"CycloneDX\"}").unwrap();
        let text = path.to_str().unwrap();
        assert_eq!(Target::parse(text).unwrap(), Target::Sbom(path.clone()));
        assert_eq!(Target::parse("sbom:x").unwrap(), Target::Sbom("x".into()));
        assert!(matches!(Target::parse("alpine:3.18").unwrap(), Target::Image(_)));
    }
}
