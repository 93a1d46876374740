//! SBOMs: the forms that an inventory is written in, and reading any of them back.

pub(crate) mod foreign;

use std::fmt;
use std::io;
use std::str::FromStr;

use hullmark_types::Inventory;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    SbomError, Tool, cyclonedx, cyclonedx_xml, parse_cyclonedx, spdx_document, spdx_tag_value, spdx3_document,
};

/// The largest document, in bytes.
pub(crate) const MAX_SIZE: usize = 256 << 20;

/// The most components of a document.
pub(crate) const MAX_COMPONENTS: usize = 1_000_000;

/// How deep the statements are that a document may be wrapped in.
const MAX_STATEMENTS: usize = 3;

/// The form of an SBOM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SbomFormat {
    /// CycloneDX 1.6 in JSON.
    CyclonedxJson,
    /// CycloneDX 1.6 in XML.
    CyclonedxXml,
    /// SPDX 2.3 in JSON.
    SpdxJson,
    /// SPDX 2.3 as tags and values.
    SpdxTagValue,
    /// SPDX 3.0.1 in JSON-LD.
    Spdx3Json,
}

impl SbomFormat {
    /// All forms.
    pub const ALL: [Self; 5] =
        [Self::CyclonedxJson, Self::CyclonedxXml, Self::SpdxJson, Self::SpdxTagValue, Self::Spdx3Json];

    /// The word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::CyclonedxJson => "cyclonedx-json",
            Self::CyclonedxXml => "cyclonedx-xml",
            Self::SpdxJson => "spdx-json",
            Self::SpdxTagValue => "spdx-tag-value",
            Self::Spdx3Json => "spdx3-json",
        }
    }

    /// What the document is called in messages.
    pub fn document(self) -> &'static str {
        match self {
            Self::CyclonedxJson | Self::CyclonedxXml => "a CycloneDX document",
            Self::SpdxJson | Self::SpdxTagValue | Self::Spdx3Json => "an SPDX document",
        }
    }
}

impl fmt::Display for SbomFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// A word that names no form of an SBOM.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a form of SBOM: expected cyclonedx-json, cyclonedx-xml, spdx-json, spdx-tag-value or spdx3-json"
)]
pub struct UnknownSbomFormat(pub String);

impl FromStr for SbomFormat {
    type Err = UnknownSbomFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| UnknownSbomFormat(text.to_owned()))
    }
}

/// Writes an inventory as an SBOM. The same inventory gives the same bytes.
///
/// # Errors
/// When `out` cannot be written to.
pub fn write_sbom(
    format: SbomFormat,
    inventory: &Inventory,
    tool: &Tool,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    match format {
        SbomFormat::CyclonedxJson => {
            crate::pretty(&cyclonedx(inventory, tool).map_err(io::Error::other)?, out)
        }
        SbomFormat::SpdxJson => {
            crate::pretty(&spdx_document(inventory, tool).map_err(io::Error::other)?, out)
        }
        SbomFormat::SpdxTagValue => spdx_tag_value(inventory, tool, out),
        SbomFormat::CyclonedxXml => cyclonedx_xml(inventory, tool, out),
        SbomFormat::Spdx3Json => {
            crate::pretty(&spdx3_document(inventory, tool).map_err(io::Error::other)?, out)
        }
    }
}

/// What the form of a JSON document is known by.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marks<'a> {
    #[serde(default)]
    bom_format: Option<String>,
    #[serde(default)]
    spdx_version: Option<String>,
    #[serde(default, rename = "_type")]
    statement: Option<String>,
    #[serde(default, borrow)]
    predicate: Option<&'a RawValue>,
    #[serde(default, borrow, rename = "@graph")]
    graph: Option<&'a RawValue>,
}

/// Reads an SBOM, whatever its form: CycloneDX in JSON or XML, SPDX 2 in JSON or as tags and values, SPDX 3 in JSON, and any of the
/// JSON forms in an in-toto statement, as BuildKit attests them.
///
/// A document that Hullmark wrote gives back the inventory it was written from. Of other documents components with a package
/// URL and the operating system are taken; what they cannot say is a gap.
///
/// # Errors
/// When it is none of these documents, or a part of it cannot be read.
pub fn parse_sbom(bytes: &[u8]) -> Result<Inventory, SbomError> {
    if bytes.len() > MAX_SIZE {
        return Err(SbomError::TooLarge { size: bytes.len(), limit: MAX_SIZE });
    }
    let mut bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    match bytes.first() {
        Some(b'<') => return crate::cyclonedx::parse_xml(bytes),
        Some(b'{') => {}
        _ if crate::spdx::is_tag_value(bytes) => return crate::spdx::parse_tag_value(bytes),
        _ => return Err(SbomError::UnknownForm),
    }
    for _ in 0..MAX_STATEMENTS {
        let marks: Marks<'_> = serde_json::from_slice(bytes).map_err(SbomError::Json)?;
        match marks {
            Marks { bom_format: Some(_), .. } => return parse_cyclonedx(bytes),
            Marks { spdx_version: Some(_), .. } => return crate::spdx::parse_json(bytes),
            Marks { graph: Some(_), .. } => return crate::spdx::parse_graph(bytes),
            Marks { statement: Some(_), predicate: Some(predicate), .. } => {
                bytes = predicate.get().as_bytes()
            }
            _ => return Err(SbomError::UnknownForm),
        }
    }
    Err(SbomError::UnknownForm)
}
