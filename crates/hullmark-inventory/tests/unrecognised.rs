//! Programs of which nothing is known are said, and those of packages are not.

mod common;

use common::{Layer, inventory};

const ELF: &[u8] = b"\x7fELF and nothing that is known";

/// `path@layer: message` of each program that is not recognised.
fn unrecognised(layers: &[Layer]) -> Vec<String> {
    let inventory = inventory(layers);
    let said = inventory.diagnostics.iter().filter(|one| one.code == "unrecognised-program");
    said.map(|one| format!("{}@{}: {}", one.path, one.layer.map_or(-1, i64::from), one.message)).collect()
}

#[test]
fn programs_of_no_package_are_said_by_directory_and_layer() {
    let base = Layer::new()
        .program("usr/local/bin/one", ELF)
        .program("usr/local/bin/script", b"#!/bin/sh\n")
        .program("usr/local/lib/libx.so.1", ELF)
        .file_with_mode("usr/local/lib/data", 0o644, ELF);
    let mut top = Layer::new().program("app/start", ELF).program("start", ELF);
    for name in ["a", "b", "c", "d", "e", "f"] {
        top = top.program(&format!("usr/local/bin/{name}"), ELF);
    }
    assert_eq!(
        unrecognised(&[base, top]),
        [
            "app/start@1: no package has this program and nothing is recognised in it, so it is not assessed",
            "start@1: no package has this program and nothing is recognised in it, so it is not assessed",
            "usr/local/bin@1: no package has the programs `a`, `b`, `c`, `d` and 2 more and nothing is recognised in them, so they are not assessed",
            "usr/local/bin/one@0: no package has this program and nothing is recognised in it, so it is not assessed",
        ]
    );
}

#[test]
fn programs_that_packages_have_or_that_are_recognised_are_not_said() {
    let layer = Layer::new()
        .link("bin", "usr/bin")
        .file(
            "var/lib/dpkg/status",
            "Package: hello\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n\n",
        )
        .file("var/lib/dpkg/info/hello.list", "/bin/hello\n")
        .program("usr/bin/hello", ELF)
        .program("usr/bin/bash", b"\x7fELF @(#)Bash version 5.2.15(1) release GNU\0")
        .program("usr/lib/python3/site-packages/x/tool", ELF)
        .program("srv/node_modules/esbuild/bin/esbuild", ELF)
        .file("opt/java/release", "JAVA_VERSION=\"17.0.9\"\n")
        .program("opt/java/bin/keytool", ELF);
    assert_eq!(unrecognised(&[layer]), [""; 0]);
}

#[test]
fn many_directories_do_not_flood() {
    let mut layer = Layer::new();
    for directory in 0..150 {
        layer = layer.program(&format!("d/{directory}/x"), ELF).program(&format!("d/{directory}/y"), ELF);
    }
    let said = unrecognised(&[layer]);
    assert_eq!(said.len(), 101);
    assert_eq!(said[0], "@-1: 100 more programs in other directories are in no package and not recognised");
}
