//! Projects of Maven (<https://maven.apache.org/pom.html>): properties, parents, managed versions and imported lists of them (BOMs), as
//! far as the files are there.

use std::collections::{BTreeMap, BTreeSet};

use hullmark_types::{Diagnostic, PackageKind};
use serde::{Deserialize, Serialize};

use super::path::{directory, joined};
use super::{Completed, Steps};
use crate::text::excerpt;
use crate::{Extraction, FoundPackage};

/// The extractor whose files these are.
pub(crate) const NAME: &str = "maven";

/// The most parents above one project.
const MAX_PARENTS: usize = 32;
/// The most lists of managed versions that are looked into for one version.
const MAX_IMPORTS: usize = 1000;
/// The deepest that properties name others.
const MAX_EXPANSIONS: usize = 16;
/// The longest value of which properties are replaced.
const MAX_VALUE: usize = 1024;
/// The most properties replaced in one value.
const MAX_REPLACED: usize = 64;

/// A `pom.xml` as written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Model {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<Parent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
    pub(crate) artifact: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) properties: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) managed: Vec<Dependency>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) dependencies: Vec<Dependency>,
}

/// The project that a project inherits from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parent {
    pub(crate) group: String,
    pub(crate) artifact: String,
    pub(crate) version: String,
    /// Where it says that the parent lies; empty when it is not to be looked for there.
    pub(crate) relative_path: String,
}

/// What a project needs, or a version that it manages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) group: String,
    pub(crate) artifact: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) r#type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) classifier: Option<String>,
    pub(crate) line: usize,
}

impl Model {
    /// About how many bytes of memory it needs.
    pub(crate) fn weight(&self) -> usize {
        let properties = self.properties.iter().map(|(key, value)| 64 + key.len() + value.len());
        let dependencies = self.managed.iter().chain(&self.dependencies).map(|one| {
            let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
            let optional = [&one.version, &one.scope, &one.r#type, &one.classifier].map(length);
            size_of::<Dependency>() + one.group.len() + one.artifact.len() + optional.iter().sum::<usize>()
        });
        size_of::<Self>() + 256 + properties.sum::<usize>() + dependencies.sum::<usize>()
    }

    fn raw_group(&self) -> Option<&str> {
        self.group.as_deref().or(self.parent.as_ref().map(|parent| parent.group.as_str()))
    }

    fn raw_version(&self) -> Option<&str> {
        self.version.as_deref().or(self.parent.as_ref().map(|parent| parent.version.as_str()))
    }
}

/// A model and where it is.
#[derive(Clone, Copy)]
pub(crate) struct Project<'a> {
    pub(crate) path: &'a str,
    pub(crate) layer: u32,
    pub(crate) model: &'a Model,
}

impl Project<'_> {
    /// Whether it is a project; the files of a repository only complete others.
    fn is_listed(&self) -> bool {
        !self.path.ends_with(".pom")
    }
}

/// What a dependency is known by among others.
type Key = (String, String, String, String);

/// A version that is managed, or why it has none, and the scope.
type Version = (Result<String, String>, Option<String>);

/// Where in a file the managed versions are.
#[derive(Default)]
struct Managed<'a> {
    /// Those whose artifact is written out, by its name.
    named: BTreeMap<&'a str, Vec<&'a Dependency>>,
    /// Those whose artifact has a property in it.
    others: Vec<&'a Dependency>,
    /// The lists that are imported.
    imports: Vec<&'a Dependency>,
}

impl<'a> Managed<'a> {
    fn new(model: &'a Model) -> Self {
        let mut managed = Self::default();
        for entry in &model.managed {
            match entry.scope.as_deref() {
                Some("import") => managed.imports.push(entry),
                _ if entry.artifact.contains("${") => managed.others.push(entry),
                _ => managed.named.entry(&entry.artifact).or_default().push(entry),
            }
        }
        managed
    }
}

/// What was looked for on the way to a managed version.
#[derive(Default)]
struct Search {
    /// The projects that were looked into: one that comes again has nothing new.
    seen: BTreeSet<usize>,
    /// What would have been looked into, had it been there.
    missing: Vec<String>,
}

/// A project with the parents that are there, nearest first, and the one that is not there.
#[derive(Clone, Default)]
struct Chain<'a> {
    models: Vec<&'a Model>,
    /// Their positions.
    places: Vec<usize>,
    missing: Option<String>,
}

struct Projects<'a, 'b> {
    all: &'b [Project<'a>],
    by_path: BTreeMap<&'a str, usize>,
    /// By coordinates as written.
    written: BTreeMap<(&'a str, &'a str, &'a str), usize>,
    /// By coordinates with properties replaced.
    effective: BTreeMap<(String, String, String), usize>,
    managed: Vec<Managed<'a>>,
}

