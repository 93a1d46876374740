//! SBOM files in images: what package managers know as well is listed once, what they do not know is listed, and nothing in such
//! a file does harm.

mod common;

use common::{Layer, codes, inventory};
use hullmark_inventory::extractors::embedded_sbom::parse;
use hullmark_inventory::{Extractor, FileFacts, MAX_PACKAGES, OpenFile};
use hullmark_types::Inventory;
use serde_json::{Value, json};

/// A document of CycloneDX with a component for each package URL.
fn document(purls: &[&str]) -> String {
    let components: Vec<Value> = purls
        .iter()
        .map(|purl| json!({"type": "library", "bom-ref": purl, "name": "n", "purl": purl}))
        .collect();
    json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "components": components}).to_string()
}

/// `purl (ecosystem) by EXTRACTOR` for each package.
fn listed(inventory: &Inventory) -> Vec<String> {
    let line = |package: &hullmark_types::Package| {
        let ecosystem = package.ecosystem.as_deref().unwrap_or("-");
        format!("{} ({ecosystem}) by {}", package.purl, package.found_by)
    };
    inventory.packages.iter().map(line).collect()
}

#[test]
fn what_the_database_of_packages_knows_is_not_listed_again() {
    let installed = "P:hello\nV:2.12-r1\nA:x86_64\no:hello-source\nF:usr/lib/ruby\nR:x\n\n";
    let sbom = document(&[
        "pkg:apk/wolfi/hello@2.12-r1?arch=x86_64&distro=wolfi",
        "pkg:apk/wolfi/hello@2.12-r1?arch=x86_64",
        "pkg:apk/wolfi/other@1-r0?arch=x86_64&distro=wolfi",
    ]);
    let layer = Layer::new()
        .file("etc/os-release", "ID=wolfi\nVERSION_ID=20230201\n")
        .file("usr/lib/apk/db/installed", installed)
        .file("var/lib/db/sbom/hello-2.12-r1.spdx.json", &sbom);
    let inventory = inventory(&[layer]);
    assert_eq!(
        listed(&inventory),
        [
            "pkg:apk/wolfi/hello@2.12-r1?arch=x86_64&distro=wolfi-20230201 (Wolfi) by apk",
            "pkg:apk/wolfi/other@1-r0?arch=x86_64&distro=wolfi-20230201 (Wolfi) by embedded-sbom",
        ]
    );
    assert_eq!(inventory.packages[0].source.as_ref().unwrap().name, "hello-source");
    assert_eq!(codes(&inventory), [""; 0]);
}

