//! Takes the keys of a mapping one by one; what nobody took is an unknown key.

use std::collections::BTreeSet;

use crate::error::{Problems, nearest};
use crate::yaml::{Key, Node, Place, Yaml, shorten};

/// The keys of one mapping.
pub(crate) struct Fields<'a> {
    place: Place,
    what: &'static str,
    entries: &'a [(Key, Node)],
    asked: BTreeSet<&'static str>,
}

impl<'a> Fields<'a> {
    /// The mapping `node`, or a problem that says that `what` has to be one.
    pub(crate) fn of(node: &'a Node, what: &'static str, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Yaml::Map(entries) => Some(Self { place: node.place, what, entries, asked: BTreeSet::new() }),
            other => {
                let message = format!("expected {what} to be a mapping, found {}", other.describe());
                problems.add(node.place, message, None);
                None
            }
        }
    }

    /// The value of a key that may be missing or empty.
    pub(crate) fn optional(&mut self, name: &'static str) -> Option<&'a Node> {
        self.asked.insert(name);
        let (_, node) = self.entries.iter().find(|(key, _)| key.name == name)?;
        (!matches!(node.value, Yaml::Null)).then_some(node)
    }

    /// The value of a key that has to be there.
    pub(crate) fn required(
        &mut self,
        name: &'static str,
        expected: &str,
        problems: &mut Problems,
    ) -> Option<&'a Node> {
        let found = self.optional(name);
        if found.is_none() {
            let place = self
                .entries
                .iter()
                .find(|(key, _)| key.name == name)
                .map_or(self.place, |(key, _)| key.place);
            problems.add(
                place,
                format!("`{name}` is missing in {}", self.what),
                Some(format!("add `{name}: {expected}`")),
            );
        }
        found
    }

    /// Makes a problem of every key that was not asked for.
    pub(crate) fn finish(self, problems: &mut Problems) {
        for (key, _) in self.entries.iter().filter(|(key, _)| !self.asked.contains(key.name.as_str())) {
            let known: Vec<_> = self.asked.iter().copied().collect();
            let hint = match nearest(&key.name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known keys are {}", list(&known)),
            };
            problems.add(
                key.place,
                format!("unknown key `{}` in {}", shorten(&key.name), self.what),
                Some(hint),
            );
        }
    }
}

/// Words as an enumeration for people.
pub(crate) fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn wrong(node: &Node, name: &str, expected: &str, hint: Option<&str>, problems: &mut Problems) {
    let message = format!("expected {expected} for `{name}`, found {}", node.value.describe());
    problems.add(node.place, message, hint.map(str::to_owned));
}

/// A text that is not blank.
pub(crate) fn text(node: &Node, name: &str, problems: &mut Problems) -> Option<String> {
    match &node.value {
        Yaml::Text(text) if !text.trim().is_empty() => Some(text.clone()),
        Yaml::Bool(_) | Yaml::Integer(_) | Yaml::Float => {
            wrong(node, name, "a text", Some("put it in quotes"), problems);
            None
        }
        _ => {
            wrong(node, name, "a text", None, problems);
            None
        }
    }
}

/// `true` or `false`.
pub(crate) fn boolean(node: &Node, name: &str, problems: &mut Problems) -> Option<bool> {
    match node.value {
        Yaml::Bool(value) => Some(value),
        _ => {
            wrong(node, name, "`true` or `false`", None, problems);
            None
        }
    }
}

/// A whole number from 0 to `most`.
pub(crate) fn number(node: &Node, name: &str, most: u8, problems: &mut Problems) -> Option<u8> {
    let found = match node.value {
        Yaml::Integer(value) => u8::try_from(value).ok().filter(|value| *value <= most),
        _ => None,
    };
    if found.is_none() {
        wrong(node, name, &format!("a whole number from 0 to {most}"), None, problems);
    }
    found
}

/// The items of a list.
pub(crate) fn items<'a>(node: &'a Node, name: &str, problems: &mut Problems) -> Option<&'a [Node]> {
    match &node.value {
        Yaml::List(items) => Some(items),
        _ => {
            wrong(node, name, "a list", Some("put it in `[...]`"), problems);
            None
        }
    }
}

/// A list of texts.
pub(crate) fn texts(node: &Node, name: &str, problems: &mut Problems) -> Option<Vec<String>> {
    let found = items(node, name, problems)?;
    if found.is_empty() {
        wrong(node, name, "at least one entry", Some("leave the key out"), problems);
    }
    Some(found.iter().filter_map(|item| text(item, name, problems)).collect())
}

/// One of a few words.
pub(crate) fn word<T: Copy>(
    node: &Node,
    name: &str,
    words: &[(&str, T)],
    problems: &mut Problems,
) -> Option<T> {
    let found = match &node.value {
        Yaml::Text(text) => words.iter().find(|(word, _)| word == text).map(|(_, value)| *value),
        _ => None,
    };
    if found.is_none() {
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        wrong(node, name, &format!("one of {}", list(&names)), None, problems);
    }
    found
}

/// The three keys every file starts with: `apiVersion`, `kind`, and for policies `metadata`.
pub(crate) fn header(fields: &mut Fields<'_>, kind: &str, problems: &mut Problems) {
    for (name, expected) in [("apiVersion", crate::API_VERSION), ("kind", kind)] {
        let name: &'static str = name;
        let Some(node) = fields.required(name, expected, problems) else { continue };
        if !matches!(&node.value, Yaml::Text(found) if found == expected) {
            wrong(node, name, &format!("`{expected}`"), None, problems);
        }
    }
}
