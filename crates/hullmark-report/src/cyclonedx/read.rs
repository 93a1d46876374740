//! Reading.

use hullmark_types::{Checksum, Diagnostic, Inventory};
use serde::Deserialize;

use super::property;
use crate::sbom::foreign::{self, Foreign};
use crate::sbom::{MAX_COMPONENTS, MAX_SIZE};

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
    /// None of the documents that are read.
    #[error("the document is no SBOM: expected CycloneDX (JSON, XML) or SPDX (JSON, tags and values)")]
    UnknownForm,
    /// Not JSON, or a field has another form than CycloneDX or SPDX gives it.
    #[error("the document is not CycloneDX or SPDX in JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// Not XML, or not as CycloneDX has it.
    #[error("the document is not CycloneDX in XML: {0}")]
    Xml(String),
    /// A tag that cannot stand where it does.
    #[error("the document is not SPDX in tags and values: line {line}: {problem}")]
    TagValue {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
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

/// A document, from JSON or XML.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    #[serde(default)]
    pub(super) bom_format: String,
    #[serde(default)]
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) components: Vec<Component>,
    #[serde(default)]
    pub(super) dependencies: Vec<Dependency>,
    #[serde(default)]
    pub(super) properties: Vec<Property>,
}

#[derive(Default, Deserialize)]
pub(super) struct Metadata {
    #[serde(default)]
    pub(super) component: Option<Component>,
    #[serde(default)]
    pub(super) tools: Tools,
}

/// The programs that made a document: components since 1.5, a list of its own before.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Tools {
    Named(Vec<Named>),
    Components {
        #[serde(default)]
        components: Vec<Named>,
    },
    Other(serde::de::IgnoredAny),
}

impl Default for Tools {
    fn default() -> Self {
        Self::Named(Vec::new())
    }
}

#[derive(Default, Deserialize)]
pub(super) struct Component {
    #[serde(default, rename = "type")]
    pub(super) kind: String,
    #[serde(default, rename = "bom-ref")]
    pub(super) reference: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) version: Option<String>,
    #[serde(default)]
    pub(super) purl: Option<String>,
    #[serde(default)]
    pub(super) licenses: Vec<LicenseChoice>,
    #[serde(default)]
    pub(super) hashes: Vec<Hash>,
    #[serde(default)]
    pub(super) supplier: Option<Named>,
    #[serde(default)]
    pub(super) properties: Vec<Property>,
    /// Components within it.
    #[serde(default)]
    pub(super) components: Vec<Component>,
}

#[derive(Default, Deserialize)]
pub(super) struct LicenseChoice {
    #[serde(default)]
    pub(super) license: Option<License>,
    #[serde(default)]
    pub(super) expression: Option<String>,
}

#[derive(Default, Deserialize)]
pub(super) struct License {
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) name: Option<String>,
}

#[derive(Default, Deserialize)]
pub(super) struct Hash {
    #[serde(default)]
    pub(super) alg: String,
    #[serde(default)]
    pub(super) content: String,
}

#[derive(Default, Deserialize)]
pub(super) struct Named {
    #[serde(default)]
    pub(super) name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Dependency {
    #[serde(default, rename = "ref")]
    pub(super) reference: String,
    #[serde(default)]
    pub(super) depends_on: Vec<String>,
}

#[derive(Default, Deserialize)]
pub(super) struct Property {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) value: Option<String>,
}

fn value<'a>(properties: &'a [Property], name: &str) -> Option<&'a str> {
    properties.iter().find(|property| property.name == name).and_then(|property| property.value.as_deref())
}

/// Reads a CycloneDX document in JSON.
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
    of_document(document)
}

/// The inventory of a document.
pub(super) fn of_document(document: Document) -> Result<Inventory, SbomError> {
    match value(&document.properties, property::INVENTORY) {
        Some(inventory) => own(inventory, &document),
        None => Ok(foreign::inventory(of_another(document)?)),
    }
}

