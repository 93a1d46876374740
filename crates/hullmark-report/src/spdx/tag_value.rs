//! SPDX 2 as tags and values (<https://spdx.github.io/spdx-spec/v2.3/conformance/>): `Tag: value`, one a line; a value of several
//! lines stands between `<text>` and `</text>`.

use std::collections::BTreeMap;
use std::io;

use hullmark_types::Inventory;
use serde_json::Value;

use super::read::{
    Annotation, Document, ExternalReference, ExtractedLicense, Package, Relationship, Sum, of_document,
};
use super::write::{line, spdx_document};
use crate::{SbomError, Tool};

/// The longest value, in bytes.
const MAX_VALUE: usize = 16 << 20;

/// Whether the bytes begin like such a document: a comment or the version come first.
pub(crate) fn is_tag_value(bytes: &[u8]) -> bool {
    let lines = bytes.split(|byte| *byte == b'\n').take(1000);
    let mut tags =
        lines.map(|line| line.trim_ascii()).filter(|line| !line.is_empty() && !line.starts_with(b"#"));
    tags.next().is_some_and(|line| line.starts_with(b"SPDXVersion:"))
}

/// Reads a document.
///
/// # Errors
/// When a line is no tag with a value, or an annotation of Hullmark's cannot be read.
pub(crate) fn parse_tag_value(bytes: &[u8]) -> Result<Inventory, SbomError> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines().enumerate();
    let mut document = Document::default();
    // Whose annotation, checksum and so on the next ones are.
    let mut at = At::Document;
    let mut about = String::new();
    let mut annotations = Vec::new();
    while let Some((number, line)) = lines.next() {
        let failed = |problem: String| SbomError::TagValue { line: number + 1, problem };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (tag, value) = line.split_once(':').ok_or_else(|| {
            failed(format!("expected `Tag: value`, found `{}`", line.chars().take(50).collect::<String>()))
        })?;
        let mut value = value.trim().to_owned();
        if let Some(begun) = value.strip_prefix("<text>") {
            let mut whole = begun.to_owned();
            // The end stands in one line: what came before it is not looked at again.
            let mut has_ended = begun.trim_end().ends_with("</text>");
            while !has_ended {
                let (_, more) = lines.next().ok_or_else(|| failed("`<text>` has no end".to_owned()))?;
                if whole.len() + more.len() > MAX_VALUE {
                    return Err(failed(format!("a value has more than {MAX_VALUE} bytes")));
                }
                whole.push('\n');
                whole.push_str(more);
                has_ended = more.trim_end().ends_with("</text>");
            }
            value = whole.trim_end().trim_end_matches("</text>").to_owned();
        }
        take(&mut document, &mut annotations, &mut at, &mut about, tag.trim(), value);
    }
    // Annotations name what they are about, wherever they stand.
    let positions: BTreeMap<String, usize> = document
        .packages
        .iter()
        .enumerate()
        .map(|(position, package)| (package.id.clone(), position))
        .collect();
    for (id, annotation) in annotations {
        match positions.get(&id).and_then(|position| document.packages.get_mut(*position)) {
            Some(package) => package.annotations.push(annotation),
            None => document.annotations.push(annotation),
        }
    }
    of_document(document)
}

/// What the tags that follow are about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Document,
    Package,
    /// Files and snippets, which are not looked at.
    Other,
    License,
}

fn take(
    document: &mut Document,
    annotations: &mut Vec<(String, Annotation)>,
    at: &mut At,
    about: &mut String,
    tag: &str,
    value: String,
) {
    match tag {
        "PackageName" => {
            *at = At::Package;
            document.packages.push(Package { name: value, ..Package::default() });
            return;
        }
        "FileName" | "SnippetSPDXID" => {
            *at = At::Other;
            return;
        }
        "LicenseID" => {
            *at = At::License;
            document.licenses.push(ExtractedLicense { license_id: value, ..ExtractedLicense::default() });
            return;
        }
        "Creator" => {
            document.creation_info.creators.push(value);
            return;
        }
        "DocumentName" => {
            document.name = value;
            return;
        }
        "Relationship" => {
            let mut words = value.split_whitespace();
            if let (Some(from), Some(kind), Some(to)) = (words.next(), words.next(), words.next()) {
                document.relationships.push(Relationship {
                    spdx_element_id: from.to_owned(),
                    relationship_type: kind.to_owned(),
                    related_spdx_element: to.to_owned(),
                });
            }
            return;
        }
        "SPDXREF" => {
            *about = value;
            return;
        }
        "AnnotationComment" => {
            annotations.push((std::mem::take(about), Annotation { comment: value }));
            return;
        }
        _ => {}
    }
    match at {
        At::License => {
            let Some(license) = document.licenses.last_mut() else { return };
            match tag {
                "LicenseName" => license.name = Some(value),
                "ExtractedText" => license.extracted_text = Some(value),
                _ => {}
            }
        }
        At::Package => {
            let Some(package) = document.packages.last_mut() else { return };
            match tag {
                "SPDXID" => package.id = value,
                "PackageVersion" => package.version_info = Some(value),
                "PackageSupplier" => package.supplier = Some(value),
                "PackageLicenseDeclared" => package.license_declared = Some(value),
                "PackageLicenseConcluded" => package.license_concluded = Some(value),
                "PackageSourceInfo" => package.source_info = Some(value),
                "PrimaryPackagePurpose" => package.primary_package_purpose = Some(value),
                "PackageChecksum" => {
                    if let Some((algorithm, sum)) = value.split_once(':') {
                        let checksum_value = sum.trim().to_owned();
                        package
                            .checksums
                            .push(Sum { algorithm: algorithm.trim().to_owned(), checksum_value });
                    }
                }
                "ExternalRef" => {
                    let words: Vec<&str> = value.split_whitespace().collect();
                    if let [_, kind, locator] = words.as_slice() {
                        package.external_refs.push(ExternalReference {
                            reference_type: (*kind).to_owned(),
                            reference_locator: (*locator).to_owned(),
                        });
                    }
                }
                _ => {}
            }
        }
        At::Document | At::Other => {}
    }
}

