//! No bytes make an extractor panic, loop or grow without bound.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use hullmark_inventory::extractors::ALL;
use hullmark_inventory::{FileFacts, HEAD_LENGTH, MAX_DIAGNOSTICS, MAX_PACKAGES, OpenFile};
use proptest::prelude::*;

/// Paths that reach each branch of each extractor.
const PATHS: &[&str] = &[
    "srv/x/model.safetensors",
    "srv/x.gguf",
    "hub/models--x--y/refs/main",
    "app/x.jar",
    "Cargo.lock",
    "go.mod",
    "requirements.txt",
    "poetry.lock",
    "Pipfile.lock",
    "package-lock.json",
    "app/x.deps.json",
    "opt/java/release",
    "app/x.node",
    "usr/local/bin/python3.11",
    "usr/local/go/VERSION",
    "lib/apk/db/installed",
    "var/lib/dpkg/status",
    "var/lib/dpkg/status.d/x.md5sums",
    "var/lib/dpkg/info/x:amd64.list",
    "usr/lib/opkg/status",
    "var/lib/chisel/manifest.wall",
    "var/lib/pacman/local/x-1-1/desc",
    "var/lib/pacman/local/x-1-1/files",
    "var/db/pkg/x/y-1/PF",
    "var/db/pkg/x/y-1/CONTENTS",
    "var/db/pkg/x/y-1/LICENSE",
    "opt/homebrew/Cellar/x/1/INSTALL_RECEIPT.json",
    "opt/homebrew/Cellar/x/1/.brew/x.rb",
    "snap/x/1/meta/snap.yaml",
    "usr/share/sbom/x.json",
    "var/lib/flatpak/app/x/y/z/c/metadata",
    "var/lib/flatpak/app/x/y/z/c/files/share/metainfo/x.metainfo.xml",
    "var/lib/opkg/info/x.list",
    "usr/share/doc/x/copyright",
    "etc/os-release",
    "etc/redhat-release",
    "var/lib/rpm/rpmdb.sqlite",
    "var/lib/rpm/rpmdb.sqlite-wal",
    "var/lib/rpmmanifest/container-manifest-2",
    "etc/apk/repositories",
    "etc/debian_version",
    "usr/lib/python3/x-1.dist-info/METADATA",
    "x.egg-info",
    "x-1-py3.egg",
    "x-1.dist-info/direct_url.json",
    "opt/conda/conda-meta/x-1-0.json",
    "opt/yarn-v1.22.22/package.json",
    "app/.yarn/cache/x-npm-1.0.0-0123456789-10c0.zip",
    "node_modules/x/package.json",
    "usr/lib/ruby/gems/3/specifications/default/x-1.gemspec",
    "b/bundler/gems/x-0/x.gemspec",
    "app/vendor/composer/installed.json",
    "usr/lib/R/library/x/DESCRIPTION",
    "usr/lib/perl5/x/.meta/x-1/MYMETA.json",
    "usr/lib/perl5/x/.meta/x-1/install.json",
    "usr/lib/perl5/x/perllocal.pod",
    "usr/lib/perl5/x/auto/x/y/.packlist",
    "usr/lib/erlang/lib/x-1/ebin/x.app",
    "usr/lib/erlang/releases/RELEASES",
    "app/deps/x/hex_metadata.config",
    "app/plugins/x-1.ez",
    "app/releases/1/x.rel",
    "usr/lib/luarocks/rocks-5.4/x/1-1/x-1-1.rockspec",
    "usr/share/php/.registry/x.reg",
    "srv/wp-includes/version.php",
    "srv/wp-content/plugins/x/x.php",
    "srv/wp-content/themes/x/style.css",
    "usr/lib/ghc/package.conf.d/x-1.conf",
    "root/.opam/5/.opam-switch/packages/x.1/opam",
    "root/.julia/packages/x/abcde/Project.toml",
    "composer.lock",
    "mix.lock",
    "rebar.lock",
    "conan.lock",
    "renv.lock",
    ".github/workflows/x.yml",
    "Gemfile.lock",
    "Podfile.lock",
    "Package.resolved",
    "pubspec.lock",
    ".terraform.lock.hcl",
    "gradle.lockfile",
    "packages.config",
    "pom.xml",
    "x.csproj",
    "Directory.Packages.props",
    "packages.lock.json",
    "obj/project.assets.json",
    "usr/bin/x",
    "",
];

