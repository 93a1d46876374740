//! Layers that are read by their table of contents: the same packages as of the whole layers, for fewer bytes; and what does not
//! fit is read whole.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hullmark_http::ClientOptions;
use hullmark_image::{AcquireOptions, Progress, Target, open};
use hullmark_inventory::build_with_profile;
use hullmark_testkit::{
    Answer, Asked, Compression, ImageBuilder, RegistryBuilder, Seekable, Server, TarBuilder, compress,
    estargz, skippable_frame, zstd_chunked,
};
use hullmark_types::{DiagnosticLevel, Digest, ImageProfile, Inventory, LayerInfo};

/// Bytes that do not compress.
fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

const DATABASE: &[u8] =
    b"P:musl\nV:1.2.5-r0\nA:x86_64\n\nP:zlib\nV:1.3.1-r1\nA:x86_64\n\nP:busybox\nV:1.36.1-r29\nA:x86_64\n";

const RELEASE: &[u8] = b"ID=alpine\nVERSION_ID=3.20.1\n";

/// Makes a layer of files.
type Make = fn(&[(&str, &[u8])]) -> Seekable;

/// Packages between much that nobody wants.
fn layer(make: Make) -> Seekable {
    let (much, more) = (noise(600_000, 1), noise(400_000, 2));
    make(&[
        ("usr/share/much", &much),
        ("etc/os-release", RELEASE),
        ("lib/apk/db/installed", DATABASE),
        ("usr/share/.wh.removed", b""),
        ("app/node_modules/left/package.json", br#"{"name":"left","version":"1.0.0"}"#),
        ("usr/share/more", &more),
        ("bin/tool", b"#!/bin/sh\necho tool\n"),
        (
            "usr/lib/python3/site-packages/six-1.0.dist-info/METADATA",
            b"Metadata-Version: 2.1\nName: six\nVersion: 1.0\n",
        ),
        ("usr/share/last", &much),
    ])
}

fn image(seekable: &Seekable) -> ImageBuilder {
    let above = TarBuilder::new().whiteout("app/node_modules/left").file("etc/motd", noise(1000, 3)).finish();
    ImageBuilder::new().seekable_layer(seekable, "ADD rootfs").layer(above, "RUN rm")
}

fn serve(image: &ImageBuilder, change: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) -> Server {
    RegistryBuilder::new().image("team/app", "1.0", image).serve(change)
}

/// How many bytes of which layers were fetched in part.
#[derive(Default)]
struct Counted(Mutex<Vec<(u32, u64)>>);

impl Progress for Counted {
    fn layer_fetched_in_part(&self, layer: &LayerInfo, fetched: u64) {
        self.0.lock().unwrap().push((layer.index, fetched));
    }
}

struct Taken {
    inventory: Inventory,
    profile: ImageProfile,
    in_part: Vec<(u32, u64)>,
}

fn options(lazy: bool) -> AcquireOptions {
    let client = ClientOptions { retries: 0, sleep: |_| {}, ..ClientOptions::default() };
    let mut options = AcquireOptions::new(client);
    options.platform = "linux/amd64".parse().unwrap();
    options.lazy = lazy;
    options
}

fn take(target: &str, options: &AcquireOptions) -> Taken {
    let mut image = open(&Target::parse(target).unwrap(), options).unwrap();
    let counted = Counted::default();
    let (inventory, profile) = build_with_profile(&mut image, &counted, None).unwrap();
    Taken { inventory, profile, in_part: counted.0.into_inner().unwrap() }
}

fn packages(inventory: &Inventory) -> String {
    serde_json::to_string_pretty(&inventory.packages).unwrap()
}

/// The messages with a code.
fn said<'a>(inventory: &'a Inventory, code: &str) -> Vec<&'a str> {
    let found = inventory.diagnostics.iter().filter(|found| found.code == code);
    found.map(|found| found.message.as_str()).collect()
}

/// The packages are the same; gives what was taken lazily.
fn compare(target: &str) -> Taken {
    let (whole, lazy) = (take(target, &options(false)), take(target, &options(true)));
    assert_eq!(packages(&lazy.inventory), packages(&whole.inventory));
    assert!(!whole.inventory.packages.is_empty());
    let gaps = |taken: &Taken| {
        let gaps = taken.inventory.diagnostics.iter().filter(|found| found.level == DiagnosticLevel::Gap);
        gaps.cloned().collect::<Vec<_>>()
    };
    assert_eq!(gaps(&lazy), gaps(&whole));
    assert_eq!(said(&whole.inventory, "lazy-layer").len() + said(&whole.inventory, "lazy-fallback").len(), 0);
    lazy
}

