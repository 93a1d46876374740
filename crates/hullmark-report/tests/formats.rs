//! The forms of a report: schema, structure, golden tables, and SBOMs that come back as they went.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use hullmark_report::{
    Format, LedgerReceipt, SbomFormat, ScanReport, Tool, WriteOptions, cyclonedx, json_schema,
    parse_cyclonedx, parse_sbom, write, write_sbom,
};
use hullmark_testkit::{golden, workspace_root};
use hullmark_types::{
    Action, Checksum, Diagnostic, Digest, Distribution, Evidence, ExceptionStatus, ExceptionUse, FeedStatus,
    Finding, INVENTORY_SCHEMA, ImageConfig, InputDigests, Inventory, KnownExploited, LayerInfo, Location,
    Matches, Outcome, Package, PackageKey, PackageKind, Reason, Severity, SourcePackage, Stage, Subject,
    SubjectKind, Undetermined, Verdict,
};
use proptest::prelude::*;
use serde_json::Value;

fn tool() -> Tool {
    Tool { name: "hullmark".to_owned(), version: "0.0.0".to_owned() }
}

fn package(kind: PackageKind, name: &str, version: &str) -> Package {
    Package {
        source: kind
            .is_operating_system()
            .then(|| SourcePackage { name: name.to_owned(), version: version.to_owned() }),
        licenses: vec!["MIT AND (Apache-2.0 OR X)".to_owned()],
        ecosystem: Some("Alpine:v3.7".to_owned()),
        locations: vec![Location { path: "lib/apk/db/installed".to_owned(), layer: 0, inside: None }],
        ..Package::new(kind, name, version, format!("pkg:{kind}/{name}@{version}"), "apk")
    }
}

fn inventory() -> Inventory {
    Inventory {
        schema: INVENTORY_SCHEMA,
        subject: Subject {
            kind: SubjectKind::Image,
            name: "registry.example/app:1\u{1b}[31m".to_owned(),
            references: vec![],
            index: None,
            manifest: Some(Digest::sha256(b"manifest")),
            config: None,
            platform: None,
        },
        distribution: Some(Distribution {
            id: "alpine".to_owned(),
            version: Some("3.7.3".to_owned()),
            ..Distribution::default()
        }),
        config: Some(ImageConfig { user: "root".to_owned(), ..ImageConfig::default() }),
        base: None,
        layers: vec![LayerInfo {
            index: 0,
            digest: None,
            diff_id: None,
            size: Some(10),
            created_by: Some("/bin/sh -c #(nop) ADD file:0123456789abcdef in /".to_owned()),
        }],
        packages: vec![
            package(PackageKind::Apk, "musl", "1.1.18-r3"),
            package(PackageKind::Npm, "@a/b", "1.0.0"),
        ],
        diagnostics: vec![
            Diagnostic::gap("unsupported-package-database", "var/lib/rpm/Packages", "rpm cannot be read")
                .in_layer(0),
            Diagnostic::note("a-note", "", "nothing is missing"),
        ],
    }
}

fn key(package: &Package) -> PackageKey {
    PackageKey {
        kind: package.kind,
        name: package.name.clone(),
        version: package.version.clone(),
        purl: package.purl.clone(),
        path: package.locations[0].path.clone(),
        layer: 0,
    }
}

fn finding(package: &Package, id: &str, severity: Severity, fixed: Option<&str>) -> Finding {
    Finding {
        package: key(package),
        id: id.to_owned(),
        aliases: vec!["GHSA-0".to_owned()],
        kind: hullmark_types::AdvisoryKind::Vulnerability,
        severity,
        severity_source: (severity != Severity::Unrated).then(|| "Feed (CVSS 3.1)".to_owned()),
        cvss_vector: None,
        cvss_score_tenths: (severity != Severity::Unrated).then_some(98),
        fixed_version: fixed.map(str::to_owned),
        known_exploited: (severity == Severity::Critical).then(|| KnownExploited {
            cve: id.to_owned(),
            date_added: "2026-01-01".to_owned(),
            due_date: None,
            ransomware: false,
        }),
        published: None,
        summary: "what it is".to_owned(),
        url: Some("https://example.org/advisory".to_owned()),
        evidence: vec![Evidence {
            advisory: id.to_owned(),
            feed: "alpine/v3.7/main".to_owned(),
            ecosystem: "Alpine:v3.7".to_owned(),
            name: "musl".to_owned(),
            compared: package.version.clone(),
            range: "introduced 0, fixed x".to_owned(),
            scheme: "apk".to_owned(),
        }],
    }
}

