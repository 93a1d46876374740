//! Message templates: text with `{object.fact}` in it.

use crate::RuleSubject;
use crate::error::{Problems, nearest};
use crate::facts::{Facts, Field, objects_of};
use crate::yaml::{Place, shorten};

/// The longest template, in bytes.
const MAX_LENGTH: usize = 2_000;

/// The longest message, in characters: facts come from images and feeds.
const MAX_MESSAGE: usize = 1_000;

/// A message with places for facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Fact(String, String),
}

impl Template {
    /// Reads a template for a rule on `subject`; `{{` and `}}` stand for braces.
    pub(crate) fn parse(
        subject: RuleSubject,
        fields: &[Field],
        text: &str,
        place: Place,
        problems: &mut Problems,
    ) -> Option<Self> {
        let before = problems.len();
        if text.len() > MAX_LENGTH {
            problems.add(place, format!("a message has at most {MAX_LENGTH} bytes"), None);
            return None;
        }
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            let after = rest.get(letter.len_utf8()..).unwrap_or_default();
            match letter {
                '{' | '}' if after.starts_with(letter) => {
                    plain.push(letter);
                    rest = after.get(1..).unwrap_or_default();
                }
                '{' => match after.split_once('}') {
                    Some((name, after)) => {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                        if let Some((object, field)) = lookup(subject, fields, name, place, problems) {
                            parts.push(Part::Fact(object, field));
                        }
                        rest = after;
                    }
                    None => {
                        let hint = "close it with `}`, or write `{{` for a brace";
                        problems.add(place, "`{` in the message is not closed", Some(hint.to_owned()));
                        return None;
                    }
                },
                other => {
                    plain.push(other);
                    rest = after;
                }
            }
        }
        parts.push(Part::Text(plain));
        parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        (problems.len() == before).then(|| Self { text: text.to_owned(), parts })
    }

    /// The message for a subject, on one line.
    pub(crate) fn fill(&self, fields: &[Field], facts: &Facts<'_>) -> String {
        let mut message = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => message.push_str(text),
                Part::Fact(object, name) => {
                    let found = fields.iter().find(|field| field.object == object && field.name == name);
                    let shown = found.map(|field| (field.get)(facts).display()).unwrap_or_default();
                    let none_known = shown.is_empty() && name == "fixed_version";
                    message.push_str(if none_known { "a fixed version (none is known yet)" } else { &shown });
                }
            }
        }
        one_line(&message)
    }
}

/// Without control characters and not longer than a message may be.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().take(MAX_MESSAGE).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn lookup(
    subject: RuleSubject,
    fields: &[Field],
    name: &str,
    place: Place,
    problems: &mut Problems,
) -> Option<(String, String)> {
    let seen = objects_of(subject);
    let known = || fields.iter().filter(|field| seen.contains(&field.object));
    let full = |field: &Field| format!("{}.{}", field.object, field.name);
    if let Some(field) = known().find(|field| full(field) == name) {
        return Some((field.object.to_owned(), field.name.to_owned()));
    }
    let names: Vec<_> = known().map(full).collect();
    let hint = match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{{{near}}}`?"),
        None => format!(
            "a rule on `{}` sees {}; `{{{{` stands for a brace",
            subject.name(),
            crate::reader::list(seen)
        ),
    };
    problems.add(place, format!("unknown fact `{{{}}}` in the message", shorten(name)), Some(hint));
    None
}
