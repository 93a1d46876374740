//! From the layers of an image to its inventory.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

use hullmark_types::{
    Diagnostic, Distribution, INVENTORY_SCHEMA, ImageConfig, ImageProfile, Inventory, LayerInfo, Location,
    Package, PackageKind, SourcePackage, Subject, fold_pypi_name,
};

use crate::extractors::ALL;
use crate::layer::LayerInventory;
use crate::ownership::{OwnerKey, owners};
use crate::program;
use crate::purl::package_url;
use crate::repeated::{drop_repeated, is_of_sbom};
use crate::requirements::Requirements;
use crate::root::{LiveFile, LiveNode, Root};
use crate::text::excerpt;
use crate::third_party::is_third_party;
use crate::{Details, FoundPackage, OwnedFiles, distribution, nix_store, project, unrecognised, unsupported};

/// Merges the layers, base first, into the inventory of an image and its runtime profile.
///
/// `contents` holds what each layer brings, in the order of `layers`; `diagnostics` are those that concern no layer.
/// The result depends on nothing else, and packages, diagnostics and files in it are sorted.
pub fn merge<C: Borrow<LayerInventory>>(
    subject: Subject,
    config: Option<ImageConfig>,
    layers: Vec<LayerInfo>,
    contents: &[C],
    diagnostics: Vec<Diagnostic>,
) -> (Inventory, ImageProfile) {
    let contents: Vec<&LayerInventory> = contents.iter().map(Borrow::borrow).collect();
    let mut root = Root::default();
    let mut said: BTreeSet<Diagnostic> = diagnostics.iter().cloned().collect();
    for (index, content) in (0_u32..).zip(contents.iter().copied()) {
        root.apply(index, content);
        said.extend(content.diagnostics.iter().map(|diagnostic| diagnostic.clone().in_layer(index)));
    }
    let (store, more) = nix_store::packages(root.nodes().map(|(path, node)| (path, node.layer)));
    if more {
        let message = "there are too many packages in the store of Nix; the rest was not taken";
        said.insert(Diagnostic::gap("limit-packages", "nix/store", message));
    }
    let mut live = collect(&root, &mut said);
    live.packages.extend(store.iter().map(|one| Placed {
        package: &one.package,
        path: one.path,
        layer: one.layer,
        found_by: nix_store::NAME,
    }));
    let completed = project::complete(&root);
    for one in &completed {
        let said_of = one.found.diagnostics.iter().cloned();
        said.extend(said_of.map(|diagnostic| diagnostic.in_layer(one.layer)));
        live.packages.extend(one.found.packages.iter().map(|package| Placed {
            package,
            path: one.path,
            layer: one.layer,
            found_by: one.found_by,
        }));
    }
    let (distribution, notes) = distribution::find(&root);
    said.extend(notes);
    // What an SBOM repeats may still be what its other packages need.
    let requirements = Requirements::new(&live.packages, distribution.as_ref());
    drop_repeated(&mut live.packages, distribution.as_ref());
    let gaps = unsupported::gaps(root.nodes().map(|(path, node)| (path, node.layer)));
    let found: Vec<_> = live.packages.iter().map(|found| (found.package.kind, is_of_sbom(found))).collect();
    said.extend(distribution::assess(subject.kind, distribution.as_ref(), &found, !gaps.is_empty()));
    said.extend(gaps);
    said.extend(root.replaced().cloned());
    said.extend(unread_links(&root));
    let packages = assemble(&root, &live, &requirements, distribution.as_ref(), &mut said);
    let profile = program::profile(&subject, config.as_ref(), &root, &contents, &diagnostics);
    let inventory = Inventory {
        schema: INVENTORY_SCHEMA,
        subject,
        distribution,
        config,
        base: None,
        layers,
        packages,
        diagnostics: said.into_iter().collect(),
    };
    (inventory, profile)
}

/// A package in one file.
pub(crate) struct Placed<'a> {
    pub(crate) package: &'a FoundPackage,
    pub(crate) path: &'a str,
    layer: u32,
    pub(crate) found_by: &'a str,
}

/// What the extractors found in the files that are still there.
#[derive(Default)]
struct Collected<'a> {
    packages: Vec<Placed<'a>>,
    owned: Vec<&'a OwnedFiles>,
}

