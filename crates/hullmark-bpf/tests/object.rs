//! The object that is checked in is the one that its source gives.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;
use std::process::Command;

use hullmark_types::Digest;

fn directory() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/bpf"))
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(directory().join(name)).unwrap()
}

fn version_of(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.split("version ").nth(1)?.split('.').next()?.to_owned())
}

#[test]
fn the_object_has_the_digest_that_is_checked_in() {
    let listed = String::from_utf8(file("runtime.bpf.x86_64.o.sha256")).unwrap();
    let digest = Digest::sha256(&file("runtime.bpf.x86_64.o"));
    assert_eq!(listed.split_whitespace().next(), Some(digest.hex()));
}

#[test]
fn the_source_compiles_to_the_object() {
    let wanted = String::from_utf8(file("clang-version")).unwrap().trim().to_owned();
    for program in ["clang", "llvm-strip"] {
        let found = version_of(program);
        if found.as_ref() != Some(&wanted) {
            eprintln!("skipped: `{program}` {wanted} is needed to compare, found {found:?}");
            return;
        }
    }
    let place = tempfile::tempdir().unwrap();
    let output = place.path().join("runtime.bpf.o");
    let status = Command::new(directory().join("build.sh")).arg(&output).status().unwrap();
    assert!(status.success());
    assert!(
        std::fs::read(&output).unwrap() == file("runtime.bpf.x86_64.o"),
        "the object is not what its source gives: run crates/hullmark-bpf/bpf/build.sh and check in what it makes"
    );
}
