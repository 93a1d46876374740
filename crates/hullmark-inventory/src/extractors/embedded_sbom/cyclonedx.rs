//! CycloneDX (<https://cyclonedx.org/docs/1.6/json/>).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Document;
use super::elements::Elements;
use super::item::{Item, Items, checksum};
use crate::text::non_empty;

/// How deep components in components are read.
const MAX_DEPTH: usize = 16;

/// Types of components that are no packages.
const OTHER_TYPES: &[&str] = &[
    "container",
    "cryptographic-asset",
    "data",
    "device",
    "device-driver",
    "file",
    "firmware",
    "operating-system",
];

/// The property by which npm's tools mark what is for development only.
const DEVELOPMENT: &str = "cdx:npm:package:development";

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    component: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Component<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(rename = "bom-ref")]
    reference: Option<String>,
    name: Option<String>,
    version: Option<String>,
    purl: Option<String>,
    scope: Option<String>,
    publisher: Option<String>,
    supplier: Option<Named>,
    #[serde(borrow, default)]
    licenses: Elements<'a>,
    #[serde(borrow, default)]
    hashes: Elements<'a>,
    #[serde(borrow, default)]
    properties: Elements<'a>,
    #[serde(borrow, default)]
    components: Elements<'a>,
}

#[derive(Deserialize)]
struct Named {
    name: Option<String>,
}

#[derive(Deserialize)]
struct LicenseChoice {
    expression: Option<String>,
    license: Option<License>,
}

#[derive(Deserialize)]
struct License {
    id: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Hash {
    alg: String,
    content: String,
}

#[derive(Deserialize)]
struct Property {
    name: Option<String>,
    value: Option<String>,
}

#[derive(Deserialize)]
struct Dependency<'a> {
    #[serde(rename = "ref")]
    reference: String,
    #[serde(borrow, default, rename = "dependsOn")]
    depends_on: Elements<'a>,
}

/// Reads all components and what they need.
pub(super) fn read(document: &Document<'_>, items: &mut Items<'_>) {
    if let Some(metadata) = document.metadata {
        let subject = serde_json::from_str::<Metadata<'_>>(metadata.get()).and_then(|metadata| {
            metadata
                .component
                .map(|component| serde_json::from_str::<Component<'_>>(component.get()))
                .transpose()
        });
        match subject {
            Ok(Some(component)) => take(component, true, "metadata/component", 0, items),
            Ok(None) => {}
            Err(error) => items.malformed("metadata", &error.to_string()),
        }
    }
    components("components", &document.components, 0, items);
    items.each("dependencies", &document.dependencies, |items, dependency: Dependency<'_>| {
        let Dependency { reference, depends_on } = dependency;
        items.each("dependsOn", &depends_on, |items, needed: String| items.need(&reference, &needed));
    });
}

fn components(place: &str, list: &Elements<'_>, depth: usize, items: &mut Items<'_>) {
    if depth >= MAX_DEPTH {
        if !list.is_empty() {
            items.too_deep(MAX_DEPTH);
        }
        return;
    }
    items.each(place, list, |items, component: Component<'_>| {
        take(component, false, "components", depth, items)
    });
}

fn take(component: Component<'_>, is_subject: bool, place: &str, depth: usize, items: &mut Items<'_>) {
    let nested = component.components;
    let is_excluded = component.scope.as_deref() == Some("excluded");
    let kind = component.kind.unwrap_or_default();
    if !is_excluded {
        let (mut licenses, mut checksums, mut development) = (Vec::new(), Vec::new(), false);
        items.each("licenses", &component.licenses, |_, choice: LicenseChoice| {
            let named = choice.license.and_then(|license| license.id.or(license.name));
            licenses.extend(choice.expression.or(named).as_deref().and_then(non_empty));
        });
        items.each("hashes", &component.hashes, |_, hash: Hash| {
            checksums.extend(checksum(&hash.alg, &hash.content));
        });
        items.each("properties", &component.properties, |_, property: Property| {
            development |=
                property.name.as_deref() == Some(DEVELOPMENT) && property.value.as_deref() == Some("true");
        });
        items.add(Item {
            id: component.reference,
            name: component.name.unwrap_or_default(),
            version: component.version.unwrap_or_default(),
            purl: component.purl,
            licenses,
            vendor: component.supplier.and_then(|supplier| supplier.name).or(component.publisher),
            checksums,
            development,
            is_other: is_subject || OTHER_TYPES.contains(&kind.as_str()),
        });
    }
    components(place, &nested, depth + 1, items);
}
