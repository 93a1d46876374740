//! Crates depend only on lower layers, and the list of layers is complete.

use anyhow::Result;

use super::Problem;
use crate::layers::{BESIDE, LAYERS, NARROWED, TESTKIT, position};
use crate::workspace::{Member, Workspace};

const LIST: &str = "xtask/src/layers.rs";

/// Compare what cargo says with the list of layers.
pub(super) fn check(workspace: &Workspace) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for listed in LAYERS.iter().flat_map(|layer| layer.crates).chain(BESIDE) {
        if !workspace.members.iter().any(|member| member.name == *listed) {
            problems.push(Problem::new(
                LIST,
                format!("`{listed}` is listed, but the workspace has no such crate"),
            ));
        }
    }
    for member in &workspace.members {
        problems.extend(check_member(member));
    }
    Ok(problems)
}

fn check_member(member: &Member) -> Vec<Problem> {
    let manifest = format!("{}/Cargo.toml", member.directory);
    let mut problems = Vec::new();
    if position(&member.name).is_none() && !BESIDE.contains(&member.name.as_str()) {
        problems.push(Problem::new(LIST, format!("`{}` is in the workspace but in no layer", member.name)));
        return problems;
    }
    for dependency in member.dependencies.iter().filter(|dependency| !dependency.only_tests) {
        if let Some(message) = objection(&member.name, &dependency.name) {
            problems.push(Problem::new(&manifest, message));
        }
    }
    problems
}

/// Why one crate may not depend on another outside tests; `None` when it may.
fn objection(name: &str, dependency: &str) -> Option<String> {
    if BESIDE.contains(&dependency) {
        let advice = if dependency == TESTKIT { ", which only dev-dependencies may name" } else { "" };
        return Some(format!("`{name}` depends on `{dependency}`{advice}"));
    }
    if let Some((_, allowed)) = NARROWED.iter().find(|(narrowed, _)| *narrowed == name)
        && !allowed.contains(&dependency)
    {
        return Some(format!("`{name}` depends on `{dependency}`, but may use only {}", allowed.join(", ")));
    }
    let (own, lower) = (position(name)?, position(dependency)?);
    (lower >= own).then(|| {
        format!(
            "`{name}` ({}) depends on `{dependency}` ({}), which is not a lower layer",
            LAYERS[own].name, LAYERS[lower].name
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, dependency: &str, expected: Option<&str>) {
        let found = objection(name, dependency);
        match expected {
            None => assert_eq!(found, None, "{name} -> {dependency}"),
            Some(part) => assert!(found.as_ref().is_some_and(|text| text.contains(part)), "{found:?}"),
        }
    }

    #[test]
    fn dependencies_go_down_only() {
        check("hullmark-inventory", "hullmark-image", None);
        check("hullmark-engine", "hullmark-types", None);
        check("hullmark-types", "hullmark-version", Some("not a lower layer"));
        check("hullmark-image", "hullmark-inventory", Some("not a lower layer"));
        check("hullmark-http", "hullmark-engine", Some("not a lower layer"));
    }

    #[test]
    fn some_crates_may_use_less_than_their_layer() {
        check("hullmark-report", "hullmark-types", None);
        check("hullmark-report", "hullmark-image", Some("may use only hullmark-types"));
        check("hullmark-testkit", "hullmark-image", Some("may use only hullmark-types"));
    }

    #[test]
    fn the_product_does_not_use_what_stands_beside_it() {
        check("hullmark", "hullmark-testkit", Some("only dev-dependencies"));
        check("hullmark", "xtask", Some("depends on `xtask`"));
        check("xtask", "hullmark-version", None);
    }

    #[test]
    fn no_crate_is_listed_twice() {
        let mut all: Vec<&str> =
            LAYERS.iter().flat_map(|layer| layer.crates).chain(BESIDE).copied().collect();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
