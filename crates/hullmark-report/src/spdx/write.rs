//! Writing SPDX 2.3 in JSON.

use std::collections::BTreeMap;

use hullmark_types::{CanonicalError, Inventory, Package, SubjectKind, digest_of};
use serde_json::{Value, json};

use super::annotation;
use crate::Tool;
use crate::cyclonedx::{text, uuid};
use crate::license::{expression_of, spdx_expression};
use crate::needed::Needed;

/// When nothing says when the image was made: documents have no time of their own, so that the same image gives the same bytes.
const NO_TIME: &str = "1970-01-01T00:00:00Z";

/// Writes an inventory as an SPDX 2.3 document.
///
/// The same inventory gives the same document: its name space comes from the digest of the inventory, and the time is that of
/// the image. What SPDX has no field for stands in annotations `hullmark:...`, so that [`crate::parse_sbom`] gives back the same
/// inventory.
///
/// # Errors
/// When the inventory cannot be written as JSON, which no inventory does.
pub fn spdx_document(inventory: &Inventory, tool: &Tool) -> Result<Value, CanonicalError> {
    let created = created(inventory);
    let annotator = format!("Tool: {}-{}", tool.name, tool.version);
    let annotate = |comment: String| {
        json!({
            "annotationDate": created,
            "annotationType": "OTHER",
            "annotator": annotator,
            "comment": comment,
        })
    };
    let without_packages = Inventory { packages: Vec::new(), diagnostics: Vec::new(), ..inventory.clone() };
    let mut annotations = vec![annotate(format!("{}{}", annotation::INVENTORY, text(&without_packages)?))];
    for diagnostic in &inventory.diagnostics {
        annotations.push(annotate(format!("{}{}", annotation::DIAGNOSTIC, text(diagnostic)?)));
    }
    let mut licenses = ExtractedLicenses::default();
    let mut packages = vec![subject(inventory)];
    let mut relationships = vec![relationship("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Subject")];
    if let Some(distribution) = &inventory.distribution {
        packages.push(json!({
            "SPDXID": "SPDXRef-Distribution",
            "name": distribution.id,
            "versionInfo": distribution.version.as_deref().unwrap_or("unknown"),
            "primaryPackagePurpose": "OPERATING-SYSTEM",
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": false,
            "licenseConcluded": "NOASSERTION",
            "licenseDeclared": "NOASSERTION",
            "copyrightText": "NOASSERTION",
        }));
        relationships.push(relationship("SPDXRef-Subject", "CONTAINS", "SPDXRef-Distribution"));
    }
    let needed = Needed::new(inventory);
    for (position, package) in inventory.packages.iter().enumerate() {
        let annotation = annotate(format!("{}{}", annotation::PACKAGE, text(package)?));
        packages.push(one(package, position, annotation, &mut licenses));
        relationships.push(relationship("SPDXRef-Subject", "CONTAINS", &reference(position)));
        for other in needed.by(package) {
            relationships.push(relationship(&reference(position), "DEPENDS_ON", &reference(other)));
        }
    }
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": inventory.subject.name,
        "documentNamespace": format!("https://hullmark.dev/spdx/{}", uuid(digest_of(inventory)?.hex())),
        "creationInfo": { "created": created, "creators": [annotator] },
        "packages": packages,
        "relationships": relationships,
        "annotations": annotations,
    });
    if let (false, Value::Object(members)) = (licenses.texts.is_empty(), &mut document) {
        members.insert("hasExtractedLicensingInfos".to_owned(), json!(licenses.infos()));
    }
    Ok(document)
}

/// When the image was made, to the second, as SPDX has it.
pub(super) fn created(inventory: &Inventory) -> String {
    let created = inventory.config.as_ref().and_then(|config| config.created.as_deref());
    let time = created.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let whole = time.and_then(|time| jiff::Timestamp::from_second(time.as_second()).ok());
    whole.map_or_else(|| NO_TIME.to_owned(), |time| time.to_string())
}

