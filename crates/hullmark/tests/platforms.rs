//! Images for several platforms: all of them in one run, and the worst counts.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::collections::BTreeMap;
use std::fs;

use common::page::{Session, check_page};
use common::{Answer, Place};
use hullmark_testkit::{
    IndexBuilder, OCI_INDEX, OCI_MANIFEST, RegistryBuilder, three_platforms, three_platforms_feeds,
};
use hullmark_types::Digest;
use serde_json::{Value, json};

/// A place with the advisories of the page.
fn place() -> Place {
    let place = Place::bare();
    three_platforms_feeds(&place.path("feeds"));
    place.ok(&["db", "build", "--from", "feeds", "--output", "a.db"]);
    place
}

fn hex(bytes: &[u8]) -> String {
    Digest::sha256(bytes).hex().to_owned()
}

#[test]
fn the_page_shows_what_is_printed() {
    let python = std::process::Command::new("python3").arg("--version").output();
    if python.is_err() && std::env::var_os("CI").is_none() {
        eprintln!("skipped: python3 cannot be run");
        return;
    }
    let place = place();
    three_platforms().oci_layout(&place.path("shop"));
    let variables = BTreeMap::from([("ARM64", hex(&three_platforms().images()[1].manifest()))]);
    check_page("platforms.md", &Session { place: &place, variables });
}

fn scan(place: &Place, target: &str, more: &[&str]) -> Answer {
    place.run(&[&["scan", target, "--platform", "all", "--fail-on", "high"], more].concat())
}

/// The report for machines, which is as its schema says.
fn report(place: &Place, target: &str, code: i32) -> Value {
    let answer = scan(place, target, &["--format", "json"]);
    assert_eq!(answer.code(), code, "{}\n{}", answer.stdout(), answer.stderr());
    let report: Value = serde_json::from_str(&answer.stdout()).unwrap();
    let validator = jsonschema::validator_for(&hullmark_report::platforms_schema()).unwrap();
    let problems: Vec<_> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
    assert!(problems.is_empty(), "{problems:#?}");
    report
}

/// Of each platform its name, and the verdict or that there is none.
fn outcomes(report: &Value) -> Vec<(String, String)> {
    let name = |entry: &Value| {
        let platform = &entry["platform"];
        let parts = ["os", "architecture", "variant"].map(|part| platform[part].as_str());
        parts.into_iter().flatten().collect::<Vec<_>>().join("/")
    };
    let outcome = |entry: &Value| entry["report"]["verdict"]["outcome"].as_str().unwrap_or("none").to_owned();
    report["platforms"].as_array().unwrap().iter().map(|entry| (name(entry), outcome(entry))).collect()
}

fn expected(outcomes: [&str; 3]) -> Vec<(String, String)> {
    let platforms = ["linux/amd64", "linux/arm64", "linux/arm/v7"];
    platforms.into_iter().zip(outcomes).map(|(p, o)| (p.to_owned(), o.to_owned())).collect()
}

#[test]
fn every_source_has_the_same_platforms() {
    let place = place();
    let index = three_platforms();
    index.oci_layout(&place.path("shop"));
    place.put("shop.tar", index.oci_archive());
    let server = index.registry("team/app", "1.0").serve(|_| None);
    let registry = format!("{}/team/app:1.0", server.host());
    for target in ["shop", "oci-layout:shop:1.0", "shop.tar", "oci-archive:shop.tar", &registry] {
        let report = report(&place, target, 1);
        assert_eq!(outcomes(&report), expected(["failed", "passed", "passed"]), "{target}");
        assert_eq!(report["outcome"], "failed");
        let index = Digest::sha256(&index.index()).to_string();
        for (entry, image) in report["platforms"].as_array().unwrap().iter().zip(three_platforms().images()) {
            let manifest = Digest::sha256(&image.manifest()).to_string();
            assert_eq!(entry["manifest"], manifest);
            assert_eq!(entry["report"]["inventory"]["subject"]["manifest"], manifest);
            assert_eq!(entry["report"]["inventory"]["subject"]["index"], index);
        }
    }
    place.ok(&["ledger", "verify"]).check(0, "entries  15");
    // One alone is as before.
    let alone =
        |platform: &str| place.run(&["scan", "shop", "--platform", platform, "--fail-on", "high"]).code();
    assert_eq!((alone("linux/amd64"), alone("linux/arm64"), alone("linux/arm/v7")), (1, 0, 0));
    assert_eq!((alone("linux/arm"), alone("linux/s390x"), alone("linux")), (0, 2, 2));
    place.run(&["scan", "shop", "--platform", "linux/s390x"]).check(2, "linux/amd64");
}

