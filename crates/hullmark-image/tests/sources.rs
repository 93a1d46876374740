//! Where images come from: archives, layouts, root file systems, registries; what is damaged is said.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::fs;
use std::path::Path;

use hullmark_image::{AcquireOptions, Limits, Target, open};
use hullmark_testkit::{Answer, Compression, ImageBuilder, Server, TarBuilder, compress, shared_dir};
use hullmark_types::Digest;

mod common;
use common::*;

#[test]
fn archives_and_layouts_give_the_same_image() {
    let directory = tempfile::tempdir().unwrap();
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let builder = builder().compression(compression);
        let docker = builder.docker_archive();
        let docker_file = put(directory.path(), "docker.tar", &docker);
        let packed = put(directory.path(), "docker.tar.gz", &compress(&docker, Compression::Gzip));
        let oci = put(directory.path(), "oci.tar", &builder.oci_archive());
        let oci_packed =
            put(directory.path(), "oci.tar.zst", &compress(&builder.oci_archive(), Compression::Zstd));
        for target in [&docker_file, &packed, &oci, &oci_packed] {
            check(target, &options());
        }
        check(&format!("docker-archive:{docker_file}"), &options());
        check(&format!("docker-archive:{docker_file}:registry.example/team/app:1.0"), &options());
        check(&format!("oci-archive:{oci}"), &options());
        let layout = directory.path().join(format!("layout-{compression:?}"));
        builder.oci_layout(&layout);
        let image = check(layout.to_str().unwrap(), &options());
        assert_eq!(image.subject().manifest, Some(Digest::sha256(&builder.manifest())));
    }
}

#[test]
fn skopeo_reads_what_the_testkit_writes_and_we_read_what_skopeo_writes() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("layout");
    builder().oci_layout(&layout);
    for (scheme, name) in
        [("docker-archive", ":registry.example/team/app:1.0"), ("oci-archive", ":1.0"), ("oci", ":1.0")]
    {
        let copy = directory.path().join(scheme);
        let output = std::process::Command::new("skopeo")
            .args(["--insecure-policy", "copy", &format!("oci:{}:1.0", layout.display())])
            .arg(format!("{scheme}:{}{name}", copy.display()))
            .output();
        match output {
            Err(error) => return eprintln!("skipped: skopeo cannot be run: {error}"),
            Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        }
        check(copy.to_str().unwrap(), &options());
        check(&format!("{scheme}:{}{name}", copy.display()), &options());
    }
}

#[test]
fn a_damaged_archive_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let whole = builder().docker_archive();
    let cut = put(directory.path(), "cut.tar", &whole[..700]);
    fails(&format!("docker-archive:{cut}"), &options(), "ends early");
    let text = put(directory.path(), "text.tar", b"hello, this is no tar");
    fails(&text, &options(), "neither a tar");
    // The content of the base layer's file.
    let position = whole.windows(4).position(|window| window == b"base").unwrap() + 512;
    let mut flipped = whole.clone();
    flipped[position] ^= 1;
    fails(&put(directory.path(), "flipped.tar", &flipped), &options(), "is damaged or was changed");
    let mut config = whole;
    let position = config.windows(6).position(|window| window == b"\"1000\"").unwrap() + 1;
    config[position] ^= 1;
    fails(&put(directory.path(), "config.tar", &config), &options(), "is damaged or was changed");
}

#[test]
fn a_compressed_archive_that_breaks_off_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let noise: Vec<u8> = (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let image = builder().layer(TarBuilder::new().file("noise", noise).finish(), "c");
    for compression in [Compression::Gzip, Compression::Zstd] {
        let whole = compress(&image.docker_archive(), compression);
        let cut = put(directory.path(), "cut", &whole[..whole.len() / 2]);
        fails(&cut, &options(), "the tar cannot be read at byte");
    }
}

#[test]
fn a_layer_with_an_unknown_compression_is_a_gap_once_its_bytes_are_verified() {
    let bytes = b"\xfd7zXZ\0\0and so on".to_vec();
    let image = builder().layer(bytes, "c").compression(Compression::None);
    let directory = tempfile::tempdir().unwrap();
    image.oci_layout(directory.path());
    let docker = put(directory.path(), "docker.tar", &image.docker_archive());
    for target in [directory.path().to_str().unwrap(), &docker] {
        let (_, files) = read(&Target::parse(target).unwrap(), &options()).unwrap();
        assert_eq!(files.codes, ["unknown-compression"], "{target}");
        assert_eq!(files.layers[&1], ["app=2"], "{target}");
    }
}

