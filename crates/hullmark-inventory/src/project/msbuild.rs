//! Projects of .NET (MSBuild): references to packages, with the versions that `Directory.Packages.props`, `Directory.Build.props` and
//! other imported files of the same directory set (<https://learn.microsoft.com/nuget/consume-packages/central-package-management>).

use std::collections::{BTreeMap, BTreeSet};

use hullmark_types::{Confidence, Diagnostic, PackageKind};
use serde::{Deserialize, Serialize};

use super::condition::{Truth, truth};
use super::path::{directory, joined};
use super::{Completed, Steps};
use crate::nuget::normalized;
use crate::text::excerpt;
use crate::{Extraction, FoundPackage};

/// The extractor whose files these are.
pub(crate) const NAME: &str = "msbuild";

/// The deepest that files import others.
const MAX_DEPTH: usize = 16;
/// The most values of one property or version, of which conditions that are not known choose.
const MAX_VALUES: usize = 16;
/// The longest value of a property, in bytes.
const MAX_VALUE: usize = 1024;
/// Files that a project imports without saying so, from the nearest directory that has one: before what it says, and after.
const BEFORE: &[&str] = &["Directory.Build.props", "Directory.Packages.props"];
const AFTER: &[&str] = &["Directory.Build.targets"];

/// A project or a file that projects import, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Model {
    pub(crate) entries: Vec<Entry>,
}

/// What such a file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// All of them must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) conditions: Vec<String>,
    pub(crate) says: Says,
}

/// The forms of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Says {
    /// A property, its name in lower case, and its value.
    Property(String, String),
    /// Another file to be read here.
    Import(String),
    /// Packages.
    Packages(Packages),
}

/// What is said of packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Packages {
    pub(crate) item: Item,
    pub(crate) action: Action,
    /// Their names, with `;` between them.
    pub(crate) names: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// `PrivateAssets`: `true` when all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) private: Option<bool>,
    pub(crate) line: usize,
}

/// What the packages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Item {
    /// Needed by the project.
    Reference,
    /// Of a version that is managed centrally.
    Version,
    /// Tools of the build.
    Tool,
}

/// What is done with the packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Action {
    /// They are added.
    Include,
    /// More is said of those that are there.
    Update,
    /// They are taken away.
    Remove,
}

impl Model {
    /// About how many bytes of memory it needs.
    pub(crate) fn weight(&self) -> usize {
        let entries = self.entries.iter().map(|entry| {
            let conditions = entry.conditions.iter().map(|one| size_of::<String>() + one.len());
            let said = match &entry.says {
                Says::Property(name, value) => name.len() + value.len(),
                Says::Import(path) => path.len(),
                Says::Packages(packages) => {
                    packages.names.len() + packages.version.as_ref().map_or(0, String::len)
                }
            };
            size_of::<Entry>() + conditions.sum::<usize>() + said
        });
        entries.sum()
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
    /// Whether it is a project, and not a file that projects import.
    fn is_listed(&self) -> bool {
        let extension = self.path.rsplit_once('.').map(|(_, extension)| extension);
        extension.is_some_and(|extension| extension.to_ascii_lowercase().ends_with("proj"))
    }
}

/// Completes all projects. `locked` gives the names, in lower case, of the packages that a lock file lists, if it is there.
pub(crate) fn complete<'a>(
    all: &[Project<'a>],
    locked: impl Fn(&str) -> Option<BTreeSet<String>>,
    steps: &mut Steps,
) -> Vec<Completed<'a>> {
    let files: BTreeMap<&str, &Model> = all.iter().map(|project| (project.path, project.model)).collect();
    let (mut completed, mut open) = (Vec::new(), 0_usize);
    for project in all.iter().filter(|project| project.is_listed()) {
        if !steps.take(1) {
            break;
        }
        let locks: Vec<_> = locks(project.path).iter().filter_map(|path| locked(path)).collect();
        let mut evaluation = Evaluation { project: project.path, ..Evaluation::new(&files) };
        evaluation.read(project.model, steps);
        let found = evaluation.packages(&locks.iter().flatten().cloned().collect(), steps);
        open += usize::from(locks.is_empty() && !found.packages.is_empty());
        completed.push((
            locks.is_empty(),
            Completed { path: project.path, layer: project.layer, found_by: NAME, found },
        ));
    }
    if let Some((_, first)) = completed.first_mut()
        && !steps.take(0)
    {
        {
            let message =
                "the projects of .NET say too much to be completed; some of what they need is missing";
            first.found.report_once(Diagnostic::gap("limit-projects", first.path, message));
        }
    }
    let without = completed.iter_mut().find(|(is_open, one)| *is_open && !one.found.packages.is_empty());
    if let Some((_, first)) = without {
        let message = format!(
            "a project without a lock file names what it needs directly; what that needs in turn is not listed ({open} projects)"
        );
        first.found.report_once(Diagnostic::gap("indirect-dependencies-unknown", first.path, message));
    }
    completed.into_iter().map(|(_, completed)| completed).collect()
}

