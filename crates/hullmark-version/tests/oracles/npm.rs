//! node-semver.

use std::process::Command;

use hullmark_version::Scheme;

use crate::oracle::{Need, Oracle, check_pairs, directory, script};
use crate::pairs::Pair;
use crate::random::Random;
use crate::{feeds, pairs};

fn node_semver() -> Option<Oracle> {
    Oracle::find(Scheme::Npm, Need::Required, ("1.0.0-rc.1", "1.0.0"), || {
        let mut command = Command::new("node");
        command.arg(script("compare_npm.js")).env("NODE_PATH", directory().join("node/node_modules"));
        command
    })
}

fn version(random: &mut Random) -> String {
    let mut version =
        random.pick(&["", "", "", "", "", "v", " ", " v", "=", "\u{a0}", "\u{feff}"]).to_owned();
    for position in 0..3 {
        version += if position > 0 { "." } else { "" };
        version += &number(random);
    }
    if random.chance(55) {
        version += "-";
        version += &random.row(4, &["."], identifier);
    }
    if random.chance(15) {
        version += "+";
        version +=
            &random.row(2, &["."], |random| random.pick(&["0", "01", "a", "20130313", "-"]).to_owned());
    }
    version += random.pick(&["", "", "", "", "", " "]);
    version
}

fn number(random: &mut Random) -> String {
    match random.below(40) {
        0 => {
            random.pick(&["9007199254740991", "9007199254740992", "9007199254740990", "00", "01"]).to_owned()
        }
        _ => random.pick(&["0", "0", "1", "1", "2", "10", "20"]).to_owned(),
    }
}

fn identifier(random: &mut Random) -> String {
    let words = ["a", "b", "alpha", "beta", "rc", "RC", "x-1", "-", "--", "0a", "1-", "canary", "next", "9a"];
    match random.below(12) {
        0 => random
            .pick(&["9007199254740990", "9007199254740991", "9007199254740992", "9007199254740993"])
            .to_owned(),
        1 => random.pick(&["18446744073709551616", "18446744073709551617", "00", "01"]).to_owned(),
        2..7 => random.pick(&["0", "1", "2", "9", "10", "11"]).to_owned(),
        _ => random.pick(&words).to_owned(),
    }
}

#[test]
fn generated_versions_are_in_the_order_of_node_semver() {
    let Some(node_semver) = node_semver() else { return };
    let characters = ["0", "1", "2", "9", "a", "b", "-", ".", "+", "v", "A"];
    let pairs = pairs::generate(3, 20_000, &characters, version);
    check_pairs(Scheme::Npm, &pairs, 20_000, 500, 1000);
    node_semver.check("generated", &pairs);
}

#[test]
fn real_versions_are_in_the_order_of_node_semver() {
    let Some(node_semver) = node_semver() else { return };
    let mut real = pairs::of_list(include_str!("data/npm.txt"), 2000);
    // Few advisories for npm are at hand; those for Rust have versions of the same kind.
    for ecosystem in ["npm", "crates.io"] {
        real.extend(
            feeds::versions(ecosystem).iter().flat_map(|packages| pairs::of_packages(packages, 2000)),
        );
    }
    check_pairs(Scheme::Npm, &real, 2000, 0, 0);
    node_semver.check("real", &real);
}

#[test]
fn node_semver_does_not_take_what_does_not_parse() {
    let Some(node_semver) = node_semver() else { return };
    let invalid = pairs::beside(include_str!("data/npm-invalid.txt"), "1.0.0");
    check_pairs(Scheme::Npm, &invalid, 0, 0, invalid.len());
    node_semver.check("invalid", &invalid);
}

#[test]
fn node_semver_has_the_same_limit_of_length() {
    let Some(node_semver) = node_semver() else { return };
    let mut pairs: Vec<Pair> = Vec::new();
    for length in [249, 250, 251, 252] {
        for filler in ["a", "1", "-", "a."] {
            let filler: String = filler.repeat(length).chars().take(length).collect();
            pairs.push((format!("1.0.0+{filler}"), "1.0.0".to_owned()));
            pairs.push((format!("1.0.0-{filler}"), "1.0.0".to_owned()));
            pairs.push((format!("1.0.0-{filler}"), format!("1.0.0-{filler}1")));
        }
        pairs.push((format!("1.0.0{}", "\u{3000}".repeat(length)), "1.0.0".to_owned()));
        pairs.push((format!("{}1.0.0", " ".repeat(length)), "1.0.0".to_owned()));
    }
    node_semver.check("long", &pairs);
}
