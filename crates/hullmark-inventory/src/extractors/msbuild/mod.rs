//! Projects of .NET: `*.csproj` and its kin, and the files that they import
//! (<https://learn.microsoft.com/nuget/consume-packages/package-references-in-project-files>). The merge puts them together.

use hullmark_types::PackageKind;

use crate::project::msbuild::{Action, Entry, Item, Model, Packages, Says};
use crate::project::{Part, ProjectPart};
use crate::xml::{self, Element};
use crate::{Evidence, Extraction, Extractor, FileFacts, OpenFile};

/// Reads the files of projects of .NET.
pub struct Msbuild;

/// The most that is taken from one file.
const MAX_ENTRIES: usize = 20_000;
/// The longest name, version, condition or value of a property, in bytes.
const MAX_FIELD: usize = 1024;
/// Projects, by the ends of their names.
const PROJECTS: &[&str] = &["csproj", "fsproj", "vbproj"];
/// What projects import.
const IMPORTED: &[&str] = &["props", "targets"];

impl Extractor for Msbuild {
    fn name(&self) -> &'static str {
        crate::project::msbuild::NAME
    }

    fn summary(&self) -> &'static str {
        ".NET packages that a project needs, from `*.csproj`, `*.fsproj`, `*.vbproj`, with `Directory.Packages.props` and what else it imports"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Nuget]
    }

    fn evidence(&self) -> Evidence {
        Evidence::Project
    }

    fn max_file_size(&self) -> u64 {
        8 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        let Some((_, extension)) = file.file_name().rsplit_once('.') else { return false };
        let is = |known: &&str| extension.eq_ignore_ascii_case(known);
        // What NuGet and the compiler write into `obj` only repeats.
        PROJECTS.iter().any(is)
            || (IMPORTED.iter().any(is) && !file.path.split('/').any(|part| part == "obj"))
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Reads a project or what projects import. A project that is not XML, or no project of MSBuild, is a gap `malformed-project-file`;
/// other files have the same ends of names as those that projects import, and nothing is said of them.
fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let document = xml::parse(file.bytes);
    let extension = file.file_name().rsplit_once('.').map_or("", |(_, extension)| extension);
    let is_project = PROJECTS.iter().any(|known| extension.eq_ignore_ascii_case(known));
    let root = document.root.filter(|root| root.name == "Project");
    if let Some(problem) = document.problem.filter(|_| is_project || root.is_some()) {
        found.gap("malformed-project-file", file.path, problem);
    }
    let Some(root) = root else {
        if is_project {
            found.gap("malformed-project-file", file.path, "it is not a project of MSBuild");
        }
        return found;
    };
    let mut reading = Reading { path: file.path, entries: Vec::new(), found };
    reading.elements(&root, &mut Vec::new());
    let Reading { entries, mut found, .. } = reading;
    if is_project || !entries.is_empty() {
        found.project = Some(ProjectPart(Part::Msbuild(Box::new(Model { entries }))));
    }
    found
}

struct Reading<'a> {
    path: &'a str,
    entries: Vec<Entry>,
    found: Extraction,
}

impl Reading<'_> {
    /// Takes in what is in an element; the depth is that of the document.
    fn elements(&mut self, parent: &Element, conditions: &mut Vec<String>) {
        for element in &parent.children {
            let own = match element.name.as_str() {
                // Which of several holds depends on the others.
                "Otherwise" => Some("otherwise"),
                _ => element.attribute("Condition").filter(|condition| !condition.is_empty()),
            };
            if own.is_some_and(|condition| condition.len() > MAX_FIELD) {
                self.refuse(element);
                continue;
            }
            conditions.extend(own.map(str::to_owned));
            match element.name.as_str() {
                "Choose" | "When" | "Otherwise" | "ImportGroup" | "ItemGroup" => {
                    self.elements(element, conditions)
                }
                "PropertyGroup" => {
                    element.children.iter().for_each(|property| self.property(property, conditions))
                }
                "Import" => {
                    if let Some(target) = element.attribute("Project") {
                        self.push(element, conditions, target.len(), Says::Import(target.to_owned()));
                    }
                }
                name => self.item(name, element, conditions),
            }
            if own.is_some() {
                conditions.pop();
            }
        }
    }

    fn property(&mut self, property: &Element, conditions: &[String]) {
        let mut conditions = conditions.to_vec();
        conditions.extend(property.attribute("Condition").filter(|one| !one.is_empty()).map(str::to_owned));
        let value = property.text.trim();
        // A long value, such as a program, is no version and no path.
        if value.len() + conditions.iter().map(String::len).sum::<usize>() <= MAX_FIELD {
            let says = Says::Property(property.name.to_lowercase(), value.to_owned());
            self.push(property, &conditions, 0, says);
        }
    }

    fn item(&mut self, name: &str, element: &Element, conditions: &[String]) {
        let item = match name.to_ascii_lowercase().as_str() {
            "packagereference" => Item::Reference,
            "packageversion" => Item::Version,
            "globalpackagereference" | "dotnetclitoolreference" | "packagedownload" => Item::Tool,
            _ => return,
        };
        let actions = [("Include", Action::Include), ("Update", Action::Update), ("Remove", Action::Remove)];
        let said = actions.iter().find_map(|(name, action)| Some((*action, element.attribute(name)?)));
        let Some((action, names)) = said else { return };
        let text = |name: &str| {
            let child = element.children.iter().find(|child| child.name.eq_ignore_ascii_case(name));
            element
                .attribute(name)
                .or_else(|| child.map(|child| child.text.trim()))
                .filter(|text| !text.is_empty())
        };
        let version = text("VersionOverride").or_else(|| text("Version"));
        let packages = Packages {
            item,
            action,
            names: names.to_owned(),
            version: version.map(str::to_owned),
            private: text("PrivateAssets").map(|assets| assets.eq_ignore_ascii_case("all")),
            line: element.line,
        };
        let length = version.map_or(0, str::len);
        self.push(element, conditions, length, Says::Packages(packages));
    }

    fn push(&mut self, element: &Element, conditions: &[String], length: usize, says: Says) {
        if length > MAX_FIELD {
            return self.refuse(element);
        }
        match self.entries.len() {
            count if count < MAX_ENTRIES => {
                self.entries.push(Entry { conditions: conditions.to_vec(), says })
            }
            _ => {
                let message = format!("it says more than {MAX_ENTRIES} things; the rest was not taken");
                let gap = hullmark_types::Diagnostic::gap("limit-packages", self.path, message);
                self.found.report_once(gap);
            }
        }
    }

    fn refuse(&mut self, element: &Element) {
        let message = format!("line {}: a field is absurdly long, so it was not taken", element.line);
        self.found.gap("malformed-project-file", self.path, message);
    }
}
