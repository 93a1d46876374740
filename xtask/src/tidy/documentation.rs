//! Every entry of a list is documented: crates in the architecture, plugins in their reference page, pages in the index.

use anyhow::Result;

use super::Problem;
use crate::layers::{BESIDE, LAYERS};
use crate::workspace::Workspace;

const ARCHITECTURE: &str = "docs/architecture.md";
const INDEX: &str = "docs/README.md";

/// Directories with one plugin in each subdirectory, and the page that has a line for each.
const PLUGINS: &[(&str, &str)] = &[
    ("crates/hullmark-inventory/src/extractors", "docs/reference/extractors.md"),
    ("crates/hullmark-advisory/src/feeds", "docs/advisories.md"),
];

/// Check the documents against the lists.
pub(super) fn check(workspace: &Workspace) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    let architecture = read(workspace, ARCHITECTURE, &mut problems)?;
    for name in LAYERS.iter().flat_map(|layer| layer.crates).chain(BESIDE) {
        if !architecture.contains(&format!("`{name}`")) {
            problems.push(Problem::new(ARCHITECTURE, format!("does not mention the crate `{name}`")));
        }
    }
    for (directory, page) in PLUGINS {
        let names = subdirectories(workspace, directory);
        let text = if names.is_empty() { String::new() } else { read(workspace, page, &mut problems)? };
        for name in names {
            if !mentions(&text, &name) {
                problems.push(Problem::new(*page, format!("does not mention `{directory}/{name}`")));
            }
        }
    }
    let index = read(workspace, INDEX, &mut problems)?;
    for page in workspace.files.iter().filter_map(|name| name.strip_prefix("docs/")) {
        if page != "README.md" && !index.contains(&format!("]({page})")) {
            problems.push(Problem::new(INDEX, format!("does not link `{page}`")));
        }
    }
    Ok(problems)
}

fn read(workspace: &Workspace, name: &str, problems: &mut Vec<Problem>) -> Result<String> {
    if workspace.files.iter().any(|file| file == name) {
        return Ok(workspace.text(name)?.unwrap_or_default());
    }
    problems.push(Problem::new(name, "is missing"));
    Ok(String::new())
}

/// The names directly below a directory that have files of their own.
fn subdirectories(workspace: &Workspace, directory: &str) -> Vec<String> {
    let mut names: Vec<String> = workspace
        .files
        .iter()
        .filter_map(|file| file.strip_prefix(directory)?.strip_prefix('/')?.split_once('/'))
        .map(|(name, _)| name.to_owned())
        .collect();
    names.dedup();
    names
}

/// Whether a text has a word, however its parts are joined: `node_modules` is found in `node-modules`.
fn mentions(text: &str, name: &str) -> bool {
    let fold = |text: &str| text.to_lowercase().replace('_', "-");
    let name = fold(name);
    fold(text)
        .split(|character: char| !(character.is_ascii_alphanumeric() || character == '-'))
        .any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_as_words() {
        assert!(mentions("| `debian-archive` | Debian |", "debian_archive"));
        assert!(mentions("| go |", "go"));
        assert!(!mentions("| golang |", "go"));
        assert!(!mentions("", "go"));
    }
}
