//! Base images: made known, recognised, and told apart from what was added.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{Place, alpine, image, python};
use hullmark_testkit::{Compression, ImageBuilder, registry};
use serde_json::{Value, json};

fn base() -> ImageBuilder {
    ImageBuilder::new().layer(alpine("3.7.3", "1.1.18-r3"), "ADD rootfs.tar in /")
}

fn list(place: &Place) -> Vec<Value> {
    serde_json::from_str(&place.ok(&["base", "list", "--format", "json"]).stdout()).unwrap()
}

#[test]
fn a_report_says_what_the_base_brought_and_what_was_added() {
    let place = Place::new();
    place.put("image.tar", image().docker_archive());
    place.put("base.tar", base().docker_archive());
    place
        .run(&["scan", "image.tar", "--fail-on", "critical"])
        .check(0, "base          not known; `hullmark base add` makes one known");
    place.ok(&["base", "add", "base.tar", "--name", "alpine:3.7"]);
    let answer = place.run(&["scan", "image.tar", "--fail-on", "critical"]);
    for line in [
        "base          alpine:3.7, 1 of 2 layers",
        "contents      4 packages in 2 layers: 3 from the base, 1 added",
        "  from the base  2 findings (2 unrated)",
        "  added          1 finding (1 high)",
    ] {
        answer.check(0, line);
    }
    let report = place.report("image.tar");
    assert_eq!(
        report["attribution"],
        json!({
            "base": { "packages": 3, "findings": { "unrated": 2 } },
            "own": { "packages": 1, "findings": { "high": 1 } },
        })
    );
    let schema = serde_json::from_str(
        &std::fs::read_to_string(hullmark_testkit::workspace_root().join("docs/schema/report.schema.json"))
            .unwrap(),
    )
    .unwrap();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&report));
    let sarif: Value =
        serde_json::from_str(&place.run(&["scan", "image.tar", "--format", "sarif"]).stdout()).unwrap();
    assert_eq!(sarif["runs"][0]["properties"]["base"]["name"], "alpine:3.7");
    let origin = |result: &Value| result["properties"]["origin"].as_str().unwrap().to_owned();
    let mut origins: Vec<_> = sarif["runs"][0]["results"].as_array().unwrap().iter().map(origin).collect();
    origins.sort_unstable();
    assert_eq!(origins, ["base", "base", "own"]);
    // An SBOM of the image knows it as well.
    place.ok(&["sbom", "image.tar", "--output", "image.cdx.json"]);
    assert_eq!(place.report("sbom:image.cdx.json")["attribution"], report["attribution"]);
    // Somebody else's index is another one.
    place
        .run(&["scan", "image.tar", "--fail-on", "critical", "--bases", "elsewhere"])
        .check(0, "base          not known; `hullmark base add` makes one known");
}

#[test]
fn the_base_is_recognised_wherever_it_and_the_image_are() {
    let place = Place::new();
    let server = registry(&base().compression(Compression::Gzip), None, true);
    let reference = format!("{}/team/app:1.0", server.host());
    // Nothing but manifest and configuration is fetched, and the layers need not be compressed alike.
    place.ok(&["base", "add", &reference]);
    assert_eq!(list(&place)[0]["name"], json!(reference));
    place.put("image.tar", image().compression(Compression::Zstd).oci_archive());
    assert_eq!(place.report("image.tar")["inventory"]["base"]["layers"], 1);
    // An archive on standard input has to be read to be known.
    place.put("base.tar", base().docker_archive());
    let mut command = place.command();
    let status = command
        .args(["base", "add", "-", "--name", "piped"])
        .stdin(std::fs::File::open(place.path("base.tar")).unwrap())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(list(&place).len(), 2);
    place.ok(&["base", "remove", "piped"]);
    place.run(&["base", "remove", "piped"]).check(2, "no base image is called `piped`");
    place.run(&["base", "list"]).check(0, &reference);
    place.run(&["base", "add", &place.text("feeds")]).check(2, "it is not an image");
}

#[test]
fn a_policy_tells_the_base_from_what_was_added() {
    let place = Place::new();
    place.put("base.tar", base().docker_archive());
    place.put("image.tar", image().docker_archive());
    place.put(
        "policy.yaml",
        "apiVersion: hullmark.dev/v1\nkind: Policy\nmetadata: { name: own }\nrules:\n  - name: own-high\n    \
         on: vulnerability\n    when: vuln.severity >= HIGH && package.origin != \"base\"\n    \
         message: \"{vuln.id} on {image.base}\"\n    actions: { build: fail }\n",
    );
    let scan = ["scan", "image.tar", "--policy", "policy.yaml"];
    place.ok(&["base", "add", "base.tar", "--name", "alpine:3.7"]);
    place.run(&scan).check(1, "CVE-2023-43804 on alpine:3.7");
    // The same finding in the base is the concern of those who make it.
    let other = ImageBuilder::new()
        .layer(alpine("3.7.3", "1.1.18-r3"), "ADD rootfs.tar in /")
        .layer(python("1.26.5"), "RUN pip install urllib3==1.26.5");
    place.put("other.tar", other.layer(alpine("3.7.3", "1.1.18-r4"), "RUN apk upgrade").docker_archive());
    place.ok(&["base", "add", "image.tar", "--name", "python"]);
    place
        .run(&["scan", "other.tar", "--policy", "policy.yaml"])
        .check(0, "base          python, 2 of 3 layers");
}

#[test]
fn a_declared_base_is_named_where_its_layers_are_not_known() {
    let place = Place::new();
    let labels =
        json!({ "Labels": { "org.opencontainers.image.base.name": "docker.io/library/alpine:3.7" } });
    place.put("image.tar", image().settings(labels).docker_archive());
    place
        .run(&["scan", "image.tar", "--fail-on", "critical"])
        .check(0, "base          docker.io/library/alpine:3.7, by its label; `hullmark base add`");
    assert_eq!(place.report("image.tar")["attribution"], Value::Null);
}
