//! The extractors of Ruby, PHP and others against the tools that wrote the files, where those are at hand.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use hullmark_inventory::extractors::ALL;
use hullmark_inventory::{Extraction, FileFacts, FoundPackage, OpenFile};

/// What the tool prints; `None`, with a word about it, when it is not there or fails.
fn output(command: &mut Command) -> Option<String> {
    match command.output() {
        Ok(result) if result.status.success() => String::from_utf8(result.stdout).ok(),
        _ => {
            println!("skipped: {command:?} is not there or does not work");
            None
        }
    }
}

/// What the extractor finds in a file below `root`; it must want it.
fn extract(name: &str, root: &Path, file: &Path) -> Extraction {
    let extractor = ALL.iter().find(|extractor| extractor.name() == name).unwrap();
    let path = file.strip_prefix(root).unwrap().to_str().unwrap();
    let bytes = fs::read(file).unwrap();
    assert!(extractor.wants(&FileFacts { path, size: bytes.len() as u64, mode: 0o644 }), "{path}");
    extractor.extract(&OpenFile { path, bytes: &bytes })
}

fn joined<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(",")
}

#[test]
fn rubygems_names_the_same_gems() {
    let program = r#"Gem::Specification.each do |gem|
        needs = gem.runtime_dependencies.map(&:name).sort.uniq.join(",")
        puts [gem.loaded_from, gem.name, gem.version, gem.platform, gem.default_gem?,
            gem.licenses.sort.uniq.join(","), gem.authors.compact.join(", "), needs].join("\t")
    end"#;
    let Some(listing) = output(Command::new("ruby").args(["-rrubygems", "-e", program])) else { return };
    let mut count = 0;
    for line in listing.lines() {
        let (path, expected) = line.split_once('\t').unwrap();
        let found = extract("ruby", Path::new("/"), Path::new(path));
        assert_eq!(found.diagnostics, [], "{path}");
        let [gem] = found.packages.as_slice() else { panic!("{path}: {:?}", found.packages) };
        let property = |key: &str| gem.properties.get(key).map(String::as_str);
        let actual = [
            gem.name.as_str(),
            &gem.version,
            property("gem:platform").unwrap_or("ruby"),
            property("gem:default").unwrap_or("false"),
            &joined(gem.licenses.iter().map(String::as_str)),
            gem.vendor.as_deref().unwrap_or_default(),
            &joined(gem.requires.iter().map(|needed| needed.name.as_str())),
        ]
        .join("\t");
        assert_eq!(actual, expected, "{path}");
        count += 1;
    }
    println!("{count} gems agree");
}

#[test]
fn composer_shows_the_same_packages() {
    let directory = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "one/composer.json",
        r#"{"name": "example/one", "version": "1.2.3", "license": ["MIT", "GPL-2.0-only"], "require": {"example/two": "*"}}"#,
    );
    write("two/composer.json", r#"{"name": "example/two", "version": "v2.0.0-RC1", "license": "ISC"}"#);
    write("three/composer.json", r#"{"name": "example/three", "version": "3.0"}"#);
    write(
        "app/composer.json",
        r#"{"name": "example/app", "repositories": [{"packagist.org": false}, {"type": "path", "url": "../*", "options": {"symlink": false}}],
            "minimum-stability": "dev", "require": {"example/one": "*"}, "require-dev": {"example/three": "*"}}"#,
    );
    let app = directory.path().join("app");
    let composer = |arguments: &[&str]| {
        let mut command = Command::new("composer");
        command.args(arguments).args(["--no-interaction", "--no-plugins"]).current_dir(&app);
        command.env("COMPOSER_HOME", directory.path().join("home")).env("COMPOSER_ALLOW_SUPERUSER", "1");
        command.env("COMPOSER_DISABLE_NETWORK", "1");
        output(&mut command)
    };
    if composer(&["install", "--quiet"]).is_none() {
        return;
    }
    let Some(listing) = composer(&["show", "--format=json"]) else { return };
    let listing: serde_json::Value = serde_json::from_str(&listing).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let expected: BTreeSet<_> = listing["installed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (text(&entry["name"]), text(&entry["version"])))
        .collect();
    let found = extract("composer", directory.path(), &app.join("vendor/composer/installed.json"));
    let pair = |package: &FoundPackage| (package.name.clone(), package.version.clone());
    assert_eq!(found.packages.iter().map(pair).collect::<BTreeSet<_>>(), expected);
    assert_eq!(found.diagnostics, []);
    let development: Vec<_> = found.packages.iter().filter(|package| package.development).map(pair).collect();
    assert_eq!(development, [("example/three".to_owned(), "3.0".to_owned())]);
    let one = found.packages.iter().find(|package| package.name == "example/one").unwrap();
    assert_eq!(one.licenses, ["MIT", "GPL-2.0-only"]);
    assert_eq!(one.requires[0].name, "example/two");
}
