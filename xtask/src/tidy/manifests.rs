//! Every crate takes its licence, Rust version, lints and dependency versions from the workspace.

use anyhow::Result;

use super::Problem;
use crate::layers::ELSEWHERE;
use crate::workspace::{Member, Workspace};

const LICENCE: &str = "Apache-2.0";

/// Check each crate's manifest.
pub(super) fn check(workspace: &Workspace) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for member in &workspace.members {
        let path = format!("{}/Cargo.toml", member.directory);
        let text = workspace.text(&path)?.unwrap_or_default();
        problems.extend(objections(member, &text).into_iter().map(|message| Problem::new(&path, message)));
    }
    Ok(problems)
}

fn objections(member: &Member, text: &str) -> Vec<String> {
    let mut objections = Vec::new();
    let manifest = &member.manifest;
    if manifest["license"].as_str() != Some(LICENCE) {
        objections.push(format!("`license` is not {LICENCE}: write `license.workspace = true`"));
    }
    if manifest["rust_version"].as_str().is_none() {
        objections.push("no `rust-version`: write `rust-version.workspace = true`".to_owned());
    }
    if manifest["publish"].as_array().is_none_or(|registries| !registries.is_empty()) {
        objections.push("could be published: write `publish.workspace = true`".to_owned());
    }
    if manifest["description"].as_str().is_none_or(str::is_empty) {
        objections.push("no `description`".to_owned());
    }
    if !text.lines().zip(text.lines().skip(1)).any(|pair| pair == ("[lints]", "workspace = true")) {
        objections
            .push("does not use the workspace's lints: write `[lints]` with `workspace = true`".to_owned());
    }
    let elsewhere = ELSEWHERE.iter().find(|(name, _)| *name == member.name);
    let expected = elsewhere.map_or_else(|| format!("crates/{}", member.name), |(_, at)| (*at).to_owned());
    if member.directory != expected {
        objections.push(format!("crate `{}` does not live in {expected}", member.name));
    }
    objections.extend(own_versions(text));
    objections
}

/// Dependencies whose version is written in the crate instead of in the workspace.
fn own_versions(text: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line.trim_end_matches(']').ends_with("dependencies");
        } else if inside && !line.is_empty() && !line.starts_with('#') && !line.contains("workspace = true") {
            found.push(format!("`{line}`: versions and paths belong in the workspace's Cargo.toml"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const GOOD: &str = "[package]\nname = \"hullmark-x\"\n\n[lints]\nworkspace = true\n\n[dependencies]\nserde.workspace = true\n";

    fn check(manifest: serde_json::Value, text: &str, directory: &str, expected: &[&str]) {
        let member = Member {
            name: "hullmark-x".to_owned(),
            directory: directory.to_owned(),
            manifest,
            dependencies: Vec::new(),
        };
        let found = objections(&member, text);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (message, part) in found.iter().zip(expected) {
            assert!(message.contains(part), "{message:?} does not say {part:?}");
        }
    }

    fn good() -> serde_json::Value {
        json!({"license": LICENCE, "rust_version": "1.95", "publish": [], "description": "x"})
    }

    #[test]
    fn a_manifest_that_takes_all_from_the_workspace_is_fine() {
        check(good(), GOOD, "crates/hullmark-x", &[]);
    }

    #[test]
    fn what_is_missing_is_said() {
        check(json!({}), GOOD, "crates/hullmark-x", &["license", "rust-version", "published", "description"]);
        check(good(), "", "crates/hullmark-x", &["lints"]);
        check(good(), GOOD, "crates/other", &["does not live in"]);
    }

    #[test]
    fn versions_belong_in_the_workspace() {
        let text = format!("{GOOD}\n[dev-dependencies]\nproptest = \"1\"\n");
        check(good(), &text, "crates/hullmark-x", &["proptest"]);
    }
}