#[test]
fn a_malformed_tar_with_the_right_digest_is_a_gap() {
    let mut tar = TarBuilder::new().file("a", "1").file("b", "2").finish();
    tar[1024] ^= 1;
    let image = builder().layer(tar, "c");
    let directory = tempfile::tempdir().unwrap();
    image.oci_layout(directory.path());
    let docker = put(directory.path(), "docker.tar", &image.docker_archive());
    for target in [directory.path().to_str().unwrap(), &docker] {
        let (_, files) = read(&Target::parse(target).unwrap(), &options()).unwrap();
        assert_eq!(files.codes, ["malformed-layer"], "{target}");
        assert_eq!(files.layers[&2], ["a=1"], "{target}");
    }
}

#[test]
fn the_same_layer_twice_is_read_twice() {
    let directory = tempfile::tempdir().unwrap();
    for size in [1, 2 << 20] {
        let tar = TarBuilder::new().file("a", vec![b'x'; size]).finish();
        let image = ImageBuilder::new()
            .layer(tar.clone(), "a")
            .layer(TarBuilder::new().file("b", "2").finish(), "b")
            .layer(tar, "a again");
        for archive in [image.docker_archive(), image.oci_archive()] {
            for compression in [Compression::None, Compression::Gzip] {
                let file = put(directory.path(), "image", &compress(&archive, compression));
                let (_, files) = read(&Target::parse(&file).unwrap(), &options()).unwrap();
                assert_eq!(files.layers[&0], files.layers[&2]);
                assert_eq!(files.layers[&1], ["b=2"]);
            }
        }
    }
}

/// Rewrites the manifest of an OCI layout, and what names it.
fn with_manifest(directory: &Path, image: &ImageBuilder, change: impl FnOnce(&mut serde_json::Value)) {
    image.oci_layout(directory);
    let mut manifest = serde_json::from_slice(&image.manifest()).unwrap();
    change(&mut manifest);
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let digest = Digest::sha256(&manifest);
    fs::write(directory.join("blobs/sha256").join(digest.hex()), &manifest).unwrap();
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [{ "digest": digest.to_string() }] });
    fs::write(directory.join("index.json"), index.to_string()).unwrap();
}

#[test]
fn a_foreign_layer_that_is_not_stored_is_a_gap_and_not_fetched() {
    let directory = tempfile::tempdir().unwrap();
    let elsewhere = Server::new(|_| Answer::new(200, "layer"));
    let url = elsewhere.url();
    with_manifest(directory.path(), &builder(), |manifest| {
        manifest["layers"][0]["urls"] = serde_json::json!([url]);
    });
    let target = directory.path().to_str().unwrap();
    // While it is stored, it is a layer like any other.
    let (image, files) = read(&Target::parse(target).unwrap(), &options()).unwrap();
    assert_eq!((files.codes.len(), files.layers[&0].len()), (0, 1));
    assert_eq!(image.diagnostics()[0].code, "foreign-layer");
    let blob = Digest::sha256(&builder().blobs()[0]);
    fs::remove_file(directory.path().join("blobs/sha256").join(blob.hex())).unwrap();
    let (_, files) = read(&Target::parse(target).unwrap(), &options()).unwrap();
    assert_eq!(files.codes, ["foreign-layer"]);
    assert_eq!((files.layers[&0].len(), files.layers[&1].len()), (0, 1));
    assert!(elsewhere.asked().is_empty());
}

