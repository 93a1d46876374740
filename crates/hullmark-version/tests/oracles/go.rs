//! Go: `golang.org/x/mod/semver` for modules, `go/version` for toolchains.

use std::process::Command;

use hullmark_version::Scheme;

use crate::oracle::{Need, Oracle, check_pairs, directory};
use crate::random::Random;
use crate::{feeds, pairs};

fn go() -> Option<Oracle> {
    Oracle::find(Scheme::Go, Need::Optional, ("v1.0.0-rc.1", "v1.0.0"), || {
        Command::new(directory().join("go/compare_go"))
    })
}

fn module(random: &mut Random) -> String {
    let number = |random: &mut Random| match random.below(40) {
        0 => "01".to_owned(),
        _ => random.pick(&["0", "0", "1", "2", "10"]).to_owned(),
    };
    let mut version = String::from("v");
    for position in 0..(if random.chance(10) { 1 + random.below(4) } else { 3 }) {
        version += if position > 0 { "." } else { "" };
        version += &number(random);
    }
    if random.chance(40) {
        version += "-";
        version += &random.row(3, &["."], |random| {
            let times = ["20190308221718-c2843e01d9a2", "20200622213623-75b288015ac9"];
            match random.below(30) {
                0 => "01".to_owned(),
                1..8 => random.pick(&times).to_owned(),
                _ => random.pick(&["0", "1", "10", "rc", "alpha", "pre", "a-b", "-"]).to_owned(),
            }
        });
    }
    version += random.pick(&["", "", "", "", "+incompatible", "+a.01"]);
    version
}

/// Without `go1.21` and such, which is a language version to Go and comes before its release candidates.
fn toolchain(random: &mut Random) -> String {
    let pre_release = format!("{}{}", random.pick(&["rc", "beta"]), random.pick(&["1", "2", "10"]));
    let patch = format!(".{}", random.below(12));
    match random.below(3) {
        0 => format!("go1.{}{}", 18 + random.below(6), pre_release),
        1 => format!("go1.{}{}", 18 + random.below(6), patch),
        _ => format!("go1.{}{}", random.below(21), random.pick(&["", &patch, &pre_release])),
    }
}

#[test]
fn generated_modules_are_in_the_order_of_go() {
    let Some(go) = go() else { return };
    let pairs = pairs::generate(4, 20_000, &["0", "1", "2", "a", "-", ".", "+"], module);
    let pairs: Vec<_> = pairs.into_iter().filter(|(a, b)| a.starts_with('v') && b.starts_with('v')).collect();
    check_pairs(Scheme::Go, &pairs, 15_000, 500, 1000);
    go.check("generated modules", &pairs);
}

#[test]
fn generated_toolchains_are_in_the_order_of_go() {
    let Some(go) = go() else { return };
    let mut random = Random::new(5);
    let pairs: Vec<_> = (0..5000).map(|_| (toolchain(&mut random), toolchain(&mut random))).collect();
    check_pairs(Scheme::Go, &pairs, 5000, 0, 0);
    go.check("generated toolchains", &pairs);
}

#[test]
fn real_versions_are_in_the_order_of_go() {
    let Some(go) = go() else { return };
    let Some(packages) = feeds::versions("Go") else { return };
    let with_prefix = |text: String| format!("v{text}");
    let pairs: Vec<_> = pairs::of_packages(&packages, 20_000)
        .into_iter()
        .map(|(left, right)| (with_prefix(left), with_prefix(right)))
        .collect();
    check_pairs(Scheme::Go, &pairs, 20_000, 0, 0);
    go.check("real", &pairs);
}