/// Completes all projects.
pub(crate) fn complete<'a>(all: &[Project<'a>], steps: &mut Steps) -> Vec<Completed<'a>> {
    let mut projects = Projects {
        all,
        by_path: all.iter().enumerate().map(|(index, project)| (project.path, index)).collect(),
        written: BTreeMap::new(),
        effective: BTreeMap::new(),
        managed: all.iter().map(|project| Managed::new(project.model)).collect(),
    };
    for (index, project) in all.iter().enumerate() {
        let model = project.model;
        if let (Some(group), Some(version)) = (model.raw_group(), model.raw_version()) {
            projects.written.entry((group, &model.artifact, version)).or_insert(index);
        }
    }
    let mut siblings: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for (index, project) in all.iter().enumerate() {
        let chain = projects.chain(index);
        let expanded = |text: Option<&str>| text.and_then(|text| chain.expanded(text).ok());
        let (group, version) = (expanded(project.model.raw_group()), expanded(project.model.raw_version()));
        if let (Some(group), Ok(artifact)) = (group, chain.expanded(&project.model.artifact)) {
            let version = version.unwrap_or_default();
            if project.is_listed() {
                siblings.entry((group.clone(), artifact.clone())).or_default().insert(version.clone());
            }
            projects.effective.entry((group, artifact, version)).or_insert(index);
        }
    }
    let mut completed = Vec::new();
    for (index, project) in all.iter().enumerate().filter(|(_, project)| project.is_listed()) {
        if !steps.take(1) {
            break;
        }
        let found = projects.complete(index, &siblings, steps);
        completed.push(Completed { path: project.path, layer: project.layer, found_by: NAME, found });
    }
    if let Some(first) = completed.first_mut() {
        let path = first.path;
        if !steps.take(0) {
            let message =
                "the projects of Maven say too much to be completed; some of what they need is missing";
            first.found.report_once(Diagnostic::gap("limit-projects", path, message));
        }
    }
    let with_packages = completed.iter().filter(|one| !one.found.packages.is_empty()).count();
    if let Some(first) = completed.iter_mut().find(|one| !one.found.packages.is_empty()) {
        let message = format!(
            "a `pom.xml` names what a project needs directly; what that needs in turn is not listed ({with_packages} projects)"
        );
        first.found.report_once(Diagnostic::gap("indirect-dependencies-unknown", first.path, message));
    }
    completed
}

