//! Versions of real packages, from the advisories beside the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use serde_json::Value;
use zip::ZipArchive;

use crate::oracle::root;

/// The versions that the OSV records of an ecosystem name, by package; `None`, and a word on it, where they are absent.
pub(crate) fn versions(ecosystem: &str) -> Option<BTreeMap<String, BTreeSet<String>>> {
    let shared = root().join("../shared");
    if !shared.is_dir() {
        println!("skipped: ../shared is absent");
        return None;
    }
    let mut archive =
        ZipArchive::new(File::open(shared.join("feeds/osv").join(ecosystem).join("all.zip")).unwrap())
            .unwrap();
    let mut packages = BTreeMap::new();
    for index in 0..archive.len() {
        let record: Value = serde_json::from_reader(archive.by_index(index).unwrap()).unwrap();
        for affected in items(&record["affected"]) {
            let name = affected["package"]["name"].as_str().unwrap_or_default();
            let versions: &mut BTreeSet<String> = packages.entry(name.to_owned()).or_default();
            versions.extend(affected_versions(affected).filter(|text| is_one_word(text)).map(str::to_owned));
        }
    }
    Some(packages)
}

fn affected_versions(affected: &Value) -> impl Iterator<Item = &str> {
    let ranges = items(&affected["ranges"]).filter(|range| range["type"] != "GIT");
    let events = ranges.flat_map(|range| items(&range["events"]));
    let in_events = events.flat_map(|event| {
        ["introduced", "fixed", "last_affected", "limit"].into_iter().filter_map(|kind| event[kind].as_str())
    });
    // In an event, `0` is the beginning of all versions.
    items(&affected["versions"]).filter_map(Value::as_str).chain(in_events.filter(|version| *version != "0"))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// What fits into the lines that the scripts read.
fn is_one_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(['\t', '\n', '\r', '\0'])
}