#[test]
fn packages_are_the_same_for_a_part_of_the_bytes() {
    for make in [estargz as Make, zstd_chunked] {
        let seekable = layer(make);
        let server = serve(&image(&seekable), |_| None);
        let taken = compare(&format!("{}/team/app:1.0", server.host()));
        let [(0, fetched)] = taken.in_part[..] else { panic!("{:?}", taken.in_part) };
        assert!(fetched < 20_000, "{fetched}");
        let size = seekable.blob.len() as u64;
        let expected = format!("{fetched} of {size} bytes were fetched, {} saved", size - fetched);
        assert!(said(&taken.inventory, "lazy-layer")[0].contains(&expected));
        assert_eq!(
            said(&taken.inventory, "lazy-fallback"),
            ["read as a whole: the manifest names no table of contents that could be verified"]
        );
        assert!(!taken.profile.complete);
        // A script that is not executable is a program, and nothing asks for it.
        assert!(taken.profile.files.is_empty());
        // What went over the wire is what was said.
        let blob = format!("/v2/team/app/blobs/{}", Digest::sha256(&seekable.blob));
        let ranges: Vec<_> = server
            .asked()
            .into_iter()
            .filter(|asked| asked.path == blob)
            .map(|asked| asked.headers.get("range").cloned())
            .collect();
        // The first is that of the whole layer.
        assert_eq!(ranges[0], None);
        assert!(ranges.len() >= 3 && ranges[1..].iter().all(Option::is_some), "{ranges:?}");
    }
}

#[test]
fn what_is_kept_of_a_whole_layer_is_used_and_a_part_is_not_kept() {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(&image(&layer(estargz)), |_| None);
    let target = Target::parse(&format!("{}/team/app:1.0", server.host())).unwrap();
    let cache =
        hullmark_cache::Cache::open(directory.path(), "2026-01-01T00:00:00Z".parse().unwrap()).unwrap();
    let take = |lazy: bool| {
        let mut image = open(&target, &options(lazy)).unwrap();
        let counted = Counted::default();
        let (_, profile) = build_with_profile(&mut image, &counted, Some(&cache)).unwrap();
        (counted.0.into_inner().unwrap().len(), profile.complete)
    };
    assert_eq!(take(true), (1, false));
    assert_eq!(take(true), (1, false));
    assert_eq!(take(false), (0, true));
    assert_eq!(take(true), (0, true));
}

/// It is read whole, for this reason.
fn falls_back(
    image: &ImageBuilder,
    reason: &str,
    change: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static,
) {
    let server = serve(image, change);
    let taken = compare(&format!("{}/team/app:1.0", server.host()));
    assert_eq!(taken.in_part, []);
    let said = said(&taken.inventory, "lazy-fallback").join("; ");
    assert!(said.contains(reason), "{reason}: {said}");
    assert!(taken.profile.complete);
}

