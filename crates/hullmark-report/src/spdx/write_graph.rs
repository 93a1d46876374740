//! Writing SPDX 3.0.1 in JSON (<https://spdx.github.io/spdx-spec/v3.0.1/serializations/>).

use std::collections::BTreeMap;

use hullmark_types::{CanonicalError, Inventory, Package, SubjectKind, digest_of};
use serde_json::{Map, Value, json};

use super::write::{ExtractedLicenses, created};
use crate::Tool;
use crate::cyclonedx::{property, text, uuid};
use crate::needed::Needed;

/// The one object that says how all elements were made.
const CREATION: &str = "_:creation";

/// Writes an inventory as an SPDX 3.0.1 document in JSON-LD.
///
/// The same inventory gives the same document, as with [`super::spdx_document`]. What SPDX has no field for stands in properties
/// `hullmark:...` of the extension that SPDX defines for those of CycloneDX, so that [`crate::parse_sbom`] gives back the same inventory.
///
/// # Errors
/// When the inventory cannot be written as JSON, which no inventory does.
pub fn spdx3_document(inventory: &Inventory, tool: &Tool) -> Result<Value, CanonicalError> {
    let space = format!("https://hullmark.dev/spdx/{}#", uuid(digest_of(inventory)?.hex()));
    let mut graph = Graph { space, elements: Vec::new(), relationships: 0 };
    graph.elements.push(json!({
        "type": "CreationInfo",
        "@id": CREATION,
        "specVersion": "3.0.1",
        "created": created(inventory),
        "createdBy": [graph.id("Agent")],
        "createdUsing": [graph.id("Tool")],
    }));
    let name = format!("{}-{}", tool.name, tool.version);
    graph.add("SoftwareAgent", "Agent", json!({ "name": name }));
    graph.add("Tool", "Tool", json!({ "name": name }));
    graph.document(inventory)?;
    graph.subject(inventory);

    let mut contained: Vec<String> = Vec::new();
    if let Some(distribution) = &inventory.distribution {
        let version = distribution.version.as_deref().unwrap_or("unknown");
        graph.add(
            "software_Package",
            "Distribution",
            json!({
                "name": distribution.id,
                "software_packageVersion": version,
                "software_primaryPurpose": "operatingSystem",
            }),
        );
        contained.push(graph.id("Distribution"));
    }
    let mut suppliers = Numbered::new("Supplier");
    let mut expressions = Numbered::new("License");
    let mut texts = ExtractedLicenses::default();
    let needed = Needed::new(inventory);
    let mut development = Vec::new();
    for (position, package) in inventory.packages.iter().enumerate() {
        let id = reference(position);
        let supplier = package.vendor.as_deref().map(|vendor| graph.id(&suppliers.name_of(vendor)));
        let layer = inventory.layers.iter().find(|layer| layer.index == package.layer);
        let layer = layer.and_then(|layer| layer.diff_id.as_ref().or(layer.digest.as_ref()));
        let mut properties =
            vec![(property::PACKAGE, text(package)?), (property::LAYER, package.layer.to_string())];
        properties.extend(layer.map(|digest| (property::LAYER_DIGEST, digest.to_string())));
        graph.package(package, &id, supplier, &properties);
        if !package.licenses.is_empty() {
            let license = graph.id(&expressions.name_of(&texts.declared(&package.licenses)));
            graph.relate(&id, "hasDeclaredLicense", vec![license]);
        }
        let needs: Vec<String> =
            needed.by(package).into_iter().map(|other| graph.id(&reference(other))).collect();
        graph.relate(&id, "dependsOn", needs);
        if package.development {
            development.push(graph.id(&id));
        }
        contained.push(graph.id(&id));
    }
    graph.relate("Subject", "contains", contained);
    if !development.is_empty() {
        let members = json!({
            "from": graph.id("Subject"),
            "relationshipType": "dependsOn",
            "to": development,
            "scope": "development",
        });
        graph.add("LifecycleScopedRelationship", "Development", members);
    }
    for (vendor, name) in suppliers.all() {
        graph.add("Organization", &name, json!({ "name": vendor }));
    }
    for (expression, name) in expressions.all() {
        graph.license(expression, &name, &texts);
    }
    for (name, text) in &texts.texts {
        let members = json!({ "name": name, "simplelicensing_licenseText": text });
        graph.add("simplelicensing_SimpleLicensingText", name, members);
    }
    Ok(json!({ "@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": graph.elements }))
}

fn reference(position: usize) -> String {
    format!("Package-{position}")
}

/// Properties, in the extension that SPDX defines for them.
fn extension(properties: &[(&str, String)]) -> Value {
    let entry = |(name, value): &(&str, String)| {
        json!({
            "type": "extension_CdxPropertyEntry",
            "extension_cdxPropName": name,
            "extension_cdxPropValue": value,
        })
    };
    let entries: Vec<Value> = properties.iter().map(entry).collect();
    json!([{ "type": "extension_CdxPropertiesExtension", "extension_cdxProperty": entries }])
}

/// Texts that become an element each, once.
struct Numbered {
    kind: &'static str,
    numbers: BTreeMap<String, usize>,
}

impl Numbered {
    fn new(kind: &'static str) -> Self {
        Self { kind, numbers: BTreeMap::new() }
    }