#[test]
fn what_platforms_share_is_read_once_and_the_tag_looked_up_once() {
    let place = place();
    let index = three_platforms();
    let server = index.registry("team/app", "1.0").serve(|_| None);
    let target = format!("{}/team/app:1.0", server.host());
    assert_eq!(scan(&place, &target, &[]).code(), 1);
    let asked = |path: String| server.asked().iter().filter(|asked| asked.path == path).count();
    let images = index.images();
    assert_eq!(images[0].blobs()[2], images[1].blobs()[2]);
    for (image, layer) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0)] {
        let digest = Digest::sha256(&images[image].blobs()[layer]);
        assert_eq!(asked(format!("/v2/team/app/blobs/{digest}")), 1, "{image} {layer}");
    }
    // Whoever moves the tag meanwhile changes nothing.
    assert_eq!(asked("/v2/team/app/manifests/1.0".to_owned()), 1);
}

#[test]
fn a_platform_that_cannot_be_read_is_said_and_the_others_go_on() {
    let place = place();
    let index = three_platforms();
    index.oci_layout(&place.path("shop"));
    fs::remove_file(place.path("shop/blobs/sha256").join(hex(&index.images()[1].blobs()[0]))).unwrap();
    let broken = report(&place, "shop", 2);
    assert_eq!(outcomes(&broken), expected(["failed", "none", "passed"]));
    assert!(broken["platforms"][1]["error"].as_str().unwrap().contains("cannot read"), "{broken}");
    let table = scan(&place, "shop", &[]);
    table.check(2, "linux/arm64   not scanned: cannot read the image");
    assert!(table.stderr().contains("warning: linux/arm64 is left out"), "{}", table.stderr());
    assert!(table.stderr().contains("1 of 3 platforms are left out"), "{}", table.stderr());
    let mut command = place.command();
    command.args(["--progress", "json", "scan", "shop", "--platform", "all"]);
    let told = Answer(command.output().unwrap()).stderr();
    assert!(
        told.contains(r#"{"event":"platform-failed","platform":{"os":"linux","architecture":"arm64"}"#),
        "{told}"
    );
    let sarif = scan(&place, "shop", &["--format", "sarif"]);
    assert_eq!(sarif.code(), 2);
    let sarif: Value = serde_json::from_str(&sarif.stdout()).unwrap();
    let runs = sarif["runs"].as_array().unwrap();
    let ids: Vec<_> = runs.iter().map(|run| run["automationDetails"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["hullmark/linux/amd64/", "hullmark/linux/arm64/", "hullmark/linux/arm/v7/"]);
    let done: Vec<_> = runs.iter().map(|run| &run["invocations"][0]["executionSuccessful"]).collect();
    assert_eq!(done, [&json!(true), &json!(false), &json!(true)]);
    // A file for each that could be read.
    place.run(&["sbom", "shop", "--platform", "all", "-o", "{platform}.json"]).check(2, "1 of 3 platforms");
    assert!(place.path("linux-amd64.json").exists() && place.path("linux-arm-v7.json").exists());
    assert!(!place.path("linux-arm64.json").exists());
}

#[test]
fn a_file_for_each_platform() {
    let place = place();
    three_platforms().oci_layout(&place.path("shop"));
    for command in ["sbom", "profile"] {
        place.run(&[command, "shop", "--platform", "all"]).check(2, "`--output image-{platform}.json`");
        place.run(&[command, "shop", "--platform", "all", "-o", "one.json"]).check(2, "is about one image");
        place.ok(&[command, "shop", "--platform", "all", "-o", &format!("{command}-{{platform}}.json")]);
        place.ok(&[command, "shop", "--platform", "linux/arm64", "-o", "alone.json"]);
        let read = |name: &str| fs::read(place.path(name)).unwrap();
        assert_eq!(read(&format!("{command}-linux-arm64.json")), read("alone.json"));
        assert!(place.path(&format!("{command}-linux-arm-v7.json")).exists());
    }
    scan(&place, "shop", &["--format", "cyclonedx"]).check(2, "is about one image");
    let each = scan(&place, "shop", &["--format", "json", "-o", "report-{platform}.json"]);
    each.check(1, "verdict: FAILED, the worst of 3 platforms");
    let one: Value =
        serde_json::from_slice(&fs::read(place.path("report-linux-arm64.json")).unwrap()).unwrap();
    assert_eq!(one["verdict"]["outcome"], "passed");
}

#[test]
fn attestations_are_no_platforms_and_platforms_no_attestations() {
    let place = place();
    let attested = three_platforms();
    assert_eq!(
        serde_json::from_slice::<Value>(&attested.index()).unwrap()["manifests"].as_array().unwrap().len(),
        6
    );
    // What names a platform is run by engines, whatever else stands there.
    let [amd64, arm64, _] = attested.images() else { return };
    let disguised = json!({
        "mediaType": OCI_MANIFEST, "digest": Digest::sha256(&amd64.manifest()).to_string(),
        "size": amd64.manifest().len(), "platform": amd64.platform(),
        "annotations": { "vnd.docker.reference.type": "attestation-manifest" },
    });
    let index = IndexBuilder::new().image(arm64.clone()).descriptor(disguised);
    index.oci_layout(&place.path("disguised"));
    for blob in [amd64.manifest(), amd64.config()].into_iter().chain(amd64.blobs()) {
        place.put(&format!("disguised/blobs/sha256/{}", hex(&blob)), blob);
    }
    let report = report(&place, "disguised", 1);
    let names: Vec<_> = outcomes(&report).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["linux/arm64", "linux/amd64"]);
    let one = ["scan", "disguised", "--platform", "linux/amd64", "--fail-on", "high"];
    assert_eq!(place.run(&one).code(), 1);
}

#[test]
fn indexes_in_indexes_artifacts_and_the_same_image_twice() {
    let place = place();
    let inner = three_platforms();
    let signature = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [],
        "config": { "mediaType": "application/vnd.dev.cosign.artifact.sig.v1+json", "digest": Digest::sha256(b"{}"), "size": 2 },
    });
    let signature = signature.to_string().into_bytes();
    let entry = |media_type: &str, bytes: &[u8]| json!({ "mediaType": media_type, "digest": Digest::sha256(bytes), "size": bytes.len() });
    let outer = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
        entry(OCI_MANIFEST, &signature), entry(OCI_INDEX, &inner.index()), entry(OCI_INDEX, &inner.index()),
        entry(OCI_MANIFEST, &inner.images()[0].manifest()),
    ]});
    let server = inner
        .registry("team/app", "inner")
        .manifest("team/app", None, OCI_MANIFEST, &signature)
        .manifest("team/app", Some("1.0"), OCI_INDEX, outer.to_string().as_bytes())
        .serve(|_| None);
    let report = report(&place, &format!("{}/team/app:1.0", server.host()), 1);
    assert_eq!(outcomes(&report), expected(["failed", "passed", "passed"]));

    let many: Vec<_> = (0..200).map(|n| entry(OCI_MANIFEST, format!("{n}").as_bytes())).collect();
    let many = json!({ "schemaVersion": 2, "manifests": many }).to_string();
    let server = RegistryBuilder::new().manifest("a", Some("b"), OCI_INDEX, many.as_bytes()).serve(|_| None);
    scan(&place, &format!("{}/a:b", server.host()), &[]).check(2, "an index of more than 128 images");
}