#[test]
fn what_does_not_fit_is_read_whole() {
    for make in [estargz as Make, zstd_chunked] {
        let good = layer(make);
        let blob = format!("/v2/team/app/blobs/{}", Digest::sha256(&good.blob));
        // No ranges.
        let (name, bytes) = (blob.clone(), good.blob.clone());
        falls_back(&image(&good), "answered 200 and not with the range asked for", move |asked| {
            (asked.path == name).then(|| Answer::new(200, bytes.clone()))
        });
        // Refused.
        let name = blob.clone();
        falls_back(&image(&good), "a part cannot be fetched", move |asked| {
            (asked.path == name && asked.headers.contains_key("range")).then(|| Answer::new(403, ""))
        });
        // Other bytes in ranges than as a whole.
        let (name, bytes) = (blob.clone(), good.blob.clone());
        falls_back(&image(&good), "", move |asked| {
            (asked.path == name && asked.headers.contains_key("range")).then(|| {
                let changed: Vec<u8> = bytes.iter().map(|byte| byte ^ 1).collect();
                Answer::new(200, changed).ranged(asked)
            })
        });
        // Parts that are damaged, or those of another file, below a table of contents that is not.
        let (name, mut bytes) = (blob.clone(), good.blob.clone());
        let end = usize::try_from(good.contents_offset).unwrap() - 8;
        bytes[..end].iter_mut().for_each(|byte| *byte = byte.wrapping_add(1));
        falls_back(&image(&good), "the part at byte", move |asked| {
            (asked.path == name && asked.headers.contains_key("range"))
                .then(|| Answer::new(200, bytes.clone()).ranged(asked))
        });
        // Another table of contents than the manifest names.
        let mut other = good.clone();
        other.annotations[0].1 = Digest::sha256(b"other").to_string();
        falls_back(&image(&other), "has not the digest that the manifest names", |_| None);
        let mut other = good.clone();
        other.annotations.clear();
        falls_back(&image(&other), "names no table of contents", |_| None);
        // Hardly anything is to be saved.
        let text: String = noise(100_000, 7).iter().map(|byte| format!("{byte:02x}")).collect();
        let package = format!(r#"{{"name":"left","version":"1.0.0","description":"{text}"}}"#);
        let small =
            make(&[("usr/share/little", b"1"), ("app/node_modules/left/package.json", package.as_bytes())]);
        let image = ImageBuilder::new().seekable_layer(&small, "ADD rootfs");
        falls_back(&image, "hardly anything would be saved", |_| None);
    }
}

#[test]
fn positions_that_lead_nowhere_are_read_whole() {
    let good = layer(zstd_chunked);
    for position in
        ["", "1", "1:2:3", "a:1:1:1", "1:1:1:2", "18446744073709551615:2:2:1", "99999999:10:10:1", "0:0:0:1"]
    {
        let mut other = good.clone();
        other.annotations[1].1 = position.to_owned();
        falls_back(&image(&other), "the table of contents", |_| None);
    }
    let mut footer = layer(estargz);
    let length = footer.blob.len();
    footer.blob[length - 20] = b'z';
    falls_back(&image(&footer), "the table of contents is not there", |_| None);
}

#[test]
fn a_table_of_contents_that_lies_about_a_file_is_found_out_when_it_is_fetched() {
    let good = layer(zstd_chunked);
    let text = String::from_utf8(good.contents.clone()).unwrap();
    for (from, to, reason) in [
        (
            format!("\"size\":{}", DATABASE.len()),
            format!("\"size\":{}", DATABASE.len() - 1),
            "the part at byte",
        ),
        (Digest::sha256(DATABASE).to_string(), Digest::sha256(RELEASE).to_string(), "damaged or was changed"),
        ("\"version\":1".to_owned(), "\"version\":7".to_owned(), "expected version 1"),
        ("\"type\":\"reg\"".to_owned(), "\"type\":\"door\"".to_owned(), "unknown type"),
    ] {
        assert!(text.contains(&from), "{from}");
        let contents = text.replace(&from, &to);
        let compressed = compress(contents.as_bytes(), Compression::Zstd);
        let mut other = good.clone();
        // It stands behind the end of the layer as decoders see it: in a frame that they skip.
        let start = other.blob.len() as u64 + 8;
        other.blob.extend(skippable_frame(0, &compressed));
        other.annotations[0].1 = Digest::sha256(&compressed).to_string();
        other.annotations[1].1 = format!("{start}:{}:{}:1", compressed.len(), contents.len());
        falls_back(&image(&other), reason, |_| None);
    }
}

/// A process that ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// docker-registry, and its name.
fn docker_registry(directory: &Path) -> Option<(Ended, String)> {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = directory.join("registry.yml");
    let text = format!(
        "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}/registry\nhttp:\n  addr: 127.0.0.1:{port}\n",
        directory.display()
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
    let child = Ended(command.spawn().ok()?);
    let begun = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "docker-registry does not come up");
        std::thread::sleep(Duration::from_millis(50));
    }
    Some((child, format!("127.0.0.1:{port}")))
}