/// Where the lock files of a project are.
fn locks(project: &str) -> [String; 3] {
    let directory = directory(project);
    let name = project.rsplit('/').next().unwrap_or_default();
    let name = name.rsplit_once('.').map_or(name, |(name, _)| name).replace(' ', "_");
    let named = format!("packages.{name}.lock.json");
    ["packages.lock.json", &named, "obj/project.assets.json"]
        .map(|file| joined(directory, file).unwrap_or_default())
}

/// Values that a property or a version may have: several where conditions that are not known choose.
type Values = BTreeSet<String>;

/// A package that the project needs.
#[derive(Default)]
struct Reference {
    name: String,
    versions: Values,
    /// Whether all that is said of it makes it private.
    private: bool,
    line: Option<usize>,
}

/// The reading of one project.
struct Evaluation<'a, 'b> {
    files: &'b BTreeMap<&'a str, &'a Model>,
    project: &'a str,
    properties: BTreeMap<String, Values>,
    /// What was said of packages, and in which file.
    said: Vec<(&'a Entry, &'a str)>,
    /// The files that were read.
    read: BTreeSet<&'a str>,
}

impl<'a, 'b> Evaluation<'a, 'b> {
    fn new(files: &'b BTreeMap<&'a str, &'a Model>) -> Self {
        Self { files, project: "", properties: BTreeMap::new(), said: Vec::new(), read: BTreeSet::new() }
    }

    /// Reads the project with all that it imports.
    fn read(&mut self, model: &'a Model, steps: &mut Steps) {
        let near = |name: &&str| self.above(directory(self.project), name);
        let before: Vec<_> = BEFORE.iter().filter_map(near).collect();
        let after: Vec<_> = AFTER.iter().filter_map(near).collect();
        for path in before {
            self.import(path, 0, steps);
        }
        self.entries(self.project, model, 0, steps);
        for path in after {
            self.import(path, 0, steps);
        }
    }

