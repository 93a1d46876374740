//! Written SBOMs: where other tools look for what is said, and whether each form is valid by what its authors publish.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail by panicking, and say what they skip"
)]

use std::path::PathBuf;
use std::process::Command;

use hullmark_report::{SbomFormat, Tool, parse_sbom, write_sbom};
use hullmark_testkit::workspace_root;
use hullmark_types::{
    Checksum, Diagnostic, Distribution, INVENTORY_SCHEMA, Inventory, LayerInfo, Location, Package,
    PackageKind, SourcePackage, Subject, SubjectKind,
};
use serde_json::{Value, json};

fn inventory(packages: Vec<Package>) -> Inventory {
    Inventory {
        schema: INVENTORY_SCHEMA,
        subject: Subject {
            kind: SubjectKind::Image,
            name: "app:1\u{1b}[31m".to_owned(),
            references: vec![],
            index: None,
            manifest: None,
            config: None,
            platform: None,
        },
        distribution: Some(Distribution {
            id: "debian".to_owned(),
            version: Some("12".to_owned()),
            ..Distribution::default()
        }),
        config: None,
        base: None,
        layers: vec![LayerInfo { index: 0, digest: None, diff_id: None, size: None, created_by: None }],
        packages,
        diagnostics: vec![Diagnostic::gap("a-gap", "a/b", "not read")],
    }
}

fn packages() -> Vec<Package> {
    let location = |path: &str| vec![Location { path: path.to_owned(), layer: 0, inside: None }];
    vec![
        Package {
            source: Some(SourcePackage { name: "glibc".to_owned(), version: "2.36-9".to_owned() }),
            vendor: Some("Debian <libc> & \"co\"".to_owned()),
            licenses: vec!["the licence of\n<me>".to_owned(), "MIT".to_owned()],
            locations: location("var/lib/dpkg/status"),
            ..Package::new(PackageKind::Deb, "libc6", "2.36-9", "pkg:deb/debian/libc6@2.36-9", "dpkg")
        },
        Package {
            licenses: vec!["MIT OR Apache-2.0".to_owned()],
            checksums: vec![Checksum { algorithm: "sha256".to_owned(), value: "ab".repeat(32) }],
            dependencies: vec!["pkg:cargo/itoa@1.0.11".to_owned()],
            properties: [("cpe".to_owned(), "cpe:2.3:a:x:y:1:*:*:*:*:*:*:*".to_owned())].into(),
            locations: location("app"),
            ..Package::new(PackageKind::Cargo, "serde_json", "1.0.1", "pkg:cargo/serde_json@1.0.1", "rust")
        },
        Package {
            development: true,
            vendor: Some("Someone (else)".to_owned()),
            locations: location("app\u{fffe}\u{1}\u{ffff}]]>"),
            ..Package::new(PackageKind::Cargo, "itoa", "1.0.11", "pkg:cargo/itoa@1.0.11", "rust")
        },
    ]
}

fn write(format: SbomFormat) -> String {
    document(format, packages())
}

fn document(format: SbomFormat, packages: Vec<Package>) -> String {
    let mut inventory = inventory(packages);
    inventory.packages.sort();
    let tool = Tool { name: "hullmark".to_owned(), version: "0.0.0".to_owned() };
    let mut document = Vec::new();
    write_sbom(format, &inventory, &tool, &mut document).unwrap();
    assert_eq!(parse_sbom(&document).unwrap(), inventory, "{format}: it comes back");
    String::from_utf8(document).unwrap()
}

#[test]
fn xml_holds_no_character_that_xml_may_not_hold() {
    let document = write(SbomFormat::CyclonedxXml);
    assert!(!document.contains(['\u{1b}', '\u{1}', '\u{fffe}', '\u{ffff}']), "{document}");
    for part in [
        "<bom xmlns=\"http://cyclonedx.org/schema/bom/1.6\" serialNumber=\"urn:uuid:",
        "<name>Debian &lt;libc&gt; &amp; &quot;co&quot;</name>",
        "<expression>MIT OR Apache-2.0</expression>",
        "<hash alg=\"SHA-256\">abab",
        "<scope>excluded</scope>",
        "<cpe>cpe:2.3:a:x:y:1:*:*:*:*:*:*:*</cpe>",
        "<property name=\"hullmark:layer\">0</property>",
        "<location>var/lib/dpkg/status</location>",
    ] {
        assert!(document.contains(part), "{part}: {document}");
    }
}

