//! One image has one inventory and one runtime profile, byte for byte, whether it is read from a file or arrives once.
//!
//! What a source does not know is the only difference: an archive of Docker's has no manifest, so no digest of it and none of the
//! layers as stored. A tool that is absent is said, and fails the test where `CI` or `HULLMARK_REQUIRE_ORACLES` is set.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "tests fail by panicking and say what they skip"
)]

mod kit;

use std::fs::{self, File};
use std::path::Path;

use hullmark_image::{AcquireOptions, ArchiveKind, Image, Target, open, open_stream};
use hullmark_inventory::build_with_profile;
use hullmark_testkit::{Compression, ImageBuilder, TarBuilder, compress};
use hullmark_types::canonical_json;
use kit::{are_there, options, skopeo};

/// The name of the image in all engines.
const NAME: &str = "localhost/team/app:1.0";

fn package(name: &str, version: &str) -> String {
    format!("{{\"name\":\"{name}\",\"version\":\"{version}\"}}")
}

fn apk(packages: &[(&str, &str)]) -> String {
    packages.iter().map(|(name, version)| format!("P:{name}\nV:{version}\nA:x86_64\no:{name}\n\n")).collect()
}

/// Three layers, with all that layers can do to each other.
fn image() -> ImageBuilder {
    let script = "#!/bin/sh\n";
    let base = TarBuilder::new()
        .dir("etc/")
        .file("etc/os-release", "ID=alpine\nVERSION_ID=3.18.4\n")
        .dir("lib/")
        .dir("lib/apk/")
        .dir("lib/apk/db/")
        .file("lib/apk/db/installed", apk(&[("musl", "1.2.4-r0"), ("busybox", "1.36.1-r0")]))
        .dir("bin/")
        .executable("bin/tool", script)
        .member(b"bin/same-tool", b'1', b"", b"bin/tool", 0o755)
        .symlink("bin/sh", "tool")
        .file("app/node_modules/removed/package.json", package("removed", "1.0.0"))
        .file("app/node_modules/kept/package.json", package("kept", "1.0.0"))
        .file("opt/hidden/node_modules/hidden/package.json", package("hidden", "1.0.0"))
        .file("srv/directory/node_modules/gone/package.json", package("gone", "1.0.0"))
        .file("srv/file", "a file that becomes a directory");
    let middle = TarBuilder::new()
        .dir("app/")
        .dir("app/node_modules/")
        .whiteout("app/node_modules/removed")
        .dir("opt/")
        .dir("opt/hidden/")
        .opaque("opt/hidden")
        .file("opt/hidden/node_modules/new/package.json", package("new", "2.0.0"))
        .file("srv/directory", "a directory that became a file")
        .whiteout("bin/tool");
    let upper = TarBuilder::new()
        .dir("srv/")
        .whiteout("srv/file")
        .dir("srv/file/")
        .file("srv/file/node_modules/under/package.json", package("under", "3.0.0"))
        .file("lib/apk/db/installed", apk(&[("musl", "1.2.4-r0"), ("zlib", "1.2.13-r1")]))
        .executable("bin/own", "#!/bin/sh\necho own\n");
    ImageBuilder::new()
        .layer(base.finish(), "ADD rootfs")
        .empty_layer("ENV A=b")
        .layer(middle.finish(), "RUN change")
        .layer(upper.finish(), "COPY app")
        .settings(serde_json::json!({ "User": "1000", "Cmd": ["/bin/sh"], "Labels": { "a": "b" } }))
}

/// What is compared: the inventory but for the names by which the source knows the image, and the profile.
#[derive(Debug, Clone)]
struct Seen {
    inventory: String,
    profile: String,
}

/// How much of an image its source knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Knows {
    /// The manifest, with the digests of the layers as stored.
    Manifest,
    /// The configuration, with the digests of the uncompressed layers.
    Configuration,
}