#[test]
fn documents_that_other_readers_would_take_for_something_else_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().to_str().unwrap();
    with_manifest(directory.path(), &builder(), |manifest| manifest["manifests"] = serde_json::json!([]));
    fails(target, &options(), "claims to be both");
    with_manifest(directory.path(), &builder(), |manifest| {
        manifest["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json".into();
    });
    fails(target, &options(), "application/vnd.cncf.helm.config.v1+json and no image");
    with_manifest(directory.path(), &builder(), |manifest| {
        manifest["layers"].as_array_mut().unwrap().pop();
    });
    fails(target, &options(), "2 diff_ids for 1 layers");
    with_manifest(directory.path(), &builder(), |manifest| {
        manifest["layers"].as_array_mut().unwrap().reverse()
    });
    // The layers are what their digests say; that the configuration lists them otherwise is found when it is asked for.
    read(&Target::parse(target).unwrap(), &options()).unwrap();
    let strict = AcquireOptions { verify_diff_ids: true, ..options() };
    fails(target, &strict, "uncompressed` is damaged or was changed");
}

#[test]
fn the_error_of_the_lowest_layer_is_told_however_many_are_read_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().to_str().unwrap();
    let layer = |number: usize| TarBuilder::new().file(&number.to_string(), vec![b'x'; 1 << number]).finish();
    let image = (0..20).fold(ImageBuilder::new(), |image, number| image.layer(layer(number), "a"));
    image.oci_layout(directory.path());
    let blobs = image.blobs();
    for number in [3, 7, 12, 19] {
        let path = directory.path().join("blobs/sha256").join(Digest::sha256(&blobs[number]).hex());
        fs::write(path, TarBuilder::new().file("other", "1").finish()).unwrap();
    }
    for threads in [1, 2, 8] {
        fails(target, &AcquireOptions { threads, ..options() }, "layer 3` is damaged or was changed");
    }
}

#[test]
fn of_several_images_one_must_be_chosen() {
    let directory = tempfile::tempdir().unwrap();
    let other = ImageBuilder::new().layer(TarBuilder::new().file("other", "1").finish(), "x");
    other.oci_layout(directory.path());
    builder().oci_layout(directory.path());
    for platform in [serde_json::json!({ "os": "linux", "architecture": "amd64" }), serde_json::Value::Null] {
        let descriptor = |image: &ImageBuilder, name: &str| {
            serde_json::json!({
                "digest": Digest::sha256(&image.manifest()).to_string(), "platform": platform,
                "annotations": { "org.opencontainers.image.ref.name": name },
            })
        };
        let manifests = [descriptor(&other, "first"), descriptor(&builder(), "second")];
        let index = serde_json::json!({ "schemaVersion": 2, "manifests": manifests });
        fs::write(directory.path().join("index.json"), index.to_string()).unwrap();
        let target = directory.path().display().to_string();
        fails(&target, &options(), "choose one of: first, second");
        check(&format!("oci-layout:{target}:second"), &options());
        check(&format!("oci-layout:{target}:{}", Digest::sha256(&builder().manifest())), &options());
        fails(&format!("oci-layout:{target}:third"), &options(), "has no `image third`");
    }
}

#[test]
fn variants_of_a_processor() {
    let directory = tempfile::tempdir().unwrap();
    let image = |variant: &str| builder().empty_layer(variant).architecture("arm");
    let variants = ["v6", "v7", "v5"];
    for variant in variants {
        image(variant).oci_layout(directory.path());
    }
    let manifests = variants.map(|variant| {
        serde_json::json!({
            "digest": Digest::sha256(&image(variant).manifest()).to_string(),
            "platform": { "os": "linux", "architecture": "arm", "variant": variant },
        })
    });
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": manifests });
    fs::write(directory.path().join("index.json"), index.to_string()).unwrap();
    for (wanted, chosen) in [("linux/arm", "v7"), ("linux/arm/v6", "v6"), ("linux/arm/v5", "v5")] {
        let mut options = options();
        options.platform = wanted.parse().unwrap();
        let image_chosen =
            open(&Target::parse(directory.path().to_str().unwrap()).unwrap(), &options).unwrap();
        assert_eq!(
            image_chosen.subject().manifest,
            Some(Digest::sha256(&image(chosen).manifest())),
            "{wanted}"
        );
    }
}

