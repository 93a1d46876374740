//! Bombs and other hostile layers: the report names the limit and its place, a policy can depend on it, and what the cache
//! knows of such a layer says the same.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;

use common::{Place, alpine};
use hullmark_testkit::{
    Compression, ImageBuilder, SparseFormat, TarBuilder, compress, zstd_repeat, zstd_window,
};
use hullmark_types::Digest;
use serde_json::Value;

/// A layer as it is stored, above one of Alpine.
fn image(stored: Vec<u8>) -> ImageBuilder {
    let base = alpine("3.7.3", "1.1.18-r3");
    ImageBuilder::new().compression(Compression::None).layer(base, "ADD rootfs").layer(stored, "COPY bomb")
}

/// Fails an image of which a limit was hit.
const NO_BOMBS: &str = r#"apiVersion: hullmark.dev/v1
kind: Policy
metadata: { name: no-bombs }
rules:
  - name: no-bombs
    on: coverage
    when: coverage.codes.exists(code, code.startsWith("limit-"))
    threat: 8
    actions: { build: fail, ship: fail, deploy: fail }
    message: "limits were hit"
"#;

/// A place with the policy that fails on limits.
fn place() -> Place {
    let place = Place::new();
    place.put("no-bombs.yaml", NO_BOMBS);
    place
}

fn report(place: &Place, target: &str, code: i32, more: &[&str]) -> Value {
    let fixed = ["scan", target, "--policy", "no-bombs.yaml", "--format", "json"];
    let answer = place.run(&[&fixed[..], more].concat());
    assert_eq!(answer.code(), code, "{}\n{}", answer.stdout(), answer.stderr());
    serde_json::from_str(&answer.stdout()).unwrap()
}

/// The diagnostics of a limit: path and layer.
fn places(report: &Value, code: &str) -> Vec<(String, Option<u64>)> {
    let found = report["inventory"]["diagnostics"].as_array().unwrap();
    let of_code = found.iter().filter(|found| found["code"] == code && found["level"] == "gap");
    of_code.map(|found| (found["path"].as_str().unwrap_or("").to_owned(), found["layer"].as_u64())).collect()
}

/// Scans an image with this layer, first without and then with what is known of it, and checks that the limit is named with
/// its place and fails the image.
#[track_caller]
fn check(stored: Vec<u8>, code: &str, path: &str, more: &[&str]) {
    let place = place();
    image(stored).oci_layout(&place.path("image"));
    let more = [more, &["--cache", "cache"]].concat();
    let cold = report(&place, "image", 1, &more);
    assert_eq!(places(&cold, code), [(path.to_owned(), Some(1))], "{}", cold["inventory"]["diagnostics"]);
    assert_eq!(cold["matches"]["findings"][0]["id"], "CVE-2019-14697", "the rest of the image is assessed");
    assert_eq!(cold["verdict"]["outcome"], "failed");
    // The image as a whole is another one now, and its layers are known.
    if code != "limit-memory" {
        fs::remove_dir_all(place.path("cache/inventory")).unwrap();
        fs::remove_dir_all(place.path("cache/profile")).unwrap();
        for layer in image_layers(&place) {
            fs::remove_file(place.path("image/blobs/sha256").join(layer)).unwrap();
        }
    }
    let warm = report(&place, "image", 1, &more);
    for part in ["inventory", "matches", "verdict"] {
        assert_eq!(cold[part], warm[part], "{part}");
    }
}

/// The names of the files of the layers.
fn image_layers(place: &Place) -> Vec<String> {
    let read = |name: &str| serde_json::from_slice::<Value>(&fs::read(place.path(name)).unwrap()).unwrap();
    let hex = |descriptor: &Value| descriptor["digest"].as_str().unwrap().replace("sha256:", "");
    let manifest = hex(&read("image/index.json")["manifests"][0]);
    let manifest = read(&format!("image/blobs/sha256/{manifest}"));
    manifest["layers"].as_array().unwrap().iter().map(hex).collect()
}

fn tar() -> TarBuilder {
    TarBuilder::new()
}

#[test]
fn a_layer_that_grows_too_much() {
    let start = compress(&tar().file("a", "1").finish_without_trailer(), Compression::Zstd);
    check([start, zstd_repeat(0, 4200)].concat(), "limit-ratio", "", &[]);
}

#[test]
fn a_frame_that_looks_back_too_far() {
    check(zstd_window(28, &tar().file("a", "1").finish()), "limit-window", "", &[]);
}

#[test]
fn a_frame_that_looks_back_further_than_there_is_memory() {
    check(zstd_window(26, &tar().file("a", "1").finish()), "limit-memory", "", &["--memory", "32MiB"]);
}

#[test]
fn a_path_that_is_too_long() {
    let name = format!("long/{}", "x".repeat(5000));
    let stored = tar().gnu_name(name.as_bytes()).file("short", "1").file("after", "2").finish();
    check(stored, "limit-path-length", &name[..200], &[]);
}

#[test]
fn a_link_that_is_too_long() {
    let stored = tar().gnu_link("x".repeat(5000).as_bytes()).symlink("etc/link", "short").finish();
    check(stored, "limit-path-length", "etc/link", &[]);
}

#[test]
fn a_path_that_is_too_deep() {
    let name = format!("{}x", "d/".repeat(200));
    check(tar().file(&name, "1").finish(), "limit-path-depth", &name, &[]);
}