fn collect<'a>(root: &'a Root<'_>, said: &mut BTreeSet<Diagnostic>) -> Collected<'a> {
    let mut collected = Collected::default();
    for (path, live) in root.nodes() {
        said.extend(live.unread(path).into_iter().flatten().map(|gap| gap.in_layer(live.layer)));
        let LiveNode::File(LiveFile { content: Some(content), .. }) = live.node else { continue };
        for (name, extraction) in content {
            let diagnostics = extraction.diagnostics.iter().cloned();
            // The file may have been read under another of its names.
            said.extend(diagnostics.map(|found| Diagnostic {
                path: path.to_owned(),
                layer: Some(live.layer),
                ..found
            }));
            collected.owned.extend(&extraction.owned);
            collected.packages.extend(extraction.packages.iter().map(|package| Placed {
                package,
                path,
                layer: live.layer,
                found_by: name,
            }));
        }
    }
    collected
}

/// Paths that an extractor depends on, and that lead through links to a file it has not read.
fn unread_links(root: &Root<'_>) -> Vec<Diagnostic> {
    let mut gaps = Vec::new();
    for extractor in ALL {
        for path in extractor.well_known_paths() {
            let is_read = |real: &str| match root.node(real).map(|live| &live.node) {
                Some(LiveNode::File(file)) => {
                    file.content.is_some_and(|known| known.contains_key(extractor.name()))
                }
                _ => true,
            };
            match root.resolve(path) {
                Some(real) if real == *path || is_read(&real) => {}
                Some(real) => {
                    let message = format!(
                        "a symbolic link leads to `{}`, which was not read under that name, so it was not assessed",
                        excerpt(&real)
                    );
                    gaps.push(Diagnostic::gap("symbolic-link-not-followed", *path, message));
                }
                None => {
                    let message = "too many symbolic links: they lead in a circle";
                    gaps.push(Diagnostic::gap("symbolic-link-not-followed", *path, message));
                }
            }
        }
    }
    gaps
}

fn assemble(
    root: &Root<'_>,
    live: &Collected<'_>,
    requirements: &Requirements<'_>,
    distribution: Option<&Distribution>,
    said: &mut BTreeSet<Diagnostic>,
) -> Vec<Package> {
    let evidence = live.packages.iter().filter(|found| !found.package.kind.is_operating_system());
    let unknown = unrecognised::candidates(root, &live.packages);
    let evidence = evidence.map(|found| found.path).chain(unknown.iter().map(|unknown| unknown.path));
    let owners = owners(root, &live.owned, evidence);
    said.extend(unrecognised::gaps(unknown.iter().copied().filter(|one| !owners.contains_key(one.path))));
    let system = SystemPackages::new(&live.packages, distribution);
    let mut packages: BTreeMap<PackageIdentity, Package> = BTreeMap::new();
    for found in &live.packages {
        let package = found.package;
        let Some(purl) = package_url(package, distribution) else {
            let message = "a package has no usable name, so it is not listed";
            said.insert(
                Diagnostic::gap("malformed-package-database", found.path, message).in_layer(found.layer),
            );
            continue;
        };
        // A package of a distribution has no owner, whoever brought the SBOM that names it.
        let owned =
            owners.get(found.path).filter(|_| !is_of_sbom(found) || !package.kind.is_operating_system());
        let owner = owned.and_then(|owner| system.purl(*owner)).map(str::to_owned);
        if package.kind == PackageKind::Generic && owner.is_some() && !is_of_sbom(found) {
            // What the package manager of the distribution installed, it knows better.
            continue;
        }
        let ecosystem = ecosystem(package, distribution);
        if package.kind.is_operating_system() && is_third_party(package, distribution) {
            let message = format!(
                "`{} {}` comes from {}, so the distribution's advisories do not cover it",
                excerpt(&package.name),
                excerpt(&package.version),
                package.vendor.as_deref().map_or_else(|| "a third party".to_owned(), excerpt)
            );
            said.insert(Diagnostic::note("third-party-package", found.path, message).in_layer(found.layer));
        }
        let location =
            Location { path: found.path.to_owned(), layer: found.layer, inside: package.inside.clone() };
        let layer = root.since(package.kind, &package.name, &package.version).unwrap_or(found.layer);
        let identity = PackageIdentity::new(package, &purl, owner.as_deref());
        let known = packages.entry(identity).or_insert_with(|| Package {
            source: package.kind.is_operating_system().then(|| source(package)),
            architecture: package.architecture.clone(),
            vendor: package.vendor.clone(),
            ecosystem,
            owner,
            layer,
            confidence: package.confidence,
            development: package.development,
            ..Package::new(package.kind, &package.name, &package.version, purl, found.found_by)
        });
        known.locations.push(location);
        known.licenses.extend(package.licenses.iter().cloned());
        known.checksums.extend(package.checksums.iter().cloned());
        known.dependencies.extend(requirements.of(found));
        let details = details(root, package);
        known.licenses.extend(details.iter().flat_map(|details| details.licenses.iter().cloned()));
        // What the first of several finds says of a property counts; one that is needed anywhere is needed.
        for (key, value) in
            package.properties.iter().chain(details.iter().flat_map(|details| &details.properties))
        {
            known.properties.entry(key.clone()).or_insert_with(|| value.clone());
        }
        known.development &= package.development;
        if package.confidence < known.confidence {
            known.confidence = package.confidence;
            known.found_by = found.found_by.to_owned();
        }
        // Names that fold to the same one are one package; it stays from the first of them on.
        known.layer = known.layer.min(layer);
    }
    let mut packages = with_versions(packages.into_values().collect());
    let purls: BTreeSet<String> = packages.iter().map(|package| package.purl.clone()).collect();
    for package in &mut packages {
        package.dependencies.retain(|purl| purls.contains(purl));
        package.locations.sort();
        package.locations.dedup();
        package.licenses.sort();
        package.licenses.dedup();
        package.checksums.sort();
        package.checksums.dedup();
        package.dependencies.sort();
        package.dependencies.dedup();
    }
    packages.sort();
    packages
}

