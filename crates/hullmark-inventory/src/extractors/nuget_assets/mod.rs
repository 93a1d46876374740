//! What NuGet restored for a project: `obj/project.assets.json`.

use std::collections::{BTreeMap, BTreeSet};

use hullmark_types::PackageKind;
use serde::Deserialize;

use crate::nuget::{Lenient, normalized, sha512, without_mark};
use crate::text::excerpt;
use crate::{Evidence, Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Requirement};

/// Reads what NuGet restored.
pub struct NugetAssets;

impl Extractor for NugetAssets {
    fn name(&self) -> &'static str {
        "nuget-assets"
    }

    fn summary(&self) -> &'static str {
        ".NET packages that NuGet restored for a project, from `project.assets.json`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Nuget]
    }

    fn evidence(&self) -> Evidence {
        Evidence::Project
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        file.file_name() == "project.assets.json"
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

#[derive(Deserialize)]
struct Assets {
    #[serde(default)]
    targets: BTreeMap<String, Lenient<Target>>,
    #[serde(default)]
    libraries: BTreeMap<String, Lenient<Library>>,
    project: Option<Lenient<Project>>,
}

/// The libraries of one framework, by `name/version`.
type Target = BTreeMap<String, Lenient<Used>>;

#[derive(Deserialize)]
struct Used {
    r#type: Option<String>,
    #[serde(default)]
    dependencies: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Library {
    r#type: Option<String>,
    sha512: Option<String>,
}

#[derive(Deserialize)]
struct Project {
    #[serde(default)]
    frameworks: BTreeMap<String, Lenient<Framework>>,
}

#[derive(Deserialize)]
struct Framework {
    #[serde(default)]
    dependencies: BTreeMap<String, Lenient<Direct>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Direct {
    suppress_parent: Option<String>,
}

/// Reads the file: every package of every framework, other projects left out. What is reached only from a package whose assets are
/// all private to the project (`PrivateAssets="all"`: analysers, build tools) is for development. A file of another form is a gap
/// `malformed-lock-file`.
fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let assets: Assets = match serde_json::from_slice(without_mark(file.bytes)) {
        Ok(assets) => assets,
        Err(error) => {
            let message = format!("it is not a list of restored packages: {error}");
            found.gap("malformed-lock-file", file.path, message);
            return found;
        }
    };
    let direct = direct(&assets);
    let mut packages: BTreeMap<(String, String), FoundPackage> = BTreeMap::new();
    for (key, library) in &assets.libraries {
        let (Some((name, version)), Some(library)) = (key.rsplit_once('/'), library.sound()) else {
            let message = format!("`{}` is not a library", excerpt(key));
            found.gap("malformed-lock-file", file.path, message);
            continue;
        };
        if is_package(library.r#type.as_deref()) {
            let package = FoundPackage {
                checksums: library.sha512.as_deref().and_then(sha512).into_iter().collect(),
                ..FoundPackage::new(PackageKind::Nuget, name, normalized(version))
            };
            packages.insert((name.to_lowercase(), normalized(version)), package);
        }
    }
    // Those that are in some framework, and those that are in one for more than development.
    let (mut used, mut needed) = (BTreeSet::new(), BTreeSet::new());
    for (framework, target) in &assets.targets {
        let Some(target) = target.sound() else {
            let message = format!("the libraries of `{}` are not a table", excerpt(framework));
            found.gap("malformed-lock-file", file.path, message);
            continue;
        };
        let graph = Graph::new(target);
        let development = graph.only_for_development(&direct);
        for (name, node) in &graph.nodes {
            let identity = (name.clone(), node.version.clone());
            if !node.is_package {
                continue;
            }
            used.insert(identity.clone());
            if !development.contains(name.as_str()) {
                needed.insert(identity.clone());
            }
            let package = packages
                .entry(identity)
                .or_insert_with(|| FoundPackage::new(PackageKind::Nuget, node.name, node.version.clone()));
            for node in node.needs.iter().filter_map(|need| graph.nodes.get(need)) {
                if node.is_package {
                    let version = Some(node.version.clone());
                    package.requires.push(Requirement { name: node.name.to_owned(), version });
                }
            }
        }
    }
    for (identity, mut package) in packages {
        package.development = used.contains(&identity) && !needed.contains(&identity);
        package.requires.sort();
        package.requires.dedup();
        found.add_package(file.path, package);
    }
    found
}

fn is_package(kind: Option<&str>) -> bool {
    kind.is_none_or(|kind| kind.eq_ignore_ascii_case("package"))
}

/// What the project itself asks for, and whether it is private to it in every framework.
fn direct(assets: &Assets) -> BTreeMap<String, bool> {
    let mut direct = BTreeMap::new();
    let project = assets.project.as_ref().and_then(Lenient::sound);
    let frameworks =
        project.iter().flat_map(|project| project.frameworks.values().filter_map(Lenient::sound));
    for (name, dependency) in frameworks.flat_map(|framework| &framework.dependencies) {
        let suppressed = dependency.sound().and_then(|direct| direct.suppress_parent.as_deref());
        let private = suppressed.is_some_and(|assets| assets.eq_ignore_ascii_case("all"));
        direct.entry(name.to_lowercase()).and_modify(|known| *known &= private).or_insert(private);
    }
    direct
}

/// The libraries of one framework by their names in lower case; of each there is one version.
struct Graph<'a> {
    nodes: BTreeMap<String, Node<'a>>,
}

struct Node<'a> {
    name: &'a str,
    version: String,
    is_package: bool,
    needs: Vec<String>,
}

impl<'a> Graph<'a> {
    fn new(target: &'a Target) -> Self {
        let nodes = target.iter().filter_map(|(key, used)| {
            let ((name, version), used) = (key.rsplit_once('/')?, used.sound()?);
            let node = Node {
                name,
                version: normalized(version),
                is_package: is_package(used.r#type.as_deref()),
                needs: used.dependencies.keys().map(|name| name.to_lowercase()).collect(),
            };
            (!name.is_empty()).then(|| (name.to_lowercase(), node))
        });
        Self { nodes: nodes.collect() }
    }

    /// The names that are reached from what is private to the project and from nothing else.
    fn only_for_development(&self, direct: &BTreeMap<String, bool>) -> BTreeSet<&str> {
        let is_private = |name: &str| direct.get(name) == Some(&true);
        let mut private = self.reached(self.nodes.keys().map(String::as_str).filter(|name| is_private(name)));
        let others = self.nodes.iter().filter(|(name, node)| {
            let is_direct = direct.get(*name) == Some(&false) || !node.is_package;
            is_direct || !private.contains(name.as_str())
        });
        let public = self.reached(others.map(|(name, _)| name.as_str()));
        private.retain(|name| !public.contains(name));
        private
    }

    fn reached<'b>(&'b self, from: impl Iterator<Item = &'b str>) -> BTreeSet<&'b str> {
        let mut pending: Vec<&str> = from.collect();
        let mut reached = BTreeSet::new();
        while let Some(name) = pending.pop() {
            if let Some((name, node)) = self.nodes.get_key_value(name)
                && reached.insert(name.as_str())
            {
                pending.extend(node.needs.iter().map(String::as_str));
            }
        }
        reached
    }
}
