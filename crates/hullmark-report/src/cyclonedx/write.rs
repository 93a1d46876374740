//! Writing.

use hullmark_types::{
    CanonicalError, Checksum, Confidence, Inventory, LayerInfo, Location, Package, PackageKind, SubjectKind,
    canonical_json, digest_of,
};
use serde_json::{Value, json};

use super::property;
use crate::Tool;
use crate::license::{expression_of, spdx_expression};
use crate::needed::Needed;

/// Writes an inventory as a CycloneDX 1.6 document.
///
/// The same inventory gives the same document: the serial number comes from its digest, and there is no time stamp. What
/// CycloneDX has no field for stands in properties `hullmark:...`, so that [`super::parse_cyclonedx`] gives back the same
/// inventory.
///
/// # Errors
/// When the inventory cannot be written as JSON, which no inventory does.
pub fn cyclonedx(inventory: &Inventory, tool: &Tool) -> Result<Value, CanonicalError> {
    let mut components = Vec::new();
    if let Some(distribution) = &inventory.distribution {
        components.push(json!({
            "type": "operating-system",
            "bom-ref": "distribution",
            "name": distribution.id,
            "version": distribution.version.as_deref().unwrap_or(""),
            "description": distribution.display_name(),
        }));
    }
    for (position, package) in inventory.packages.iter().enumerate() {
        components.push(component(package, position, &inventory.layers)?);
    }
    let without_packages = Inventory { packages: Vec::new(), diagnostics: Vec::new(), ..inventory.clone() };
    let mut properties = vec![json!({ "name": property::INVENTORY, "value": text(&without_packages)? })];
    for diagnostic in &inventory.diagnostics {
        properties.push(json!({ "name": property::DIAGNOSTIC, "value": text(diagnostic)? }));
    }
    let subject = &inventory.subject;
    let mut described = json!({
        "type": match subject.kind {
            SubjectKind::Image => "container",
            SubjectKind::RootFilesystem => "file",
            SubjectKind::Directory => "application",
        },
        "bom-ref": "subject",
        "name": subject.name,
    });
    if let (Some(digest), Value::Object(members)) = (subject.digest(), &mut described) {
        members.insert("version".to_owned(), json!(digest.to_string()));
    }
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", uuid(digest_of(inventory)?.hex())),
        "version": 1,
        "metadata": {
            "tools": { "components": [{ "type": "application", "name": tool.name, "version": tool.version }] },
            "component": described,
        },
        "components": components,
        "dependencies": dependencies(inventory),
        "properties": properties,
    }))
}

fn component(package: &Package, position: usize, layers: &[LayerInfo]) -> Result<Value, CanonicalError> {
    let (group, name) = group_and_name(package);
    let mut properties = vec![
        json!({ "name": property::PACKAGE, "value": text(package)? }),
        json!({ "name": property::LAYER, "value": package.layer.to_string() }),
    ];
    let layer = layers.iter().find(|layer| layer.index == package.layer);
    if let Some(digest) = layer.and_then(|layer| layer.diff_id.as_ref().or(layer.digest.as_ref())) {
        properties.push(json!({ "name": property::LAYER_DIGEST, "value": digest.to_string() }));
    }
    // Two packages may have one purl, in two places: the position keeps references apart.
    let mut value = json!({
        "type": "library",
        "bom-ref": reference(position),
        "name": name,
        "version": package.version,
        "purl": package.purl,
        "properties": properties,
        "evidence": {
            "identity": [identity(package)],
            "occurrences": package.locations.iter().map(occurrence).collect::<Vec<_>>(),
        },
    });
    let Value::Object(members) = &mut value else { return Ok(value) };
    if let Some(group) = group {
        members.insert("group".to_owned(), json!(group));
    }
    if let Some(licenses) = licenses(&package.licenses) {
        members.insert("licenses".to_owned(), licenses);
    }
    if let Some(vendor) = &package.vendor {
        members.insert("supplier".to_owned(), json!({ "name": vendor }));
    }
    if package.development {
        members.insert("scope".to_owned(), json!("excluded"));
    }
    if let Some(cpe) = crate::cpe::of(package) {
        members.insert("cpe".to_owned(), json!(cpe));
    }
    let hashes: Vec<Value> = crate::checksum::of(package).map(hash).collect();
    if !hashes.is_empty() {
        members.insert("hashes".to_owned(), json!(hashes));
    }
    Ok(value)
}