fn report(outcome: Outcome) -> ScanReport {
    let inventory = inventory();
    let musl = &inventory.packages[0];
    let findings = match outcome {
        Outcome::Passed => vec![],
        _ => vec![
            finding(musl, "CVE-2026-1", Severity::Critical, Some("1.1.18-r4")),
            finding(musl, "CVE-2026-2", Severity::High, Some("1.1.18-r10")),
            finding(&inventory.packages[1], "CVE-2026-3", Severity::Unrated, None),
        ],
    };
    let reason = |finding: &Finding, action, exception: Option<&str>| Reason {
        rule: "fixable".to_owned(),
        on: "vulnerability".to_owned(),
        action,
        threat: 7,
        finding: Some(finding.id.clone()),
        severity: Some(finding.severity),
        package: Some(finding.package.purl.clone()),
        fixed_version: finding.fixed_version.clone(),
        known_exploited: false,
        message: "upgrade it".to_owned(),
        grace_days_left: None,
        exception: exception.map(str::to_owned),
    };
    let failing = findings.iter().take(2).map(|f| reason(f, Action::Fail, None)).collect();
    let excused = findings.iter().skip(2).map(|f| reason(f, Action::Warn, Some("EX-1"))).collect();
    let none = Digest::sha256(b"");
    ScanReport {
        tool: tool(),
        matches: Matches {
            database: none.clone(),
            feeds: vec![FeedStatus {
                name: "alpine/v3.7/main".to_owned(),
                address: "/feeds".to_owned(),
                ecosystems: vec!["Alpine:v3.7".to_owned()],
                digest: none.clone(),
                data_date: Some("2020-06-08T00:00:00Z".parse().unwrap()),
                fetched: None,
                records: 137,
                skipped: 1,
            }],
            undetermined: vec![Undetermined {
                package: key(&inventory.packages[1]),
                id: None,
                code: "no-feed".to_owned(),
                reason: "no feed speaks for npm".to_owned(),
                evidence: vec![],
            }],
            findings,
            not_affected: vec![],
            packages_covered: 1,
        },
        verdict: Verdict {
            outcome,
            stage: Stage::Build,
            policy: "p".to_owned(),
            reasons: failing,
            excused,
            exceptions: vec![ExceptionUse {
                id: "EX-2".to_owned(),
                status: ExceptionStatus::Unused,
                expires: None,
                excused: 0,
            }],
            inputs: InputDigests {
                inventory: none.clone(),
                matches: none.clone(),
                policy: none.clone(),
                exceptions: none.clone(),
                database: none,
            },
            evaluated_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        },
        degraded: Vec::new(),
        ledger: Some(LedgerReceipt {
            origin: "log".to_owned(),
            index: 3,
            entry_digest: Digest::sha256(b"entry"),
        }),
        inventory,
    }
}