fn see(mut image: Image, knows: Knows) -> Seen {
    let (mut inventory, mut profile) =
        build_with_profile(&mut image, &hullmark_image::NoProgress, None).unwrap();
    let notes = ["unverified-layers", "mounts-left-out"];
    inventory.diagnostics.retain(|diagnostic| !notes.contains(&diagnostic.code.as_str()));
    let subject = &mut inventory.subject;
    subject.name.clear();
    subject.references.clear();
    if knows == Knows::Configuration {
        (subject.manifest, subject.index) = (None, None);
        for layer in &mut inventory.layers {
            (layer.digest, layer.size) = (None, None);
        }
    }
    profile.subject = inventory.subject.clone();
    // A line for each value: what differs is seen.
    let lines = |bytes: Vec<u8>| {
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        serde_json::to_string_pretty(&value).unwrap()
    };
    Seen {
        inventory: lines(canonical_json(&inventory).unwrap()),
        profile: lines(canonical_json(&profile).unwrap()),
    }
}

fn same(seen: &Seen, expected: &Seen, what: &str) {
    for (seen, expected) in [(&seen.inventory, &expected.inventory), (&seen.profile, &expected.profile)] {
        let differs = seen.lines().zip(expected.lines()).position(|(one, other)| one != other);
        let from = differs.unwrap_or_default().saturating_sub(12);
        let part = |text: &str| text.lines().skip(from).take(24).collect::<Vec<_>>().join("\n");
        assert!(seen == expected, "{what}: {}\n--- expected\n{}", part(seen), part(expected));
    }
}

fn target(text: &str, options: &AcquireOptions) -> Image {
    open(&Target::parse(text).unwrap(), options).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn stream(bytes: Vec<u8>, kind: ArchiveKind) -> Image {
    open_stream(Box::new(std::io::Cursor::new(bytes)), "standard input", kind, None, &options())
}

/// What is expected of every source: that of the layout on disk.
fn expected(directory: &Path, image: &ImageBuilder) -> (Seen, Seen) {
    let layout = directory.join("layout");
    image.oci_layout(&layout);
    let text = format!("oci-layout:{}", layout.display());
    let seen = |knows| see(target(&text, &options()), knows);
    let whole = seen(Knows::Manifest);
    for name in ["musl", "zlib", "kept", "new", "under"] {
        assert!(whole.inventory.contains(&format!("\"name\": \"{name}\"")), "{name}: {}", whole.inventory);
    }
    for name in ["busybox", "removed", "hidden", "gone"] {
        assert!(!whole.inventory.contains(&format!("\"name\": \"{name}\"")), "{name}: {}", whole.inventory);
    }
    (whole, seen(Knows::Configuration))
}

#[test]
fn archives_on_disk_and_on_standard_input() {
    let directory = tempfile::tempdir().unwrap();
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let image = image().compression(compression);
        let place = directory.path().join(format!("{compression:?}"));
        let (whole, least) = expected(&place, &image);
        let archives =
            [(image.docker_archive(), Knows::Configuration), (image.oci_archive(), Knows::Manifest)];
        for (number, (archive, knows)) in archives.into_iter().enumerate() {
            for packed in [Compression::None, Compression::Gzip, Compression::Zstd] {
                let bytes = compress(&archive, packed);
                let file = place.join(format!("{number}-{packed:?}"));
                fs::write(&file, &bytes).unwrap();
                let wanted = if knows == Knows::Manifest { &whole } else { &least };
                let seen = see(target(&file.display().to_string(), &options()), knows);
                same(&seen, wanted, &format!("{compression:?} {packed:?}"));
                let seen = see(stream(bytes, ArchiveKind::Any), knows);
                same(&seen, wanted, &format!("stream {compression:?} {packed:?}"));
            }
        }
    }
}