#[test]
fn what_a_language_has_installed_is_not_listed_again() {
    let sbom = document(&[
        "pkg:pypi/example-project@1.0",
        "pkg:pypi/example-project",
        "pkg:pypi/example-project@2.0",
        "pkg:npm/left@1.0.0",
        "pkg:npm/right@1.0.0",
    ]);
    let layer = Layer::new()
        .file(
            "usr/lib/python3/Example_Project-1.0.dist-info/METADATA",
            "Name: Example_Project\nVersion: 1.0\n",
        )
        .file("app/node_modules/left/package.json", r#"{"name": "left", "version": "1.0.0"}"#)
        .file("app/sbom.cdx.json", &sbom);
    assert_eq!(
        listed(&inventory(&[layer])),
        [
            "pkg:npm/left@1.0.0 (npm) by npm",
            "pkg:npm/right@1.0.0 (npm) by embedded-sbom",
            "pkg:pypi/example-project@1.0 (PyPI) by python",
            "pkg:pypi/example-project@2.0 (PyPI) by embedded-sbom",
        ]
    );
}

#[test]
fn a_package_of_another_distribution_keeps_it() {
    // The libraries that wheels of Python bring along are those of the distribution that built them.
    let sbom = document(&[
        "pkg:rpm/almalinux/libjpeg-turbo@1.5.3-12.el8?distro=almalinux-8.10&upstream=libjpeg-turbo-1.5.3-12.el8.src.rpm",
        "pkg:deb/debian/zlib1g@1.2.13?distro=debian-12.5&epoch=1",
        "pkg:deb/debian/libold@1.0?distro=debian-11",
        "pkg:rpm/somewhere/library@1-1",
        "pkg:rpm/nameless@1-1",
    ]);
    let layer = Layer::new()
        .file("etc/os-release", "ID=debian\nVERSION_ID=12\n")
        .file("var/lib/dpkg/status", "Package: zlib1g\nVersion: 1:1.2.13\nArchitecture: amd64\n")
        .file("usr/lib/python3/pillow-11.dist-info/sboms/auditwheel.cdx.json", &sbom);
    let inventory = inventory(&[layer]);
    assert_eq!(
        listed(&inventory),
        [
            "pkg:deb/debian/libold@1.0?distro=debian-11 (Debian:11) by embedded-sbom",
            "pkg:deb/debian/zlib1g@1:1.2.13?arch=amd64&distro=debian-12 (Debian:12) by dpkg",
            "pkg:rpm/almalinux/libjpeg-turbo@1.5.3-12.el8?distro=almalinux-8.10 (AlmaLinux:8) by embedded-sbom",
            "pkg:rpm/somewhere/library@1-1?distro=somewhere (-) by embedded-sbom",
            "pkg:rpm/debian/nameless@1-1?distro=debian-12 (-) by embedded-sbom",
        ]
    );
    assert_eq!(codes(&inventory), [""; 0]);
}

#[test]
fn an_sbom_is_no_database_of_packages() {
    let layer = Layer::new()
        .file("etc/os-release", "ID=debian\nVERSION_ID=12\n")
        .file("usr/share/sbom/base.json", &document(&["pkg:deb/debian/a@1?distro=debian-12"]));
    let inventory = inventory(&[layer]);
    assert_eq!(listed(&inventory), ["pkg:deb/debian/a@1?distro=debian-12 (Debian:12) by embedded-sbom"]);
    assert_eq!(codes(&inventory), ["gap package-database-missing"]);
}

#[test]
fn an_sbom_that_a_package_brought_is_what_the_package_says_of_itself() {
    let sbom = document(&["pkg:gem/rack@3.0.0", "pkg:apk/alpine/other@1-r0"]);
    let layer = Layer::new()
        .file("etc/os-release", "ID=alpine\nVERSION_ID=3.18.4\n")
        .file("lib/apk/db/installed", "P:app\nV:1-r0\nA:x86_64\nF:usr/share/sbom\nR:app.cdx.json\n\n")
        .file("usr/share/sbom/app.cdx.json", &sbom);
    let inventory = inventory(&[layer]);
    let owner = |name: &str| {
        let package = inventory.packages.iter().find(|package| package.name == name).unwrap();
        package.owner.as_deref()
    };
    assert_eq!(owner("rack"), Some("pkg:apk/alpine/app@1-r0?arch=x86_64&distro=alpine-3.18.4"));
    assert_eq!(owner("other"), None);
}

#[test]
fn dependencies_lead_to_packages_of_the_inventory() {
    let purls = ["pkg:npm/a@1.0.0", "pkg:npm/b@1.0.0", "pkg:npm/b@2.0.0"];
    let mut sbom: Value = serde_json::from_str(&document(&purls)).unwrap();
    sbom["dependencies"] = json!([{"ref": purls[0], "dependsOn": [purls[2], purls[2], "absent"]}]);
    let inventory = inventory(&[Layer::new().file("app/bom.json", &sbom.to_string())]);
    assert_eq!(inventory.packages[0].dependencies, [purls[2]]);
    assert!(inventory.packages[1].dependencies.is_empty());
}

#[test]
fn only_what_may_be_an_sbom_is_read() {
    let wants = |path: &str| {
        let facts = FileFacts { path, size: 1, mode: 0o644 };
        hullmark_inventory::extractors::embedded_sbom::EmbeddedSbom.wants(&facts)
    };
    for path in [
        "usr/share/sbom/a.json",
        "opt/app/sboms/a/b.json",
        "opt/app.spdx.json",
        "opt/app.cdx.json",
        "opt/bom.json",
        "opt/bitnami/x/.spdx-x.spdx",
        "x.dist-info/sboms/auditwheel.cdx.json",
    ] {
        assert!(wants(path), "{path}");
    }
    for path in [
        "usr/share/sbom/a.xml",
        "opt/app.json",
        "opt/abom.json",
        "src/tests/a.cdx.json",
        "app/node_modules/x/bom.json",
    ] {
        assert!(!wants(path), "{path}");
    }
}

fn read(text: &str) -> hullmark_inventory::Extraction {
    parse(&OpenFile { path: "x.cdx.json", bytes: text.as_bytes() })
}

#[track_caller]
fn check_codes(text: &str, expected: &[&str]) -> usize {
    let found = read(text);
    assert_eq!(found.diagnostics.iter().map(|one| one.code.as_str()).collect::<Vec<_>>(), expected);
    found.packages.len()
}

#[test]
fn hostile_documents_are_survived() {
    // Deep nesting, of components and of anything.
    let component = |inside: &str| format!(r#"{{"purl": "pkg:npm/a@1", "components": [{inside}]}}"#);
    let nested = (0..40).fold(String::new(), |inside, _| component(&inside));
    let text = format!(r#"{{"bomFormat": "CycloneDX", "components": [{nested}]}}"#);
    assert_eq!(check_codes(&text, &["limit-component-depth"]), 16);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let text = format!(
        r#"{{"bomFormat": "CycloneDX", "x": {deep}, "components": [{deep}, {{"licenses": {deep}}}]}}"#
    );
    assert_eq!(read(&text).packages.len(), 0);
    // More packages than are taken, and needs of long names that would multiply.
    let text = format!(
        r#"{{"bomFormat": "CycloneDX", "components": [{}]}}"#,
        vec![r#"{"purl":"pkg:npm/a@1"}"#; MAX_PACKAGES + 1].join(",")
    );
    assert_eq!(check_codes(&text, &["limit-packages"]), MAX_PACKAGES);
    let long = "n".repeat(1000);
    let text = format!(
        r#"{{"bomFormat": "CycloneDX", "components": [{{"bom-ref": "a", "purl": "pkg:npm/a@1"}}, {{"bom-ref": "b", "purl": "pkg:npm/{long}@1"}}],
        "dependencies": [{{"ref": "a", "dependsOn": [{}]}}]}}"#,
        vec![r#""b""#; 100_000].join(",")
    );
    assert_eq!(check_codes(&text, &["limit-dependencies"]), 2);
    // Everything of a wrong type.
    for key in ["components", "dependencies", "packages", "relationships", "@graph", "metadata"] {
        for value in ["7", "\"x\"", "[7]", "[[]]", "{}", "[null]"] {
            read(&format!(r#"{{"bomFormat": "CycloneDX", "{key}": {value}}}"#));
            read(&format!(r#"{{"spdxVersion": "SPDX-2.3", "{key}": {value}}}"#));
            read(&format!(r#"{{"x": "https://spdx.org", "{key}": {value}}}"#));
        }
    }
    assert_eq!(check_codes("CycloneDX", &["malformed-sbom"]), 0);
    assert_eq!(check_codes("{}", &[]), 0);
    assert_eq!(check_codes(r#"{"bomFormat": "CycloneDX", "components": null}"#, &[]), 0);
}