fn reference(position: usize) -> String {
    format!("package-{position}")
}

/// How the package is known, and how certain that is.
fn identity(package: &Package) -> Value {
    let (technique, confidence) = match package.confidence {
        Confidence::Declared => ("manifest-analysis", 1.0),
        Confidence::Derived => ("filename", 0.7),
        Confidence::Recognised => ("binary-analysis", 0.8),
    };
    json!({
        "field": "purl",
        "confidence": confidence,
        "methods": [{ "technique": technique, "confidence": confidence, "value": package.found_by }],
    })
}

fn occurrence(location: &Location) -> Value {
    let path = match &location.inside {
        Some(inside) => format!("{} > {inside}", location.path),
        None => location.path.clone(),
    };
    json!({ "location": path })
}

/// One expression where all of them can be said in SPDX; names otherwise, as declared licences are free text as often as not.
fn licenses(declared: &[String]) -> Option<Value> {
    if declared.is_empty() {
        return None;
    }
    let known = |text: &str| spdx::license_id(text).is_some();
    Some(match expression_of(declared) {
        Some(expression) if known(&expression) => json!([{ "license": { "id": expression } }]),
        Some(expression) => json!([{ "expression": expression }]),
        None => declared
            .iter()
            .map(|one| match spdx_expression(one) {
                Some(id) if known(&id) => json!({ "license": { "id": id } }),
                _ => json!({ "license": { "name": one } }),
            })
            .collect(),
    })
}

fn hash(checksum: &Checksum) -> Value {
    let algorithm = match checksum.algorithm.strip_prefix("sha") {
        Some(length) => format!("SHA-{length}"),
        None => checksum.algorithm.to_ascii_uppercase(),
    };
    json!({ "alg": algorithm, "content": checksum.value })
}

/// What each package needs, and what the image holds.
fn dependencies(inventory: &Inventory) -> Vec<Value> {
    let needed = Needed::new(inventory);
    let all: Vec<String> = (0..inventory.packages.len()).map(reference).collect();
    let mut dependencies = vec![json!({ "ref": "subject", "dependsOn": all })];
    for (position, package) in inventory.packages.iter().enumerate() {
        let needs: Vec<String> = needed.by(package).into_iter().map(reference).collect();
        if !needs.is_empty() {
            dependencies.push(json!({ "ref": reference(position), "dependsOn": needs }));
        }
    }
    dependencies
}

/// The group and the name within it, for the kinds whose names have both.
fn group_and_name(package: &Package) -> (Option<&str>, &str) {
    let separator = match package.kind {
        PackageKind::Composer | PackageKind::Npm | PackageKind::Pear | PackageKind::Wordpress => '/',
        PackageKind::Maven => ':',
        _ => return (None, &package.name),
    };
    match package.name.rsplit_once(separator) {
        Some((group, name)) => (Some(group), name),
        None => (None, &package.name),
    }
}

pub(crate) fn text<T: serde::Serialize>(value: &T) -> Result<String, CanonicalError> {
    Ok(String::from_utf8_lossy(&canonical_json(value)?).into_owned())
}

/// A UUID of version 8 (RFC 9562: for own use) from the beginning of a digest.
pub(crate) fn uuid(hex: &str) -> String {
    let part = |start: usize, end: usize| hex.get(start..end).unwrap_or_default();
    format!("{}-{}-8{}-8{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}
