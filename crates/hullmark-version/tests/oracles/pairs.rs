//! Pairs of versions to compare.

use std::collections::{BTreeMap, BTreeSet};

use crate::random::Random;

/// Two versions.
pub(crate) type Pair = (String, String);

/// How much of what is generated is damaged so that it mostly does not parse, in percent.
const DAMAGED: usize = 6;

/// `count` pairs of generated versions. Half of the right ones are the left one with one character changed, so that the
/// two are alike for long.
pub(crate) fn generate(
    seed: u64,
    count: usize,
    characters: &[&str],
    version: impl Fn(&mut Random) -> String,
) -> Vec<Pair> {
    let mut random = Random::new(seed);
    let mut pairs = Vec::new();
    while pairs.len() < count {
        let mut left = version(&mut random);
        let mut right = match random.below(2) {
            0 => change(&mut random, &left, characters),
            _ => version(&mut random),
        };
        for side in [&mut left, &mut right] {
            if random.chance(DAMAGED) {
                *side = change(&mut random, side, &["_", " ", "!", "\u{e9}", "..", "--", "$", "\\", "'"]);
            }
        }
        pairs.push((left, right));
    }
    pairs
}

/// The text with one character replaced, removed or added.
fn change(random: &mut Random, text: &str, characters: &[&str]) -> String {
    let mut pieces: Vec<&str> = text.split_inclusive(|_| true).collect();
    let place = random.below(pieces.len().max(1));
    match random.below(4) {
        0 if place < pieces.len() => drop(pieces.remove(place)),
        1 | 2 if place < pieces.len() => pieces[place] = random.pick(characters),
        _ => pieces.insert(place, random.pick(characters)),
    }
    pieces.concat()
}

/// Pairs of each of the listed versions with each; `#` begins a comment line.
pub(crate) fn of_list(list: &str, count: usize) -> Vec<Pair> {
    let versions: BTreeSet<String> = lines(list).map(str::to_owned).collect();
    of_packages(&BTreeMap::from([(String::new(), versions)]), count)
}

/// Every listed text beside a version that parses, on either side.
pub(crate) fn beside(list: &str, valid: &str) -> Vec<Pair> {
    let pairs = |text: &str| [(text.to_owned(), valid.to_owned()), (valid.to_owned(), text.to_owned())];
    lines(list).flat_map(pairs).collect()
}

fn lines(list: &str) -> impl Iterator<Item = &str> {
    list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// `count` pairs of different versions, fewer where there are not enough; three in four are of one package.
pub(crate) fn of_packages(packages: &BTreeMap<String, BTreeSet<String>>, count: usize) -> Vec<Pair> {
    let packages: Vec<Vec<&String>> = packages
        .values()
        .map(|versions| versions.iter().collect())
        .filter(|v: &Vec<_>| !v.is_empty())
        .collect();
    let mut random = Random::new(17);
    let mut pairs = Vec::new();
    for _ in 0..if packages.is_empty() { 0 } else { count * 20 } {
        if pairs.len() == count {
            break;
        }
        let package = &packages[random.below(packages.len())];
        let other = match random.below(4) {
            0 => &packages[random.below(packages.len())],
            _ => package,
        };
        let (left, right) = (package[random.below(package.len())], other[random.below(other.len())]);
        if left != right {
            pairs.push((left.clone(), right.clone()));
        }
    }
    pairs
}
