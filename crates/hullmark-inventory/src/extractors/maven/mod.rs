//! Projects of Maven: `pom.xml` (<https://maven.apache.org/pom.html>). A file says much that only others complete; the merge does that.

use hullmark_types::PackageKind;

use crate::project::maven::{Dependency, Model, Parent};
use crate::project::{Part, ProjectPart};
use crate::text::excerpt;
use crate::xml::{self, Element};
use crate::{Evidence, Extraction, Extractor, FileFacts, OpenFile};

/// Reads the files of projects of Maven.
pub struct Maven;

/// The most dependencies, managed versions and properties taken from one file, each.
const MAX_ENTRIES: usize = 20_000;
/// The longest name, version or value of a property, in bytes.
const MAX_FIELD: usize = 1024;

impl Extractor for Maven {
    fn name(&self) -> &'static str {
        crate::project::maven::NAME
    }

    fn summary(&self) -> &'static str {
        "Java artifacts that a project of Maven needs, from `pom.xml`, with the parents and lists of versions that are there too"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Maven]
    }

    fn evidence(&self) -> Evidence {
        Evidence::Project
    }

    fn max_file_size(&self) -> u64 {
        8 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        match file.file_name() {
            // What Maven writes into an archive is a copy.
            "pom.xml" => !file.path.contains("META-INF/maven/"),
            name => name.strip_suffix(".pom").is_some_and(|stem| is_of_repository(file.directory(), stem)),
        }
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Whether a file `STEM.pom` lies where a local repository has it: `ARTIFACT/VERSION/ARTIFACT-VERSION.pom`.
fn is_of_repository(directory: &str, stem: &str) -> bool {
    let mut parts = directory.rsplit('/');
    let (Some(version), Some(artifact)) = (parts.next(), parts.next()) else { return false };
    stem.strip_prefix(artifact).and_then(|rest| rest.strip_prefix('-')) == Some(version)
}

/// Reads a project. What is not XML, or no project, is a gap `malformed-project-file`, and so is a dependency without a name; the
/// rest is read. Dependencies of profiles are not taken: a gap `profile-not-read`.
fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let document = xml::parse(file.bytes);
    if let Some(problem) = document.problem {
        found.gap("malformed-project-file", file.path, problem);
    }
    let Some(project) = document.root.filter(|root| root.name == "project") else {
        found.gap("malformed-project-file", file.path, "it is not a project of Maven");
        return found;
    };
    let text = |name: &str| project.text_of(name).filter(|text| text.len() <= MAX_FIELD).map(str::to_owned);
    let mut model = Model {
        parent: project.child("parent").map(parent),
        group: text("groupId"),
        artifact: text("artifactId").unwrap_or_default(),
        version: text("version"),
        ..Model::default()
    };
    let properties = project.all("properties").flat_map(|properties| &properties.children);
    for property in properties.filter(|one| one.text.len() <= MAX_FIELD) {
        if model.properties.len() >= MAX_ENTRIES {
            limit(&mut found, file.path, "properties");
            break;
        }
        model.properties.insert(property.name.clone(), property.text.trim().to_owned());
    }
    model.dependencies = dependencies(&project, file.path, &mut found);
    if let Some(management) = project.child("dependencyManagement") {
        model.managed = dependencies(management, file.path, &mut found);
    }
    for profile in project.all("profiles").flat_map(|profiles| profiles.all("profile")) {
        let count: usize = profile.all("dependencies").map(|list| list.all("dependency").count()).sum();
        if count > 0 && !file.path.ends_with(".pom") {
            let message = format!(
                "line {}: the profile `{}` adds {count} dependencies; what profiles add is not listed",
                profile.line,
                excerpt(profile.text_of("id").unwrap_or("default"))
            );
            found.gap("profile-not-read", file.path, message);
        }
    }
    found.project = Some(ProjectPart(Part::Maven(Box::new(model))));
    found
}

fn parent(element: &Element) -> Parent {
    let text = |name: &str| {
        element.text_of(name).filter(|text| text.len() <= MAX_FIELD).unwrap_or_default().to_owned()
    };
    Parent {
        group: text("groupId"),
        artifact: text("artifactId"),
        version: text("version"),
        relative_path: match element.child("relativePath") {
            Some(_) => text("relativePath"),
            None => "../pom.xml".to_owned(),
        },
    }
}

fn dependencies(element: &Element, path: &str, found: &mut Extraction) -> Vec<Dependency> {
    let mut all = Vec::new();
    for one in element.all("dependencies").flat_map(|list| list.all("dependency")) {
        if all.len() >= MAX_ENTRIES {
            limit(found, path, "dependencies");
            break;
        }
        let text = |name: &str| one.text_of(name).map(str::to_owned);
        let fields = ["groupId", "artifactId", "version", "scope", "type", "classifier"];
        let is_short = fields.iter().all(|name| one.text_of(name).is_none_or(|text| text.len() <= MAX_FIELD));
        match (text("groupId"), text("artifactId")) {
            (Some(group), Some(artifact)) if is_short => all.push(Dependency {
                group,
                artifact,
                version: text("version"),
                scope: text("scope"),
                r#type: text("type"),
                classifier: text("classifier"),
                line: one.line,
            }),
            _ => {
                let message = format!(
                    "line {}: a dependency has no name, or one that is absurdly long, so it is not listed",
                    one.line
                );
                found.gap("malformed-project-file", path, message);
            }
        }
    }
    all
}

fn limit(found: &mut Extraction, path: &str, what: &str) {
    let message = format!("it has more than {MAX_ENTRIES} {what}; the rest was not taken");
    found.gap("limit-packages", path, message);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_and_files_of_a_repository_are_wanted() {
        for (path, expected) in [
            ("pom.xml", true),
            ("a/b/pom.xml", true),
            ("target/classes/META-INF/maven/g/a/pom.xml", false),
            (".m2/repository/org/a/b/1.0/b-1.0.pom", true),
            ("b-1.0.pom", false),
            ("x/y/z.pom", false),
        ] {
            assert_eq!(Maven.wants(&FileFacts { path, size: 1, mode: 0 }), expected, "{path}");
        }
    }
}
