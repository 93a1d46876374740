//! The JSON schema of the report, published as `docs/schema/report.schema.json`.

use hullmark_types::{Severity, Stage};
use serde_json::{Value, json};

use crate::json::SCHEMA;
use crate::schema_parts::{
    digest, exception_use, inputs, list, number, object, platform, reason, reference, subject, text, time,
    words,
};

/// The JSON schema (2020-12) of the JSON report.
pub fn json_schema() -> Value {
    let about = (
        "https://hullmark.dev/schema/report.schema.json",
        "Hullmark scan report",
        "What `hullmark scan --format json` writes.",
    );
    schema(about, report(), definitions())
}

/// The JSON schema (2020-12) of the JSON report on all platforms of an image.
pub fn platforms_schema() -> Value {
    let about = (
        "https://hullmark.dev/schema/platforms-report.schema.json",
        "Hullmark scan report on all platforms",
        "What `hullmark scan --platform all --format json` writes.",
    );
    let one = [("platform?", platform()), ("manifest?", digest())];
    let scanned = object(&[&one[..], &[("report", reference("report"))]].concat());
    let not_scanned = object(&[&one[..], &[("error", text())]].concat());
    let all = object(&[
        ("schema", json!({ "const": SCHEMA })),
        ("tool", tool()),
        ("name", text()),
        ("outcome?", words(["passed", "warned", "failed"])),
        ("platforms", list(json!({ "oneOf": [scanned, not_scanned] }))),
    ]);
    let mut definitions = definitions();
    if let Value::Object(definitions) = &mut definitions {
        definitions.insert("report".to_owned(), report());
    }
    schema(about, all, definitions)
}

fn tool() -> Value {
    object(&[("name", text()), ("version", text())])
}

fn report() -> Value {
    object(&[
        ("schema", json!({ "const": SCHEMA })),
        ("tool", tool()),
        ("inventory", reference("inventory")),
        ("matches", reference("matches")),
        ("verdict", reference("verdict")),
        ("attribution?", object(&[("base", reference("share")), ("own", reference("share"))])),
        ("ledger?", object(&[("origin", text()), ("index", number()), ("entry_digest", digest())])),
        ("degraded?", list(text())),
    ])
}

fn schema((id, title, description): (&str, &str, &str), document: Value, definitions: Value) -> Value {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": id,
        "title": title,
        "description": description,
    });
    if let (Value::Object(schema), Value::Object(document)) = (&mut schema, document) {
        schema.extend(document);
        schema.insert("$defs".to_owned(), definitions);
    }
    schema
}

fn definitions() -> Value {
    json!({
        "inventory": object(&[
            ("schema", number()),
            ("subject", reference("subject")),
            ("distribution?", object(&[
                ("id", text()), ("version?", text()), ("codename?", text()), ("pretty_name?", text()),
                ("id_like?", list(text())),
            ])),
            ("config?", json!({ "type": "object" })),
            ("base?", object(&[
                ("name", text()), ("digest?", digest()), ("layers?", number()),
                ("known_by", words(["layers", "declared"])),
            ])),
            ("layers", list(object(&[
                ("index", number()), ("digest?", digest()), ("diff_id?", digest()), ("size?", number()),
                ("created_by?", text()),
            ]))),
            ("packages", list(reference("package"))),
            ("diagnostics", list(object(&[
                ("level", words(["note", "gap"])), ("code", text()), ("path?", text()), ("layer?", number()),
                ("message", text()),
            ]))),
        ]),
        "subject": subject(),
        "package": object(&[
            ("kind", text()), ("name", text()), ("version", text()), ("purl", text()),
            ("source?", object(&[("name", text()), ("version", text())])),
            ("architecture?", text()), ("licenses?", list(text())), ("vendor?", text()), ("ecosystem?", text()),
            ("owner?", text()),
            ("locations", list(object(&[("path", text()), ("layer", number()), ("inside?", text())]))),
            ("layer", number()), ("found_by", text()), ("confidence?", words(["derived", "recognised"])),
            ("development?", json!({ "type": "boolean" })), ("dependencies?", list(text())),
            ("checksums?", list(object(&[("algorithm", text()), ("value", text())]))),
            ("properties?", json!({ "type": "object", "additionalProperties": { "type": "string" } })),
        ]),
        "share": object(&[
            ("packages", number()),
            ("findings", json!({ "type": "object", "additionalProperties": number() })),
        ]),
        "packageKey": object(&[
            ("kind", text()), ("name", text()), ("version", text()), ("purl", text()), ("path", text()),
            ("layer", number()),
        ]),
        "evidence": object(&[
            ("advisory", text()), ("feed", text()), ("ecosystem", text()), ("name", text()), ("compared", text()),
            ("range", text()), ("scheme", text()),
        ]),
        "matches": object(&[
            ("database", digest()),
            ("feeds", list(object(&[
                ("name", text()), ("address", text()), ("ecosystems?", list(text())), ("digest", digest()),
                ("data_date?", time()), ("fetched?", time()), ("records", number()), ("skipped", number()),
            ]))),
            ("findings", list(reference("finding"))),
            ("not_affected", list(object(&[
                ("package", reference("packageKey")), ("id", text()), ("code", text()),
                ("evidence", list(reference("evidence"))),
            ]))),
            ("undetermined", list(object(&[
                ("package", reference("packageKey")), ("id?", text()), ("code", text()), ("reason", text()),
                ("evidence?", list(reference("evidence"))),
            ]))),
            ("packages_covered", number()),
        ]),
        "finding": object(&[
            ("package", reference("packageKey")), ("id", text()), ("aliases", list(text())),
            ("kind", words(["vulnerability", "malicious"])),
            ("severity", words(Severity::ALL.map(Severity::name))), ("severity_source?", text()),
            ("cvss_vector?", text()), ("cvss_score_tenths?", json!({ "type": "integer", "minimum": 0, "maximum": 100 })),
            ("fixed_version?", text()),
            ("known_exploited?", object(&[
                ("cve", text()), ("date_added", text()), ("due_date?", text()), ("ransomware", json!({ "type": "boolean" })),
            ])),
            ("published?", time()), ("summary?", text()), ("url?", text()), ("evidence", list(reference("evidence"))),
        ]),
        "reason": reason(),
        "verdict": object(&[
            ("outcome", words(["passed", "warned", "failed"])),
            ("stage", words(Stage::ALL.map(Stage::name))),
            ("policy", text()), ("reasons", list(reference("reason"))), ("excused", list(reference("reason"))),
            ("exceptions", list(exception_use())),
            ("inputs", inputs()),
            ("evaluated_at", time()),
        ]),
    })
}