    fn name_of(&mut self, text: &str) -> String {
        let next = self.numbers.len();
        let number = *self.numbers.entry(text.to_owned()).or_insert(next);
        format!("{}-{number}", self.kind)
    }

    fn all(&self) -> impl Iterator<Item = (&str, String)> {
        self.numbers.iter().map(|(text, number)| (text.as_str(), format!("{}-{number}", self.kind)))
    }
}

struct Graph {
    /// What the identifiers of elements begin with.
    space: String,
    elements: Vec<Value>,
    relationships: usize,
}

impl Graph {
    fn id(&self, name: &str) -> String {
        format!("{}{name}", self.space)
    }

    fn add(&mut self, kind: &str, name: &str, members: Value) {
        let mut element = Map::new();
        element.insert("type".to_owned(), json!(kind));
        element.insert("spdxId".to_owned(), json!(self.id(name)));
        element.insert("creationInfo".to_owned(), json!(CREATION));
        if let Value::Object(members) = members {
            element.extend(members);
        }
        self.elements.push(Value::Object(element));
    }

    /// A relationship to at least one element; to none there is none.
    fn relate(&mut self, from: &str, kind: &str, to: Vec<String>) {
        if to.is_empty() {
            return;
        }
        let members = json!({ "from": self.id(from), "relationshipType": kind, "to": to });
        let name = format!("Relationship-{}", self.relationships);
        self.relationships += 1;
        self.add("Relationship", &name, members);
    }

    fn document(&mut self, inventory: &Inventory) -> Result<(), CanonicalError> {
        let without_packages =
            Inventory { packages: Vec::new(), diagnostics: Vec::new(), ..inventory.clone() };
        let mut properties = vec![(property::INVENTORY, text(&without_packages)?)];
        for diagnostic in &inventory.diagnostics {
            properties.push((property::DIAGNOSTIC, text(diagnostic)?));
        }
        let document = json!({
            "name": inventory.subject.name,
            "profileConformance": ["core", "software", "simpleLicensing", "extension"],
            "rootElement": [self.id("Sbom")],
            "extension": extension(&properties),
        });
        self.add("SpdxDocument", "Document", document);
        let all = (0..inventory.packages.len()).map(reference);
        let all = std::iter::once("Subject".to_owned()).chain(all);
        let sbom = json!({
            "software_sbomType": ["analyzed"],
            "rootElement": [self.id("Subject")],
            "element": all.map(|name| self.id(&name)).collect::<Vec<_>>(),
        });
        self.add("software_Sbom", "Sbom", sbom);
        Ok(())
    }

    fn subject(&mut self, inventory: &Inventory) {
        let subject = &inventory.subject;
        let purpose = match subject.kind {
            SubjectKind::Image => "container",
            SubjectKind::RootFilesystem => "filesystemImage",
            SubjectKind::Directory => "application",
        };
        let mut members = json!({ "name": subject.name, "software_primaryPurpose": purpose });
        if let (Some(digest), Value::Object(members)) = (subject.digest(), &mut members) {
            members.insert("software_packageVersion".to_owned(), json!(digest.to_string()));
        }
        self.add("software_Package", "Subject", members);
    }

    fn package(
        &mut self,
        package: &Package,
        name: &str,
        supplier: Option<String>,
        properties: &[(&str, String)],
    ) {
        let mut members = Map::new();
        let mut say = |key: &str, value: Value| drop(members.insert(key.to_owned(), value));
        say("name", json!(package.name));
        say("software_packageUrl", json!(package.purl));
        if !package.version.is_empty() {
            say("software_packageVersion", json!(package.version));
        }
        if let Some(source) = &package.source {
            let info = format!("built package from: {} {}", source.name, source.version);
            say("software_sourceInfo", json!(info));
        }
        if let Some(supplier) = supplier {
            say("suppliedBy", json!(supplier));
        }
        if let Some(cpe) = crate::cpe::of(package) {
            let identifier = json!({
                "type": "ExternalIdentifier",
                "externalIdentifierType": "cpe23",
                "identifier": cpe,
            });
            say("externalIdentifier", json!([identifier]));
        }
        let hashes: Vec<Value> = crate::checksum::of(package)
            .map(|one| json!({ "type": "Hash", "algorithm": one.algorithm, "hashValue": one.value }))
            .collect();
        if !hashes.is_empty() {
            say("verifiedUsing", json!(hashes));
        }
        say("extension", extension(properties));
        self.add("software_Package", name, Value::Object(members));
    }

    /// A licence expression, with where the texts are of the licences that only this document knows.
    fn license(&mut self, expression: &str, name: &str, texts: &ExtractedLicenses) {
        let words = expression.split([' ', '(', ')']);
        let custom: Vec<Value> = words
            .filter(|word| texts.texts.contains_key(*word))
            .map(|word| json!({ "type": "DictionaryEntry", "key": word, "value": self.id(word) }))
            .collect();
        let mut members = json!({ "simplelicensing_licenseExpression": expression });
        if let (false, Value::Object(members)) = (custom.is_empty(), &mut members) {
            members.insert("simplelicensing_customIdToUri".to_owned(), json!(custom));
        }
        self.add("simplelicensing_LicenseExpression", name, members);
    }
}