    /// The nearest file of that name in the directory or above it.
    fn above(&self, directory: &str, name: &str) -> Option<&'a str> {
        let mut directory = Some(directory);
        while let Some(here) = directory {
            let path = joined(here, name)?;
            if let Some((path, _)) = self.files.get_key_value(path.as_str()) {
                return Some(path);
            }
            directory = match here.rsplit_once('/') {
                Some((parent, _)) => Some(parent),
                None => (!here.is_empty()).then_some(""),
            };
        }
        None
    }

    fn import(&mut self, path: &'a str, depth: usize, steps: &mut Steps) {
        if depth < MAX_DEPTH
            && self.read.insert(path)
            && let Some(model) = self.files.get(path).copied()
        {
            self.entries(path, model, depth, steps);
        }
    }

    fn entries(&mut self, path: &'a str, model: &'a Model, depth: usize, steps: &mut Steps) {
        for entry in &model.entries {
            if !steps.take(1) {
                return;
            }
            match &entry.says {
                Says::Packages(_) => self.said.push((entry, path)),
                Says::Property(name, value) => {
                    let values = self.expanded(value, path);
                    match self.holds(entry, path) {
                        Truth::Yes => {
                            self.properties.insert(name.clone(), values);
                        }
                        Truth::Unknown => add(self.properties.entry(name.clone()).or_default(), values),
                        Truth::No => {}
                    }
                }
                Says::Import(target) => {
                    if self.holds(entry, path) != Truth::No
                        && let Some(target) = self.target(target, path)
                    {
                        self.import(target, depth + 1, steps);
                    }
                }
            }
        }
    }

    /// The file that an import names, if it is there.
    fn target(&self, text: &str, path: &str) -> Option<&'a str> {
        if let Some((_, arguments)) = text.split_once("GetPathOfFileAbove(") {
            let mut arguments =
                arguments.split([',', '\'', '"']).map(str::trim).filter(|part| !part.is_empty());
            let name = arguments.next()?.trim_end_matches(')');
            let start = arguments.next().map(|start| start.trim_end_matches(')')).unwrap_or_default();
            // The second argument is the directory of the file, or one that is so many directories above it.
            let start = joined(directory(path), start.split_once("Directory)").map_or("", |(_, up)| up))?;
            return self.above(&start, name);
        }
        let targets = self.expanded(text, path);
        let target = targets.first().filter(|target| targets.len() == 1 && !target.contains("$("))?;
        let target = match target.strip_prefix('/') {
            Some(from_root) => joined("", from_root)?,
            None => joined(directory(path), target)?,
        };
        self.files.get_key_value(target.as_str()).map(|(path, _)| *path)
    }

    fn holds(&self, entry: &Entry, path: &str) -> Truth {
        let mut result = Truth::Yes;
        for condition in &entry.conditions {
            match truth(condition, |text| self.expanded(text, path)) {
                Truth::Yes => {}
                Truth::Unknown => result = Truth::Unknown,
                Truth::No => return Truth::No,
            }
        }
        result
    }

    /// The text with its properties replaced. One that no file sets stays as it is.
    fn expanded(&self, text: &str, path: &str) -> Values {
        let mut values = Values::from([String::new()]);
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("$(") {
            let (name, after) = after.split_once(')').unwrap_or((after, ""));
            let lower = name.trim().to_lowercase();
            let own = match lower.as_str() {
                "msbuildthisfiledirectory" => Some(format!("/{}/", directory(path))),
                "msbuildprojectdirectory" => Some(format!("/{}", directory(self.project))),
                _ => None,
            };
            let own = own.map(|value| Values::from([value.replace("//", "/")]));
            let known = own.as_ref().or_else(|| self.properties.get(&lower));
            let unset = Values::from([format!("$({name})")]);
            let known = known.unwrap_or(&unset);
            let product = values
                .iter()
                .flat_map(|value| known.iter().map(move |more| format!("{value}{before}{more}")));
            values = product.filter(|value| value.len() <= MAX_VALUE).take(MAX_VALUES).collect();
            rest = after;
        }
        values.into_iter().map(|value| value + rest).collect()
    }

    /// The packages that the project needs, without those that a lock file lists.
    fn packages(&self, locked: &BTreeSet<String>, steps: &mut Steps) -> Extraction {
        let mut found = Extraction::default();
        let mut central: BTreeMap<String, Values> = BTreeMap::new();
        let mut references: BTreeMap<String, Reference> = BTreeMap::new();
        for (entry, path) in &self.said {
            let Says::Packages(packages) = &entry.says else { continue };
            let holds = self.holds(entry, path);
            if holds == Truth::No {
                continue;
            }
            let versions = packages.version.as_deref().map(|version| self.expanded(version, path));
            let line = (*path == self.project).then_some(packages.line);
            for names in self.expanded(&packages.names, path) {
                for name in names.split(';').map(str::trim).filter(|name| !name.is_empty()) {
                    if !steps.take(1) {
                        return found;
                    }
                    if name.contains(['$', '@', '%', '*']) {
                        let message = format!(
                            "{}`{}` is not listed, for it is not known which package it is",
                            at(line),
                            excerpt(name)
                        );
                        found.gap("unresolved-name", self.project, message);
                        continue;
                    }
                    let key = name.to_lowercase();
                    match packages.item {
                        Item::Version => {
                            let known = central.entry(key).or_default();
                            if holds == Truth::Yes {
                                known.clear();
                            }
                            add(known, versions.clone().unwrap_or_default());
                        }
                        Item::Reference | Item::Tool => {
                            let is_tool = packages.item == Item::Tool;
                            refer(
                                &mut references,
                                (key, name),
                                packages,
                                holds,
                                versions.clone(),
                                line,
                                is_tool,
                            );
                        }
                    }
                }
            }
        }
        for (key, reference) in references {
            if locked.contains(&key) {
                continue;
            }
            let versions = match reference.versions.iter().all(|version| version.is_empty()) {
                true => central.get(&key).cloned().unwrap_or_default(),
                false => reference.versions,
            };
            let mut versions: Vec<_> =
                versions.iter().flat_map(|one| one.split(';')).map(str::trim).collect();
            versions.retain(|version| !version.is_empty());
            if versions.is_empty() {
                versions.push("");
            }
            for text in versions {
                let (version, confidence) = match exact(text) {
                    Ok(exact) => exact,
                    Err(reason) => {
                        let message = format!(
                            "{}`{}` has no version: {reason}",
                            at(reference.line),
                            excerpt(&reference.name)
                        );
                        found.gap("unresolved-version", self.project, message);
                        (String::new(), Confidence::Declared)
                    }
                };
                let package = FoundPackage {
                    development: reference.private,
                    confidence,
                    ..FoundPackage::new(PackageKind::Nuget, &reference.name, version)
                };
                found.add_package(self.project, package);
            }
        }
        found
    }
}

