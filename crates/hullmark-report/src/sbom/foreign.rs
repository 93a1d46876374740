//! Documents of other tools, as far as they go.

use std::collections::{BTreeMap, BTreeSet};

use hullmark_types::{
    Checksum, Diagnostic, Digest, Distribution, INVENTORY_SCHEMA, Inventory, LayerInfo, Location, Package,
    PackageKind, SourcePackage, Subject, SubjectKind, split_bitnami_revision,
};

/// A package URL taken apart: `pkg:type/namespace/name@version?qualifiers#subpath`.
struct Purl {
    kind: String,
    namespace: String,
    name: String,
    version: String,
    qualifiers: BTreeMap<String, String>,
}

/// What a document of another tool says, whatever its form.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    /// What the document is about.
    pub(crate) name: Option<String>,
    /// The digest of what it is about.
    pub(crate) digest: Option<Digest>,
    /// The operating system, when it is a component of its own.
    pub(crate) distribution: Option<Distribution>,
    /// The programs that made it, as they are named there.
    pub(crate) tools: Vec<String>,
    /// Packages, and what may be one.
    pub(crate) components: Vec<Component>,
    /// What each component needs, by their references.
    pub(crate) needs: BTreeMap<String, Vec<String>>,
}

/// One component of such a document.
#[derive(Debug, Default)]
pub(crate) struct Component {
    /// Where it stands, such as `/components/3`.
    pub(crate) place: String,
    /// What others call it within the document.
    pub(crate) reference: String,
    pub(crate) name: String,
    pub(crate) purl: Option<String>,
    pub(crate) licenses: Vec<String>,
    pub(crate) checksums: Vec<Checksum>,
    pub(crate) vendor: Option<String>,
    /// Name and version of the source package, where the document states them beside the package URL.
    pub(crate) source: Option<(String, Option<String>)>,
}

/// Takes what can be taken of a document that Hullmark did not write.
pub(crate) fn inventory(document: Foreign) -> Inventory {
    let Foreign { name, digest, mut distribution, tools, components, needs } = document;
    let names_sources = tools.iter().any(|tool| names_sources(tool));
    let mut diagnostics = Vec::new();
    let mut packages = Vec::new();
    for component in &components {
        let place = component.place.clone();
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
        match package(purl, &parsed, component, names_sources, &mut diagnostics) {
            Some(package) => packages.push((parsed, component, package)),
            None => diagnostics.push(Diagnostic::gap(
                "unsupported-package-type",
                place,
                format!("packages of type `{}` are not assessed yet", parsed.kind),
            )),
        }
    }
    if distribution.is_none() {
        distribution = packages.iter().find_map(|(purl, _, _)| named_by(purl));
    }
    let ecosystem = distribution.as_ref().and_then(Distribution::ecosystem);
    let purls: BTreeMap<&str, &str> = packages
        .iter()
        .filter_map(|(_, component, _)| Some((component.reference.as_str(), component.purl.as_deref()?)))
        .collect();
    let mut packages: Vec<Package> = packages
        .iter()
        .map(|(_, component, package)| {
            let needed = needs.get(&component.reference).into_iter().flatten();
            let needed: BTreeSet<String> = needed
                .filter_map(|reference| purls.get(reference.as_str()))
                .map(|purl| (*purl).to_owned())
                .collect();
            let mut package = Package { dependencies: needed.into_iter().collect(), ..package.clone() };
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
    Inventory {
        schema: INVENTORY_SCHEMA,
        subject: Subject {
            kind: SubjectKind::Image,
            name: name.unwrap_or_else(|| "SBOM".to_owned()),
            references: Vec::new(),
            index: None,
            manifest: digest,
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

/// Whether a program always names the source package where it is called otherwise than the package, so that one that is not named has
/// the name of the package: `syft`, `syft-1.57.0`, `Tool: trivy-0.74.0`.
fn names_sources(tool: &str) -> bool {
    let tool = tool.trim_start_matches("Tool: ").to_ascii_lowercase();
    let is_version =
        |rest: &str| rest.trim_start_matches(['-', 'v']).starts_with(|one: char| one.is_ascii_digit());
    ["syft", "trivy"]
        .iter()
        .filter_map(|name| tool.strip_prefix(name))
        .any(|rest| rest.is_empty() || (rest.starts_with('-') && is_version(rest)))
}

/// A distribution of which only name and version are known.
pub(crate) fn operating_system(name: &str, version: Option<&str>) -> Distribution {
    Distribution {
        id: name.to_ascii_lowercase(),
        version: version.filter(|version| !version.is_empty()).map(str::to_owned),
        ..Distribution::default()
    }
}

/// The qualifier `distro`, such as `alpine-3.18.4` or `debian-12`, says which distribution a package is of.
fn named_by(purl: &Purl) -> Option<Distribution> {
    let (id, version) = purl.qualifiers.get("distro")?.split_once('-')?;
    Some(Distribution { id: id.to_owned(), version: Some(version.to_owned()), ..Distribution::default() })
}

fn package(
    purl: &str,
    parsed: &Purl,
    component: &Component,
    names_sources: bool,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Package> {
    let place = &component.place;
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
    if kind == PackageKind::Bitnami {
        version = split_bitnami_revision(&version).0.to_owned();
    }
    let source = kind.is_operating_system().then(|| source(parsed, component, &name, &version)).map(
        |(source, stated)| {
            if !stated && !names_sources {
                diagnostics.push(Diagnostic::note(
                    "sbom-without-source-package",
                    place.clone(),
                    format!(
                        "the document does not name the source package of `{name}`; its own name was taken"
                    ),
                ));
            }
            source
        },
    );
    Some(Package {
        source,
        licenses: component.licenses.clone(),
        checksums: component.checksums.clone(),
        vendor: component.vendor.clone(),
        architecture: parsed.qualifiers.get("arch").cloned(),
        ecosystem: kind.ecosystem().map(str::to_owned),
        locations: vec![Location { path: place.clone(), layer: 0, inside: None }],
        ..Package::new(kind, name, version, purl, "sbom")
    })
}

/// The source package, from the qualifier `upstream` (`name` or `name@version`), and whether the document states it.
fn source(purl: &Purl, component: &Component, name: &str, version: &str) -> (SourcePackage, bool) {
    if let Some((name, said)) = &component.source {
        let version = said.clone().unwrap_or_else(|| version.to_owned());
        return (SourcePackage { name: name.clone(), version }, true);
    }
    match purl.qualifiers.get("upstream") {
        Some(file) if file.ends_with("src.rpm") => {
            let said = source_rpm(file);
            let (name, version) = said.unwrap_or((name, version));
            (SourcePackage { name: name.to_owned(), version: version.to_owned() }, said.is_some())
        }
        Some(upstream) => {
            let (name, version) = upstream.split_once('@').unwrap_or((upstream, version));
            (SourcePackage { name: name.to_owned(), version: version.to_owned() }, true)
        }
        None => (SourcePackage { name: name.to_owned(), version: version.to_owned() }, false),
    }
}

/// Name and version of `NAME-VERSION-RELEASE.src.rpm`.
fn source_rpm(file: &str) -> Option<(&str, &str)> {
    let stem = file.strip_suffix(".src.rpm").or_else(|| file.strip_suffix(".nosrc.rpm"))?;
    let (rest, _release) = stem.rsplit_once('-')?;
    let (name, _version) = rest.rsplit_once('-')?;
    let version = stem.get(name.len() + 1..)?;
    (!name.is_empty()).then_some((name, version))
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
