//! The versions that the security databases of Alpine and Wolfi name.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hullmark_version::{Scheme, validate};
use serde_json::Value;

/// Each is a slip of the pen in a released database, and by its grammar no version to apk-tools 3.
const MALFORMED: [&str; 15] = [
    "0.12.5.-r0",
    "0.8.21.r2",
    "1.0.4.-r0",
    "1.1.0-r1-r0",
    "1.11-20-r0",
    "1.18.-r2",
    "1.7.5.-r1",
    "10.2.22.r0",
    "10.2.24.r0",
    "10.2.26.r0",
    "2.15.r-r1",
    "2.7.16-33",
    "4.10-1-r1",
    "4.8.0.-r1",
    "57-1-r2",
];

fn databases(feeds: &Path) -> Vec<PathBuf> {
    let releases = std::fs::read_dir(feeds.join("alpine")).unwrap().map(|entry| entry.unwrap().path());
    let files = releases.flat_map(|release| [release.join("main.json"), release.join("community.json")]);
    files.chain([feeds.join("wolfi/os/security.json")]).filter(|file| file.is_file()).collect()
}

#[test]
fn every_version_parses_that_is_not_malformed() {
    let feeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/feeds");
    if !feeds.is_dir() {
        println!("skipped: ../shared is absent");
        return;
    }
    let mut versions = BTreeSet::new();
    for file in databases(&feeds) {
        let database: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        for package in database["packages"].as_array().into_iter().flatten() {
            let fixes = package["pkg"]["secfixes"].as_object();
            versions.extend(fixes.into_iter().flat_map(|fixes| fixes.keys().cloned()));
        }
    }
    assert!(versions.len() > 5000, "{} versions", versions.len());
    let refused: Vec<&String> =
        versions.iter().filter(|version| validate(Scheme::Apk, version).is_err()).collect();
    assert_eq!(refused, MALFORMED);
}
