//! Parts that JSON schemas are put together from: of the report here, of the ledger's records elsewhere.

use hullmark_types::Severity;
use serde_json::{Value, json};

/// Any text.
pub fn text() -> Value {
    json!({ "type": "string" })
}

/// A digest: algorithm and digits.
pub fn digest() -> Value {
    json!({ "type": "string", "pattern": "^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$" })
}

/// A time (RFC 3339).
pub fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

/// A whole number that is not negative.
pub fn number() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

/// A list of such items.
pub fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// A definition in `$defs`.
pub fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// An object that has these members and no others; those whose name ends in `?` may be absent.
pub fn object(members: &[(&str, Value)]) -> Value {
    let required: Vec<&str> =
        members.iter().map(|(name, _)| *name).filter(|name| !name.ends_with('?')).collect();
    let properties: serde_json::Map<String, Value> = members
        .iter()
        .map(|(name, schema)| (name.trim_end_matches('?').to_owned(), schema.clone()))
        .collect();
    json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": false })
}

/// One of these words.
pub fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Value {
    json!({ "enum": words.into_iter().collect::<Vec<_>>() })
}

/// A platform.
pub fn platform() -> Value {
    object(&[("os", text()), ("architecture", text()), ("variant?", text())])
}

/// What was judged.
pub fn subject() -> Value {
    object(&[
        ("kind", words(["image", "root-filesystem"])),
        ("name", text()),
        ("references?", list(text())),
        ("index?", digest()),
        ("manifest?", digest()),
        ("config?", digest()),
        ("platform?", platform()),
    ])
}

/// A rule that matched.
pub fn reason() -> Value {
    object(&[
        ("rule", text()),
        ("on", text()),
        ("action", words(["none", "warn", "fail"])),
        ("threat", json!({ "type": "integer", "minimum": 0, "maximum": 10 })),
        ("finding?", text()),
        ("severity?", words(Severity::ALL.map(Severity::name))),
        ("package?", text()),
        ("fixed_version?", text()),
        ("known_exploited?", json!({ "type": "boolean" })),
        ("message", text()),
        ("grace_days_left?", number()),
        ("exception?", text()),
    ])
}

/// What became of an exception.
pub fn exception_use() -> Value {
    object(&[
        ("id", text()),
        ("status", words(["used", "expiring-soon", "unused", "expired"])),
        ("expires?", time()),
        ("excused", number()),
    ])
}

/// What a verdict was made from.
pub fn inputs() -> Value {
    object(&[
        ("inventory", digest()),
        ("matches", digest()),
        ("policy", digest()),
        ("exceptions", digest()),
        ("database", digest()),
    ])
}
