//! The list of extractors, and each extractor on its fixtures.
//!
//! `src/extractors/<name>/fixtures/<case>/` is the root of a small file system; `fixtures/<case>.json` beside it holds
//! what the extractor finds there, by path. With `HULLMARK_UPDATE_GOLDEN=1` in the environment the expectations
//! are written anew, and `docs/reference/extractors.md` with them.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hullmark_inventory::extractors::ALL;
use hullmark_inventory::{
    Extraction, Extractor, FileFacts, OpenFile, extractor_set_version, recognised_programs, reference_table,
};
use hullmark_testkit::{golden, workspace_root};

fn fixtures(extractor: &dyn Extractor) -> PathBuf {
    let directory = extractor.name().replace('-', "_");
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/extractors").join(directory).join("fixtures")
}

fn files_below(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files_below(&path, files) } else { files.push(path) }
    }
}

fn extract_all(extractor: &dyn Extractor, root: &Path) -> BTreeMap<String, Extraction> {
    let mut files = Vec::new();
    files_below(root, &mut files);
    let mut results = BTreeMap::new();
    for file in files {
        let path = file.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let metadata = fs::metadata(&file).unwrap();
        let facts =
            FileFacts { path: &path, size: metadata.len(), mode: metadata.permissions().mode() & 0o7777 };
        let bytes = fs::read(&file).unwrap();
        let head = bytes.get(..64).unwrap_or(&bytes);
        if extractor.wants(&facts) && extractor.accepts(head) {
            let found = extractor.extract(&OpenFile { path: &path, bytes: &bytes });
            for length in [1, 7, 4096] {
                if let Some(mut passing) = extractor.passing(&facts, head) {
                    bytes.chunks(length).for_each(|piece| passing.bytes(piece));
                    assert_eq!(passing.finish(&path), found, "{path} in pieces of {length} bytes");
                }
            }
            results.insert(path.clone(), found);
        }
    }
    results
}

#[test]
fn each_extractor_finds_what_its_fixtures_hold() {
    for extractor in ALL {
        let directory = fixtures(*extractor);
        let mut cases = 0;
        for entry in
            fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        {
            let case = entry.unwrap().path();
            if !case.is_dir() {
                continue;
            }
            cases += 1;
            let expectation = case.with_extension("json");
            let actual = serde_json::to_string_pretty(&extract_all(*extractor, &case)).unwrap() + "\n";
            golden(&expectation, &actual);
        }
        assert!(cases > 0, "{} has no fixture", extractor.name());
    }
}

#[test]
fn some_fixture_of_each_extractor_has_a_result() {
    for extractor in ALL {
        let has_result = fs::read_dir(fixtures(*extractor)).unwrap().any(|entry| {
            let case = entry.unwrap().path();
            case.is_dir()
                && extract_all(*extractor, &case).values().any(|found| {
                    !found.packages.is_empty() || found.distribution.is_some() || found.project.is_some()
                })
        });
        assert!(has_result, "{} finds nothing in its fixtures", extractor.name());
    }
}

#[test]
fn each_extractor_declares_what_its_fixtures_hold() {
    for extractor in ALL {
        let mut kinds = BTreeSet::new();
        let mut has_licenses = false;
        for entry in fs::read_dir(fixtures(*extractor)).unwrap() {
            let case = entry.unwrap().path();
            if !case.is_dir() {
                continue;
            }
            for found in extract_all(*extractor, &case).values() {
                kinds.extend(found.packages.iter().map(|package| package.kind));
                kinds.extend(found.project.iter().map(|part| part.kind()));
                has_licenses |= found.packages.iter().any(|package| !package.licenses.is_empty())
                    || found.details.as_ref().is_some_and(|details| !details.licenses.is_empty());
            }
        }
        let declared: BTreeSet<_> = extractor.kinds().iter().copied().collect();
        assert_eq!(declared, kinds, "`kinds` of {}", extractor.name());
        // The databases of rpm, which name licences, are too large for fixtures.
        assert!(extractor.has_licenses() || !has_licenses, "`has_licenses` of {}", extractor.name());
    }
}

#[test]
fn the_reference_is_fresh() {
    let made = format!(
        "# Extractors\n\nMade from the list in `crates/hullmark-inventory/src/extractors/mod.rs`.\n\n{}\n\
         ## Recognised programs\n\nWhat `classifiers` recognises: {}.\n",
        reference_table(),
        recognised_programs().join(", ")
    );
    golden(&workspace_root().join("docs/reference/extractors.md"), &made);
}

#[test]
fn names_are_unique_sorted_and_documented() {
    let names: Vec<_> = ALL.iter().map(|extractor| extractor.name()).collect();
    let sorted: Vec<_> = names.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    assert_eq!(names, sorted);
    let table = reference_table();
    for extractor in ALL {
        let name = extractor.name();
        assert!(
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
            "{name} is not kebab-case"
        );
        assert!(extractor.summary().len() > 20 && !extractor.summary().ends_with('.'), "summary of {name}");
        assert!(!extractor.summary().contains(['\n', '|']), "the summary of {name} breaks the table");
        assert!(table.contains(&format!("| `{name}` | {} |", extractor.summary())));
        assert!(extractor.max_file_size() >= 1024 * 1024, "{name}");
    }
    assert_eq!(table.lines().count(), ALL.len() + 2);
}

#[test]
fn well_known_paths_are_wanted_by_their_path_alone() {
    for extractor in ALL {
        for path in extractor.well_known_paths() {
            assert!(extractor.wants(&FileFacts { path, size: 0, mode: 0 }), "{} {path}", extractor.name());
        }
    }
}

#[test]
fn the_version_of_the_set_is_the_same_each_time() {
    assert_eq!(extractor_set_version(), extractor_set_version());
}
