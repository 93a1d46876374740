//! The forms of a report: schema, structure, golden tables, and SBOMs that come back as they went.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use hullmark_report::{
    Format, LedgerReceipt, ScanReport, Tool, WriteOptions, cyclonedx, json_schema, parse_cyclonedx, write,
};
use hullmark_testkit::{golden, workspace_root};
use hullmark_types::{
    Action, Diagnostic, Digest, Distribution, Evidence, ExceptionStatus, ExceptionUse, FeedStatus, Finding,
    INVENTORY_SCHEMA, ImageConfig, InputDigests, Inventory, KnownExploited, LayerInfo, Location, Matches,
    Outcome, Package, PackageKey, PackageKind, Reason, Severity, SourcePackage, Stage, Subject, SubjectKind,
    Undetermined, Verdict,
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
        let document = serde_json::to_vec(&cyclonedx(&inventory, &tool()).unwrap()).unwrap();
        prop_assert_eq!(parse_cyclonedx(&document).unwrap(), inventory);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse_cyclonedx(&bytes);
    }

    #[test]
    fn no_package_url_panics(purl in "pkg:[a-z]{0,4}/\\PC{0,30}") {
        let document = serde_json::json!({ "bomFormat": "CycloneDX", "components": [{ "type": "library", "name": "x", "purl": purl }] });
        let read = parse_cyclonedx(&serde_json::to_vec(&document).unwrap()).unwrap();
        prop_assert_eq!(read.packages.len() + read.diagnostics.iter().filter(|d| d.path == "/components/0" && d.code != "sbom-without-source-package").count(), 1);
    }
}
