//! YAML text into a tree in which every value and key has its line and column. Budgets bound what a file can cost.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::MAX_FILE_BYTES;
use crate::error::{PolicyErrors, Problem};

/// Line and column, both counted from 1.
pub(crate) type Place = (u64, u64);

/// A value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Yaml,
}

/// A YAML value after the core schema.
#[derive(Debug, Clone)]
pub(crate) enum Yaml {
    Null,
    Bool(bool),
    Integer(i128),
    Float,
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping, with its place.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) place: Place,
    pub(crate) name: String,
}

impl Yaml {
    /// What it is, for messages.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => format!("`{value}`"),
            Self::Integer(value) => format!("the number `{value}`"),
            Self::Float => "a number".to_owned(),
            Self::Text(value) => format!("`{}`", shorten(value)),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// The first characters of a text, for messages.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut short: String =
        text.chars().take(LONGEST).map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push_str("...");
    }
    short
}

fn place(location: Location) -> Place {
    (location.line().max(1), location.column().max(1))
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Yaml>::deserialize(deserializer)?;
        Ok(Self { place: place(spanned.referenced), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(YamlVisitor)
    }
}

struct YamlVisitor;

impl<'de> Visitor<'de> for YamlVisitor {
    type Value = Yaml;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Yaml, E> {
        Ok(Yaml::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Yaml, E> {
        Ok(Yaml::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Yaml, E> {
        Ok(Yaml::Integer(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Yaml, E> {
        Ok(Yaml::Integer(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Yaml, E> {
        Ok(i128::try_from(value).map_or(Yaml::Float, Yaml::Integer))
    }

    fn visit_f64<E>(self, _value: f64) -> Result<Yaml, E> {
        Ok(Yaml::Float)
    }

    fn visit_str<E>(self, value: &str) -> Result<Yaml, E> {
        Ok(Yaml::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Yaml, E> {
        Ok(Yaml::Text(value))
    }

    fn visit_none<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_unit<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Yaml, D::Error> {
        Yaml::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Yaml, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Yaml::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Yaml, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            entries.push((Key { place: place(key.referenced), name: key.value }, access.next_value()?));
        }
        Ok(Yaml::Map(entries))
    }
}

/// Reads one YAML document.
///
/// # Errors
/// When the text is not YAML, holds a key twice, holds more than one document, or is larger or deeper than any policy.
pub(crate) fn parse(file: &str, text: &str) -> Result<Node, PolicyErrors> {
    let fail = |place: Place, message: String, hint: Option<&str>| PolicyErrors {
        file: file.to_owned(),
        errors: vec![Problem { line: place.0, column: place.1, message, hint: hint.map(str::to_owned) }],
    };
    if text.len() > MAX_FILE_BYTES {
        let message = format!("the file has {} bytes, expected at most {MAX_FILE_BYTES}", text.len());
        return Err(fail((1, 1), message, Some("split it")));
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: 1,
            max_depth: 24,
            max_nodes: 200_000,
            max_events: 600_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_recorded_anchor_events: 50_000,
            max_total_scalar_bytes: 2 * MAX_FILE_BYTES,
        },
        strict_booleans: true,
        merge_keys: serde_saphyr::MergeKeyPolicy::AsOrdinary,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options::<Node>(text, options).map_err(|error| {
        let at = error.location().map_or((1, 1), place);
        // The place is a field of its own, and a message of several lines would break the form of one line each.
        let message = error.without_snippet().to_string();
        let first = message.lines().next().unwrap_or("the text is not YAML");
        let first = first.split(" at line ").next().unwrap_or(first);
        fail(at, format!("not a valid YAML file: {first}"), None)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_have_places() {
        let node = parse("p", "a: 1\non:\n  - x\n  - {b: true}\n").unwrap();
        let Yaml::Map(entries) = node.value else { panic!("a mapping") };
        let places: Vec<_> =
            entries.iter().map(|(key, value)| (key.name.as_str(), key.place, value.place)).collect();
        assert_eq!(places, [("a", (1, 1), (1, 4)), ("on", (2, 1), (3, 3))]);
        let Yaml::List(items) = &entries[1].1.value else { panic!("a list") };
        assert_eq!((items[0].place, items[1].place), ((3, 5), (4, 5)));
    }

    #[test]
    fn bombs_and_broken_files_are_errors_with_a_place() {
        let laughs = (0..9).fold("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, level| {
            let next = level + 1;
            text + &format!("a{next}: &a{next} [{}]\n", vec![format!("*a{level}"); 9].join(","))
        });
        for text in [
            laughs.as_str(),
            &"[".repeat(100_000),
            &"- ".repeat(50_000),
            &"{a: ".repeat(5_000),
            "a: 1\na: 2\n",
            "a: [1\n",
            "a: 1\n---\nb: 2\n",
            "\u{0}",
            "a: *nothing\n",
        ] {
            let error = parse("p", text).unwrap_err();
            assert!(error.errors[0].line >= 1, "{error}");
        }
        assert_eq!(parse("p", "a: 1\na: 2\n").unwrap_err().errors[0].line, 2);
    }
}
