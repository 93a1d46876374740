//! SPDX 2 (<https://spdx.github.io/spdx-spec/v2.3/>) and the packages of SPDX 3 (<https://spdx.github.io/spdx-spec/v3.0.1/>).

use std::collections::BTreeSet;
use std::rc::Rc;

use serde::Deserialize;

use super::Document;
use super::elements::Elements;
use super::item::{Item, Items, checksum, said};

/// The most dependencies of one document of SPDX 3 that are read.
const MAX_NEEDS: usize = 1_000_000;

/// Purposes of what is no package that is there.
const OTHER_PURPOSES: &[&str] = &["ARCHIVE", "CONTAINER", "FILE", "OPERATING-SYSTEM", "SOURCE"];

#[derive(Deserialize)]
struct Package<'a> {
    #[serde(rename = "SPDXID")]
    id: Option<String>,
    name: Option<String>,
    #[serde(rename = "versionInfo")]
    version: Option<String>,
    #[serde(rename = "licenseDeclared")]
    license: Option<String>,
    supplier: Option<String>,
    #[serde(rename = "primaryPackagePurpose")]
    purpose: Option<String>,
    #[serde(borrow, default, rename = "externalRefs")]
    references: Elements<'a>,
    #[serde(borrow, default)]
    checksums: Elements<'a>,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(rename = "referenceType")]
    kind: String,
    #[serde(rename = "referenceLocator")]
    locator: String,
}

#[derive(Deserialize)]
struct PackageChecksum {
    algorithm: String,
    #[serde(rename = "checksumValue")]
    value: String,
}

#[derive(Deserialize)]
struct Relationship {
    #[serde(rename = "spdxElementId")]
    from: String,
    #[serde(rename = "relationshipType")]
    kind: String,
    #[serde(rename = "relatedSpdxElement")]
    to: String,
}

/// What relationships say of packages.
#[derive(Default)]
struct Related {
    /// What the whole document is of.
    described: BTreeSet<String>,
    /// What was used to build or to describe a package, and is not in it.
    absent: BTreeSet<String>,
    development: BTreeSet<String>,
    /// Who needs whom.
    needs: Vec<(String, String)>,
}

/// Reads all packages and what they need.
pub(super) fn read(document: &Document<'_>, items: &mut Items<'_>) {
    let mut related = Related::default();
    items.each("relationships", &document.relationships, |_, relationship: Relationship| {
        let Relationship { from, kind, to } = relationship;
        match kind.as_str() {
            "DESCRIBES" => _ = related.described.insert(to),
            "GENERATED_FROM" | "DESCRIBED_BY" => _ = related.absent.insert(to),
            "BUILD_DEPENDENCY_OF" | "BUILD_TOOL_OF" | "DEV_TOOL_OF" | "TEST_TOOL_OF" => {
                related.absent.insert(from);
            }
            "DEV_DEPENDENCY_OF" | "TEST_DEPENDENCY_OF" => _ = related.development.insert(from),
            "DEPENDS_ON" => related.needs.push((from, to)),
            "DEPENDENCY_OF" | "RUNTIME_DEPENDENCY_OF" => related.needs.push((to, from)),
            _ => {}
        }
    });
    items.each("documentDescribes", &document.describes, |_, id: String| _ = related.described.insert(id));
    items.each("packages", &document.packages, |items, package: Package<'_>| {
        let is = |set: &BTreeSet<String>| package.id.as_ref().is_some_and(|id| set.contains(id));
        // What describes the document is also what its packages are described by.
        if is(&related.absent) && !is(&related.described) {
            return;
        }
        let purpose = package.purpose.as_deref().unwrap_or("");
        let (mut purl, mut checksums) = (None, Vec::new());
        items.each("externalRefs", &package.references, |_, reference: Reference| {
            if purl.is_none() && reference.kind == "purl" {
                purl = Some(reference.locator);
            }
        });
        items.each("checksums", &package.checksums, |_, one: PackageChecksum| {
            checksums.extend(checksum(&one.algorithm, &one.value));
        });
        items.add(Item {
            development: is(&related.development),
            is_other: is(&related.described) || OTHER_PURPOSES.contains(&purpose),
            purl,
            checksums,
            id: package.id,
            name: package.name.unwrap_or_default(),
            version: package.version.unwrap_or_default(),
            licenses: package.license.as_deref().and_then(said).into_iter().collect(),
            vendor: package.supplier.as_deref().and_then(supplier),
        });
    });
    for (needing, needed) in related.needs {
        items.need(&needing, &needed);
    }
}