/// Two layers with something of everything.
fn tars() -> [Vec<u8>; 2] {
    let base = TarBuilder::new()
        .dir("etc")
        .file("etc/os-release", RELEASE)
        .dir("lib/apk/db")
        .file("lib/apk/db/installed", DATABASE)
        .file("usr/share/large", noise(12_000_000, 4))
        .file("usr/share/zeros", vec![0; 3_000_000])
        .executable("bin/busybox", [b"\x7fELF".as_slice(), &noise(900_000, 5)].concat())
        .hardlink("bin/sh", "bin/busybox")
        .symlink("lib64", "lib")
        .file("usr/share/empty", "")
        .file("app/node_modules/left/package.json", r#"{"name":"left","version":"1.0.0"}"#)
        .finish();
    let above = TarBuilder::new()
        .whiteout("usr/share/large")
        .file("app/node_modules/right/package.json", r#"{"name":"right","version":"2.0.0"}"#)
        .file("usr/share/other", noise(2_000_000, 6))
        .finish();
    [base, above]
}

/// Layers as skopeo makes them of plain ones, in the registry that most people run.
#[test]
fn zstd_chunked_layers_of_skopeo() {
    let directory = tempfile::tempdir().unwrap();
    let Some((_registry, name)) = docker_registry(directory.path()) else {
        return eprintln!("skipped: docker-registry is not installed");
    };
    let [base, above] = tars();
    let layout = directory.path().join("layout");
    // skopeo leaves what is compressed as it is.
    let plain = ImageBuilder::new().compression(Compression::None);
    plain.layer(base, "ADD rootfs").layer(above, "RUN npm").oci_layout(&layout);
    let copy = Command::new("skopeo")
        .args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"])
        .args(["--dest-compress-format", "zstd:chunked"])
        .arg(format!("oci:{}", layout.display()))
        .arg(format!("docker://{name}/team/app:1.0"))
        .output();
    match copy {
        Err(error) => return eprintln!("skipped: skopeo cannot be run: {error}"),
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
    }
    let taken = compare(&format!("{name}/team/app:1.0"));
    assert_eq!(said(&taken.inventory, "lazy-fallback"), Vec::<&str>::new());
    assert_eq!(taken.in_part.len(), 2);
    assert!(taken.in_part.iter().all(|(_, fetched)| *fetched < 1_200_000), "{:?}", taken.in_part);
}

/// Makes an eStargz layer of a tar with the library that defines the format.
const ESTARGZ: &str = r#"package main

import (
	"fmt"
	"io"
	"os"

	"github.com/containerd/stargz-snapshotter/estargz"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	tar, err := os.Open(os.Args[1])
	check(err)
	info, err := tar.Stat()
	check(err)
	blob, err := estargz.Build(io.NewSectionReader(tar, 0, info.Size()), estargz.WithChunkSize(1<<20))
	check(err)
	out, err := os.Create(os.Args[2])
	check(err)
	_, err = io.Copy(out, blob)
	check(err)
	check(blob.Close())
	fmt.Print(blob.TOCDigest())
}
"#;

#[test]
#[ignore = "builds a program from the Go module proxy"]
fn estargz_layers_of_containerd() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("main.go"), ESTARGZ).unwrap();
    std::fs::write(at("go.mod"), "module estargz\ngo 1.22\n").unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(directory.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    run("go", &["get", "github.com/containerd/stargz-snapshotter/estargz@v0.16.3"]);
    run("go", &["build", "-o", "make", "."]);
    let mut image = ImageBuilder::new();
    for tar in tars() {
        std::fs::write(at("layer.tar"), &tar).unwrap();
        let digest = run(at("make").to_str().unwrap(), &["layer.tar", "layer"]);
        let blob = std::fs::read(at("layer")).unwrap();
        let mut tar = Vec::new();
        flate2::read::MultiGzDecoder::new(blob.as_slice()).read_to_end(&mut tar).unwrap();
        let annotations = vec![("containerd.io/snapshot/stargz/toc.digest".to_owned(), digest)];
        let layer = Seekable { blob, tar, contents: Vec::new(), contents_offset: 0, annotations };
        image = image.seekable_layer(&layer, "ADD");
    }
    let server = serve(&image, |_| None);
    let taken = compare(&format!("{}/team/app:1.0", server.host()));
    assert_eq!(said(&taken.inventory, "lazy-fallback"), Vec::<&str>::new());
    assert_eq!(taken.in_part.len(), 2);
    assert!(taken.in_part.iter().all(|(_, fetched)| *fetched < 1_200_000), "{:?}", taken.in_part);
}
