//! The runtime profile: which programs an image holds after its last layer, by the digest of their content.

mod common;

use common::{Layer, layer_infos, profile, subject};
use hullmark_image::{Entry, EntryKind, LayerVisitor};
use hullmark_inventory::{LayerCollector, merge};
use hullmark_types::{Diagnostic, Digest, ImageConfig};

/// `path kind mode SIZE` for each program; the digest is compared with that of `content`.
fn check(layers: &[Layer], expected: &[(&str, &str, &[u8])]) {
    let profile = profile(layers);
    assert!(profile.complete);
    let found: Vec<_> = profile
        .files
        .iter()
        .map(|file| {
            (file.path.clone(), format!("{:?} {:o}", file.kind, file.mode), file.digest.clone(), file.size)
        })
        .collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(path, what, content)| {
            ((*path).to_owned(), (*what).to_owned(), Digest::sha256(content), content.len() as u64)
        })
        .collect();
    assert_eq!(found, expected);
}

const ELF: &[u8] = b"\x7fELF and some more bytes";

#[test]
fn executables_shared_objects_and_scripts_are_programs_and_other_files_are_not() {
    let long = [ELF, vec![7; 300_000].as_slice()].concat();
    let layer = Layer::new()
        .program("bin/busybox", &long)
        .file_with_mode("lib/libc.so", 0o644, ELF)
        .file_with_mode("opt/run.sh", 0o644, b"#!/bin/sh\necho\n")
        .program("opt/plain", b"no magic")
        .file_with_mode("bin/su", 0o104_755, ELF)
        .file("etc/passwd", "root")
        .program("empty", b"");
    check(
        &[layer],
        &[
            ("bin/busybox", "Elf 755", &long),
            ("bin/su", "Elf 4755", ELF),
            ("empty", "Other 755", b""),
            ("lib/libc.so", "Elf 644", ELF),
            ("opt/plain", "Other 755", b"no magic"),
            ("opt/run.sh", "Script 644", b"#!/bin/sh\necho\n"),
        ],
    );
}

#[test]
fn what_a_layer_removes_or_replaces_is_no_program_of_the_image() {
    let base = Layer::new()
        .program("bin/gone", b"#!1")
        .program("bin/changed", b"#!old")
        .program("opaque/inside", b"#!2")
        .program("now-a-link", b"#!3")
        .link("lib", "usr/lib");
    let top = Layer::new()
        .whiteout("bin/gone")
        .program("bin/changed", b"#!new")
        .opaque("opaque")
        .link("now-a-link", "bin/changed")
        .file_with_mode("lib/a.so", 0o644, ELF);
    check(&[base, top], &[("bin/changed", "Script 755", b"#!new"), ("usr/lib/a.so", "Elf 644", ELF)]);
}

#[test]
fn hard_links_are_programs_too_also_of_lower_layers_and_of_files_that_extractors_want() {
    let base = Layer::new()
        .program("bin/busybox", ELF)
        .hard_link("bin/sh", "bin/busybox")
        .file_with_mode("a/tool", 0o755, ELF);
    let top = Layer::new()
        .hard_link("bin/ash", "bin/busybox")
        .whiteout("bin/busybox")
        .hard_link("node_modules/x/package.json", "a/tool");
    check(
        &[base, top],
        &[
            ("a/tool", "Elf 755", ELF),
            ("bin/ash", "Elf 755", ELF),
            ("bin/sh", "Elf 755", ELF),
            ("node_modules/x/package.json", "Elf 755", ELF),
        ],
    );
}

/// Gives some bytes, then fails.
struct Broken(usize);

impl std::io::Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.0 == 0 {
            return Err(std::io::Error::other("broken"));
        }
        let length = buffer.len().min(self.0);
        buffer[..length].fill(b'#');
        self.0 -= length;
        Ok(length)
    }
}

#[test]
fn a_profile_of_an_image_that_was_not_read_whole_says_so() {
    let mut layer = LayerCollector::default();
    let entry = Entry { path: "bin/x".to_owned(), kind: EntryKind::File, mode: 0o755, size: 5000 };
    layer.entry(&entry, &mut std::io::BufReader::new(Broken(4000))).unwrap_err();
    let gap = Diagnostic::gap("unreadable-file", "bin/x", "broken");
    let config = ImageConfig {
        user: "app".to_owned(),
        exposed_ports: vec!["80/tcp".to_owned()],
        ..ImageConfig::default()
    };
    let contents = [layer.finish(vec![gap])];
    let (_, profile) = merge(subject(), Some(config), layer_infos(1), &contents, Vec::new());
    assert!(!profile.complete && profile.files.is_empty());
    assert_eq!(
        (profile.user.as_str(), profile.exposed_ports.as_slice()),
        ("app", ["80/tcp".to_owned()].as_slice())
    );
}