#[test]
fn spdx_3_says_all_in_elements_of_its_own() {
    let document: Value = serde_json::from_str(&write(SbomFormat::Spdx3Json)).unwrap();
    let graph = document["@graph"].as_array().unwrap();
    let of_name = |name: &str| graph.iter().find(|one| one["name"] == name).unwrap();
    let id = |name: &str| of_name(name)["spdxId"].as_str().unwrap();
    let related = |from: &str, kind: &str| {
        let one = graph.iter().find(|one| one["relationshipType"] == kind && one["from"] == id(from));
        one.unwrap()["to"].clone()
    };
    let serde = of_name("serde_json");
    assert_eq!(serde["verifiedUsing"][0]["algorithm"], "sha256");
    assert_eq!(serde["externalIdentifier"][0]["externalIdentifierType"], "cpe23");
    assert_eq!(related("serde_json", "dependsOn"), json!([id("itoa")]));
    let license = |name: &str| {
        let to = related(name, "hasDeclaredLicense");
        graph.iter().find(|one| one["spdxId"] == to[0]).unwrap()
    };
    assert_eq!(license("serde_json")["simplelicensing_licenseExpression"], "MIT OR Apache-2.0");
    let entry = &license("libc6")["simplelicensing_customIdToUri"][0];
    let text = graph.iter().find(|one| one["spdxId"] == entry["value"]).unwrap();
    assert_eq!(text["simplelicensing_licenseText"], "the licence of\n<me>");
    assert_eq!(of_name("libc6")["suppliedBy"], id("Debian <libc> & \"co\""));
    assert_eq!(of_name("libc6")["software_sourceInfo"], "built package from: glibc 2.36-9");
    let scoped = graph.iter().find(|one| one["type"] == "LifecycleScopedRelationship").unwrap();
    assert_eq!((&scoped["scope"], &scoped["to"]), (&json!("development"), &json!([id("itoa")])));

    // Every identifier that an element names is that of an element, and no two elements have the same.
    let mut ids: Vec<&str> = graph.iter().filter_map(|one| one["spdxId"].as_str()).collect();
    ids.sort_unstable();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count);
    for one in graph {
        for key in ["from", "to", "suppliedBy", "rootElement", "element", "createdBy", "createdUsing"] {
            let named = match &one[key] {
                Value::Array(all) => all.clone(),
                Value::Null => vec![],
                other => vec![other.clone()],
            };
            assert!(named.iter().all(|id| ids.contains(&id.as_str().unwrap())), "{key}: {one}");
        }
    }
}

#[test]
fn a_document_of_ours_without_its_properties_is_that_of_another_tool() {
    let mut document: Value = serde_json::from_str(&write(SbomFormat::Spdx3Json)).unwrap();
    for one in document["@graph"].as_array_mut().unwrap() {
        one.as_object_mut().unwrap().remove("extension");
    }
    let read = parse_sbom(&serde_json::to_vec(&document).unwrap()).unwrap();
    assert_eq!(read.diagnostics, []);
    let libc = read.packages.iter().find(|one| one.name == "libc6").unwrap();
    assert_eq!(libc.source.as_ref().unwrap().name, "glibc");
    assert_eq!(libc.vendor.as_deref(), Some("Debian <libc> & \"co\""));
    assert_eq!(libc.ecosystem.as_deref(), Some("Debian:12"));
}

#[test]
fn a_package_added_to_spdx_3_does_not_vanish() {
    let mut document: Value = serde_json::from_str(&write(SbomFormat::Spdx3Json)).unwrap();
    let added = json!({ "type": "software_Package", "spdxId": "x", "name": "added", "extension": [{ "type": "other" }] });
    document["@graph"].as_array_mut().unwrap().push(added);
    let read = parse_sbom(&serde_json::to_vec(&document).unwrap()).unwrap();
    assert!(read.diagnostics.iter().any(|one| one.code == "sbom-foreign-component"));
}

