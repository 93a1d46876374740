//! The JSON schema of the ledger's records, published as `docs/schema/ledger-record.schema.json`.

use hullmark_report::schema_parts::{
    digest, exception_use, inputs, list, number, object, reason, reference, subject, text, time, words,
};
use hullmark_types::{Point, Severity, Stage, TRAIL_SCHEMA, TrailKind};
use serde_json::{Value, json};

use super::{RECORD_SCHEMA, VERDICT_KIND};

/// The JSON schema (2020-12) of an entry of the ledger.
#[must_use]
pub fn record_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://hullmark.dev/schema/ledger-record.schema.json",
        "title": "Hullmark ledger record",
        "description": "One entry of the ledger: a verdict, or something that rests on verdicts.",
        "oneOf": [reference("verdict"), reference("trail")],
        "$defs": {
            "verdict": verdict(),
            "trail": trail(),
            "subject": subject(),
            "reason": reason(),
            "image": object(&[
                ("name", text()), ("index?", digest()), ("manifest?", digest()), ("config?", digest()),
            ]),
        },
    })
}

fn outcome() -> Value {
    words(["passed", "warned", "failed"])
}

fn mode() -> Value {
    words(["enforce", "audit"])
}

fn point() -> Value {
    words(Point::ALL.map(Point::name))
}

fn verdict() -> Value {
    let counts = json!({
        "type": "object", "propertyNames": words(Severity::ALL.map(Severity::name)), "additionalProperties": number(),
    });
    object(&[
        ("schema", json!({ "const": RECORD_SCHEMA })),
        ("kind", json!({ "const": VERDICT_KIND })),
        ("subject", reference("subject")),
        ("point", point()),
        ("mode", mode()),
        ("stage", words(Stage::ALL.map(Stage::name))),
        ("outcome", outcome()),
        ("policy", text()),
        ("policy_version?", number()),
        ("reasons", list(reference("reason"))),
        ("excused", list(reference("reason"))),
        ("omitted?", number()),
        ("exceptions?", list(exception_use())),
        ("findings", counts),
        ("undetermined", number()),
        ("gaps", number()),
        ("verdict", digest()),
        ("inputs", inputs()),
        ("feeds", list(object(&[("name", text()), ("digest", digest()), ("data_date?", time())]))),
        ("tool", object(&[("name", text()), ("version", text())])),
        ("binary?", digest()),
        ("asker", object(&[("user?", text()), ("host?", text()), ("job?", text()), ("token?", text())])),
        ("time", time()),
        ("previous?", number()),
        ("degraded?", list(text())),
    ])
}

fn trail() -> Value {
    object(&[
        ("schema", json!({ "const": TRAIL_SCHEMA })),
        ("kind", words(TrailKind::ALL.map(TrailKind::name))),
        ("point", point()),
        ("mode", mode()),
        ("answer", words(["allowed", "denied", "noted"])),
        ("image?", reference("image")),
        (
            "verdict?",
            object(&[
                ("verdict", digest()),
                ("entry", number()),
                ("outcome", outcome()),
                ("policy", text()),
                ("policy_digest", digest()),
                ("policy_version?", number()),
                ("database", digest()),
                ("exceptions?", list(text())),
            ]),
        ),
        ("reasons?", list(reference("reason"))),
        ("message", text()),
        ("actor", object(&[("name", text()), ("role?", text()), ("claims?", text())])),
        ("detail?", json!({ "type": "object", "additionalProperties": text() })),
        ("repeats?", number()),
        ("degraded?", list(text())),
        ("time", time()),
    ])
}
