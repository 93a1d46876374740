//! The merge against a real file system: layers are applied to a directory one entry after the other, and what is left
//! there is what the inventory has to name.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use common::{Layer, inventory, packages};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Package(String, u8),
    File(String),
    Directory(String),
    Whiteout(String),
    Opaque(String),
}

/// Few names, so that steps meet often; one is a prefix of another.
fn directory() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "a",
        "ab",
        "a/b",
        "a/b/node_modules",
        "a/node_modules/p",
        "ab/node_modules",
        "a/b/c",
    ])
    .prop_map(str::to_owned)
}

fn package_file() -> impl Strategy<Value = String> {
    let above = prop::sample::select(vec!["a", "ab", "a/b", "a/b/c", "a/node_modules/p"]);
    (above, prop::sample::select(vec!["p", "q"]))
        .prop_map(|(above, name)| format!("{above}/node_modules/{name}/package.json"))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (package_file(), 0_u8..3).prop_map(|(path, version)| Step::Package(path, version)),
        1 => directory().prop_map(Step::File),
        1 => directory().prop_map(Step::Directory),
        2 => prop_oneof![directory(), package_file()].prop_map(Step::Whiteout),
        1 => directory().prop_map(Step::Opaque),
    ]
}

fn manifest(version: u8) -> String {
    format!(r#"{{"name":"p","version":"{version}.0.0"}}"#)
}

fn layer(steps: &[Step]) -> Layer {
    steps.iter().fold(Layer::new(), |layer, step| match step {
        Step::Package(path, version) => layer.file(path, &manifest(*version)),
        Step::File(path) => layer.file(path, "text"),
        Step::Directory(path) => layer.directory(path),
        Step::Whiteout(path) => layer.whiteout(path),
        Step::Opaque(path) => layer.opaque(path),
    })
}

fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

/// Makes a directory and all above it; files in the way are replaced.
fn make_directory(root: &Path, path: &str) {
    let mut current = root.to_owned();
    for part in path.split('/') {
        current.push(part);
        if !current.is_dir() {
            remove(&current);
            fs::create_dir(&current).unwrap();
        }
    }
}

fn apply(root: &Path, steps: &[Step]) {
    for step in steps {
        match step {
            Step::Whiteout(path) => remove(&root.join(path)),
            Step::Opaque(path) if root.join(path).is_dir() => {
                for child in fs::read_dir(root.join(path)).unwrap() {
                    remove(&child.unwrap().path());
                }
            }
            _ => {}
        }
    }
    for step in steps {
        let (path, content) = match step {
            Step::Package(path, version) => (path, manifest(*version)),
            Step::File(path) => (path, "text".to_owned()),
            Step::Directory(path) => {
                make_directory(root, path);
                continue;
            }
            Step::Whiteout(_) | Step::Opaque(_) => continue,
        };
        make_directory(root, path.rsplit_once('/').map_or(".", |(directory, _)| directory));
        remove(&root.join(path));
        fs::write(root.join(path), content).unwrap();
    }
}

fn left(root: &Path, directory: &Path, found: &mut BTreeSet<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            left(root, &path, found);
        } else if path.ends_with("package.json") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            found.insert((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_left_is_what_a_file_system_would_hold(
        layers in proptest::collection::vec(proptest::collection::vec(step(), 0..8), 1..5),
    ) {
        let root = tempfile::tempdir().unwrap();
        for steps in &layers {
            apply(root.path(), steps);
        }
        let mut expected = BTreeSet::new();
        left(root.path(), root.path(), &mut expected);
        let built: Vec<_> = layers.iter().map(|steps| layer(steps)).collect();
        let inventory = inventory(&built);
        let found: BTreeSet<_> = inventory
            .packages
            .iter()
            .flat_map(|package| {
                let content = format!(r#"{{"name":"p","version":"{}"}}"#, package.version);
                package.locations.iter().map(move |place| (place.path.clone(), content.clone()))
            })
            .collect();
        prop_assert_eq!(found, expected, "{:#?}", packages(&inventory));
    }
}