fn subject(inventory: &Inventory) -> Value {
    let subject = &inventory.subject;
    let purpose = match subject.kind {
        SubjectKind::Image => "CONTAINER",
        SubjectKind::RootFilesystem => "FILE",
        SubjectKind::Directory => "APPLICATION",
    };
    let mut value = json!({
        "SPDXID": "SPDXRef-Subject",
        "name": subject.name,
        "primaryPackagePurpose": purpose,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
    });
    if let (Some(digest), Value::Object(members)) = (subject.digest(), &mut value) {
        members.insert("versionInfo".to_owned(), json!(digest.to_string()));
    }
    value
}

fn reference(position: usize) -> String {
    format!("SPDXRef-Package-{position}")
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}

fn one(package: &Package, position: usize, annotation: Value, licenses: &mut ExtractedLicenses) -> Value {
    let mut references = vec![json!({
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": package.purl,
    })];
    if let Some(cpe) = crate::cpe::of(package) {
        references.push(json!({
            "referenceCategory": "SECURITY",
            "referenceType": "cpe23Type",
            "referenceLocator": cpe,
        }));
    }
    let mut value = json!({
        "SPDXID": reference(position),
        "name": package.name,
        "versionInfo": package.version,
        "supplier": supplier(package),
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": licenses.declared(&package.licenses),
        "copyrightText": "NOASSERTION",
        "externalRefs": references,
        "annotations": [annotation],
    });
    let Value::Object(members) = &mut value else { return value };
    if package.version.is_empty() {
        members.remove("versionInfo");
    }
    if let Some(source) = &package.source {
        let info = format!("built package from: {} {}", source.name, source.version);
        members.insert("sourceInfo".to_owned(), json!(info));
    }
    let checksums: Vec<Value> = crate::checksum::of(package)
        .map(|checksum| {
            json!({ "algorithm": checksum.algorithm.to_ascii_uppercase(), "checksumValue": checksum.value })
        })
        .collect();
    if !checksums.is_empty() {
        members.insert("checksums".to_owned(), json!(checksums));
    }
    value
}

/// The vendor, in one line, as SPDX has it.
fn supplier(package: &Package) -> String {
    let name = line(package.vendor.as_deref().unwrap_or_default());
    match name.trim() {
        "" => "NOASSERTION".to_owned(),
        // Brackets at the end are for the address of an electronic mailbox, which may be none.
        name if name.ends_with(')') => format!("Organization: {name} ()"),
        name => format!("Organization: {name}"),
    }
}

/// A value that stands in one line.
pub(super) fn line(text: &str) -> String {
    text.chars().map(|one| if one.is_control() { ' ' } else { one }).collect()
}

/// Declared licences that SPDX has no word for, by the name that the document gives them.
#[derive(Default)]
pub(super) struct ExtractedLicenses {
    pub(super) texts: BTreeMap<String, String>,
}

impl ExtractedLicenses {
    pub(super) fn declared(&mut self, declared: &[String]) -> String {
        if let Some(expression) = expression_of(declared) {
            return expression;
        }
        let mut parts: Vec<String> = Vec::new();
        for one in declared {
            let part = match spdx_expression(one) {
                Some(expression) if expression.contains(' ') => format!("({expression})"),
                Some(expression) => expression,
                None => self.reference(one),
            };
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        if parts.is_empty() { "NOASSERTION".to_owned() } else { parts.join(" AND ") }
    }

    fn reference(&mut self, text: &str) -> String {
        let digest = hullmark_types::Digest::sha256(text.as_bytes());
        let name = format!("LicenseRef-{}", digest.hex().get(..16).unwrap_or_default());
        self.texts.insert(name.clone(), text.to_owned());
        name
    }

    fn infos(&self) -> Vec<Value> {
        let info = |(name, text): (&String, &String)| json!({ "licenseId": name, "name": text.lines().next().unwrap_or_default(), "extractedText": text });
        self.texts.iter().map(info).collect()
    }
}