/// What Trivy marks its own groups of packages by.
const TRIVY_CLASS: &str = "aquasecurity:trivy:Class";

/// What a document of another tool says.
fn of_another(document: Document) -> Result<Foreign, SbomError> {
    let mut found = Foreign::default();
    if let Some(component) = &document.metadata.component {
        found.name = Some(component.name.clone());
        found.digest = component.version.as_deref().and_then(|version| version.parse().ok());
    }
    let tools = match document.metadata.tools {
        Tools::Named(tools) | Tools::Components { components: tools } => tools,
        Tools::Other(_) => Vec::new(),
    };
    found.tools = tools.into_iter().filter_map(|tool| tool.name).collect();
    for dependency in document.dependencies {
        found.needs.entry(dependency.reference).or_default().extend(dependency.depends_on);
    }
    // Components may hold others; the depth is that of what can be parsed.
    let mut waiting: Vec<(String, Component)> = Vec::new();
    let place = |above: &str, position: usize| format!("{above}/components/{position}");
    waiting.extend(document.components.into_iter().enumerate().rev().map(|(n, one)| (place("", n), one)));
    while let Some((at, mut component)) = waiting.pop() {
        if found.components.len() >= MAX_COMPONENTS {
            return Err(SbomError::Components { count: found.components.len() });
        }
        let inner = std::mem::take(&mut component.components);
        waiting.extend(inner.into_iter().enumerate().rev().map(|(n, one)| (place(&at, n), one)));
        match component.kind.as_str() {
            "operating-system" => {
                found.distribution.get_or_insert_with(|| {
                    foreign::operating_system(&component.name, component.version.as_deref())
                });
            }
            "file" => {}
            // Trivy has a component for each lock file, which is no package.
            "application"
                if component.purl.is_none() && value(&component.properties, TRIVY_CLASS).is_some() => {}
            _ => found.components.push(one_of_another(component, at)),
        }
    }
    Ok(found)
}

fn one_of_another(component: Component, place: String) -> foreign::Component {
    let said = |name: &str| value(&component.properties, name).filter(|text| !text.is_empty());
    // Trivy names source packages in properties of its own.
    let source = said("aquasecurity:trivy:SrcName").map(|name| {
        let part = |name: &str, before: &str, behind: &str| {
            said(name).map(|text| format!("{before}{text}{behind}")).unwrap_or_default()
        };
        let version = said("aquasecurity:trivy:SrcVersion").map(|version| {
            let epoch = part("aquasecurity:trivy:SrcEpoch", "", ":");
            let release = part("aquasecurity:trivy:SrcRelease", "-", "");
            format!("{epoch}{version}{release}")
        });
        (name.to_owned(), version)
    });
    let license = |choice: LicenseChoice| {
        let of_license = choice.license.and_then(|license| license.id.or(license.name));
        choice.expression.or(of_license)
    };
    let checksum = |hash: Hash| Checksum {
        algorithm: hash.alg.replace("SHA-", "sha").to_ascii_lowercase(),
        value: hash.content.to_ascii_lowercase(),
    };
    foreign::Component {
        place,
        source,
        reference: component.reference,
        name: component.name,
        purl: component.purl,
        licenses: component.licenses.into_iter().filter_map(license).collect(),
        checksums: component.hashes.into_iter().map(checksum).collect(),
        vendor: component.supplier.and_then(|supplier| supplier.name),
    }
}

/// Puts an inventory of ours together again.
fn own(inventory: &str, document: &Document) -> Result<Inventory, SbomError> {
    let parse = |place: String| move |source| SbomError::Property { place, source };
    let mut inventory: Inventory =
        serde_json::from_str(inventory).map_err(parse(format!("/properties {}", property::INVENTORY)))?;
    if document.components.len() > MAX_COMPONENTS {
        return Err(SbomError::Components { count: document.components.len() });
    }
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
