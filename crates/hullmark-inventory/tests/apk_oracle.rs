//! The database of apk, the same as apk itself reads it: on a root file system of Alpine, by the apk that is in it, where they
//! are at hand.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use hullmark_inventory::OpenFile;
use hullmark_inventory::extractors::apk::parse;

/// What apk prints about the root file system that it is in. Its loader runs it, so that the root need not be entered.
fn apk(root: &Path, arguments: &[&str]) -> String {
    let path = |inside: &str| root.join(inside).to_str().unwrap().to_owned();
    let output = Command::new(root.join("lib/ld-musl-x86_64.so.1"))
        .args(["--library-path", &format!("{}:{}", path("lib"), path("usr/lib")), &path("sbin/apk")])
        .args(["--root", &path(""), "--no-network", "--repositories-file", "/dev/null"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn apk_names_the_same_packages_files_and_dependencies() {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/images/alpine-minirootfs-3.18.9-x86_64.tar.gz");
    if !archive.exists() {
        return println!("skipped: ../shared is absent");
    }
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let status = Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(root).status();
    if !status.is_ok_and(|status| status.success()) {
        return println!("skipped: `tar` is not there or does not work");
    }
    let bytes = fs::read(root.join("lib/apk/db/installed")).unwrap();
    let found = parse(&OpenFile { path: "lib/apk/db/installed", bytes: &bytes });
    assert_eq!(found.diagnostics, []);

    let listed: BTreeSet<String> = apk(root, &["list", "--installed"]).lines().map(str::to_owned).collect();
    let ours: BTreeSet<String> = found
        .packages
        .iter()
        .map(|package| {
            format!(
                "{}-{} {} {{{}}} ({}) [installed]",
                package.name,
                package.version,
                package.architecture.as_deref().unwrap(),
                package.source.as_ref().unwrap().name,
                package.licenses.join(" ")
            )
        })
        .collect();
    assert_eq!(ours, listed);

    for package in &found.packages {
        let lines = |option: &str| -> BTreeSet<String> {
            let text = apk(root, &["info", option, &package.name]);
            text.lines().skip(1).filter(|line| !line.is_empty()).map(str::to_owned).collect()
        };
        let owned = found.owned.iter().find(|owned| owned.package == package.name);
        let owned: BTreeSet<String> = owned.into_iter().flat_map(|owned| &owned.files).cloned().collect();
        assert_eq!(owned, lines("--contents"), "files of {}", package.name);
        let needing = found
            .packages
            .iter()
            .filter(|other| other.requires.iter().any(|requirement| requirement.name == package.name));
        let needing: BTreeSet<String> =
            needing.map(|other| format!("{}-{}", other.name, other.version)).collect();
        assert_eq!(needing, lines("--rdepends"), "what needs {}", package.name);
    }
}
