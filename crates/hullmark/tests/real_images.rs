//! Real images and real advisories, where they are at hand.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail by panicking, and say what they skip"
)]

mod common;

use std::path::PathBuf;

use common::{Place, python};
use hullmark_testkit::{ImageBuilder, TarBuilder, workspace_root};
use serde_json::{Value, json};

fn ids(report: &Value) -> Vec<String> {
    let findings = report["matches"]["findings"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    findings
        .iter()
        .map(|f| {
            let (package, fixed) = (&f["package"], text(&f["fixed_version"]));
            format!(
                "{} {} {} {fixed} {}",
                text(&f["id"]),
                text(&package["name"]),
                text(&package["version"]),
                text(&f["severity"])
            )
        })
        .collect()
}

#[test]
fn alpine_images_of_four_releases() {
    let Some((place, images)) = Place::shared() else { return };
    let image = |name: &str| images.join(name).display().to_string();
    let report = place.report(&image("alpine-minirootfs-3.7.3-x86_64.tar.gz"));
    assert_eq!(
        ids(&report),
        [
            "CVE-2019-14697 musl 1.1.18-r3 1.1.18-r4 unrated",
            "CVE-2019-14697 musl-utils 1.1.18-r3 1.1.18-r4 unrated"
        ]
    );
    for (name, feed) in [("alpine-310", "alpine/v3.10/main"), ("alpine-311", "alpine/v3.11/main")] {
        let target = image(&format!("{name}.docker-archive.tar.gz"));
        assert_eq!(ids(&place.report(&target)), Vec::<String>::new());
        place.run(&["scan", &target]).check(0, &format!("{feed}, data of "));
    }
    let answer = place.run(&["scan", &image("alpine-minirootfs-3.18.9-x86_64.tar.gz")]);
    answer.check(0, "no-feed: no feed in the database speaks for Alpine:v3.18");
    answer.check(0, "undetermined - 15");
}

/// urllib3 1.26.5 from PyPI as pip installs it, a layer; says so where it is not at hand.
fn installed_urllib3() -> Option<Vec<u8>> {
    let oracles = std::env::var_os("HULLMARK_ORACLES")
        .map_or_else(|| workspace_root().join("target/oracles"), PathBuf::from);
    let installed = oracles.join("urllib3/site-packages");
    let is_required = ["CI", "HULLMARK_REQUIRE_ORACLES"].map(|name| std::env::var_os(name).is_some());
    if !installed.is_dir() {
        let absent = "urllib3 1.26.5 is absent; tests/oracles/install.sh target/oracles installs it";
        assert!(is_required == [false; 2], "{absent}");
        eprintln!("skipped: {absent}");
        return None;
    }
    let mut tar = TarBuilder::new();
    let mut pending = vec![installed.clone()];
    while let Some(directory) = pending.pop() {
        let mut paths: Vec<_> =
            std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            let name = path.strip_prefix(&installed).unwrap().display();
            tar = tar.file(&format!("usr/lib/python3.6/site-packages/{name}"), std::fs::read(&path).unwrap());
        }
    }
    Some(tar.finish())
}

#[test]
fn a_python_package_on_alpine() {
    a_vulnerable_urllib3_on_alpine(&python("1.26.5"));
}

#[test]
fn urllib3_from_pypi_on_alpine() {
    let Some(layer) = installed_urllib3() else { return };
    assert!(layer.len() > 400_000, "the whole package: {} bytes", layer.len());
    a_vulnerable_urllib3_on_alpine(&layer);
}

fn a_vulnerable_urllib3_on_alpine(layer: &[u8]) {
    let Some((place, images)) = Place::shared() else { return };
    let rootfs = std::fs::read(images.join("alpine-minirootfs-3.7.3-x86_64.tar.gz")).unwrap();
    let mut tar = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(&*rootfs), &mut tar).unwrap();
    let image =
        ImageBuilder::new().layer(tar, "ADD rootfs").layer(layer.to_vec(), "RUN pip install urllib3==1.26.5");
    place.put("image.tar", image.docker_archive());
    let report = place.report("image.tar");
    let versions: Vec<_> = report["inventory"]["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| package["name"] == "urllib3")
        .map(|package| package["version"].as_str().unwrap())
        .collect();
    assert_eq!(versions, ["1.26.5"]);
    let found = report["matches"]["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|f| f["id"] == "CVE-2023-43804")
        .unwrap();
    assert_eq!((&found["severity"], &found["cvss_score_tenths"]), (&"high".into(), &81.into()));
    assert_eq!(found["fixed_version"], "1.26.17");
    assert_eq!(found["evidence"][0]["advisory"], "PYSEC-2023-192");
    for (threshold, code) in [("any", 1), ("high", 1), ("critical", 0)] {
        assert_eq!(place.run(&["scan", "image.tar", "--fail-on", threshold]).code(), code, "{threshold}");
    }
    place.run(&["scan", "image.tar", "--fail-on", "high"]).check(1, "unrated - 2");
}

#[test]
fn the_profile_of_a_real_image_has_each_program_by_the_digest_of_its_content() {
    let Some(images) = hullmark_testkit::shared_dir().map(|shared| shared.join("images")) else { return };
    let archive = images.join("alpine-minirootfs-3.18.9-x86_64.tar.gz");
    let place = Place::bare();
    let output = place.ok(&["profile", &format!("rootfs:{}", archive.display())]);
    let profile: serde_json::Value = serde_json::from_str(&output.stdout()).unwrap();
    assert_eq!(profile["complete"], true);
    let files = profile["files"].as_array().unwrap();
    // The reference: tar and sha256sum.
    let directory = tempfile::tempdir().unwrap();
    let run = |command: &str| {
        let output = std::process::Command::new("sh")
            .args(["-c", command])
            .current_dir(directory.path())
            .env("ARCHIVE", &archive)
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}");
        String::from_utf8(output.stdout).unwrap()
    };
    run("tar xzf \"$ARCHIVE\"");
    let sums = run("find . -type f -perm /111 -exec sha256sum {} +");
    let mut compared = 0;
    for line in sums.lines() {
        let (sum, path) = line.split_once("  ./").unwrap();
        let file = files.iter().find(|file| file["path"] == path);
        assert_eq!(file.map(|file| &file["digest"]), Some(&json!(format!("sha256:{sum}"))), "{path}");
        compared += 1;
    }
    assert!(compared > 10, "{compared}");
    let shared_object = files.iter().find(|file| file["path"] == "lib/libcrypto.so.3").unwrap();
    assert_eq!(shared_object["kind"], "elf");
}