/// A limit may add its own diagnostic.
const SLACK: usize = 3;

fn check(path: &str, bytes: &[u8]) {
    for extractor in ALL {
        let found = extractor.extract(&OpenFile { path, bytes });
        let facts = FileFacts { path, size: bytes.len() as u64, mode: 0o755 };
        if let Some(mut passing) = extractor.passing(&facts, bytes.get(..HEAD_LENGTH).unwrap_or(bytes)) {
            bytes.chunks(100).for_each(|piece| passing.bytes(piece));
            assert_eq!(passing.finish(path), found);
        }
        assert!(found.diagnostics.len() <= MAX_DIAGNOSTICS + SLACK);
        assert!(found.packages.len() <= MAX_PACKAGES);
        assert!(found.packages.iter().all(|package| !package.name.is_empty()));
    }
}

static FIXTURES: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(fixture_files);

fn fixture_files() -> Vec<(String, Vec<u8>)> {
    let mut pending = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/extractors")];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { pending.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
        .into_iter()
        .filter_map(|path| {
            let text = path.to_str().unwrap();
            let (_, inside) = text.split_once("/fixtures/")?;
            let (_, inside) = inside.split_once('/')?;
            Some((inside.to_owned(), fs::read(&path).unwrap()))
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2048), path in 0..PATHS.len()) {
        check(PATHS[path], &bytes);
    }

    #[test]
    fn arbitrary_lines_are_survived(text in "([A-Za-z:= \t(){}\"'@/.-]{0,12}\n?){0,60}", path in 0..PATHS.len()) {
        check(PATHS[path], text.as_bytes());
    }

    #[test]
    fn damaged_fixtures_are_survived(
        which in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
        truncate in any::<bool>(),
    ) {
        let files = &*FIXTURES;
        let (path, mut bytes) = files[which.index(files.len())].clone();
        for (position, value) in changes {
            if !bytes.is_empty() {
                let position = position.index(bytes.len());
                bytes[position] = value;
            }
        }
        if truncate && !bytes.is_empty() {
            bytes.truncate(cut.index(bytes.len()));
        }
        check(&path, &bytes);
    }
}

#[test]
fn a_database_of_short_stanzas_is_cut_at_the_limit() {
    let stanza = b"P:a\nV:1\n\n";
    let database = stanza.repeat(MAX_PACKAGES + 10);
    let found = hullmark_inventory::extractors::apk::parse(&OpenFile {
        path: "lib/apk/db/installed",
        bytes: &database,
    });
    assert_eq!(found.packages.len(), MAX_PACKAGES);
    assert_eq!(found.diagnostics.iter().filter(|found| found.code == "limit-packages").count(), 1);
}

#[test]
fn short_names_in_a_long_directory_do_not_multiply() {
    let mut database = b"P:a\nV:1\nF:".to_vec();
    database.extend(std::iter::repeat_n(b'd', 1024 * 1024));
    database.push(b'\n');
    database.extend(b"R:a\n".repeat(10_000));
    let found = hullmark_inventory::extractors::apk::parse(&OpenFile {
        path: "lib/apk/db/installed",
        bytes: &database,
    });
    let taken: usize = found.owned.iter().flat_map(|owned| &owned.files).map(String::len).sum();
    assert!(taken <= hullmark_inventory::MAX_OWNED_BYTES, "{taken}");
    assert_eq!(found.diagnostics.iter().filter(|found| found.code == "limit-owned-files").count(), 1);
}

#[test]
fn a_flood_of_malformed_lines_gives_few_diagnostics() {
    check("var/lib/dpkg/status", &b"x\n".repeat(100_000));
    check("etc/os-release", &b"x\n".repeat(100_000));
}