#[test]
fn tools_that_made_a_document_in_xml_are_no_components_of_it() {
    let document = r#"<bom xmlns="http://cyclonedx.org/schema/bom/1.6"><metadata><tools><components>
        <component type="application"><name>syft</name></component></components></tools></metadata>
        <components><component type="library"><name>a</name><purl>pkg:npm/a@1.0.0</purl></component></components></bom>"#;
    let read = parse_sbom(document.as_bytes()).unwrap();
    assert_eq!((read.packages.len(), read.diagnostics), (1, vec![]));
}

/// The validators, that `tests/oracles/install.sh` installs; `None`, and a word on it, where they are absent.
fn validators() -> Option<Command> {
    let oracles = std::env::var_os("HULLMARK_ORACLES")
        .map_or_else(|| workspace_root().join("target/oracles"), PathBuf::from);
    let installed = oracles.join("sbom");
    if !installed.join("installed").is_file() {
        let absent =
            "the validators of SBOMs are absent; tests/oracles/install.sh target/oracles installs them";
        let is_required = ["CI", "HULLMARK_REQUIRE_ORACLES"].map(|name| std::env::var_os(name).is_some());
        assert!(is_required == [false; 2], "{absent}");
        eprintln!("skipped: {absent}");
        return None;
    }
    let mut command = Command::new("python3");
    command.arg("-B").arg(workspace_root().join("tests/oracles/validate_sbom.py"));
    command.env("PYTHONPATH", installed);
    Some(command)
}

/// What the validators say of documents.
fn problems(format: SbomFormat, documents: &[String]) -> Option<String> {
    let mut command = validators()?;
    command.arg(format.name());
    let directory = tempfile::tempdir().unwrap();
    for (position, document) in documents.iter().enumerate() {
        let path = directory.path().join(position.to_string());
        std::fs::write(&path, document).unwrap();
        command.arg(path);
    }
    let output = command.output().unwrap();
    assert!(output.stderr.is_empty(), "{format}: {}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.success(), said.is_empty(), "{format}: {said}");
    Some(said)
}

#[test]
fn every_form_is_valid_by_what_its_authors_publish() {
    // An image may say anything of its packages.
    let odd = Package {
        vendor: Some("two\nlines (of, a: vendor) <x@y>".to_owned()),
        licenses: vec!["GPL-2.0-or-later".to_owned(), "see \"there\"\u{7}".to_owned()],
        checksums: vec![
            Checksum { algorithm: "sha256".to_owned(), value: "short".to_owned() },
            Checksum { algorithm: "sha512".to_owned(), value: "0f".repeat(64) },
            Checksum { algorithm: "crc".to_owned(), value: "0f".to_owned() },
        ],
        properties: [("cpe".to_owned(), "no cpe".to_owned())].into(),
        ..Package::new(PackageKind::Npm, "@a b/c\u{1b}\t", "", "pkg:npm/%40a%20b/c", "package-json")
    };
    for format in SbomFormat::ALL {
        let cases = [vec![], packages(), [packages(), vec![odd.clone(), odd.clone()]].concat()];
        let documents = cases.map(|packages| document(format, packages));
        let Some(said) = problems(format, &documents) else { return };
        assert_eq!(said, "", "{format}");
    }
}

#[test]
fn the_validators_find_what_is_wrong() {
    for (format, right, wrong) in [
        (SbomFormat::CyclonedxJson, "\"library\"", "\"book\""),
        (SbomFormat::CyclonedxXml, "<scope>excluded</scope>", "<scope>never</scope>"),
        (SbomFormat::SpdxJson, "DEPENDS_ON", "NEEDS"),
        (SbomFormat::SpdxTagValue, "DEPENDS_ON", "NEEDS"),
        (SbomFormat::Spdx3Json, "\"dependsOn\"", "\"needs\""),
    ] {
        let document = write(format);
        assert!(document.contains(right), "{format}");
        let Some(said) = problems(format, &[document.replacen(right, wrong, 1)]) else { return };
        assert_ne!(said, "", "{format}");
    }
}