#[test]
fn what_skopeo_writes() {
    if !are_there(&["skopeo"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let (whole, least) = expected(place, &image());
    let source = format!("oci:{}:1.0", place.join("layout").display());
    let at = |name: &str| place.join(name).display().to_string();

    skopeo(&["copy", &source, &format!("docker-archive:{}:{NAME}", at("docker.tar"))]);
    skopeo(&["copy", &source, &format!("oci-archive:{}:{NAME}", at("oci.tar"))]);
    skopeo(&["copy", &source, &format!("oci:{}:{NAME}", at("oci"))]);
    let docker = fs::read(at("docker.tar")).unwrap();
    let oci = fs::read(at("oci.tar")).unwrap();
    same(
        &see(target(&format!("docker-archive:{}", at("docker.tar")), &options()), Knows::Configuration),
        &least,
        "",
    );
    same(&see(target(&format!("oci-archive:{}", at("oci.tar")), &options()), Knows::Manifest), &whole, "");
    same(&see(target(&at("oci"), &options()), Knows::Manifest), &whole, "");
    for kind in [ArchiveKind::Any, ArchiveKind::Docker] {
        same(&see(stream(docker.clone(), kind), Knows::Configuration), &least, "");
    }
    for kind in [ArchiveKind::Any, ArchiveKind::Oci] {
        same(&see(stream(oci.clone(), kind), Knows::Manifest), &whole, "");
    }
}

fn refused(bytes: Vec<u8>, kind: ArchiveKind, expected: &str) {
    let error = match build_with_profile(&mut stream(bytes, kind), &hullmark_image::NoProgress, None) {
        Ok(_) => panic!("it can be read, and should not: {expected}"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains(expected), "{error}");
}

#[test]
fn what_arrives_is_verified_although_its_digest_comes_later() {
    let docker = image().docker_archive();
    // The content of a file in a layer, and nothing that the tar itself would notice.
    let at = docker.windows(8).position(|bytes| bytes == b"echo own").unwrap();
    let mut changed = docker.clone();
    changed[at] ^= 1;
    refused(changed, ArchiveKind::Any, "is damaged or was changed");
    refused(docker[..docker.len() / 2].to_vec(), ArchiveKind::Docker, "");
    refused(docker[..at].to_vec(), ArchiveKind::Any, "it ends early, within a member");
    let oci = image().compression(Compression::Gzip).oci_archive();
    refused(oci[..oci.len() / 3].to_vec(), ArchiveKind::Oci, "standard input");
    refused(Vec::new(), ArchiveKind::RootFilesystem, "nothing came; expected a tar");
    refused(b"{}".to_vec(), ArchiveKind::Any, "standard input");
    refused(docker, ArchiveKind::Oci, "has no `index.json`");
    let both = TarBuilder::new().file("etc/hosts", "").file("manifest.json", "[]").finish();
    refused(both.clone(), ArchiveKind::Any, "hint: say what it is");
    build_with_profile(&mut stream(both, ArchiveKind::RootFilesystem), &hullmark_image::NoProgress, None)
        .unwrap();
}

/// Members stand in any order, also the documents first.
#[test]
fn the_order_of_members_does_not_matter() {
    let directory = tempfile::tempdir().unwrap();
    let image = image();
    let (whole, _) = expected(directory.path(), &image);
    let mut files = image.oci_files();
    for _ in 0..files.len() {
        files.rotate_left(1);
        let archive =
            files.iter().fold(TarBuilder::new(), |tar, (name, content)| tar.file(name, content)).finish();
        same(&see(stream(archive, ArchiveKind::Oci), Knows::Manifest), &whole, "rotated");
    }
}

/// Real archives, through a pipe that gives a few bytes at a time.
#[test]
fn real_images_through_a_pipe() {
    let Some(shared) = hullmark_testkit::shared_dir() else { return };
    for name in ["alpine-310.docker-archive.tar.gz", "alpine-minirootfs-3.18.9-x86_64.tar.gz"] {
        let path = shared.join("images").join(name);
        let from_file = see(target(&path.display().to_string(), &options()), Knows::Manifest);
        let (reader, mut writer) = std::io::pipe().unwrap();
        let copy = path.clone();
        let writing = std::thread::spawn(move || std::io::copy(&mut File::open(copy).unwrap(), &mut writer));
        let image = open_stream(Box::new(reader), "standard input", ArchiveKind::Any, None, &options());
        same(&see(image, Knows::Manifest), &from_file, name);
        writing.join().unwrap().unwrap();
    }
}