/// The lists of files of Perl name a distribution without its version. Where exactly one other find has the version, it is the
/// same distribution, seen a second time.
fn with_versions(packages: Vec<Package>) -> Vec<Package> {
    let (mut without, mut with): (Vec<_>, Vec<_>) = packages
        .into_iter()
        .partition(|package| package.kind == PackageKind::Cpan && package.version.is_empty());
    let mut positions: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let distributions = with.iter().enumerate().filter(|(_, package)| package.kind == PackageKind::Cpan);
    for (position, package) in distributions {
        positions.entry(package.name.clone()).or_default().push(position);
    }
    without.retain_mut(|package| {
        let Some([position]) = positions.get(&package.name).map(Vec::as_slice) else { return true };
        let Some(known) = with.get_mut(*position) else { return true };
        known.locations.append(&mut package.locations);
        false
    });
    with.append(&mut without);
    with
}

/// What another file says of a package.
fn details<'a>(root: &Root<'a>, package: &FoundPackage) -> Option<&'a Details> {
    package.details.iter().find_map(|path| {
        let (_, content) = root.content(path)?;
        content?.values().find_map(|extraction| extraction.details.as_ref())
    })
}

/// What makes two finds the same package: everything that advisories and owners are looked up by.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct PackageIdentity {
    purl: String,
    folded_name: String,
    source: Option<SourcePackage>,
    owner: Option<String>,
}

impl PackageIdentity {
    fn new(package: &FoundPackage, purl: &str, owner: Option<&str>) -> Self {
        let folded_name = match package.kind {
            PackageKind::Pypi => fold_pypi_name(&package.name),
            // The case of a name does not count.
            PackageKind::Nuget => package.name.to_lowercase(),
            _ => package.name.clone(),
        };
        let purl = match package.kind {
            PackageKind::Nuget => purl.to_lowercase(),
            _ => purl.to_owned(),
        };
        Self { purl, folded_name, source: package.source.clone(), owner: owner.map(str::to_owned) }
    }
}

/// The distribution's own packages by name. A third party's are not here: what they install is judged by the advisories
/// of its language, for the distribution says nothing of it.
struct SystemPackages<'a> {
    purls: BTreeMap<&'a str, Vec<(Option<&'a str>, String)>>,
}

impl<'a> SystemPackages<'a> {
    fn new(packages: &[Placed<'a>], distribution: Option<&Distribution>) -> Self {
        let mut purls: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for found in packages {
            let package = found.package;
            if package.kind.is_operating_system()
                && !is_third_party(package, distribution)
                && let Some(purl) = package_url(package, distribution)
            {
                purls.entry(&package.name).or_default().push((package.architecture.as_deref(), purl));
            }
        }
        Self { purls }
    }

    fn purl(&self, (name, architecture): OwnerKey<'_>) -> Option<&str> {
        let candidates = self.purls.get(name)?;
        let exact = candidates.iter().find(|(known, _)| architecture.is_some() && *known == architecture);
        exact.or(candidates.first()).map(|(_, purl)| purl.as_str())
    }
}

fn ecosystem(package: &FoundPackage, distribution: Option<&Distribution>) -> Option<String> {
    match package.kind.is_operating_system() {
        false => package.kind.ecosystem().map(str::to_owned),
        true if is_third_party(package, distribution) => None,
        // Packages of rpm in an image of Debian are none of Debian's.
        true => distribution::of_package(package, distribution)
            .and_then(Distribution::ecosystem)
            .filter(|known| PackageKind::of_ecosystem(known).is_none_or(|kind| kind == package.kind)),
    }
}

fn source(package: &FoundPackage) -> SourcePackage {
    package
        .source
        .clone()
        .unwrap_or_else(|| SourcePackage { name: package.name.clone(), version: package.version.clone() })
}
