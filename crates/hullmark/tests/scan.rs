//! The main job, through the command: findings, policy, exit codes, formats, bad input.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{NOW, Place, alpine, image, python};
use hullmark_testkit::{
    Compression, ImageBuilder, RegistryBuilder, Server, TarBuilder, compress, estargz, registry,
    workspace_root,
};
use serde_json::Value;

fn ids(report: &Value) -> Vec<String> {
    let findings = report["matches"]["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|f| format!("{} {}", f["id"].as_str().unwrap(), f["package"]["name"].as_str().unwrap()))
        .collect()
}

#[test]
fn the_report_for_people() {
    let place = Place::new();
    place.put("image.tar", image().docker_archive());
    let answer = place.run(&["scan", "image.tar", "--fail-on", "high"]);
    assert_eq!(answer.code(), 1);
    // The digests of the entry differ with the binary, and so do the dates of files.
    let text: String = answer
        .stdout()
        .lines()
        .filter(|line| !line.starts_with("recorded") && !line.contains("alpine/v3.7/main, data of"))
        .map(|line| format!("{line}\n"))
        .collect();
    hullmark_testkit::golden(&workspace_root().join("crates/hullmark/tests/golden/scan.txt"), &text);
}

#[test]
fn thresholds_decide_the_exit_code() {
    let place = Place::new();
    place.put("image.tar", image().docker_archive());
    for (threshold, code) in [("any", 1), ("low", 1), ("medium", 1), ("high", 1), ("critical", 0)] {
        assert_eq!(place.run(&["scan", "image.tar", "--fail-on", threshold]).code(), code, "{threshold}");
    }
    place.put("unrated.tar", ImageBuilder::new().layer(alpine("3.7.3", "1.1.18-r3"), "ADD").docker_archive());
    for (threshold, code) in [("any", 1), ("low", 0)] {
        assert_eq!(place.run(&["scan", "unrated.tar", "--fail-on", threshold]).code(), code, "{threshold}");
    }
    place.run(&["scan", "image.tar", "--fail-on", "terrible"]).check(2, "terrible");
    place.run(&["scan", "missing.tar"]).check(2, "there is no file or directory `missing.tar`");
}

#[test]
fn every_source_gives_the_same_findings() {
    let place = Place::new();
    place.put("image.tar", image().docker_archive());
    place.put("image.tar.gz", compress(&image().docker_archive(), Compression::Gzip));
    place.put("oci.tar", image().compression(Compression::Zstd).oci_archive());
    image().oci_layout(&place.path("layout"));
    let server = registry(&image(), None, true);
    let reference = format!("{}/team/app:1.0", server.host());
    let expected = ["CVE-2019-14697 musl", "CVE-2019-14697 musl-utils", "CVE-2023-43804 urllib3"];
    for target in [
        "image.tar",
        "image.tar.gz",
        "oci.tar",
        "oci-archive:oci.tar",
        "layout",
        "oci-layout:layout",
        &reference,
    ] {
        assert_eq!(ids(&place.report(target)), expected, "{target}");
    }
}

#[test]
fn an_archive_on_standard_input_gives_the_same_findings() {
    let place = Place::new();
    for (target, archive) in [
        ("-", image().docker_archive()),
        ("docker-archive:-", compress(&image().docker_archive(), Compression::Gzip)),
        ("oci-archive:-", image().compression(Compression::Zstd).oci_archive()),
    ] {
        let path = place.put("archive", archive);
        let output = place
            .command()
            .args(["scan", target, "--format", "json"])
            .stdin(std::fs::File::open(path).unwrap())
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let expected = ["CVE-2019-14697 musl", "CVE-2019-14697 musl-utils", "CVE-2023-43804 urllib3"];
        assert_eq!(ids(&report), expected, "{target}");
    }
    let mut command = place.command();
    let output = command.args(["scan", "-"]).stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn lazy_scans_say_what_they_fetched() {
    let place = Place::new();
    let much: Vec<u8> =
        (0..300_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let database = b"P:musl\nV:1.1.18-r3\nA:x86_64\no:musl\n\n";
    let layer = estargz(&[
        ("usr/share/much", &much),
        ("etc/os-release", b"ID=alpine\nVERSION_ID=3.7.3\n"),
        ("lib/apk/db/installed", database),
    ]);
    let image = ImageBuilder::new().seekable_layer(&layer, "ADD rootfs");
    let server = RegistryBuilder::new().image("team/app", "1.0", &image).serve(|_| None);
    let target = format!("{}/team/app:1.0", server.host());
    let whole = ids(&place.report(&target));
    assert_eq!(whole, ["CVE-2019-14697 musl"]);
    let answer = place.run(&["scan", &target, "--lazy", "--no-cache"]);
    let size = layer.blob.len();
    answer.check(answer.code(), &format!("of {size} bytes were fetched"));
    assert!(answer.stderr().contains("1 layer was read by a table of contents: "), "{}", answer.stderr());
    let answer = place.run(&["scan", &target, "--lazy", "--no-cache", "--format", "json"]);
    assert_eq!(ids(&serde_json::from_str(&answer.stdout()).unwrap()), whole);
    place.run(&["scan", &target, "--lazy", "--verify-diff-ids"]).check(2, "cannot be used with");
    // Of a layer whose content is known nothing is fetched.
    place
        .run(&["scan", &target, "--lazy"])
        .check(answer.code(), "no layer was read by its table of contents");
}

#[test]
fn a_finding_says_everything() {
    let place = Place::new();
    place.put("image.tar", image().docker_archive());
    let report = place.report("image.tar");
    let finding = report["matches"]["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|f| f["id"] == "CVE-2023-43804")
        .unwrap();
    assert_eq!(finding["severity"], "high");
    assert_eq!(finding["cvss_score_tenths"], 81);
    assert_eq!(finding["fixed_version"], "1.26.17");
    assert_eq!(finding["package"]["layer"], 1);
    assert_eq!(finding["aliases"], serde_json::json!(["GHSA-v845-jxx5-vc9f", "PYSEC-2023-192"]));
    assert_eq!(finding["evidence"][0]["advisory"], "PYSEC-2023-192");
    let not_affected = report["matches"]["not_affected"].as_array().unwrap();
    assert!(not_affected.iter().any(|answer| answer["id"] == "CVE-2017-0001"), "{not_affected:?}");
}

#[test]
fn scanning_the_sbom_gives_the_findings_of_the_image() {
    let place = Place::new();
    place.put("image.tar", image().docker_archive());
    let image = place.report("image.tar");
    assert_eq!(ids(&image).len(), 3);
    for format in hullmark_report::SbomFormat::ALL {
        place.ok(&["sbom", "image.tar", "--format", format.name(), "-o", "image.sbom"]);
        let sbom = place.report("sbom:image.sbom");
        for part in ["inventory", "matches", "verdict"] {
            assert_eq!(image[part], sbom[part], "{part} in {format}");
        }
    }
    place
        .run(&["sbom", "image.tar", "--format", "paper"])
        .check(2, "expected cyclonedx-json, cyclonedx-xml, spdx-json");
}

#[test]
fn two_runs_give_the_same_bytes() {
    let place = Place::new();
    place.put("image.tar", image().docker_archive());
    for format in ["table", "json", "sarif", "cyclonedx"] {
        let run =
            |ledger: &str| place.run(&["scan", "image.tar", "--format", format, "--ledger", ledger]).stdout();
        let first = run(&format!("one-{format}"));
        assert_eq!(first, run(&format!("two-{format}")), "{format}");
        assert!(!first.is_empty());
    }
    assert_eq!(place.ok(&["sbom", "image.tar"]).stdout(), place.ok(&["sbom", "image.tar"]).stdout());
    place.ok(&["db", "build", "--from", &place.text("feeds"), "--output", "b.db"]);
    let (one, two) = (std::fs::read(place.path("a.db")).unwrap(), std::fs::read(place.path("b.db")).unwrap());
    assert!(one == two, "two builds of the database differ");
}

#[test]
fn packages_that_a_later_layer_replaced_are_gone() {
    let place = Place::new();
    let upgraded = image().layer(alpine("3.7.3", "1.1.18-r4"), "RUN apk upgrade").layer(
        TarBuilder::new().whiteout("usr/lib/python3.6/site-packages/urllib3-1.26.5.dist-info").finish(),
        "RUN rm",
    );
    place.put("image.tar", upgraded.docker_archive());
    let report = place.report("image.tar");
    assert_eq!(ids(&report), Vec::<String>::new());
    let packages = report["inventory"]["packages"].as_array().unwrap();
    let layer = |name: &str| packages.iter().find(|p| p["name"] == name).unwrap()["layer"].as_u64();
    assert_eq!((layer("musl"), layer("busybox")), (Some(2), Some(0)));
}

#[test]
fn what_no_feed_covers_is_undetermined_and_never_nothing() {
    let place = Place::new();
    place.put("image.tar", ImageBuilder::new().layer(alpine("3.18.9", "1.2.4-r2"), "ADD").docker_archive());
    place.run(&["scan", "image.tar"]).check(0, "no-feed");
    let strict = "apiVersion: hullmark.dev/v1\nkind: Policy\nmetadata: { name: strict }\nrules:\n  - name: covered\n    on: coverage\n    \
                  when: coverage.undetermined > 0\n    actions: { build: fail }\n";
    place.put("strict.yaml", strict);
    place.run(&["scan", "image.tar", "--policy", "strict.yaml"]).check(1, "FAILED by policy `strict`");
    place.put(
        "unknown.tar",
        ImageBuilder::new().layer(TarBuilder::new().file("bin/tool", "x").finish(), "ADD").docker_archive(),
    );
    place.run(&["scan", "unknown.tar"]).check(0, "no-packages-found");
    place.put("empty.tar", ImageBuilder::new().docker_archive());
    place.run(&["scan", "empty.tar"]).check(0, "empty-image");
}

#[test]
fn a_malformed_package_database_is_a_gap_with_its_place() {
    let place = Place::new();
    let layer = TarBuilder::new()
        .file("etc/os-release", "ID=alpine\nVERSION_ID=3.7.3\n")
        .file("lib/apk/db/installed", "P:musl\nV:1.1.18-r3\no:musl\n\nthis is no stanza\n\nV:1\n\n")
        .finish();
    place.put("image.tar", ImageBuilder::new().layer(layer, "ADD").docker_archive());
    let answer = place.run(&["scan", "image.tar"]);
    answer.check(1, "malformed-package-database `lib/apk/db/installed` in layer 1");
    answer.check(1, "CVE-2019-14697");
}

#[test]
fn bad_input_is_exit_2_with_file_and_place() {
    let place = Place::new();
    let whole = image().docker_archive();
    place.put("cut.tar", &whole[..1500]);
    place.run(&["scan", "cut.tar"]).check(2, "cut.tar");
    let position = whole.windows(8).position(|window| window == b"V:1.1.18").unwrap();
    let mut flipped = whole.clone();
    flipped[position + 2] = b'9';
    place.put("flipped.tar", flipped);
    place.run(&["scan", "flipped.tar"]).check(2, "is damaged or was changed");
    place.put("xz.tar.xz", b"\xfd7zXZ\0\0rest");
    place.run(&["scan", "xz.tar.xz"]).check(2, "xz.tar.xz");
    place.put("sbom.json", "{\"bomFormat\": \"SPDX\"}");
    place.run(&["scan", "sbom.json"]).check(2, "expected `bomFormat` to be `CycloneDX`");
    place.put("damaged.db", "HULLMARK");
    place.put("image.tar", whole);
    place.run(&["scan", "image.tar", "--db", "damaged.db"]).check(2, "damaged.db");
    place.run(&["scan", "image.tar", "--db", "missing.db"]).check(2, "`hullmark db update` makes one");
    place.run(&["scan", "127.0.0.1:1/a:b"]).check(2, "cannot reach `127.0.0.1`");
    place.run(&["--offline", "scan", "registry.example/a:b"]).check(2, "`--offline` is set");
}

#[test]
fn a_decompression_bomb_is_a_gap_and_the_rest_goes_on() {
    let place = Place::new();
    let deep =
        TarBuilder::new().file(&format!("{}x", "d/".repeat(300)), "1").file("../../etc/passwd", "x").finish();
    place.put("image.tar", image().layer(deep, "COPY").docker_archive());
    let answer = place.run(&["scan", "image.tar"]);
    answer.check(1, "limit-path-depth");
    answer.check(1, "path-escapes-root");
    answer.check(1, "CVE-2023-43804");
}

#[test]
fn a_policy_that_is_wrong_is_said_with_line_and_column() {
    let place = Place::new();
    place.put("image.tar", image().docker_archive());
    let policy = "apiVersion: hullmark.dev/v1\nkind: Policy\nmetadata: { name: p }\nrules:\n  - name: a\n    on: vulnerability\n    when: vuln.sevirity >= HIGH\n    actions: { build: fail }\n";
    place.put("policy.yaml", policy);
    place.run(&["scan", "image.tar", "--policy", "policy.yaml"]).check(2, "policy.yaml:7:");
    place.run(&["policy", "check", "policy.yaml"]).check(2, "sevirity");
    let default = place.ok(&["policy", "default"]).stdout();
    place.put("default.yaml", default);
    place.ok(&["policy", "check", "default.yaml"]);
}

#[test]
fn exceptions_excuse_for_a_time_and_stay_visible() {
    let place = Place::new();
    place.put("image.tar", image().docker_archive());
    let exceptions = |expires: &str| {
        format!(
            "apiVersion: hullmark.dev/v1\nkind: Exceptions\nexceptions:\n  - id: EX-1\n    match: {{ vulnerability: GHSA-v845-jxx5-vc9f }}\n    \
             owner: team\n    approver: security\n    reason: no redirects\n    created: 2025-12-01\n    expires: {expires}\n"
        )
    };
    place.put("valid.yaml", exceptions("2026-06-01"));
    let answer = place.run(&["scan", "image.tar", "--fail-on", "high", "--exceptions", "valid.yaml"]);
    answer.check(0, "EX-1: excuses CVE-2023-43804");
    place.put("expired.yaml", exceptions("2026-01-01"));
    let answer = place.run(&["scan", "image.tar", "--fail-on", "high", "--exceptions", "expired.yaml"]);
    answer.check(1, "EX-1: expired at 2026-01-02T00:00:00Z");
}

#[test]
fn data_goes_to_stdout_and_talk_to_stderr() {
    let place = Place::new();
    place.put("image.tar", image().docker_archive());
    let answer = place.run(&["scan", "image.tar", "--format", "json", "-o", "report.json"]);
    answer.check(1, "verdict: FAILED");
    assert_eq!(answer.stderr(), "");
    assert!(!answer.stdout().contains('\u{1b}'));
    let written: Value = serde_json::from_slice(&std::fs::read(place.path("report.json")).unwrap()).unwrap();
    assert_eq!(written["verdict"]["outcome"], "failed");
    let broken = place.put("no/such", "");
    place.run(&["scan", "image.tar", "-o", &format!("{broken}/x")]).check(2, "cannot write");
}

#[test]
fn a_reader_that_hangs_up_is_no_failure() {
    let place = Place::new();
    place.put("image.tar", ImageBuilder::new().layer(python("2.0.7"), "RUN").docker_archive());
    let mut child =
        place.command().args(["policy", "default"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn feeds_are_updated_and_what_cannot_be_reached_is_named() {
    let place = Place::new();
    let server = Server::files(place.path("feeds"));
    let list = format!(
        "[[feed]]\nname = \"osv/PyPI\"\nkind = \"osv\"\naddress = \"{0}/osv/PyPI/all.zip\"\necosystem = \"PyPI\"\n\n\
         [[feed]]\nname = \"kev\"\nkind = \"kev\"\naddress = \"http://127.0.0.1:1/kev.json\"\n",
        server.url()
    );
    place.put("feeds.toml", list);
    let answer = place.run(&["db", "update", "--feeds", "feeds.toml", "--db", "new.db"]);
    answer.check(0, "kev: not available");
    answer.check(0, "127.0.0.1");
    place.ok(&["db", "status", "--db", "new.db"]).check(0, "osv/PyPI");
    // Nothing can be reached: the database stays as it was, and the command says that it could not work.
    let before = std::fs::read(place.path("new.db")).unwrap();
    drop(server);
    place.put(
        "dead.toml",
        "[[feed]]\nname = \"kev\"\nkind = \"kev\"\naddress = \"http://127.0.0.1:1/kev.json\"\n",
    );
    place.run(&["db", "update", "--feeds", "dead.toml", "--db", "new.db"]).check(2, "no feed could be read");
    assert_eq!(before, std::fs::read(place.path("new.db")).unwrap());
    place
        .run(&["--offline", "db", "update", "--db", "new.db", "--only", "osv/npm"])
        .check(2, "`--offline` is set");
}

#[test]
fn a_database_is_built_from_a_server_laid_out_like_the_public_ones() {
    let place = Place::new();
    let server = Server::files(place.path("feeds"));
    place.ok(&["db", "build", "--from", &server.url(), "--output", "remote.db"]);
    place.put("image.tar", image().docker_archive());
    let answer = place.run(&["scan", "image.tar", "--db", "remote.db", "--format", "json"]);
    assert_eq!(ids(&serde_json::from_str(&answer.stdout()).unwrap()).len(), 3);
}

#[test]
fn the_clock_is_an_argument() {
    let place = Place::new();
    place.put("image.tar", image().docker_archive());
    assert_eq!(place.report("image.tar")["verdict"]["evaluated_at"], NOW);
}
