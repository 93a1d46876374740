//! The JSON schema of the report, published as `docs/schema/report.schema.json`.

use hullmark_types::{Severity, Stage};
use serde_json::{Value, json};

use crate::json::SCHEMA;
use crate::schema_parts::{
    digest, exception_use, inputs, list, number, object, reason, reference, subject, text, time, words,
};

/// The JSON schema (2020-12) of the JSON report.
pub fn json_schema() -> Value {
    let report = object(&[
        ("schema", json!({ "const": SCHEMA })),
        ("tool", object(&[("name", text()), ("version", text())])),
        ("inventory", reference("inventory")),
        ("matches", reference("matches")),
        ("verdict", reference("verdict")),
        ("ledger?", object(&[("origin", text()), ("index", number()), ("entry_digest", digest())])),
        ("degraded?", list(text())),
    ]);
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://hullmark.dev/schema/report.schema.json",
        "title": "Hullmark scan report",
        "description": "What `hullmark scan --format json` writes.",
    });
    if let (Value::Object(schema), Value::Object(report)) = (&mut schema, report) {
        schema.extend(report);
        schema.insert("$defs".to_owned(), definitions());
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
            ("owner?", text()), ("locations", list(object(&[("path", text()), ("layer", number())]))),
            ("layer", number()), ("found_by", text()),
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
