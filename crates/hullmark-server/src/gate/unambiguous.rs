//! Documents that every reader understands in the same way.
//!
//! Clients written in Go take the members of an object in any case, and the last of several. What such a client could read
//! differently from us is refused: it could be judged as one image and run as another.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::document::shown;

/// The members of manifests and indexes that are looked at.
const MANIFEST: &[&str] = &[
    "schemaVersion",
    "mediaType",
    "config",
    "layers",
    "manifests",
    "subject",
    "artifactType",
    "digest",
    "size",
    "urls",
    "platform",
    "os",
    "architecture",
    "variant",
    "annotations",
    "data",
];

/// The members of image configurations that are looked at, or that decide what a container is.
const CONFIGURATION: &[&str] = &[
    "architecture",
    "os",
    "variant",
    "created",
    "config",
    "rootfs",
    "type",
    "diff_ids",
    "history",
    "created_by",
    "empty_layer",
    "User",
    "Env",
    "Entrypoint",
    "Cmd",
    "ExposedPorts",
    "Labels",
    "Volumes",
    "WorkingDir",
];

/// Members that hold objects with members of the author's choice.
const FREE: &[&str] = &["annotations", "Labels", "ExposedPorts", "Volumes"];

/// Checks a manifest or an index.
///
/// # Errors
/// What could be read differently, or is no JSON.
pub(super) fn manifest(bytes: &[u8]) -> Result<(), serde_json::Error> {
    check(bytes, MANIFEST)
}

/// Checks an image configuration.
///
/// # Errors
/// As [`manifest`].
pub(super) fn configuration(bytes: &[u8]) -> Result<(), serde_json::Error> {
    check(bytes, CONFIGURATION)
}

fn check(bytes: &[u8], known: &'static [&'static str]) -> Result<(), serde_json::Error> {
    let mut document = serde_json::Deserializer::from_slice(bytes);
    Unambiguous { known, is_free: false }.deserialize(&mut document)?;
    document.end()
}

/// Accepts any JSON in which no member is there twice, and no known member is written in another case.
#[derive(Clone, Copy)]
struct Unambiguous {
    /// The members of the specification.
    known: &'static [&'static str],
    /// Whether this is within an object whose members are free, such as annotations.
    is_free: bool,
}

impl<'de> DeserializeSeed<'de> for Unambiguous {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unambiguous {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while sequence.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let other_case = |known: &&&str| **known != key && folded(known) == folded(&key);
            if !self.is_free && self.known.iter().any(|known| other_case(&known)) {
                let message = format!("the member `{}` is written in another case", shown(&key));
                return Err(serde::de::Error::custom(message));
            }
            let is_free = self.is_free || FREE.contains(&key.as_str());
            if !seen.insert(key) {
                return Err(serde::de::Error::custom("a member is there twice"));
            }
            map.next_value_seed(Self { is_free, ..self })?;
        }
        Ok(())
    }
}

/// As Go's `encoding/json` compares names of members: letters in any case, and with them the two letters outside of ASCII that
/// fold to one in it.
fn folded(name: &str) -> String {
    name.chars()
        .map(|letter| match letter {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            other => other.to_ascii_lowercase(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_others_read_differently_is_refused() {
        let good = r#"{"architecture":"amd64","os":"linux","config":{"User":"1","Labels":{"user":"a","USER":"b"},
            "ExposedPorts":{"80/tcp":{}}},"rootfs":{"type":"layers","diff_ids":[]},"history":[{"created_by":"x"}]}"#;
        configuration(good.as_bytes()).unwrap();
        for bad in [
            r#"{"config":{"User":"1000"},"Config":{"User":""}}"#,
            r#"{"config":{"User":"1000","user":""}}"#,
            r#"{"config":{"User":"1000","U\u017fer":""}}"#,
            r#"{"config":{},"rootfs":{},"rootf\u017f":{}}"#,
            r#"{"config":{},"config":{}}"#,
            "{",
        ] {
            configuration(bad.as_bytes()).unwrap_err();
        }
    }
}
