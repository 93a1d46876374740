//! One image, wherever it is kept, has one inventory and one runtime profile, byte for byte: the real Docker, Podman,
//! containerd and Skopeo hold it.
//!
//! What a source does not know is the only difference: an archive of Docker's has no manifest, so no digest of it and none of the
//! layers as stored. A tool that is absent is said, and fails the test where `CI` or `HULLMARK_REQUIRE_ORACLES` is set.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail by panicking, and say what they skip"
)]

mod kit;

use std::fs::{self, File};
use std::path::Path;

use hullmark_image::{AcquireOptions, ArchiveKind, Image, Target, open, open_stream};
use hullmark_inventory::build_with_profile;
use hullmark_testkit::{Compression, ImageBuilder, TarBuilder, compress};
use hullmark_types::{Digest, Inventory, canonical_json};
use kit::{Containerd, Dockerd, Podman, Runc, are_there, options, skopeo};

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
fn skopeo_writes_archives_layouts_and_storage() {
    if !are_there(&["skopeo"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let (whole, least) = expected(place, &image());
    let source = format!("oci:{}:1.0", place.join("layout").display());
    let at = |name: &str| place.join(name).display().to_string();
    let storage = |driver: &str| format!("[{driver}@{}+{}]{NAME}", at(driver), at(&format!("{driver}-run")));

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
    let stored = format!("containers-storage:{}", storage("overlay"));
    skopeo(&["copy", &source, &stored]);
    let seen = see(target(&stored, &options()), Knows::Manifest);
    kit::unmount(&place.join("overlay").join("overlay"));
    same(&seen, &whole, "overlay");
    let stored = format!("containers-storage:{}", storage("vfs"));
    skopeo(&["copy", &source, &stored]);
    fails(&stored, &options(), "a store of the driver `vfs` (and not `overlay`), which is not supported");
    fails(
        &stored.replace("vfs@", ""),
        &options(),
        "a store of the driver `vfs` (and not `overlay`), which is not supported",
    );
}

#[test]
fn podman_holds_it_in_its_storage_and_gives_it_over_its_socket() {
    if !are_there(&["podman", "skopeo", "runc"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let (whole, least) = expected(place, &image());
    let podman = Podman::new(&place.join("podman"));
    podman.load(&place.join("layout"), NAME);
    let mut options = options();
    options.engines.containers_storage = podman.storage();
    options.engines.podman_socket = podman.socket();
    for name in [NAME, "team/app:1.0", &podman.image_id(NAME)] {
        let seen = see(target(&format!("containers-storage:{name}"), &options), Knows::Manifest);
        same(&seen, &whole, name);
    }
    same(&see(target(&format!("podman:{NAME}"), &options), Knows::Configuration), &least, "");
    fails("podman:localhost/absent:1", &options, "has no `podman:localhost/absent:1`");
    fails("containers-storage:localhost/absent:1", &options, "has no `image localhost/absent:1`");
}

#[test]
fn dockerd_gives_it_over_its_socket() {
    if !are_there(&["dockerd", "skopeo"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let (_, least) = expected(place, &image());
    let dockerd = Dockerd::start(&place.join("docker"));
    dockerd.load(&place.join("layout"), "team/app:1.0");
    let mut options = options();
    options.engines.docker_socket = dockerd.socket();
    let image = target("docker-daemon:team/app:1.0", &options);
    let mut named = target("docker-daemon:team/app:1.0", &options);
    let (inventory, _) = build_with_profile(&mut named, &hullmark_image::NoProgress, None).unwrap();
    assert_eq!(inventory.subject.name, "team/app:1.0");
    assert_eq!(inventory.subject.references, ["team/app:1.0"]);
    same(&see(image, Knows::Configuration), &least, "");
    fails("docker-daemon:absent:1", &options, "has no `docker-daemon:absent:1`");
    options.engines.docker_socket = place.join("no.sock");
    fails("docker-daemon:absent:1", &options, "no answer from the engine at");
}

#[test]
fn containerd_gives_it_from_its_content_store() {
    if !are_there(&["containerd", "ctr"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    // More than one message, and more than one window of HTTP/2.
    let noise: Vec<u8> =
        (0..9_000_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let image = image().layer(TarBuilder::new().file("noise", noise).finish(), "COPY noise");
    let (whole, _) = expected(place, &image);
    fs::write(place.join("oci.tar"), image.oci_archive()).unwrap();
    let containerd = Containerd::start(&place.join("containerd"));
    let name = containerd.import("k8s.io", &place.join("oci.tar"));
    let mut options = options();
    options.engines.containerd_socket = containerd.socket();
    fails(&format!("containerd:{name}"), &options, "in the namespace default` has no `image ");
    options.engines.containerd_namespace = "k8s.io".to_owned();
    same(&see(target(&format!("containerd:{name}"), &options), Knows::Manifest), &whole, "");
    let layer = Digest::sha256(image.blobs().first().unwrap());
    containerd.remove_blob("k8s.io", &layer);
    fails(&format!("containerd:{name}"), &options, &format!("has no `blob {layer}`"));
}

#[test]
fn the_root_of_a_running_container() {
    if !are_there(&["runc", "busybox"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut runc = Runc::new(&directory.path().join("runc"));
    let root = runc.root();
    for (name, content) in [
        ("etc/os-release", "ID=alpine\nVERSION_ID=3.18.4\n".to_owned()),
        ("lib/apk/db/installed", apk(&[("musl", "1.2.4-r0")])),
        ("app/node_modules/kept/package.json", package("kept", "1.0.0")),
        ("volume/node_modules/mounted/package.json", package("under-the-mount", "1.0.0")),
    ] {
        fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        fs::write(root.join(name), content).unwrap();
    }
    // Neither leads to anything outside.
    std::os::unix::fs::symlink("/etc", root.join("escape")).unwrap();
    std::os::unix::fs::symlink("../../../../../../etc/os-release", root.join("app/os-release")).unwrap();
    let id = "5eed".repeat(16);
    let pid = runc.run(&id);
    let inventory = |text: &str| -> Inventory {
        build_with_profile(&mut target(text, &options()), &hullmark_image::NoProgress, None).unwrap().0
    };
    let by_pid = inventory(&format!("pid:{pid}"));
    let names: Vec<_> = by_pid.packages.iter().map(|package| package.name.as_str()).collect();
    // busybox is what keeps the container running.
    assert_eq!(names, ["musl", "busybox", "kept"], "the volume and /proc are not read");
    let note = by_pid.diagnostics.iter().find(|found| found.code == "mounts-left-out").unwrap();
    assert!(note.message.contains("/proc") && note.message.contains("/volume"), "{note:?}");
    for text in [format!("container:{id}"), format!("container:{}", &id[..12])] {
        let found = inventory(&text);
        assert_eq!(found.subject.name, format!("container:{id}"));
        assert_eq!(found.packages, by_pid.packages);
    }
    drop(runc);
    fails(
        &format!("pid:{pid}"),
        &options(),
        &format!("the root file system of the process {pid} cannot be read"),
    );
    fails(&format!("container:{id}"), &options(), "has no `running container ");
}

#[test]
fn what_a_container_does_meanwhile_leads_nowhere_else() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    let outside = directory.path().join("outside");
    fs::create_dir_all(root.join("node_modules")).unwrap();
    fs::create_dir_all(outside.join("secret")).unwrap();
    fs::write(outside.join("secret/package.json"), package("secret", "1.0.0")).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (link, real) = (root.join("node_modules/x"), root.join("node_modules/y"));
            fs::create_dir(&real).unwrap();
            std::os::unix::fs::symlink(outside.join("secret"), &link).unwrap();
            let between = root.join("between");
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                fs::rename(&link, &between).unwrap();
                fs::rename(&real, &link).unwrap();
                fs::rename(&between, &real).unwrap();
                fs::rename(&link, &between).unwrap();
                fs::rename(&real, &link).unwrap();
                fs::rename(&between, &real).unwrap();
            }
        });
        let text = format!("rootfs:{}", root.display());
        let seen: Vec<_> = (0..300).map(|_| see(target(&text, &options()), Knows::Manifest)).collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(seen.iter().all(|seen| !seen.inventory.contains("secret")));
    });
}

fn fails(text: &str, options: &AcquireOptions, expected: &str) {
    let result = open(&Target::parse(text).unwrap(), options)
        .and_then(|mut image| build_with_profile(&mut image, &hullmark_image::NoProgress, None));
    let error = match result {
        Ok(_) => panic!("{text} can be read"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains(expected), "{error}");
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
