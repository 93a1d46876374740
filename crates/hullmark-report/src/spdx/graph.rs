//! Reading SPDX 3 in JSON (<https://spdx.github.io/spdx-spec/v3.0.1/serializations/>): a list of elements that name each other.

use hullmark_types::{Checksum, Inventory};
use serde::Deserialize;

use crate::SbomError;
use crate::sbom::MAX_COMPONENTS;
use crate::sbom::foreign::{self, Foreign};

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "@graph")]
    graph: Vec<Element>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Element {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "spdxId")]
    id: String,
    name: String,
    #[serde(rename = "software_packageVersion")]
    version: Option<String>,
    #[serde(rename = "software_packageUrl")]
    purl: Option<String>,
    #[serde(rename = "software_primaryPurpose")]
    purpose: Option<String>,
    #[serde(rename = "externalIdentifier")]
    identifiers: Vec<Identifier>,
    #[serde(rename = "verifiedUsing")]
    hashes: Vec<Hash>,
    #[serde(rename = "relationshipType")]
    relationship: Option<String>,
    from: Option<String>,
    to: Vec<String>,
    #[serde(rename = "rootElement")]
    roots: Vec<String>,
    #[serde(rename = "simplelicensing_licenseExpression")]
    license: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Identifier {
    #[serde(rename = "externalIdentifierType")]
    kind: String,
    identifier: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Hash {
    algorithm: String,
    #[serde(rename = "hashValue")]
    value: String,
}

/// Reads a document.
///
/// # Errors
/// When it is not SPDX 3.
pub(crate) fn parse_graph(bytes: &[u8]) -> Result<Inventory, SbomError> {
    let document: Document = serde_json::from_slice(bytes).map_err(SbomError::Json)?;
    if document.graph.len() > MAX_COMPONENTS {
        return Err(SbomError::Components { count: document.graph.len() });
    }
    let mut found = Foreign::default();
    let mut roots = Vec::new();
    let mut licenses = std::collections::BTreeMap::new();
    let mut licensed = Vec::new();
    for element in &document.graph {
        match element.relationship.as_deref() {
            Some("dependsOn") => {
                let from = element.from.clone().unwrap_or_default();
                found.needs.entry(from).or_default().extend(element.to.iter().cloned());
            }
            Some("hasDeclaredLicense") => licensed.push(element),
            _ => {}
        }
        match element.kind.as_str() {
            "SpdxDocument" | "software_Sbom" => {
                roots.extend(element.roots.iter().cloned());
                if element.kind == "SpdxDocument" && !element.name.is_empty() {
                    found.name = Some(element.name.clone());
                }
            }
            "simplelicensing_LicenseExpression" => {
                licenses.insert(element.id.as_str(), element.license.clone().unwrap_or_default());
            }
            _ => {}
        }
    }
    for (position, element) in document.graph.iter().enumerate() {
        if element.kind != "software_Package" {
            continue;
        }
        let identifier = element.identifiers.iter().find(|one| one.kind == "packageUrl");
        let purl = element.purl.clone().or_else(|| identifier.map(|one| one.identifier.clone()));
        match element.purpose.as_deref() {
            Some("operatingSystem") => {
                let system = foreign::operating_system(&element.name, element.version.as_deref());
                found.distribution.get_or_insert(system);
                continue;
            }
            _ if purl.is_none() && roots.contains(&element.id) => {
                found.name = Some(element.name.clone());
                continue;
            }
            _ => {}
        }
        let own = licensed.iter().filter(|one| one.from.as_deref() == Some(&element.id));
        let own = own.flat_map(|one| &one.to).filter_map(|id| licenses.get(id.as_str()).cloned());
        let checksum = |hash: &Hash| Checksum {
            algorithm: hash.algorithm.to_ascii_lowercase(),
            value: hash.value.to_ascii_lowercase(),
        };
        found.components.push(foreign::Component {
            place: format!("/@graph/{position}"),
            reference: element.id.clone(),
            name: element.name.clone(),
            purl,
            licenses: own.filter(|text| !text.is_empty() && text != "NOASSERTION").collect(),
            checksums: element
                .hashes
                .iter()
                .filter(|hash| !hash.algorithm.is_empty())
                .map(checksum)
                .collect(),
            ..foreign::Component::default()
        });
    }
    Ok(foreign::inventory(found))
}
