//! Writing.

use hullmark_types::{
    CanonicalError, Inventory, Package, PackageKind, SubjectKind, canonical_json, digest_of,
};
use serde_json::{Value, json};

use super::property;
use crate::Tool;

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
        components.push(component(package, position)?);
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
        "properties": properties,
    }))
}

fn component(package: &Package, position: usize) -> Result<Value, CanonicalError> {
    let (group, name) = group_and_name(package);
    // Two packages may have one purl, in two places: the position keeps references apart.
    let mut value = json!({
        "type": "library",
        "bom-ref": format!("package-{position}"),
        "name": name,
        "version": package.version,
        "purl": package.purl,
        "properties": [{ "name": property::PACKAGE, "value": text(package)? }],
        "evidence": { "occurrences": package.locations.iter().map(|l| json!({ "location": l.path })).collect::<Vec<_>>() },
    });
    let Value::Object(members) = &mut value else { return Ok(value) };
    if let Some(group) = group {
        members.insert("group".to_owned(), json!(group));
    }
    if !package.licenses.is_empty() {
        // Declared licences are free text as often as not; a name takes both.
        let licenses = package.licenses.iter().map(|license| json!({ "license": { "name": license } }));
        members.insert("licenses".to_owned(), licenses.collect());
    }
    if let Some(vendor) = &package.vendor {
        members.insert("supplier".to_owned(), json!({ "name": vendor }));
    }
    Ok(value)
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

fn text<T: serde::Serialize>(value: &T) -> Result<String, CanonicalError> {
    Ok(String::from_utf8_lossy(&canonical_json(value)?).into_owned())
}

/// A UUID of version 8 (RFC 9562: for own use) from the beginning of a digest.
fn uuid(hex: &str) -> String {
    let part = |start: usize, end: usize| hex.get(start..end).unwrap_or_default();
    format!("{}-{}-8{}-8{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}