#[test]
fn what_has_no_index_is_one_platform() {
    let place = place();
    let image = &three_platforms().images()[1].clone();
    place.put("image.tar", image.docker_archive());
    assert_eq!(outcomes(&report(&place, "image.tar", 0)), [("linux/arm64".to_owned(), "passed".to_owned())]);
    let server = RegistryBuilder::new().image("a", "b", image).serve(|_| None);
    let of_registry = report(&place, &format!("{}/a:b", server.host()), 0);
    assert_eq!(outcomes(&of_registry), [("linux/arm64".to_owned(), "passed".to_owned())]);
    place.ok(&["sbom", "image.tar", "-o", "image.cdx.json"]);
    assert_eq!(outcomes(&report(&place, "image.cdx.json", 0)).len(), 1);
    // Two names are two images.
    let two = json!({ "schemaVersion": 2, "manifests": [
        { "mediaType": OCI_MANIFEST, "digest": Digest::sha256(b"1"), "size": 1, "platform": image.platform(),
          "annotations": { "org.opencontainers.image.ref.name": "one" } },
        { "mediaType": OCI_MANIFEST, "digest": Digest::sha256(b"2"), "size": 1, "platform": image.platform(),
          "annotations": { "org.opencontainers.image.ref.name": "other" } },
    ]});
    place.put("two/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    place.put("two/index.json", two.to_string());
    scan(&place, "two", &[]).check(2, "choose one of: one, other");
    scan(&place, "oci-archive:-", &[]).check(2, "write it to a file first");
}