/// Writes an inventory as an SPDX 2.3 document of tags and values; it says what [`spdx_document`] says.
///
/// # Errors
/// When `out` cannot be written to.
pub fn spdx_tag_value(inventory: &Inventory, tool: &Tool, out: &mut dyn io::Write) -> io::Result<()> {
    let document = spdx_document(inventory, tool).map_err(io::Error::other)?;
    let list =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut tag = |name: &str, value: &str| -> io::Result<()> {
        // What could be taken for the end of a text, or for another line, stands in brackets of its own or is escaped.
        match value.contains('\n') || value.contains("<text>") {
            true => writeln!(out, "{name}: <text>{}</text>", value.replace("</text>", "< /text>")),
            false => writeln!(out, "{name}: {value}"),
        }
    };
    for (name, key) in [
        ("SPDXVersion", "spdxVersion"),
        ("DataLicense", "dataLicense"),
        ("SPDXID", "SPDXID"),
        ("DocumentName", "name"),
        ("DocumentNamespace", "documentNamespace"),
    ] {
        tag(name, &line(&text(&document, key)))?;
    }
    if let Some(info) = document.get("creationInfo") {
        for creator in list(info, "creators") {
            tag("Creator", creator.as_str().unwrap_or_default())?;
        }
        tag("Created", &text(info, "created"))?;
    }
    for annotation in list(&document, "annotations") {
        annotate(&mut tag, "SPDXRef-DOCUMENT", &annotation)?;
    }
    for package in list(&document, "packages") {
        tag("PackageName", &line(&text(&package, "name")))?;
        let id = text(&package, "SPDXID");
        tag("SPDXID", &id)?;
        for (name, key) in [
            ("PackageVersion", "versionInfo"),
            ("PackageSupplier", "supplier"),
            ("PackageDownloadLocation", "downloadLocation"),
            ("PrimaryPackagePurpose", "primaryPackagePurpose"),
            ("PackageSourceInfo", "sourceInfo"),
            ("PackageLicenseConcluded", "licenseConcluded"),
            ("PackageLicenseDeclared", "licenseDeclared"),
            ("PackageCopyrightText", "copyrightText"),
        ] {
            let value = text(&package, key);
            if !value.is_empty() {
                tag(name, &line(&value))?;
            }
        }
        tag("FilesAnalyzed", "false")?;
        for sum in list(&package, "checksums") {
            tag("PackageChecksum", &format!("{}: {}", text(&sum, "algorithm"), text(&sum, "checksumValue")))?;
        }
        for one in list(&package, "externalRefs") {
            let (category, kind) = (text(&one, "referenceCategory"), text(&one, "referenceType"));
            tag("ExternalRef", &format!("{category} {kind} {}", line(&text(&one, "referenceLocator"))))?;
        }
        for annotation in list(&package, "annotations") {
            annotate(&mut tag, &id, &annotation)?;
        }
    }
    for one in list(&document, "relationships") {
        let (from, kind) = (text(&one, "spdxElementId"), text(&one, "relationshipType"));
        tag("Relationship", &format!("{from} {kind} {}", text(&one, "relatedSpdxElement")))?;
    }
    for one in list(&document, "hasExtractedLicensingInfos") {
        tag("LicenseID", &text(&one, "licenseId"))?;
        tag("LicenseName", &line(&text(&one, "name")))?;
        let extracted = text(&one, "extractedText").replace("</text>", "< /text>");
        tag("ExtractedText", &extracted)?;
    }
    Ok(())
}

/// An annotation. Its JSON has no line ends, and `<` is written as JSON may write it, so that nothing ends it early.
fn annotate(
    tag: &mut dyn FnMut(&str, &str) -> io::Result<()>,
    about: &str,
    annotation: &Value,
) -> io::Result<()> {
    let text = |key: &str| annotation.get(key).and_then(Value::as_str).unwrap_or_default();
    tag("Annotator", text("annotator"))?;
    tag("AnnotationDate", text("annotationDate"))?;
    tag("AnnotationType", text("annotationType"))?;
    tag("SPDXREF", about)?;
    tag("AnnotationComment", &text("comment").replace('<', "\\u003c").replace('\n', " "))
}
