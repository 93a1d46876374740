//! The parts of an OSV record that are read. Unknown members are ignored, and `null` stands for absent.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// `null` becomes the default.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Deserialize)]
pub(super) struct Record {
    pub(super) id: String,
    #[serde(default)]
    pub(super) modified: Option<String>,
    #[serde(default)]
    pub(super) published: Option<String>,
    #[serde(default)]
    pub(super) withdrawn: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) aliases: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) upstream: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) related: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) summary: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) details: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) severity: Vec<Severity>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) affected: Vec<Affected>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) references: Vec<Reference>,
    #[serde(default)]
    pub(super) database_specific: Value,
}

#[derive(Deserialize)]
pub(super) struct Severity {
    #[serde(rename = "type", default, deserialize_with = "nullable")]
    pub(super) kind: String,
    pub(super) score: String,
}

#[derive(Deserialize)]
pub(super) struct Affected {
    #[serde(default)]
    pub(super) package: Option<Package>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) severity: Vec<Severity>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) ranges: Vec<Range>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) versions: Vec<String>,
    #[serde(default)]
    pub(super) ecosystem_specific: Value,
    #[serde(default)]
    pub(super) database_specific: Value,
}

#[derive(Deserialize)]
pub(super) struct Package {
    pub(super) ecosystem: String,
    pub(super) name: String,
}

#[derive(Deserialize)]
pub(super) struct Range {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) events: Vec<Event>,
}

#[derive(Deserialize)]
pub(super) struct Event {
    #[serde(default)]
    pub(super) introduced: Option<String>,
    #[serde(default)]
    pub(super) fixed: Option<String>,
    #[serde(default)]
    pub(super) last_affected: Option<String>,
    #[serde(default)]
    pub(super) limit: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Reference {
    #[serde(rename = "type", default, deserialize_with = "nullable")]
    pub(super) kind: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) url: String,
}