#[test]
fn nested_indexes_are_followed_and_their_depth_is_limited() {
    let directory = tempfile::tempdir().unwrap();
    builder().oci_layout(directory.path());
    let mut digest = Digest::sha256(&builder().manifest());
    for depth in 0..8 {
        let index =
            serde_json::json!({ "schemaVersion": 2, "manifests": [{ "digest": digest.to_string() }] });
        fs::write(directory.path().join("index.json"), index.to_string()).unwrap();
        let target = directory.path().to_str().unwrap();
        match depth {
            0..=4 => drop(check(target, &options())),
            _ => fails(target, &options(), "expected a manifest with a `config`"),
        }
        digest = Digest::sha256(index.to_string().as_bytes());
        fs::write(directory.path().join("blobs/sha256").join(digest.hex()), index.to_string()).unwrap();
    }
}

#[test]
fn an_image_beyond_the_limit_on_all_layers_is_not_assessed_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let big = TarBuilder::new().file("big", vec![0; 1 << 20]).finish();
    let image = builder().layer(big, "c").layer(TarBuilder::new().file("last", "1").finish(), "d");
    let file = put(directory.path(), "image.tar", &image.docker_archive());
    let mut options = options();
    options.limits = Limits { max_image_size: 1 << 20, ..Limits::default() };
    for threads in [1, 2, 4] {
        options.threads = threads;
        let (image, files) = read(&Target::parse(&file).unwrap(), &options).unwrap();
        assert!(files.layers.is_empty() && files.codes.is_empty());
        let said: Vec<_> = image.diagnostics().iter().map(|found| found.code.as_str()).collect();
        assert_eq!(said, ["limit-image-size"]);
    }
}

#[test]
fn a_compressed_archive_that_is_a_bomb_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let image = builder().layer(TarBuilder::new().file("zeros", vec![0; 4 << 20]).finish(), "c");
    let mut options = options();
    options.limits = Limits { max_ratio: 10, ratio_floor: 1 << 20, ..Limits::default() };
    let file = put(directory.path(), "a.tar.gz", &compress(&image.docker_archive(), Compression::Gzip));
    fails(&format!("docker-archive:{file}"), &options, "decompression bomb");
    // A root file system is read as far as the limit.
    let tar = TarBuilder::new().file("a", "1").file("zeros", vec![0; 4 << 20]).finish();
    let file = put(directory.path(), "b.tar.gz", &compress(&tar, Compression::Gzip));
    let (_, files) = read(&Target::parse(&file).unwrap(), &options).unwrap();
    assert_eq!(files.layers[&0][0], "a=1");
    assert_eq!(files.codes, ["limit-ratio"]);
}

#[test]
fn a_root_file_system_may_have_more_members_than_an_archive_of_an_image() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = options();
    options.limits = Limits { max_members: 10, ..Limits::default() };
    let tar = (0..20).fold(TarBuilder::new(), |tar, n| tar.file(&format!("f{n}"), "")).finish();
    for compression in [Compression::None, Compression::Gzip] {
        let file = put(directory.path(), "rootfs", &compress(&tar, compression));
        let (_, files) = read(&Target::parse(&file).unwrap(), &options).unwrap();
        assert_eq!(files.layers[&0].len(), 20);
        fails(&format!("docker-archive:{file}"), &options, "more than 10 members");
    }
}

#[test]
fn old_docker_archives_link_layers_that_are_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let layer = TarBuilder::new().file("a", "1").finish();
    let image = ImageBuilder::new().layer(layer.clone(), "x").layer(layer.clone(), "y");
    let archive = TarBuilder::new()
        .file("one/layer.tar", &layer)
        .symlink("two/layer.tar", "../one/layer.tar")
        .symlink("out/layer.tar", "../../etc/passwd")
        .file("config.json", image.config());
    let manifest =
        |second: &str| format!(r#"[{{"Config":"config.json","Layers":["one/layer.tar","{second}"]}}]"#);
    let good = archive.clone().file("manifest.json", manifest("two/layer.tar")).finish();
    for compression in [Compression::None, Compression::Gzip] {
        let file = put(directory.path(), "good.tar", &compress(&good, compression));
        let (_, files) = read(&Target::parse(&file).unwrap(), &options()).unwrap();
        assert_eq!(files.layers[&0], files.layers[&1]);
    }
    let bad = archive.file("manifest.json", manifest("out/layer.tar")).finish();
    fails(&put(directory.path(), "bad.tar", &bad), &options(), "has no `out/layer.tar`");
}