/// `Organization: NAME (address)` or `Person: NAME`.
fn supplier(text: &str) -> Option<String> {
    let name = text.strip_prefix("Organization:").or_else(|| text.strip_prefix("Person:")).unwrap_or(text);
    said(name.strip_suffix("()").unwrap_or(name))
}

/// An element of SPDX 3, of which packages and relationships matter.
#[derive(Deserialize)]
struct Element<'a> {
    #[serde(rename = "type", alias = "@type")]
    kind: Option<String>,
    #[serde(rename = "spdxId", alias = "@id")]
    id: Option<String>,
    name: Option<String>,
    #[serde(rename = "software_packageVersion")]
    version: Option<String>,
    #[serde(rename = "software_packageUrl")]
    purl: Option<String>,
    #[serde(rename = "software_primaryPurpose")]
    purpose: Option<String>,
    #[serde(borrow, default, rename = "externalIdentifier")]
    identifiers: Elements<'a>,
    #[serde(rename = "relationshipType")]
    relationship: Option<String>,
    from: Option<String>,
    #[serde(borrow, default)]
    to: Elements<'a>,
    #[serde(borrow, default, rename = "rootElement")]
    roots: Elements<'a>,
}

#[derive(Deserialize)]
struct Identifier {
    #[serde(rename = "externalIdentifierType")]
    kind: String,
    identifier: String,
}

/// Reads the packages of a document of SPDX 3, and what they need.
pub(super) fn read_graph(document: &Document<'_>, items: &mut Items<'_>) {
    let mut roots = BTreeSet::new();
    let mut needs: Vec<(Rc<str>, String)> = Vec::new();
    let mut packages = Vec::new();
    items.each("@graph", &document.graph, |items, element: Element<'_>| {
        items.each("rootElement", &element.roots, |_, id: String| _ = roots.insert(id));
        match element.kind.as_deref() {
            Some("software_Package") => {
                let mut purl = element.purl;
                items.each("externalIdentifier", &element.identifiers, |_, identifier: Identifier| {
                    if purl.is_none() && identifier.kind == "packageUrl" {
                        purl = Some(identifier.identifier);
                    }
                });
                let purpose = element.purpose.as_deref().unwrap_or("").to_ascii_uppercase();
                packages.push(Item {
                    id: element.id,
                    name: element.name.unwrap_or_default(),
                    version: element.version.unwrap_or_default(),
                    purl,
                    is_other: OTHER_PURPOSES.contains(&purpose.as_str()) || purpose == "OPERATINGSYSTEM",
                    ..Item::default()
                });
            }
            Some("Relationship") if element.relationship.as_deref() == Some("dependsOn") => {
                let from: Rc<str> = element.from.unwrap_or_default().into();
                items.each("to", &element.to, |items, to: String| match needs.len() {
                    MAX_NEEDS.. => items.too_many_needs(),
                    _ => needs.push((Rc::clone(&from), to)),
                });
            }
            _ => {}
        }
    });
    for package in packages {
        let is_root = package.id.as_ref().is_some_and(|id| roots.contains(id));
        items.add(Item { is_other: package.is_other || is_root, ..package });
    }
    for (needing, needed) in needs {
        items.need(&needing, &needed);
    }
}