#[test]
fn a_sparse_file_of_holes() {
    let stored = tar().sparse(SparseFormat::Pax10, "var/huge", 1 << 40, &[(0, b"x")]).finish();
    check(stored, "limit-file-size", "var/huge", &[]);
}

#[test]
fn a_file_that_is_larger_than_its_extractor_reads() {
    let path = "usr/lib/node_modules/huge/package.json";
    let stored = tar().sparse(SparseFormat::OldGnu, path, 1 << 30, &[(0, b"{}")]).finish();
    check(stored, "limit-file-size", path, &[]);
}

#[test]
fn more_problems_than_are_listed() {
    let stored = (0..1500).fold(tar(), |tar, number| tar.file(&format!("../{number}"), "")).finish();
    check(stored, "limit-diagnostics", "", &[]);
}

#[test]
fn the_table_names_the_limit_and_its_place() {
    let place = place();
    let stored = tar().sparse(SparseFormat::Pax01, "var/huge", 1 << 40, &[]).finish();
    image(stored).oci_layout(&place.path("image"));
    place
        .run(&["scan", "image"])
        .check(1, "  limit-file-size `var/huge` in layer 2: the file has 1099511627776 bytes");
}

/// A layer of files with names of this many bytes together.
fn names(mark: &str, bytes: usize) -> Vec<u8> {
    let tar = (0..bytes / 4000).fold(tar(), |tar, number| {
        let directories = format!("{}/", mark.repeat(200)).repeat(18);
        tar.gnu_name(format!("{directories}{number:0>380}").as_bytes()).file("short", "")
    });
    tar.finish()
}

#[test]
fn more_names_than_there_is_memory_for() {
    let place = place();
    let (one, other) = (names("a", 9 << 20), names("b", 9 << 20));
    let base = || ImageBuilder::new().layer(alpine("3.7.3", "1.1.18-r3"), "ADD rootfs");
    base().layer(one.clone(), "COPY").oci_layout(&place.path("one"));
    base().layer(other.clone(), "COPY").oci_layout(&place.path("other"));
    base().layer(one.clone(), "COPY").layer(other, "COPY").oci_layout(&place.path("both"));
    base().layer(one.clone(), "COPY").layer(one, "COPY").oci_layout(&place.path("twice"));
    let scan = |target: &str, code: i32, memory: &str, cache: &[&str]| {
        report(&place, target, code, &[&["--memory", memory], cache].concat())
    };
    let whole = [(String::new(), None)];
    let mut cold = Vec::new();
    for target in ["both", "twice"] {
        let found = scan(target, 1, "32MiB", &["--no-cache"]);
        assert_eq!(places(&found, "limit-memory"), whole, "{target}");
        cold.push(found);
        assert_eq!(places(&scan(target, 0, "64MiB", &["--no-cache"]), "limit-memory"), []);
    }
    // Each of them fits, and is known afterwards. Together they are too much all the same.
    for target in ["one", "other"] {
        assert_eq!(places(&scan(target, 0, "32MiB", &["--cache", "cache"]), "limit-memory"), [], "{target}");
    }
    for (target, cold) in ["both", "twice"].into_iter().zip(cold) {
        let warm = scan(target, 1, "32MiB", &["--cache", "cache"]);
        assert_eq!(warm["inventory"], cold["inventory"], "{target}");
        // Where there is more memory nothing of that is remembered.
        assert_eq!(places(&scan(target, 0, "64MiB", &["--cache", "cache"]), "limit-memory"), [], "{target}");
    }
}

#[test]
fn links_in_a_circle_end_and_are_said_where_they_matter() {
    let place = place();
    let stored = tar()
        .symlink("lib", "usr/lib")
        .symlink("usr/lib", "../lib")
        .symlink("var/lib/dpkg/status", "status")
        .symlink("a", "b")
        .symlink("b", "a")
        .whiteout("a/c")
        .hardlink("h", "h")
        .finish();
    ImageBuilder::new().layer(stored, "COPY").oci_layout(&place.path("image"));
    let found = report(&place, "image", 0, &["--no-cache"]);
    let unfollowed = places(&found, "symbolic-link-not-followed");
    for path in ["lib/apk/db/installed", "usr/lib/os-release", "var/lib/dpkg/status"] {
        assert!(unfollowed.contains(&(path.to_owned(), None)), "{path}: {unfollowed:?}");
    }
}

#[test]
fn what_describes_an_image_is_bounded_too() {
    let place = place();
    let layer = tar().file("a", "1").finish();
    let many = (0..1025).fold(ImageBuilder::new(), |image, _| image.layer(layer.clone(), "COPY"));
    place.put("many.tar", many.docker_archive());
    place.run(&["scan", "many.tar"]).check(2, "1025 layers, the limit is 1024");
    let huge = ImageBuilder::new().layer(layer, "x".repeat(9 << 20).as_str());
    huge.oci_layout(&place.path("huge"));
    place.run(&["scan", "huge"]).check(2, "a document of more than 8388608 bytes");
    let nested = "[".repeat(200_000);
    image(Vec::new()).oci_layout(&place.path("nested"));
    let config = Digest::sha256(&image(Vec::new()).config());
    fs::write(place.path("nested/blobs/sha256").join(config.hex()), &nested).unwrap();
    assert_eq!(place.run(&["scan", "nested"]).code(), 2);
    fs::write(place.path("nested/index.json"), &nested).unwrap();
    place.run(&["scan", "nested"]).check(2, "index.json");
}
