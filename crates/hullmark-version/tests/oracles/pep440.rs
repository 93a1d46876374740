//! `packaging`, from PyPI.

use std::process::Command;

use hullmark_version::Scheme;

use crate::oracle::{Need, Oracle, check_pairs, directory, script};
use crate::random::Random;
use crate::{feeds, pairs};

fn packaging() -> Option<Oracle> {
    Oracle::find(Scheme::Pep440, Need::Required, ("1.0rc1", "1.0"), || {
        let mut command = Command::new("python3");
        command.arg("-B").arg(script("compare_pep440.py")).env("PYTHONPATH", directory().join("python"));
        command
    })
}

fn version(random: &mut Random) -> String {
    let prefix = ["", "", "", "", "", "", "", "v", "V", " ", " v", "0!", "1!", "00!", "v2!"];
    let mut version = random.pick(&prefix).to_owned();
    version += &random.row(4, &["."], number);
    let labels = ["a", "b", "c", "rc", "alpha", "beta", "pre", "preview", "A", "RC", "Alpha"];
    version += &labelled(random, 40, &labels);
    version += &match random.below(10) {
        0 => format!("-{}", number(random)),
        1..3 => labelled(random, 100, &["post", "rev", "r", "POST", "Rev"]),
        _ => String::new(),
    };
    version += &labelled(random, 30, &["dev", "dev", "DEV"]);
    if random.chance(25) {
        version += "+";
        version += &random.row(3, &[".", "-", "_"], |random| {
            random.pick(&["0", "1", "01", "10", "a", "A", "b", "ubuntu", "1a", "a1", "deadbeef"]).to_owned()
        });
    }
    version += random.pick(&["", "", "", "", "", " "]);
    version
}

fn number(random: &mut Random) -> String {
    random.pick(&["0", "0", "1", "1", "2", "3", "00", "01", "10", "2024", "18446744073709551616"]).to_owned()
}

/// A label with separators and perhaps a number, in `percent` of 100 cases.
fn labelled(random: &mut Random, percent: usize, labels: &[&str]) -> String {
    if !random.chance(percent) {
        return String::new();
    }
    let separators = ["", "", ".", "-", "_"];
    let (before, label, between) = (random.pick(&separators), random.pick(labels), random.pick(&separators));
    let number = if random.chance(75) { number(random) } else { String::new() };
    format!("{before}{label}{between}{number}")
}

#[test]
fn generated_versions_are_in_the_order_of_packaging() {
    let Some(packaging) = packaging() else { return };
    let characters = ["0", "1", "9", "a", "b", "c", "r", "dev", "post", ".", "-", "_", "+", "!", "v"];
    let pairs = pairs::generate(2, 20_000, &characters, version);
    check_pairs(Scheme::Pep440, &pairs, 20_000, 500, 1000);
    packaging.check("generated", &pairs);
}

#[test]
fn real_versions_are_in_the_order_of_packaging() {
    let Some(packaging) = packaging() else { return };
    let mut real = pairs::of_list(include_str!("data/pep440.txt"), 2000);
    real.extend(feeds::versions("PyPI").iter().flat_map(|packages| pairs::of_packages(packages, 20_000)));
    check_pairs(Scheme::Pep440, &real, 2000, 0, 0);
    packaging.check("real", &real);
}

#[test]
fn packaging_does_not_take_what_does_not_parse() {
    let Some(packaging) = packaging() else { return };
    let invalid = pairs::beside(include_str!("data/pep440-invalid.txt"), "1.0");
    check_pairs(Scheme::Pep440, &invalid, 0, 0, invalid.len());
    packaging.check("invalid", &invalid);
}
