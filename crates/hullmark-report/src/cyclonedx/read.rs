//! Reading.

use hullmark_types::{Diagnostic, Inventory};
use serde::Deserialize;

use super::{foreign, property};

/// The largest document, in bytes.
const MAX_SIZE: usize = 256 << 20;

/// The most components.
pub(super) const MAX_COMPONENTS: usize = 1_000_000;

/// A document that cannot be used as an SBOM.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SbomError {
    /// Too large.
    #[error("the document has {size} bytes; the limit is {limit}")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// Not JSON, or a field has another form than CycloneDX gives it.
    #[error("the document is not CycloneDX JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// Another kind of document.
    #[error("the document is not CycloneDX: expected `bomFormat` to be `CycloneDX`, found `{found}`")]
    Format {
        /// What it says.
        found: String,
    },
    /// A property of ours that cannot be read.
    #[error("the document was changed by hand or is of another version of Hullmark: `{place}`: {source}")]
    Property {
        /// Where it stands.
        place: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// More components than the limit.
    #[error("the document has {count} components; the limit is {MAX_COMPONENTS}")]
    Components {
        /// How many.
        count: usize,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    #[serde(default)]
    bom_format: String,
    #[serde(default)]
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) components: Vec<Component>,
    #[serde(default)]
    properties: Vec<Property>,
}

#[derive(Default, Deserialize)]
pub(super) struct Metadata {
    #[serde(default)]
    pub(super) component: Option<Component>,
}

#[derive(Deserialize)]
pub(super) struct Component {
    #[serde(default, rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) version: Option<String>,
    #[serde(default)]
    pub(super) purl: Option<String>,
    #[serde(default)]
    properties: Vec<Property>,
}

#[derive(Deserialize)]
struct Property {
    #[serde(default)]
    name: String,
    #[serde(default)]
    value: Option<String>,
}

fn value<'a>(properties: &'a [Property], name: &str) -> Option<&'a str> {
    properties.iter().find(|property| property.name == name).and_then(|property| property.value.as_deref())
}

/// Reads a CycloneDX document.
///
/// A document that Hullmark wrote gives back the inventory it was written from. Of other documents components with a package
/// URL and the operating system are taken; what they cannot say is a gap.
///
/// # Errors
/// When it is no CycloneDX document, or a property of Hullmark's in it cannot be read.
pub fn parse_cyclonedx(bytes: &[u8]) -> Result<Inventory, SbomError> {
    if bytes.len() > MAX_SIZE {
        return Err(SbomError::TooLarge { size: bytes.len(), limit: MAX_SIZE });
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let document: Document = serde_json::from_slice(bytes).map_err(SbomError::Json)?;
    if document.bom_format != "CycloneDX" {
        return Err(SbomError::Format { found: document.bom_format.chars().take(50).collect() });
    }
    if document.components.len() > MAX_COMPONENTS {
        return Err(SbomError::Components { count: document.components.len() });
    }
    match value(&document.properties, property::INVENTORY) {
        Some(inventory) => own(inventory, &document),
        None => Ok(foreign::inventory(&document)),
    }
}

/// Puts an inventory of ours together again.
fn own(inventory: &str, document: &Document) -> Result<Inventory, SbomError> {
    let parse = |place: String| move |source| SbomError::Property { place, source };
    let mut inventory: Inventory =
        serde_json::from_str(inventory).map_err(parse(format!("/properties {}", property::INVENTORY)))?;
    for (position, component) in document.components.iter().enumerate() {
        let place = || format!("/components/{position}");
        match value(&component.properties, property::PACKAGE) {
            Some(package) => inventory.packages.push(serde_json::from_str(package).map_err(parse(place()))?),
            None if component.kind == "operating-system" => {}
            None => {
                // Somebody added a component: it must not vanish.
                inventory.diagnostics.push(Diagnostic::gap(
                    "sbom-foreign-component",
                    place(),
                    format!(
                        "the component `{}` was not written by Hullmark and was not assessed",
                        component.name
                    ),
                ));
            }
        }
    }
    for (position, property) in document.properties.iter().enumerate() {
        if property.name == property::DIAGNOSTIC {
            let text = property.value.as_deref().unwrap_or_default();
            let diagnostic = serde_json::from_str(text).map_err(parse(format!("/properties/{position}")))?;
            inventory.diagnostics.push(diagnostic);
        }
    }
    inventory.packages.sort();
    inventory.diagnostics.sort();
    Ok(inventory)
}
