//! dpkg.

use std::process::Command;

use hullmark_version::Scheme;

use crate::oracle::{Need, Oracle, check_pairs, script};
use crate::random::Random;
use crate::{feeds, pairs};

fn dpkg() -> Option<Oracle> {
    Oracle::find(Scheme::Deb, Need::Required, ("1.0~rc1-1", "1.0-1"), || {
        let mut command = Command::new("bash");
        command.arg(script("compare_deb.sh"));
        command
    })
}

fn version(random: &mut Random) -> String {
    let mut version = match random.below(6) {
        0 => random.pick(&["0:", "1:", "01:", "2:", "10:", "2147483647:", "2147483648:"]).to_owned(),
        _ => String::new(),
    };
    version += &random.row(4, &[".", ".", ".", "+", "~", "-", "", ":"], part);
    if random.chance(60) {
        version += "-";
        version += &random.row(3, &[".", "+", "~", ""], part);
    }
    version
}

fn part(random: &mut Random) -> String {
    let numbers = ["0", "00", "1", "01", "2", "9", "10", "12", "20240101", "99999999999999999999"];
    let words = [
        "a",
        "b",
        "Z",
        "rc1",
        "~",
        "~~",
        "+b1",
        "~deb12u1",
        "+deb12u2",
        "ubuntu0.1",
        "git",
        "dfsg",
        "+",
        ".",
    ];
    match random.below(3) {
        0 => random.pick(&words).to_owned(),
        _ => random.pick(&numbers).to_owned(),
    }
}

/// Whether dpkg looks at the characters: it does not where the first is no digit, so then they must be right. The empty
/// version is "not installed" to it.
fn is_judged_by_dpkg(version: &str) -> bool {
    let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
    let revision = upstream.rsplit_once('-').map_or("", |(_, revision)| revision);
    let is_right = |character: char| character.is_ascii_alphanumeric() || ".+-~:".contains(character);
    upstream.starts_with(|first: char| first.is_ascii_digit())
        || (!version.is_empty() && upstream.chars().all(is_right) && !revision.contains(':'))
}

#[test]
fn generated_versions_are_in_the_order_of_dpkg() {
    let Some(dpkg) = dpkg() else { return };
    let characters = ["0", "1", "9", "a", "Z", "~", "+", ".", "-", ":"];
    let mut pairs = pairs::generate(1, 2300, &characters, version);
    pairs.retain(|(left, right)| is_judged_by_dpkg(left) && is_judged_by_dpkg(right));
    check_pairs(Scheme::Deb, &pairs, 2000, 40, 100);
    dpkg.check("generated", &pairs);
}

#[test]
fn real_versions_are_in_the_order_of_dpkg() {
    let Some(dpkg) = dpkg() else { return };
    let mut real = pairs::of_list(include_str!("data/deb.txt"), 2000);
    for ecosystem in ["Debian:9", "Debian:10", "Debian:11"] {
        real.extend(feeds::versions(ecosystem).iter().flat_map(|packages| pairs::of_packages(packages, 300)));
    }
    check_pairs(Scheme::Deb, &real, 2000, 0, 0);
    dpkg.check("real", &real);
}

#[test]
fn dpkg_does_not_take_what_does_not_parse() {
    let Some(dpkg) = dpkg() else { return };
    let invalid = pairs::beside(include_str!("data/deb-invalid.txt"), "1.0-1");
    check_pairs(Scheme::Deb, &invalid, 0, 0, invalid.len());
    dpkg.check("invalid", &invalid);
}