impl<'a> Projects<'a, '_> {
    fn parent(&self, project: &Project<'a>) -> Option<usize> {
        let parent = project.model.parent.as_ref()?;
        let fits = |index: &usize| {
            let model = self.all.get(*index).map(|project| project.model);
            model.is_some_and(|model| {
                let version = model.raw_version().unwrap_or_default();
                model.artifact == parent.artifact
                    && model.raw_group() == Some(parent.group.as_str())
                    && (version == parent.version || version.contains("${") || parent.version.contains("${"))
            })
        };
        let near = (!parent.relative_path.is_empty()).then(|| {
            let path = joined(directory(project.path), &parent.relative_path)?;
            let file = self.by_path.get(path.as_str()).copied();
            file.or_else(|| self.by_path.get(joined(&path, "pom.xml")?.as_str()).copied())
        });
        near.flatten().filter(fits).or_else(|| {
            let key = (parent.group.as_str(), parent.artifact.as_str(), parent.version.as_str());
            self.written.get(&key).copied()
        })
    }

    fn chain(&self, index: usize) -> Chain<'a> {
        let mut chain = Chain::default();
        let (mut seen, mut next) = (BTreeSet::new(), Some(index));
        while let Some(project) = next.and_then(|index| self.all.get(index)) {
            if chain.models.len() >= MAX_PARENTS || !seen.insert(project.path) {
                chain.missing = Some(format!("a parent of `{}`", excerpt(&project.model.artifact)));
                break;
            }
            chain.models.push(project.model);
            chain.places.extend(next);
            next = self.parent(project);
            if let (None, Some(parent)) = (next, &project.model.parent) {
                let Parent { group, artifact, version, .. } = parent;
                chain.missing = Some(excerpt(&format!("{group}:{artifact}:{version}")));
            }
        }
        chain
    }

    /// The version that a project manages: its own word first, then that of its parents, then what they import, in their order.
    fn managed(&self, index: usize, key: &Key, search: &mut Search, steps: &mut Steps) -> Option<Version> {
        let mut pending = vec![index];
        while let Some(index) = pending.pop() {
            if search.seen.len() >= MAX_IMPORTS || !search.seen.insert(index) {
                continue;
            }
            let chain = self.chain(index);
            let managed = || chain.places.iter().filter_map(|place| self.managed.get(*place));
            for of_file in managed() {
                let named = of_file.named.get(key.1.as_str()).into_iter().flatten();
                for entry in named.chain(&of_file.others) {
                    if !steps.take(1) {
                        return None;
                    }
                    if chain.is_key(entry, key) {
                        let version = entry.version.as_deref().unwrap_or_default();
                        return Some((chain.expanded(version), entry.scope.clone()));
                    }
                }
            }
            let mut imports = Vec::new();
            for import in managed().flat_map(|of_file| &of_file.imports) {
                if !steps.take(1) {
                    return None;
                }
                let version = import.version.as_deref().unwrap_or_default();
                let parts = [&import.group, &import.artifact, version].map(|part| chain.expanded(part).ok());
                let place = match parts {
                    [Some(group), Some(artifact), Some(version)] => {
                        self.effective.get(&(group, artifact, version)).copied()
                    }
                    _ => None,
                };
                match place {
                    Some(place) => imports.push(place),
                    None => {
                        let name = format!("{}:{}:{version}", import.group, import.artifact);
                        search.missing.push(excerpt(&name));
                    }
                }
            }
            search.missing.extend(chain.missing);
            // What comes first is looked into first, with all that it imports.
            pending.extend(imports.into_iter().rev());
        }
        None
    }

    fn complete(
        &self,
        index: usize,
        siblings: &BTreeMap<(String, String), BTreeSet<String>>,
        steps: &mut Steps,
    ) -> Extraction {
        let mut found = Extraction::default();
        let Some(project) = self.all.get(index) else { return found };
        let chain = self.chain(index);
        let mut seen = BTreeSet::new();
        for (height, model) in chain.models.iter().enumerate() {
            // Of what one file says twice the last counts.
            for dependency in model.dependencies.iter().rev() {
                if !steps.take(1) {
                    return found;
                }
                let place = |text: String| match height {
                    0 => format!("line {}: {text}", dependency.line),
                    _ => text,
                };
                let key = match chain.key(dependency) {
                    Ok(key) => key,
                    Err(name) => {
                        let message = place(format!(
                            "`{}:{}` is not listed, for `{}` is not set",
                            excerpt(&dependency.group),
                            excerpt(&dependency.artifact),
                            excerpt(&name)
                        ));
                        if height == 0 {
                            found.gap("unresolved-name", project.path, message);
                        }
                        continue;
                    }
                };
                if !seen.insert(key.clone()) {
                    continue;
                }
                let mut search = Search::default();
                let known = match (&dependency.version, &dependency.scope) {
                    (Some(_), Some(_)) => None,
                    _ => self.managed(index, &key, &mut search, steps),
                };
                let version = match (&dependency.version, &known) {
                    (Some(version), _) => chain.expanded(version),
                    (None, Some((version, _))) => version.clone(),
                    (None, None) => Err(String::new()),
                };
                let version = version.map_err(|name| match (name.is_empty(), search.missing.first()) {
                    (false, _) => format!("`{}` is not set", excerpt(&name)),
                    (true, Some(missing)) => {
                        format!("what manages it is not there (`{missing}`)")
                    }
                    (true, None) => "nothing manages it".to_owned(),
                });
                let version = version.and_then(|version| exact(&version));
                let (group, artifact, _, classifier) = key;
                let is_sibling = siblings.get(&(group.clone(), artifact.clone())).is_some_and(|versions| {
                    version.as_ref().map_or(true, |version| versions.contains(version))
                });
                if is_sibling {
                    continue;
                }
                let name = format!("{group}:{artifact}");
                // What is inherited, the project that says it tells.
                if let (Err(reason), 0) = (&version, height) {
                    let message = place(format!("`{}` has no version: {reason}", excerpt(&name)));
                    found.gap("unresolved-version", project.path, message);
                }
                let scope =
                    dependency.scope.as_deref().or(known.as_ref().and_then(|(_, scope)| scope.as_deref()));
                let scope = scope.unwrap_or("compile").to_owned();
                let mut package = FoundPackage::new(PackageKind::Maven, name, version.unwrap_or_default());
                package.development = matches!(scope.as_str(), "test" | "provided");
                if scope != "compile" {
                    package.properties.insert("maven:scope".to_owned(), scope);
                }
                if !classifier.is_empty() {
                    package.properties.insert("maven:classifier".to_owned(), classifier);
                }
                found.add_package(project.path, package);
            }
        }
        found
    }
}

