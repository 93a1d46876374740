//! SBOMs of other tools: who names source packages, and that the time to read a document grows with its size only.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fmt::Write as _;

use hullmark_report::{SbomError, parse_sbom};
use hullmark_types::{Inventory, PackageKind};
use proptest::prelude::*;

fn read(document: &str) -> Inventory {
    parse_sbom(document.as_bytes()).unwrap()
}

/// A Debian package without source package, in each form of document that says who made it.
fn documents(tool: &str) -> Vec<String> {
    let purl = "pkg:deb/debian/bash@5.2-1?arch=amd64";
    let components = format!(r#"[{{"type":"library","name":"bash","purl":"{purl}"}}]"#);
    let package = format!(
        r#"{{"SPDXID":"SPDXRef-a","name":"bash","externalRefs":[{{"referenceType":"purl","referenceLocator":"{purl}"}}]}}"#
    );
    vec![
        format!(
            r#"{{"bomFormat":"CycloneDX","metadata":{{"tools":[{{"vendor":"v","name":"{tool}"}}]}},"components":{components}}}"#
        ),
        format!(
            r#"{{"bomFormat":"CycloneDX","metadata":{{"tools":{{"components":[{{"type":"application","name":"{tool}"}}]}}}},"components":{components}}}"#
        ),
        format!(
            r#"{{"spdxVersion":"SPDX-2.3","creationInfo":{{"creators":["Organization: x","Tool: {tool}-1.57.0"]}},"packages":[{package}]}}"#
        ),
        format!(
            r#"{{"@graph":[{{"type":"Tool","spdxId":"t","name":"{tool}-v1.2"}},{{"type":"software_Package","spdxId":"a","name":"bash","software_packageUrl":"{purl}"}}]}}"#
        ),
        format!(
            "SPDXVersion: SPDX-2.3\nCreator: Tool: {tool}-0.74.0\nPackageName: bash\nSPDXID: SPDXRef-a\nExternalRef: PACKAGE-MANAGER purl {purl}\n"
        ),
        format!(
            r#"<bom xmlns="http://cyclonedx.org/schema/bom/1.4"><metadata><tools><tool><vendor>v</vendor><name>{tool}</name></tool></tools></metadata><components><component type="library"><name>bash</name><purl>{purl}</purl></component></components></bom>"#
        ),
    ]
}

#[test]
fn tools_that_always_name_another_source_package_need_no_note() {
    for (tool, notes) in [("syft", 0), ("trivy", 0), ("Syft", 0), ("syftlike", 1), ("other", 1), ("", 1)] {
        for document in documents(tool) {
            let read = read(&document);
            let source = read.packages[0].source.as_ref().unwrap();
            assert_eq!((source.name.as_str(), source.version.as_str()), ("bash", "5.2-1"), "{document}");
            let found = read.diagnostics.iter().filter(|one| one.code == "sbom-without-source-package");
            assert_eq!(found.count(), notes, "{document}");
            assert_eq!(read.diagnostics.len(), notes, "{document}");
        }
    }
}

#[test]
fn tools_of_a_form_that_is_not_known_are_passed_over() {
    for tools in ["null", "3", "[]", "{}", "[3]", r#"{"services":[]}"#] {
        let document = format!(r#"{{"bomFormat":"CycloneDX","metadata":{{"tools":{tools}}}}}"#);
        assert_eq!(read(&document).packages, [], "{tools}");
    }
}

#[test]
fn the_file_of_a_source_rpm_names_the_source_package() {
    for (upstream, name, version, notes) in [
        ("java-17-openjdk-17.0.1-2.el9.src.rpm", "java-17-openjdk", "17.0.1-2.el9", 0),
        ("a-b.src.rpm", "lib", "1-1", 1),
        ("-1-2.src.rpm", "lib", "1-1", 1),
    ] {
        let purl = format!("pkg:rpm/redhat/lib@1-1?upstream={upstream}");
        let document = format!(
            r#"{{"bomFormat":"CycloneDX","components":[{{"type":"library","name":"lib","purl":"{purl}"}}]}}"#
        );
        let read = read(&document);
        let source = read.packages[0].source.as_ref().unwrap();
        assert_eq!((source.name.as_str(), source.version.as_str()), (name, version), "{upstream}");
        assert_eq!(read.diagnostics.len(), notes, "{upstream}");
    }
}

#[test]
fn the_revision_of_a_build_of_bitnami_is_no_part_of_the_version() {
    let component = r#"{"type":"library","name":"redis","purl":"pkg:bitnami/redis@7.4.1-0?arch=amd64"}"#;
    let read = read(&format!(r#"{{"bomFormat":"CycloneDX","components":[{component}]}}"#));
    assert_eq!((read.packages[0].version.as_str(), read.packages[0].kind), ("7.4.1", PackageKind::Bitnami));
}

/// Documents that are large where a reader may look at something again and again; all of about the same size.
fn large(count: usize) -> Vec<(&'static str, String)> {
    let mut annotated = "SPDXVersion: SPDX-2.3\nPackageName: a\nSPDXID: SPDXRef-first\n".to_owned();
    for number in 0..count {
        write!(annotated, "PackageName: a\nSPDXID: SPDXRef-{number}\n").unwrap();
    }
    annotated.push_str(&"SPDXREF: SPDXRef-first\nAnnotationComment: x\n".repeat(count));
    let blank = format!("SPDXVersion: SPDX-2.3\nPackageComment: <text>{}</text>\n", " \n".repeat(20 * count));
    let mut licensed = r#"{"@graph":[{"type":"SpdxDocument","spdxId":"d"}"#.to_owned();
    for number in 0..count {
        write!(licensed, r#",{{"type":"software_Package","spdxId":"{number}","name":"a","software_packageUrl":"pkg:npm/a@{number}"}},{{"type":"Relationship","spdxId":"r{number}","relationshipType":"hasDeclaredLicense","from":"{number}","to":["l"]}}"#).unwrap();
    }
    licensed.push_str("]}");
    let component = r#"<component type="library"><name>a</name>"#;
    let nested = format!(
        r#"<bom xmlns="http://cyclonedx.org/schema/bom/1.6"><components>{}"#,
        format!("{component}<components>{}</components></component>", "<component/>".repeat(10))
            .repeat(count / 5),
    ) + "</components></bom>";
    vec![("annotations", annotated), ("blank lines", blank), ("licences", licensed), ("nested", nested)]
}

#[test]
fn large_documents_are_read_in_time() {
    // A reader that looks at everything again for each part takes minutes for one of these.
    for (what, document) in large(100_000) {
        let read = parse_sbom(document.as_bytes());
        assert!(matches!(read, Ok(_) | Err(SbomError::TagValue { .. })), "{what}");
    }
}

proptest! {
    #[test]
    fn no_tags_and_values_panic(lines in prop::collection::vec("(PackageName|SPDXID|SPDXREF|AnnotationComment|Relationship|ExternalRef|PackageChecksum|Creator|LicenseID|Nonsense): ?(<text>)?\\PC{0,20}(</text>)?", 0..20)) {
        let _ = parse_sbom(format!("SPDXVersion: SPDX-2.3\n{}", lines.join("\n")).as_bytes());
    }

    #[test]
    fn no_elements_panic(parts in prop::collection::vec("</?(bom|metadata|tools|tool|components|component|name|properties|property|licenses|license|dependency)( (ref|name|type)=\"\\PC{0,4}\")?/?>", 0..30)) {
        let _ = parse_sbom(format!("<bom xmlns=\"http://cyclonedx.org/schema/bom/1.6\">{}", parts.concat()).as_bytes());
    }

    #[test]
    fn no_graph_panics(kind in "SpdxDocument|software_Package|Tool|Relationship", key in "extension|from|to|suppliedBy|verifiedUsing|software_sourceInfo", value in "\\[\\]|\\{\\}|null|3|\"\\PC{0,5}\"|\\[\\{\\}\\]|\\[\"x\"\\]|\\[\\{\"extension_cdxProperty\":\\[\\{\\}\\]\\}\\]") {
        let _ = parse_sbom(format!(r#"{{"@graph":[{{"type":"{kind}","{key}":{value}}}]}}"#).as_bytes());
    }
}