fn text(format: Format, report: &ScanReport, options: WriteOptions) -> String {
    let mut out = Vec::new();
    write(format, report, &options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn tables_for_people() {
    for (name, outcome, color, width) in [
        ("failed", Outcome::Failed, false, None),
        ("failed-80", Outcome::Failed, false, Some(80)),
        ("failed-color", Outcome::Failed, true, None),
        ("passed", Outcome::Passed, false, None),
    ] {
        let table = text(Format::Table, &report(outcome), WriteOptions { color, width });
        let escapes = table.matches('\u{1b}').count();
        assert_eq!(escapes > 0, color, "{name}: no escape sequence comes from an image");
        golden(&workspace_root().join(format!("crates/hullmark-report/tests/golden/{name}.txt")), &table);
    }
}

#[test]
fn the_fix_is_the_latest_of_all_that_are_needed() {
    let table = text(Format::Table, &report(Outcome::Failed), WriteOptions::default());
    assert!(table.contains("fix: upgrade musl from 1.1.18-r3 to 1.1.18-r10 or later"), "{table}");
}

#[test]
fn json_reports_follow_the_published_schema() {
    let validator = jsonschema::validator_for(&json_schema()).unwrap();
    for outcome in [Outcome::Passed, Outcome::Failed] {
        let value: Value =
            serde_json::from_str(&text(Format::Json, &report(outcome), WriteOptions::default())).unwrap();
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:#?}");
        let mut wrong = value.clone();
        wrong["verdict"]["outcome"] = "maybe".into();
        assert!(!validator.is_valid(&wrong));
    }
}

#[test]
fn sarif_has_what_viewers_need() {
    let value: Value =
        serde_json::from_str(&text(Format::Sarif, &report(Outcome::Failed), WriteOptions::default()))
            .unwrap();
    assert_eq!(value["version"], "2.1.0");
    let run = &value["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert_eq!((rules.len(), results.len()), (3, 3));
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        let location = &result["locations"][0]["physicalLocation"];
        assert_eq!(location["artifactLocation"]["uri"], "lib/apk/db/installed");
        assert_eq!(result["partialFingerprints"]["hullmark/v1"].as_str().unwrap().len(), 64);
    }
    assert_eq!(rules[0]["properties"]["security-severity"], "9.8");
    assert_eq!(results[0]["level"], "error");
    assert_eq!(results[2]["suppressions"][0]["justification"], "EX-1");
    let notifications = run["invocations"][0]["toolExecutionNotifications"].as_array().unwrap();
    assert_eq!(notifications.len(), 2, "one gap and one undetermined");
}

#[test]
fn an_sbom_gives_back_its_inventory() {
    let document = cyclonedx(&inventory(), &tool()).unwrap();
    assert_eq!(document["specVersion"], "1.6");
    assert_eq!(document["components"][2]["group"], "@a");
    let mut expected = inventory();
    expected.packages.sort();
    expected.diagnostics.sort();
    assert_eq!(parse_cyclonedx(&serde_json::to_vec(&document).unwrap()).unwrap(), expected);
}

fn sbom(format: SbomFormat, inventory: &Inventory) -> Vec<u8> {
    let mut document = Vec::new();
    write_sbom(format, inventory, &tool(), &mut document).unwrap();
    document
}

/// A package of which everything is known, and another that it needs.
fn rich() -> Inventory {
    let mut inventory = inventory();
    let needed = Package::new(PackageKind::Cargo, "itoa", "1.0.11", "pkg:cargo/itoa@1.0.11", "rust-binary");
    let mut whole =
        Package::new(PackageKind::Cargo, "serde_json", "1.0.1", "pkg:cargo/serde_json@1.0.1", "rust-binary");
    whole.licenses = vec!["MIT OR Apache-2.0".to_owned()];
    whole.checksums = vec![Checksum { algorithm: "sha256".to_owned(), value: "ab".repeat(32) }];
    whole.dependencies = vec!["pkg:cargo/itoa@1.0.11".to_owned()];
    whole.development = true;
    whole.locations = vec![Location { path: "a.jar".to_owned(), layer: 0, inside: Some("b.jar".to_owned()) }];
    inventory.packages.extend([
        Package { licenses: vec!["the licence of <me>\nand you".to_owned()], ..needed },
        Package {
            properties: [("cpe".to_owned(), "cpe:2.3:a:x:y:1:*:*:*:*:*:*:*".to_owned())].into(),
            ..whole
        },
    ]);
    inventory.packages.sort();
    inventory
}

#[test]
fn every_form_of_sbom_gives_back_its_inventory() {
    let mut expected = rich();
    expected.diagnostics.sort();
    for format in SbomFormat::ALL {
        let document = sbom(format, &rich());
        assert_eq!(document, sbom(format, &rich()), "{format}: the same bytes");
        assert_eq!(parse_sbom(&document).unwrap(), expected, "{format}");
        assert_eq!(format.name().parse(), Ok(format));
    }
    assert!("spdx".parse::<SbomFormat>().is_err());
}

#[test]
fn licences_checksums_and_needs_are_where_other_tools_look_for_them() {
    let cyclonedx: Value = serde_json::from_slice(&sbom(SbomFormat::CyclonedxJson, &rich())).unwrap();
    let component = |name: &str| {
        cyclonedx["components"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone()
    };
    let (serde, itoa) = (component("serde_json"), component("itoa"));
    assert_eq!(serde["licenses"], serde_json::json!([{ "expression": "MIT OR Apache-2.0" }]));
    assert_eq!(serde["hashes"][0]["alg"], "SHA-256");
    assert_eq!(serde["scope"], "excluded");
    assert_eq!(serde["cpe"], "cpe:2.3:a:x:y:1:*:*:*:*:*:*:*");
    assert_eq!(serde["evidence"]["occurrences"][0]["location"], "a.jar > b.jar");
    assert_eq!(itoa["licenses"][0]["license"]["name"], "the licence of <me>\nand you");
    let needs = cyclonedx["dependencies"].as_array().unwrap();
    let needs = needs.iter().find(|one| one["ref"] == serde["bom-ref"]).unwrap();
    assert_eq!(needs["dependsOn"], serde_json::json!([itoa["bom-ref"]]));

    let spdx: Value = serde_json::from_slice(&sbom(SbomFormat::SpdxJson, &rich())).unwrap();
    let package = |name: &str| {
        spdx["packages"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone()
    };
    let (serde, itoa) = (package("serde_json"), package("itoa"));
    assert_eq!(serde["licenseDeclared"], "MIT OR Apache-2.0");
    assert_eq!(serde["checksums"][0]["algorithm"], "SHA256");
    assert_eq!(serde["externalRefs"][0]["referenceLocator"], "pkg:cargo/serde_json@1.0.1");
    let extracted = spdx["hasExtractedLicensingInfos"].as_array().unwrap();
    assert!(extracted.iter().any(|one| one["licenseId"] == itoa["licenseDeclared"]));
    let needs = serde_json::json!({ "spdxElementId": serde["SPDXID"], "relationshipType": "DEPENDS_ON", "relatedSpdxElement": itoa["SPDXID"] });
    assert!(spdx["relationships"].as_array().unwrap().contains(&needs));
}

const XML: &str = r#"<?xml version="1.0"?>
<bom xmlns="http://cyclonedx.org/schema/bom/1.5" version="1">
  <metadata><component type="container" bom-ref="root"><name>app &amp; co</name><version>1</version></component></metadata>
  <components>
    <component type="operating-system"><name>debian</name><version>12</version></component>
    <component type="library" bom-ref="a"><name>bash</name><version>5.2-1</version>
      <hashes><hash alg="SHA-256">AB</hash></hashes>
      <licenses><license><id>GPL-3.0-or-later</id></license><license><name>other</name></license></licenses>
      <purl>pkg:deb/debian/bash@5.2-1?arch=amd64&amp;upstream=bash</purl>
      <components><component type="library" bom-ref="b"><name>inner</name><purl>pkg:npm/inner@1.0.0</purl></component></components>
    </component>
  </components>
  <dependencies><dependency ref="a"><dependency ref="b"/></dependency></dependencies>
</bom>"#;

const TAG_VALUE: &str = "# a comment\nSPDXVersion: SPDX-2.3\nDocumentName: app\n\nPackageName: debian\nSPDXID: SPDXRef-os\n\
    PackageVersion: 12\nPrimaryPackagePurpose: OPERATING-SYSTEM\n\nPackageName: bash\nSPDXID: SPDXRef-a\nPackageVersion: 5.2-1\n\
    PackageChecksum: SHA256: ab\nPackageLicenseDeclared: GPL-3.0-or-later\nPackageComment: <text>two\nlines</text>\n\
    ExternalRef: PACKAGE-MANAGER purl pkg:deb/debian/bash@5.2-1?arch=amd64&upstream=bash\n\nPackageName: inner\nSPDXID: SPDXRef-b\n\
    ExternalRef: PACKAGE-MANAGER purl pkg:npm/inner@1.0.0\n\nRelationship: SPDXRef-b DEPENDENCY_OF SPDXRef-a\n";

#[test]
fn the_same_is_read_from_every_form_of_other_tools() {
    let graph = serde_json::json!({ "@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": [
        { "type": "SpdxDocument", "spdxId": "d", "name": "app", "rootElement": ["s"] },
        { "type": "software_Package", "spdxId": "s", "name": "app" },
        { "type": "software_Package", "spdxId": "o", "name": "debian", "software_packageVersion": "12", "software_primaryPurpose": "operatingSystem" },
        { "type": "software_Package", "spdxId": "a", "name": "bash", "software_packageUrl": "pkg:deb/debian/bash@5.2-1?arch=amd64&upstream=bash",
          "verifiedUsing": [{ "type": "Hash", "algorithm": "sha256", "hashValue": "ab" }] },
        { "type": "software_Package", "spdxId": "b", "name": "inner",
          "externalIdentifier": [{ "externalIdentifierType": "packageUrl", "identifier": "pkg:npm/inner@1.0.0" }] },
        { "type": "simplelicensing_LicenseExpression", "spdxId": "l", "simplelicensing_licenseExpression": "GPL-3.0-or-later" },
        { "type": "Relationship", "spdxId": "r", "from": "a", "to": ["l"], "relationshipType": "hasDeclaredLicense" },
        { "type": "Relationship", "spdxId": "q", "from": "a", "to": ["b"], "relationshipType": "dependsOn" },
    ]})
    .to_string();
    let spdx = serde_json::json!({ "spdxVersion": "SPDX-2.2", "name": "app", "packages": [
        { "SPDXID": "SPDXRef-root", "name": "app", "primaryPackagePurpose": "CONTAINER" },
        { "SPDXID": "SPDXRef-os", "name": "debian", "versionInfo": "12", "primaryPackagePurpose": "OPERATING-SYSTEM" },
        { "SPDXID": "SPDXRef-a", "name": "bash", "versionInfo": "5.2-1", "licenseDeclared": "GPL-3.0-or-later", "sourceInfo": "built package from: bash 5.2-1",
          "checksums": [{ "algorithm": "SHA256", "checksumValue": "ab" }],
          "externalRefs": [{ "referenceCategory": "PACKAGE_MANAGER", "referenceType": "purl", "referenceLocator": "pkg:deb/debian/bash@5.2-1?arch=amd64" }] },
        { "SPDXID": "SPDXRef-b", "name": "inner", "externalRefs": [{ "referenceType": "purl", "referenceLocator": "pkg:npm/inner@1.0.0" }] },
    ], "relationships": [
        { "spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-root" },
        { "spdxElementId": "SPDXRef-a", "relationshipType": "DEPENDS_ON", "relatedSpdxElement": "SPDXRef-b" },
    ]})
    .to_string();
    let attested = format!(
        "{{\"_type\":\"https://in-toto.io/Statement/v0.1\",\"predicateType\":\"https://spdx.dev/Document\",\"predicate\":{spdx}}}"
    );
    for (form, document) in
        [("xml", XML), ("tags", TAG_VALUE), ("spdx 3", &graph), ("spdx 2", &spdx), ("attested", &attested)]
    {
        let read = parse_sbom(document.as_bytes()).unwrap();
        let found: Vec<_> = read
            .packages
            .iter()
            .map(|one| (one.advisory_name(), one.advisory_version().to_owned(), one.ecosystem.clone()))
            .collect();
        assert_eq!(
            found,
            [
                ("bash".to_owned(), "5.2-1".to_owned(), Some("Debian:12".to_owned())),
                ("inner".to_owned(), "1.0.0".to_owned(), Some("npm".to_owned())),
            ],
            "{form}"
        );
        assert_eq!(read.packages[0].licenses[0], "GPL-3.0-or-later", "{form}");
        assert_eq!(
            read.packages[0].checksums,
            [Checksum { algorithm: "sha256".to_owned(), value: "ab".to_owned() }],
            "{form}"
        );
        assert_eq!(read.packages[0].dependencies, ["pkg:npm/inner@1.0.0"], "{form}");
        assert!(read.subject.name.starts_with("app"), "{form}: {}", read.subject.name);
        assert_eq!(read.diagnostics, [], "{form}");
    }
}

#[test]
fn what_is_no_sbom_is_refused_with_what_was_expected() {
    for (document, message) in [
        ("", "expected CycloneDX"),
        ("hello", "expected CycloneDX"),
        ("{}", "expected CycloneDX"),
        ("<html></html>", "found `html`"),
        ("<bom", "byte"),
        ("SPDXVersion: SPDX-2.3\nPackageComment: <text>no end\n", "line 2: `<text>` has no end"),
        ("SPDXVersion: SPDX-2.3\nnonsense\n", "line 2: expected `Tag: value`"),
        ("{\"_type\":\"x\",\"predicate\":{\"_type\":\"x\",\"predicate\":{}}}", "expected CycloneDX"),
    ] {
        let error = parse_sbom(document.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(message), "{document}: {error}");
    }
    let deep = format!("<bom xmlns=\"http://cyclonedx.org/schema/bom/1.5\">{}", "<a>".repeat(10_000));
    assert!(parse_sbom(deep.as_bytes()).unwrap_err().to_string().contains("deep"));
}

#[test]
fn a_component_added_to_an_sbom_does_not_vanish() {
    let mut document = cyclonedx(&inventory(), &tool()).unwrap();
    document["components"]
        .as_array_mut()
        .unwrap()
        .push(serde_json::json!({ "type": "library", "name": "added" }));
    let read = parse_cyclonedx(&serde_json::to_vec(&document).unwrap()).unwrap();
    assert!(read.diagnostics.iter().any(|diagnostic| diagnostic.code == "sbom-foreign-component"));
}

#[test]
fn sboms_of_other_tools_are_read_as_far_as_they_go() {
    let document = serde_json::json!({
        "bomFormat": "CycloneDX", "specVersion": "1.5",
        "components": [
            { "type": "operating-system", "name": "debian", "version": "12" },
            { "type": "library", "name": "libssl3", "version": "3.0.9-1", "purl": "pkg:deb/debian/libssl3@3.0.9-1?arch=amd64&upstream=openssl%403.0.9-1" },
            { "type": "library", "name": "bash", "purl": "pkg:deb/debian/bash@5.2-1?epoch=1" },
            { "type": "library", "name": "core", "purl": "pkg:npm/%40angular/core@1.2.3" },
            { "type": "library", "name": "x", "purl": "pkg:oci/x@1" },
            { "type": "library", "name": "unnamed" },
        ],
    });
    let read = parse_cyclonedx(&serde_json::to_vec(&document).unwrap()).unwrap();
    let packages: Vec<_> = read
        .packages
        .iter()
        .map(|p| (p.advisory_name(), p.advisory_version().to_owned(), p.ecosystem.clone()))
        .collect();
    let debian = Some("Debian:12".to_owned());
    assert_eq!(
        packages,
        [
            ("bash".to_owned(), "1:5.2-1".to_owned(), debian.clone()),
            ("openssl".to_owned(), "3.0.9-1".to_owned(), debian),
            ("@angular/core".to_owned(), "1.2.3".to_owned(), Some("npm".to_owned())),
        ]
    );
    let mut codes: Vec<_> = read.diagnostics.iter().map(|diagnostic| diagnostic.code.as_str()).collect();
    codes.sort_unstable();
    assert_eq!(
        codes,
        ["sbom-component-without-purl", "sbom-without-source-package", "unsupported-package-type"]
    );
}

#[test]
fn what_is_no_cyclonedx_is_refused() {
    for bytes in [&b""[..], b"{", b"[]", b"{\"bomFormat\":\"SPDX\"}"] {
        assert!(parse_cyclonedx(bytes).is_err());
    }
    let mut document = cyclonedx(&inventory(), &tool()).unwrap();
    document["properties"][0]["value"] = "{}".into();
    assert!(parse_cyclonedx(&serde_json::to_vec(&document).unwrap()).is_err());
}

#[test]
fn every_form_has_a_word() {
    for format in Format::ALL {
        assert_eq!(format.name().parse(), Ok(format));
    }
    assert!("pdf".parse::<Format>().is_err());
}

proptest! {
    #[test]
    fn any_inventory_comes_back_from_its_sbom(
        packages in prop::collection::vec(("\\PC{0,12}", "\\PC{0,8}", prop::option::of("\\PC{0,6}"), 0_u32..3), 0..6),
        notes in prop::collection::vec("\\PC{0,20}", 0..4),
    ) {
        let mut inventory = inventory();
        for (name, version, owner, layer) in packages {
            inventory.packages.push(Package { owner, layer, ..package(PackageKind::Pypi, &name, &version) });
        }
        inventory.diagnostics.extend(notes.iter().map(|note| Diagnostic::gap("code", note.clone(), note.clone())));
        inventory.packages.sort();
        inventory.diagnostics.sort();
        for format in SbomFormat::ALL {
            let mut document = Vec::new();
            write_sbom(format, &inventory, &tool(), &mut document).unwrap();
            prop_assert_eq!(&parse_sbom(&document).unwrap(), &inventory, "{}", format);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse_sbom(&bytes);
    }

    #[test]
    fn no_damaged_document_panics(which in 0..SbomFormat::ALL.len(), position in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut document = Vec::new();
        write_sbom(SbomFormat::ALL[which], &inventory(), &tool(), &mut document).unwrap();
        let at = position.index(document.len());
        document[at] = byte;
        let _ = parse_sbom(&document);
        document.truncate(cut.index(document.len()));
        let _ = parse_sbom(&document);
    }

    #[test]
    fn no_package_url_panics(purl in "pkg:[a-z]{0,4}/\\PC{0,30}") {
        let document = serde_json::json!({ "bomFormat": "CycloneDX", "components": [{ "type": "library", "name": "x", "purl": purl }] });
        let read = parse_cyclonedx(&serde_json::to_vec(&document).unwrap()).unwrap();
        prop_assert_eq!(read.packages.len() + read.diagnostics.iter().filter(|d| d.path == "/components/0" && d.code != "sbom-without-source-package").count(), 1);
    }
}