fn refer(
    references: &mut BTreeMap<String, Reference>,
    (key, name): (String, &str),
    packages: &Packages,
    holds: Truth,
    versions: Option<Values>,
    line: Option<usize>,
    is_tool: bool,
) {
    let private = packages.private.unwrap_or(false) || is_tool;
    match (packages.action, references.get_mut(&key)) {
        (Action::Include, None) => {
            let versions = versions.unwrap_or_default();
            references.insert(key, Reference { name: name.to_owned(), versions, private, line });
        }
        (Action::Include, Some(known)) => {
            add(&mut known.versions, versions.unwrap_or_default());
            known.private &= private;
        }
        (Action::Update, Some(known)) => {
            if let Some(versions) = versions {
                if holds == Truth::Yes {
                    known.versions.clear();
                }
                add(&mut known.versions, versions);
            }
            known.private = match (packages.private, holds) {
                (Some(private), Truth::Yes) => private,
                (Some(private), _) => known.private && private,
                (None, _) => known.private,
            };
        }
        (Action::Remove, Some(_)) if holds == Truth::Yes => {
            references.remove(&key);
        }
        (Action::Update | Action::Remove, _) => {}
    }
}

fn at(line: Option<usize>) -> String {
    line.map(|line| format!("line {line}: ")).unwrap_or_default()
}

fn add(known: &mut Values, more: Values) {
    let room = MAX_VALUES.saturating_sub(known.len());
    known.extend(more.into_iter().take(room));
}

/// The version that NuGet takes if it is there, the lowest that is allowed; why there is none as the error.
fn exact(text: &str) -> Result<(String, Confidence), String> {
    let open = || Err(format!("`{}` leaves it open", excerpt(text)));
    if text.is_empty() {
        return Err("no file that is there says it".to_owned());
    }
    if text.contains("$(") {
        return Err(format!("`{}` is not set", excerpt(text)));
    }
    if text.contains('*') {
        return open();
    }
    let Some(range) = text.strip_prefix('[') else {
        return if text.starts_with('(') { open() } else { Ok((normalized(text), Confidence::Declared)) };
    };
    let range = range.trim_end_matches([']', ')']);
    match range.split_once(',') {
        None => Ok((normalized(range), Confidence::Declared)),
        Some((lowest, _)) if !lowest.trim().is_empty() => Ok((normalized(lowest), Confidence::Derived)),
        Some(_) => open(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_version_of_a_range_is_taken() {
        for (text, expected) in [
            ("1.0", Some("1.0.0")),
            ("[1.2.3]", Some("1.2.3")),
            ("[1.0, 2.0)", Some("1.0.0")),
            ("(1.0, 2.0)", None),
            ("[,2.0]", None),
            ("1.*", None),
            ("*", None),
            ("$(X)", None),
            ("", None),
        ] {
            assert_eq!(exact(text).ok().map(|(version, _)| version).as_deref(), expected, "{text}");
        }
    }
}
