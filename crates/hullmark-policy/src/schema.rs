//! JSON schemas of the two files, for editors. The parser is stricter: it also checks conditions and messages.

use hullmark_types::Stage;
use serde_json::{Value, json};

use crate::API_VERSION;
use crate::policy::RuleSubject;

/// The JSON schema (draft 2020-12) of a policy file.
pub fn policy_schema() -> Value {
    let action = json!({ "enum": ["none", "warn", "fail"] });
    let actions: serde_json::Map<_, _> =
        Stage::ALL.iter().map(|stage| (stage.name().to_owned(), action.clone())).collect();
    let duration = json!({
        "description": "how long, such as 14d",
        "oneOf": [{ "type": "string", "pattern": "^(0|([0-9]+(w|d|h|m|s|ms))+)$" }, { "const": 0 }]
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://hullmark.dev/schema/policy.schema.json",
        "title": "Hullmark policy",
        "type": "object",
        "additionalProperties": false,
        "required": ["apiVersion", "kind", "metadata", "rules"],
        "properties": {
            "apiVersion": { "const": API_VERSION },
            "kind": { "const": "Policy" },
            "metadata": {
                "type": "object",
                "additionalProperties": false,
                "required": ["name"],
                "properties": {
                    "name": text("name of the policy, shown in verdicts"),
                    "description": text("what the policy is for")
                }
            },
            "rules": { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/rule" } }
        },
        "$defs": {
            "rule": {
                "type": "object",
                "additionalProperties": false,
                "required": ["name", "on", "when", "actions"],
                "properties": {
                    "name": text("names the rule in reports and exceptions; unique"),
                    "on": {
                        "description": "what the rule is evaluated for",
                        "enum": RuleSubject::ALL.map(RuleSubject::name)
                    },
                    "when": {
                        "description": "a CEL condition over the facts",
                        "oneOf": [{ "type": "string", "minLength": 1 }, { "type": "boolean" }]
                    },
                    "threat": {
                        "description": "sorts reports, never decides",
                        "type": "integer", "minimum": 0, "maximum": 10
                    },
                    "actions": {
                        "description": "what the rule does at each stage; a stage left out is none",
                        "type": "object",
                        "additionalProperties": false,
                        "minProperties": 1,
                        "properties": actions
                    },
                    "scope": {
                        "type": "object",
                        "additionalProperties": false,
                        "properties": {
                            "images": texts("patterns of image references; one has to match"),
                            "exclude_images": {
                                "description": "patterns of image references; none may match",
                                "type": "array", "items": { "type": "string" }
                            },
                            "labels": { "type": "object", "additionalProperties": { "type": "string" } },
                            "namespaces": { "type": "array", "minItems": 1, "items": { "const": "*" } }
                        }
                    },
                    "grace": {
                        "description": "how long a failure is only a warning, by severity",
                        "type": "object",
                        "additionalProperties": false,
                        "properties": {
                            "critical": duration, "high": duration, "medium": duration, "low": duration,
                            "from": { "enum": ["fix", "publication"] }
                        }
                    },
                    "message": text("what to tell the developer; {object.fact} takes a fact")
                }
            }
        }
    })
}

/// The JSON schema (draft 2020-12) of a file of exceptions.
pub fn exceptions_schema() -> Value {
    let date = |what: &str| {
        json!({
            "description": what,
            "type": "string",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ].+)?$"
        })
    };
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://hullmark.dev/schema/exceptions.schema.json",
        "title": "Hullmark exceptions",
        "type": "object",
        "additionalProperties": false,
        "required": ["apiVersion", "kind", "exceptions"],
        "properties": {
            "apiVersion": { "const": API_VERSION },
            "kind": { "const": "Exceptions" },
            "exceptions": { "type": "array", "items": { "$ref": "#/$defs/exception" } }
        },
        "$defs": {
            "exception": {
                "type": "object",
                "additionalProperties": false,
                "required": ["id", "match", "owner", "approver", "reason", "created", "expires"],
                "properties": {
                    "id": text("names the exception in reports; unique"),
                    "match": {
                        "description": "what is excused; all that is given has to match",
                        "type": "object",
                        "additionalProperties": false,
                        "anyOf": [
                            { "required": ["vulnerability"] }, { "required": ["rule"] }, { "required": ["package"] }
                        ],
                        "properties": {
                            "vulnerability": text("an identifier; it stands for all its aliases"),
                            "rule": text("name of a rule"),
                            "package": text("name, name@version or package URL"),
                            "images": texts("patterns of image references")
                        }
                    },
                    "owner": text("who answers for it"),
                    "approver": text("who approved it; neither the owner nor the requester"),
                    "requester": text("who asked for it"),
                    "reason": text("why"),
                    "ticket": text("where it is discussed"),
                    "created": date("from when on it counts"),
                    "expires": date("until when it counts; a date includes that day"),
                    "until_fix_available": {
                        "description": "it ends when a fix is known", "type": "boolean"
                    }
                }
            }
        }
    })
}

fn text(description: &str) -> Value {
    json!({ "description": description, "type": "string", "minLength": 1 })
}

fn texts(description: &str) -> Value {
    json!({ "description": description, "type": "array", "minItems": 1, "items": { "type": "string" } })
}
