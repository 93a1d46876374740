//! Reading SPDX 3 in JSON (<https://spdx.github.io/spdx-spec/v3.0.1/serializations/>): a list of elements that name each other.

use std::collections::BTreeMap;

use hullmark_types::{Checksum, Diagnostic, Inventory};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::read::source_package;
use crate::SbomError;
use crate::cyclonedx::property;
use crate::sbom::MAX_COMPONENTS;
use crate::sbom::foreign::{self, Foreign};

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, rename = "@graph")]
    graph: Vec<Element<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Element<'a> {
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
    #[serde(rename = "suppliedBy")]
    supplier: Option<String>,
    #[serde(rename = "software_sourceInfo")]
    source_info: Option<String>,
    /// Of any form: extensions are anybody's own.
    #[serde(borrow)]
    extension: Option<&'a RawValue>,
}

/// An extension that holds properties.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Extension {
    #[serde(rename = "extension_cdxProperty")]
    properties: Vec<Property>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Property {
    #[serde(rename = "extension_cdxPropName")]
    name: String,
    #[serde(rename = "extension_cdxPropValue")]
    value: String,
}

impl Element<'_> {
    /// The properties of an element; none when its extensions are others.
    fn properties(&self) -> Vec<Property> {
        let extensions =
            self.extension.and_then(|raw| serde_json::from_str::<Vec<Extension>>(raw.get()).ok());
        extensions.unwrap_or_default().into_iter().flat_map(|one| one.properties).collect()
    }
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
    let document: Document<'_> = serde_json::from_slice(bytes).map_err(SbomError::Json)?;
    let count = document.graph.iter().filter(|element| element.kind == "software_Package").count();
    if count > MAX_COMPONENTS {
        return Err(SbomError::Components { count });
    }
    for element in document.graph.iter().filter(|element| element.kind == "SpdxDocument") {
        let properties = element.properties();
        if properties.iter().any(|one| one.name == property::INVENTORY) {
            return own(&properties, &document.graph);
        }
    }
    Ok(foreign::inventory(of_another(&document)))
}

/// Puts an inventory of ours together again.
fn own(properties: &[Property], graph: &[Element<'_>]) -> Result<Inventory, SbomError> {
    let parse = |place: String| move |source| SbomError::Property { place, source };
    let said = |name: &'static str| properties.iter().filter(move |one| one.name == name);
    let text = said(property::INVENTORY).next().map_or("", |one| one.value.as_str());
    let mut inventory: Inventory =
        serde_json::from_str(text).map_err(parse(format!("SpdxDocument {}", property::INVENTORY)))?;
    for (position, element) in graph.iter().enumerate() {
        if element.kind != "software_Package" {
            continue;
        }
        let place = || format!("/@graph/{position}");
        match element.properties().iter().find(|one| one.name == property::PACKAGE) {
            Some(package) => {
                inventory.packages.push(serde_json::from_str(&package.value).map_err(parse(place()))?);
            }
            None if element.id.ends_with("#Subject") || element.id.ends_with("#Distribution") => {}
            // Somebody added a package: it must not vanish.
            None => inventory.diagnostics.push(Diagnostic::gap(
                "sbom-foreign-component",
                place(),
                format!("the package `{}` was not written by Hullmark and was not assessed", element.name),
            )),
        }
    }
    for one in said(property::DIAGNOSTIC) {
        let place = format!("SpdxDocument {}", property::DIAGNOSTIC);
        inventory.diagnostics.push(serde_json::from_str(&one.value).map_err(parse(place))?);
    }
    inventory.packages.sort();
    inventory.diagnostics.sort();
    Ok(inventory)
}

/// What a document of another tool says.
fn of_another(document: &Document<'_>) -> Foreign {
    let mut found = Foreign::default();
    let mut roots = Vec::new();
    let mut licenses = BTreeMap::new();
    let mut licensed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut suppliers = BTreeMap::new();
    for element in &document.graph {
        match element.relationship.as_deref() {
            Some("dependsOn") => {
                let from = element.from.clone().unwrap_or_default();
                found.needs.entry(from).or_default().extend(element.to.iter().cloned());
            }
            Some("hasDeclaredLicense") => {
                let from = element.from.as_deref().unwrap_or_default();
                licensed.entry(from).or_default().extend(element.to.iter().map(String::as_str));
            }
            _ => {}
        }
        match element.kind.as_str() {
            "SpdxDocument" | "software_Sbom" => {
                roots.extend(element.roots.iter().cloned());
                if element.kind == "SpdxDocument" && !element.name.is_empty() {
                    found.name = Some(element.name.clone());
                }
            }
            "Tool" | "SoftwareAgent" => found.tools.push(element.name.clone()),
            "Agent" | "Organization" | "Person" => {
                suppliers.insert(element.id.as_str(), element.name.as_str());
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
        let own = licensed.get(element.id.as_str()).into_iter().flatten();
        let own = own.filter_map(|id| licenses.get(id).cloned());
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
            vendor: element
                .supplier
                .as_deref()
                .and_then(|id| suppliers.get(id))
                .map(|name| (*name).to_owned()),
            source: element.source_info.as_deref().and_then(source_package),
        });
    }
    found
}