#[test]
fn a_history_longer_or_shorter_than_the_layers() {
    let directory = tempfile::tempdir().unwrap();
    let layer = TarBuilder::new().file("a", "1").finish();
    let image = ImageBuilder::new().layer(layer.clone(), "x").layer(layer.clone(), "y");
    for (history, expected) in [
        (serde_json::json!([]), [None, None]),
        (serde_json::json!(null), [None, None]),
        (serde_json::json!([{ "created_by": "x" }]), [Some("x"), None]),
        (serde_json::json!([{ "created_by": "x" }, {}, { "created_by": "z" }]), [Some("x"), None]),
        (
            serde_json::json!([{ "created_by": "e", "empty_layer": true }, { "created_by": "x" }, { "created_by": "y" }]),
            [Some("x"), Some("y")],
        ),
    ] {
        let mut config: serde_json::Value = serde_json::from_slice(&image.config()).unwrap();
        config["history"] = history.clone();
        let archive = TarBuilder::new()
            .file("l.tar", &layer)
            .file("c.json", config.to_string())
            .file("manifest.json", r#"[{"Config":"c.json","RepoTags":null,"Layers":["l.tar","l.tar"]}]"#)
            .finish();
        let (image, _) =
            read(&Target::parse(&put(directory.path(), "a.tar", &archive)).unwrap(), &options()).unwrap();
        let instructions: Vec<_> = image.layers().iter().map(|layer| layer.created_by.as_deref()).collect();
        assert_eq!(instructions, expected, "{history}");
    }
}

#[test]
fn several_images_in_one_docker_archive() {
    let directory = tempfile::tempdir().unwrap();
    let image = builder();
    let layers: Vec<Vec<u8>> =
        vec![TarBuilder::new().file("base", "1").finish(), TarBuilder::new().file("app", "2").finish()];
    let entry =
        |tag: &str| format!(r#"{{"Config":"c.json","RepoTags":["{tag}"],"Layers":["0.tar","1.tar"]}}"#);
    let archive = TarBuilder::new()
        .file("0.tar", &layers[0])
        .file("1.tar", &layers[1])
        .file("c.json", image.config())
        .file("manifest.json", format!("[{},{}]", entry("r.example/a:1"), entry("r.example/a:2")))
        .finish();
    let file = put(directory.path(), "two.tar", &archive);
    fails(&file, &options(), "choose one of: r.example/a:1, r.example/a:2");
    let image = check(&format!("docker-archive:{file}:r.example/a:2"), &options());
    assert_eq!(image.subject().name, "r.example/a:2");
    fails(&format!("docker-archive:{file}:r.example/a:3"), &options(), "has no `image r.example/a:3`");
}

#[test]
fn a_blob_with_another_digest_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    builder().oci_layout(directory.path());
    let blob = directory.path().join("blobs/sha256").join(Digest::sha256(&builder().blobs()[1]).hex());
    let mut bytes = fs::read(&blob).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&blob, bytes).unwrap();
    fails(directory.path().to_str().unwrap(), &options(), "is damaged or was changed");
    fs::remove_file(&blob).unwrap();
    fails(directory.path().to_str().unwrap(), &options(), "cannot read");
}

#[test]
fn an_image_without_layers_has_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    let file = put(directory.path(), "empty.tar", &ImageBuilder::new().docker_archive());
    let (image, files) = read(&Target::parse(&file).unwrap(), &options()).unwrap();
    assert!(files.layers.is_empty());
    assert_eq!(image.diagnostics()[0].code, "empty-image");
}

#[test]
fn a_limit_that_is_hit_is_a_gap_and_the_other_layers_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let image = ImageBuilder::new()
        .layer(TarBuilder::new().file("big", vec![0; 1 << 20]).finish(), "a")
        .layer(TarBuilder::new().file("app", "2").finish(), "b");
    let file = put(directory.path(), "image.tar", &image.docker_archive());
    let mut options = options();
    options.limits = Limits { max_layer_size: 1 << 19, ..Limits::default() };
    let (_, files) = read(&Target::parse(&file).unwrap(), &options).unwrap();
    assert_eq!(files.layers[&1], ["app=2"]);
    assert!(files.codes.contains(&"limit-layer-size".to_owned()), "{:?}", files.codes);
}

