//! What an SPDX 2 document says, from JSON or from tags and values.

use std::collections::{BTreeMap, BTreeSet};

use hullmark_types::{Checksum, Diagnostic, Inventory};
use serde::Deserialize;

use super::annotation;
use crate::SbomError;
use crate::sbom::MAX_COMPONENTS;
use crate::sbom::foreign::{self, Foreign};

/// A document.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) packages: Vec<Package>,
    #[serde(default)]
    pub(super) relationships: Vec<Relationship>,
    #[serde(default)]
    pub(super) document_describes: Vec<String>,
    #[serde(default)]
    pub(super) annotations: Vec<Annotation>,
    #[serde(default)]
    pub(super) creation_info: CreationInfo,
    #[serde(default, rename = "hasExtractedLicensingInfos")]
    pub(super) licenses: Vec<ExtractedLicense>,
}

#[derive(Default, Deserialize)]
pub(super) struct CreationInfo {
    #[serde(default)]
    pub(super) creators: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Package {
    #[serde(default, rename = "SPDXID")]
    pub(super) id: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) version_info: Option<String>,
    #[serde(default)]
    pub(super) supplier: Option<String>,
    #[serde(default)]
    pub(super) license_declared: Option<String>,
    #[serde(default)]
    pub(super) license_concluded: Option<String>,
    #[serde(default)]
    pub(super) source_info: Option<String>,
    #[serde(default)]
    pub(super) primary_package_purpose: Option<String>,
    #[serde(default)]
    pub(super) external_refs: Vec<ExternalReference>,
    #[serde(default)]
    pub(super) checksums: Vec<Sum>,
    #[serde(default)]
    pub(super) annotations: Vec<Annotation>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExternalReference {
    #[serde(default)]
    pub(super) reference_type: String,
    #[serde(default)]
    pub(super) reference_locator: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sum {
    #[serde(default)]
    pub(super) algorithm: String,
    #[serde(default)]
    pub(super) checksum_value: String,
}

#[derive(Default, Deserialize)]
pub(super) struct Annotation {
    #[serde(default)]
    pub(super) comment: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Relationship {
    #[serde(default)]
    pub(super) spdx_element_id: String,
    #[serde(default)]
    pub(super) relationship_type: String,
    #[serde(default)]
    pub(super) related_spdx_element: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExtractedLicense {
    #[serde(default)]
    pub(super) license_id: String,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) extracted_text: Option<String>,
}

/// Reads a document in JSON.
///
/// # Errors
/// When it is not SPDX 2, or an annotation of Hullmark's in it cannot be read.
pub(crate) fn parse_json(bytes: &[u8]) -> Result<Inventory, SbomError> {
    of_document(serde_json::from_slice(bytes).map_err(SbomError::Json)?)
}

/// The inventory of a document.
pub(super) fn of_document(document: Document) -> Result<Inventory, SbomError> {
    if document.packages.len() > MAX_COMPONENTS {
        return Err(SbomError::Components { count: document.packages.len() });
    }
    let own = document.annotations.iter().find_map(|one| one.comment.strip_prefix(annotation::INVENTORY));
    match own {
        Some(inventory) => own_inventory(inventory, &document),
        None => Ok(foreign::inventory(of_another(document))),
    }
}

/// Puts an inventory of ours together again.
fn own_inventory(inventory: &str, document: &Document) -> Result<Inventory, SbomError> {
    let parse = |place: String| move |source| SbomError::Property { place, source };
    let mut inventory: Inventory =
        serde_json::from_str(inventory).map_err(parse("the annotation of the document".to_owned()))?;
    for (position, package) in document.packages.iter().enumerate() {
        let place = || format!("/packages/{position}");
        let own = package.annotations.iter().find_map(|one| one.comment.strip_prefix(annotation::PACKAGE));
        match own {
            Some(package) => inventory.packages.push(serde_json::from_str(package).map_err(parse(place()))?),
            None if matches!(package.id.as_str(), "SPDXRef-Subject" | "SPDXRef-Distribution") => {}
            None => {
                // Somebody added a package: it must not vanish.
                inventory.diagnostics.push(Diagnostic::gap(
                    "sbom-foreign-component",
                    place(),
                    format!(
                        "the package `{}` was not written by Hullmark and was not assessed",
                        package.name
                    ),
                ));
            }
        }
    }
    for one in &document.annotations {
        if let Some(text) = one.comment.strip_prefix(annotation::DIAGNOSTIC) {
            let place = || "an annotation of the document".to_owned();
            inventory.diagnostics.push(serde_json::from_str(text).map_err(parse(place()))?);
        }
    }
    inventory.packages.sort();
    inventory.diagnostics.sort();
    Ok(inventory)
}

/// What a document of another tool says.
fn of_another(document: Document) -> Foreign {
    let mut found =
        Foreign { name: Some(document.name), tools: document.creation_info.creators, ..Foreign::default() };
    let mut described: BTreeSet<String> = document.document_describes.into_iter().collect();
    for one in document.relationships {
        let (from, to) = (one.spdx_element_id, one.related_spdx_element);
        match one.relationship_type.as_str() {
            "DESCRIBES" => drop(described.insert(to)),
            "DESCRIBED_BY" => drop(described.insert(from)),
            "DEPENDS_ON" => found.needs.entry(from).or_default().push(to),
            "DEPENDENCY_OF" | "RUNTIME_DEPENDENCY_OF" => found.needs.entry(to).or_default().push(from),
            _ => {}
        }
    }
    let texts: BTreeMap<String, String> = document
        .licenses
        .into_iter()
        .filter_map(|one| Some((one.license_id, one.name.or(one.extracted_text)?)))
        .collect();
    for (position, package) in document.packages.into_iter().enumerate() {
        let purl = package
            .external_refs
            .iter()
            .find(|one| one.reference_type == "purl" || one.reference_type.ends_with("/purl"))
            .map(|one| one.reference_locator.clone());
        let purpose = package.primary_package_purpose.as_deref().unwrap_or_default().replace('_', "-");
        let is_image = purl
            .as_deref()
            .is_none_or(|purl| purl.starts_with("pkg:oci/") || purl.starts_with("pkg:docker/"));
        match purpose.as_str() {
            "OPERATING-SYSTEM" => {
                let system = foreign::operating_system(&package.name, package.version_info.as_deref());
                found.distribution.get_or_insert(system);
                continue;
            }
            _ if is_image && (described.contains(&package.id) || purpose == "CONTAINER") => {
                found.digest = found.digest.or_else(|| package.version_info.as_deref()?.parse().ok());
                found.name = Some(package.name).filter(|name| !name.is_empty()).or(found.name);
                continue;
            }
            _ => {}
        }
        found.components.push(one_of_another(package, purl, position, &texts));
    }
    found
}

/// The source package of `built package from: NAME VERSION`.
pub(super) fn source_package(info: &str) -> Option<(String, Option<String>)> {
    let (name, version) = info.strip_prefix("built package from: ")?.rsplit_once(' ')?;
    Some((name.to_owned(), Some(version.to_owned())))
}

fn one_of_another(
    package: Package,
    purl: Option<String>,
    position: usize,
    texts: &BTreeMap<String, String>,
) -> foreign::Component {
    let said =
        |text: Option<String>| text.filter(|text| !matches!(text.as_str(), "" | "NOASSERTION" | "NONE"));
    let license = said(package.license_declared).or_else(|| said(package.license_concluded));
    // A licence of the document's own has a text there.
    let license = license.map(|license| texts.get(&license).cloned().unwrap_or(license));
    let vendor = said(package.supplier)
        .map(|supplier| supplier.split_once(": ").map_or(supplier.clone(), |(_, name)| name.to_owned()));
    // Trivy names the source package in words.
    let source = package.source_info.as_deref().and_then(source_package);
    let checksum = |sum: Sum| Checksum {
        algorithm: sum.algorithm.to_ascii_lowercase(),
        value: sum.checksum_value.to_ascii_lowercase(),
    };
    foreign::Component {
        place: format!("/packages/{position}"),
        reference: package.id,
        name: package.name,
        purl,
        licenses: license.into_iter().collect(),
        checksums: package.checksums.into_iter().map(checksum).collect(),
        vendor,
        source,
    }
}
