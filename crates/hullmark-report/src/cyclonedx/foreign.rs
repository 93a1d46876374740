//! Documents of other tools, as far as they go.

use std::collections::BTreeMap;

use hullmark_types::{
    Diagnostic, Distribution, INVENTORY_SCHEMA, Inventory, LayerInfo, Location, Package, PackageKind,
    SourcePackage, Subject, SubjectKind,
};

use super::read::{Component, Document};

/// A package URL taken apart: `pkg:type/namespace/name@version?qualifiers#subpath`.
struct Purl {
    kind: String,
    namespace: String,
    name: String,
    version: String,
    qualifiers: BTreeMap<String, String>,
}

/// Takes what can be taken of a document that Hullmark did not write.
pub(super) fn inventory(document: &Document) -> Inventory {
    let mut diagnostics = Vec::new();
    let mut packages = Vec::new();
    let mut distribution =
        document.components.iter().find(|c| c.kind == "operating-system").map(operating_system);
    for (position, component) in document.components.iter().enumerate() {
        let place = format!("/components/{position}");
        if component.kind == "operating-system" || component.kind == "file" {
            continue;
        }
        let Some(purl) = component.purl.as_deref() else {
            let message =
                format!("the component `{}` has no package URL and was not assessed", component.name);
            diagnostics.push(Diagnostic::gap("sbom-component-without-purl", place, message));
            continue;
        };
        let Some(parsed) = parse(purl) else {
            diagnostics.push(Diagnostic::gap(
                "malformed-purl",
                place,
                format!("`{purl}` is not a package URL"),
            ));
            continue;
        };
        match package(purl, &parsed, &place, &mut diagnostics) {
            Some(package) => packages.push((parsed, package)),
            None => diagnostics.push(Diagnostic::gap(
                "unsupported-package-type",
                place,
                format!("packages of type `{}` are not assessed yet", parsed.kind),
            )),
        }
    }
    if distribution.is_none() {
        distribution = packages.iter().find_map(|(purl, _)| named_by(purl));
    }
    let ecosystem = distribution.as_ref().and_then(Distribution::ecosystem);
    let mut packages: Vec<Package> = packages
        .into_iter()
        .map(|(_, mut package)| {
            if package.kind.is_operating_system() {
                package.ecosystem.clone_from(&ecosystem);
            }
            package
        })
        .collect();
    if packages.is_empty() {
        diagnostics.push(Diagnostic::gap(
            "no-packages-found",
            "",
            "the document names no package that can be assessed",
        ));
    }
    packages.sort();
    diagnostics.sort();
    let component = document.metadata.component.as_ref();
    Inventory {
        schema: INVENTORY_SCHEMA,
        subject: Subject {
            kind: SubjectKind::Image,
            name: component.map_or_else(|| "SBOM".to_owned(), |component| component.name.clone()),
            references: Vec::new(),
            index: None,
            manifest: component.and_then(|component| component.version.as_deref()?.parse().ok()),
            config: None,
            platform: None,
        },
        distribution,
        config: None,
        base: None,
        layers: vec![LayerInfo { index: 0, digest: None, diff_id: None, size: None, created_by: None }],
        packages,
        diagnostics,
    }
}

fn operating_system(component: &Component) -> Distribution {
    Distribution {
        id: component.name.to_ascii_lowercase(),
        version: component.version.clone().filter(|version| !version.is_empty()),
        ..Distribution::default()
    }
}

/// The qualifier `distro`, such as `alpine-3.18.4` or `debian-12`, says which distribution a package is of.
fn named_by(purl: &Purl) -> Option<Distribution> {
    let (id, version) = purl.qualifiers.get("distro")?.split_once('-')?;
    Some(Distribution { id: id.to_owned(), version: Some(version.to_owned()), ..Distribution::default() })
}

fn package(purl: &str, parsed: &Purl, place: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<Package> {
    let kind = PackageKind::from_purl_type(&parsed.kind)?;
    let name = match (kind, parsed.namespace.as_str()) {
        (_, "") => parsed.name.clone(),
        (PackageKind::Maven, namespace) => format!("{namespace}:{}", parsed.name),
        (kind, _) if kind.is_operating_system() => parsed.name.clone(),
        (_, namespace) => format!("{namespace}/{}", parsed.name),
    };
    let mut version = parsed.version.clone();
    if let Some(epoch) =
        parsed.qualifiers.get("epoch").filter(|_| kind == PackageKind::Deb && !version.contains(':'))
    {
        version = format!("{epoch}:{version}");
    }
    let source =
        kind.is_operating_system().then(|| source(parsed, &name, &version)).map(|(source, stated)| {
            if !stated {
                diagnostics.push(Diagnostic::note(
                    "sbom-without-source-package",
                    place,
                    format!(
                        "the document does not name the source package of `{name}`; its own name was taken"
                    ),
                ));
            }
            source
        });
    Some(Package {
        source,
        architecture: parsed.qualifiers.get("arch").cloned(),
        ecosystem: kind.ecosystem().map(str::to_owned),
        locations: vec![Location { path: place.to_owned(), layer: 0, inside: None }],
        ..Package::new(kind, name, version, purl, "sbom")
    })
}

/// The source package, from the qualifier `upstream` (`name` or `name@version`), and whether the document states it.
fn source(purl: &Purl, name: &str, version: &str) -> (SourcePackage, bool) {
    match purl.qualifiers.get("upstream") {
        Some(upstream) => {
            let (name, version) = upstream.split_once('@').unwrap_or((upstream, version));
            (SourcePackage { name: name.to_owned(), version: version.to_owned() }, true)
        }
        None => (SourcePackage { name: name.to_owned(), version: version.to_owned() }, false),
    }
}

fn parse(text: &str) -> Option<Purl> {
    let rest = text.strip_prefix("pkg:")?.trim_start_matches('/');
    let rest = rest.split('#').next()?;
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    // A scope may have an unescaped `@`; the version is behind the last one that follows a name.
    let (path, version) = match path.rsplit_once('@') {
        Some((before, version)) if !before.is_empty() && !before.ends_with('/') => (before, version),
        _ => (path, ""),
    };
    let (kind, path) = path.split_once('/')?;
    let path = path.trim_matches('/');
    let (namespace, name) = path.rsplit_once('/').unwrap_or(("", path));
    let qualifiers = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| Some((key.to_ascii_lowercase(), decode(value)?)))
        .collect::<Option<_>>()?;
    let name = decode(name).filter(|name| !name.is_empty())?;
    Some(Purl {
        kind: kind.to_ascii_lowercase(),
        namespace: decode(namespace)?,
        name,
        version: decode(version)?,
        qualifiers,
    })
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                let value = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
                bytes.push(value);
                rest = after;
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).ok()
}