impl Chain<'_> {
    fn is_key(&self, dependency: &Dependency, key: &Key) -> bool {
        let is = |text: &str, expected: &str| match text.contains("${") {
            true => self.expanded(text).is_ok_and(|text| text == expected),
            false => text == expected,
        };
        is(&dependency.group, &key.0)
            && is(&dependency.artifact, &key.1)
            && is(dependency.r#type.as_deref().unwrap_or("jar"), &key.2)
            && is(dependency.classifier.as_deref().unwrap_or_default(), &key.3)
    }

    fn key(&self, dependency: &Dependency) -> Result<Key, String> {
        let or = |text: &Option<String>, default: &str| match text {
            Some(text) => self.expanded(text),
            None => Ok(default.to_owned()),
        };
        Ok((
            self.expanded(&dependency.group)?,
            self.expanded(&dependency.artifact)?,
            or(&dependency.r#type, "jar")?,
            or(&dependency.classifier, "")?,
        ))
    }

    /// The text with its properties replaced; the name of one that is not set as the error.
    fn expanded(&self, text: &str) -> Result<String, String> {
        let mut out = String::new();
        self.expand(text, 0, &mut out, &mut 0)?;
        Ok(out.trim().to_owned())
    }

    fn expand(&self, text: &str, depth: usize, out: &mut String, replaced: &mut usize) -> Result<(), String> {
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, after)) = after.split_once('}') else { break };
            out.push_str(before);
            *replaced += 1;
            let value = self.property(name).filter(|_| depth < MAX_EXPANSIONS && *replaced < MAX_REPLACED);
            self.expand(value.ok_or_else(|| format!("${{{name}}}"))?, depth + 1, out, replaced)?;
            rest = after;
        }
        out.push_str(rest);
        if out.len() > MAX_VALUE { Err(excerpt(text)) } else { Ok(()) }
    }

    fn property(&self, name: &str) -> Option<&str> {
        let model = self.models.first()?;
        let parent = model.parent.as_ref();
        let of_project = name.strip_prefix("project.").or_else(|| name.strip_prefix("pom."));
        let said = match of_project {
            Some("groupId") => model.raw_group(),
            Some("artifactId") => Some(model.artifact.as_str()),
            Some("version") => model.raw_version(),
            Some("parent.groupId") => parent.map(|parent| parent.group.as_str()),
            Some("parent.artifactId") => parent.map(|parent| parent.artifact.as_str()),
            Some("parent.version") => parent.map(|parent| parent.version.as_str()),
            _ => None,
        };
        let set = || self.models.iter().find_map(|model| model.properties.get(name)).map(String::as_str);
        // The short forms are from before Maven 3.
        said.or_else(set).or_else(|| match name {
            "groupId" => model.raw_group(),
            "artifactId" => Some(model.artifact.as_str()),
            "version" => model.raw_version(),
            _ => None,
        })
    }
}

/// The one version that a version means; why there is none as the error.
fn exact(version: &str) -> Result<String, String> {
    let range = |text: &str| format!("`{}` leaves it open", excerpt(text));
    match version {
        "" => Err("it is empty".to_owned()),
        "LATEST" | "RELEASE" => Err(range(version)),
        _ if !version.starts_with(['[', '(']) => Ok(version.to_owned()),
        _ => {
            let inner = version.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let inner = inner
                .map(str::trim)
                .filter(|inner| !inner.is_empty() && !inner.contains([',', '[', '(', ']', ')']));
            inner.map(str::to_owned).ok_or_else(|| range(version))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_that_name_each_other_end() {
        let mut model = Model { artifact: "a".to_owned(), ..Model::default() };
        model.properties.insert("x".to_owned(), "${y}${y}${y}${y}".to_owned());
        model.properties.insert("y".to_owned(), "${x}".to_owned());
        model.properties.insert("v".to_owned(), " ${w}.1 ".to_owned());
        model.properties.insert("w".to_owned(), "2".to_owned());
        let chain = Chain { models: vec![&model], ..Chain::default() };
        assert!(chain.expanded("${x}").is_err());
        assert_eq!(chain.expanded("${v}"), Ok("2.1".to_owned()));
        assert_eq!(chain.expanded("${none}"), Err("${none}".to_owned()));
        assert_eq!(chain.expanded("${broken"), Ok("${broken".to_owned()));
    }

    #[test]
    fn ranges_are_no_versions() {
        for (version, expected) in [
            ("1.0", Some("1.0")),
            ("[1.0]", Some("1.0")),
            ("[1,2)", None),
            ("LATEST", None),
            ("[1],[2]", None),
            ("[]", None),
        ] {
            assert_eq!(exact(version).ok().as_deref(), expected, "{version}");
        }
    }
}