#[test]
fn root_file_systems_as_directory_and_as_tar() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("etc")).unwrap();
    fs::write(directory.path().join("etc/name"), "1").unwrap();
    let (_, files) = read(&Target::parse(directory.path().to_str().unwrap()).unwrap(), &options()).unwrap();
    assert_eq!(files.layers[&0], ["etc/name=1"]);
    let other = tempfile::tempdir().unwrap();
    let tar = compress(&TarBuilder::new().file("./etc/name", "1").finish(), Compression::Gzip);
    let file = put(other.path(), "rootfs.tar.gz", &tar);
    let (image, files) = read(&Target::parse(&file).unwrap(), &options()).unwrap();
    assert_eq!(files.layers[&0], ["etc/name=1"]);
    assert_eq!(image.layers()[0].digest, Some(Digest::sha256(&tar)));
}

#[test]
fn the_platform_is_chosen_and_attestations_are_not_platforms() {
    let directory = tempfile::tempdir().unwrap();
    builder().architecture("arm64").oci_layout(directory.path());
    builder().oci_layout(directory.path());
    let descriptor = |image: &ImageBuilder, os: &str, architecture: &str| {
        let manifest = image.manifest();
        serde_json::json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": manifest.len(),
            "digest": Digest::sha256(&manifest).to_string(), "platform": { "os": os, "architecture": architecture },
        })
    };
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [
        descriptor(&builder(), "unknown", "unknown"),
        descriptor(&builder().architecture("arm64"), "linux", "arm64"),
        descriptor(&builder(), "linux", "amd64"),
    ]});
    fs::write(directory.path().join("index.json"), serde_json::to_vec(&index).unwrap()).unwrap();
    let target = directory.path().to_str().unwrap();
    check(target, &options());
    let mut arm = options();
    arm.platform = "linux/arm64".parse().unwrap();
    let (image, _) = read(&Target::parse(target).unwrap(), &arm).unwrap();
    assert_eq!(image.subject().platform.as_ref().unwrap().architecture, "arm64");
    arm.platform = "linux/s390x".parse().unwrap();
    fails(target, &arm, "has no image for linux/s390x; it has linux/arm64, linux/amd64");
}

#[test]
fn a_directory_is_read_without_following_links_or_waiting_for_pipes() {
    let directory = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "outside").unwrap();
    let root = directory.path();
    fs::write(root.join("b"), "2").unwrap();
    fs::create_dir_all(root.join("a/deep")).unwrap();
    fs::write(root.join("a/deep/c"), "3").unwrap();
    std::os::unix::fs::symlink(outside.path(), root.join("link-to-directory")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), root.join("link-to-file")).unwrap();
    std::os::unix::fs::symlink("loop", root.join("loop")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(root.join("pipe")).status();
    assert!(made.is_ok_and(|status| status.success()));
    let target = format!("rootfs:{}", root.display());
    let (image, files) = read(&Target::parse(&target).unwrap(), &options()).unwrap();
    assert_eq!(files.layers[&0], ["b=2", "a/deep/c=3"]);
    assert_eq!(files.codes, Vec::<String>::new());
    assert!(image.config().is_none());
    let mut few = options();
    few.limits = Limits { max_entries: 3, ..Limits::default() };
    assert_eq!(read(&Target::parse(&target).unwrap(), &few).unwrap().1.codes, ["limit-entries"]);
    few.limits = Limits { max_path_depth: 1, ..Limits::default() };
    assert_eq!(read(&Target::parse(&target).unwrap(), &few).unwrap().1.codes, ["limit-path-depth"]);
    fails(&format!("rootfs:{}/missing", root.display()), &options(), "cannot read");
}

#[test]
fn real_images() {
    let Some(shared) = shared_dir() else { return };
    let mut names: Vec<_> = fs::read_dir(shared.join("images"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "gz"))
        .collect();
    names.sort();
    assert!(!names.is_empty());
    for path in names {
        let target = Target::parse(path.to_str().unwrap()).unwrap();
        let (image, files) = read(&target, &options()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(image.layers().len(), 1, "{path:?}");
        assert_eq!(files.codes, Vec::<String>::new(), "{path:?}");
        assert!(files.layers[&0].iter().any(|line| line.starts_with("etc/alpine-release=3.")), "{path:?}");
    }
}
