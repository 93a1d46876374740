//! XML documents as trees, within limits.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::escape::{resolve_predefined_entity, unescape};
use quick_xml::events::{BytesStart, Event};

/// The deepest that elements are nested.
const MAX_DEPTH: usize = 64;
/// The most elements of one document.
const MAX_ELEMENTS: usize = 500_000;
/// The most attributes of one element; further ones are not taken.
const MAX_ATTRIBUTES: usize = 64;
/// The most bytes of text directly in one element; what is more is not taken.
const MAX_TEXT: usize = 64 * 1024;

/// An element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Element {
    /// Its name without the prefix of a namespace.
    pub(crate) name: String,
    /// Names without prefixes, and values.
    pub(crate) attributes: Vec<(String, String)>,
    /// The text directly in it.
    pub(crate) text: String,
    /// The elements directly in it.
    pub(crate) children: Vec<Element>,
    /// The line on which it begins, counted from 1.
    pub(crate) line: usize,
}

impl Element {
    /// The elements of this name directly in it.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The first element of this name directly in it.
    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The trimmed text of the first element of this name directly in it, if it is there and not empty.
    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim()).filter(|text| !text.is_empty())
    }

    /// The value of an attribute; its name may be written in any case.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        let known = self.attributes.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        known.map(|(_, value)| value.trim())
    }
}

/// A document, or the part of it before what is wrong with it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Document {
    /// The outermost element; those that are not closed end where the reading ended.
    pub(crate) root: Option<Element>,
    /// What is wrong, with its line.
    pub(crate) problem: Option<String>,
}

/// Reads a document in UTF-8 or, with its mark, UTF-16. Entities of the document's own are not replaced.
pub(crate) fn parse(bytes: &[u8]) -> Document {
    let text = decoded(bytes);
    let mut reader = Reader::from_str(&text);
    let (mut open, mut root): (Vec<Element>, Option<Element>) = (Vec::new(), None);
    let (mut line, mut counted, mut elements) = (1, 0, 0_usize);
    let problem = loop {
        let before = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let passed = text.as_bytes().get(counted..before).unwrap_or_default();
        line += memchr::memchr_iter(b'\n', passed).count();
        counted = before.max(counted);
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                elements += 1;
                if open.len() >= MAX_DEPTH {
                    break Some(format!("line {line}: elements are nested more than {MAX_DEPTH} deep"));
                }
                if root.is_some() && open.is_empty() {
                    break Some(format!("line {line}: a second document begins"));
                }
                open.push(element(&start, line));
            }
            Ok(Event::Empty(start)) => {
                elements += 1;
                close(element(&start, line), &mut open, &mut root);
            }
            Ok(Event::End(_)) => {
                if let Some(ended) = open.pop() {
                    close(ended, &mut open, &mut root);
                }
            }
            Ok(Event::Text(text)) => push_text(&mut open, &text.into_inner()),
            Ok(Event::CData(text)) => push_text(&mut open, &text.into_inner()),
            Ok(Event::GeneralRef(reference)) => match reference.resolve_char_ref() {
                Ok(Some(character)) => push_text(&mut open, character.encode_utf8(&mut [0; 4])),
                _ => {
                    let name = reference.into_inner();
                    let known = resolve_predefined_entity(&name).map(Cow::Borrowed);
                    push_text(&mut open, &known.unwrap_or_else(|| format!("&{name};").into()));
                }
            },
            Ok(Event::Eof) => {
                break (!open.is_empty())
                    .then(|| format!("line {line}: the document ends within an element"));
            }
            Ok(_) => {}
            Err(error) => break Some(format!("line {line}: {error}")),
        }
        if elements > MAX_ELEMENTS {
            break Some(format!("line {line}: there are more than {MAX_ELEMENTS} elements"));
        }
    };
    while let Some(ended) = open.pop() {
        close(ended, &mut open, &mut root);
    }
    Document { root, problem }
}

fn decoded(bytes: &[u8]) -> Cow<'_, str> {
    let wide = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = rest.chunks_exact(2).filter_map(|pair| pair.try_into().ok().map(unit));
        char::decode_utf16(units).map(|read| read.unwrap_or(char::REPLACEMENT_CHARACTER)).collect::<String>()
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes).into(),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes).into(),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest),
        _ => String::from_utf8_lossy(bytes),
    }
}

fn element(start: &BytesStart<'_>, line: usize) -> Element {
    let mut attributes = start.attributes();
    let attributes = attributes.with_checks(false).flatten().take(MAX_ATTRIBUTES).map(|attribute| {
        let value = unescape(&attribute.value).map_or_else(|_| attribute.value.to_string(), Cow::into_owned);
        (attribute.key.local_name().as_ref().to_owned(), value)
    });
    Element {
        name: start.local_name().as_ref().to_owned(),
        attributes: attributes.collect(),
        line,
        ..Element::default()
    }
}

fn close(ended: Element, open: &mut [Element], root: &mut Option<Element>) {
    match open.last_mut() {
        Some(parent) => parent.children.push(ended),
        None => *root = root.take().or(Some(ended)),
    }
}

fn push_text(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut()
        && element.text.len() + text.len() <= MAX_TEXT
    {
        element.text.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_have_names_attributes_text_and_lines() {
        let text = "\u{feff}<?xml version='1.0'?>\n<!DOCTYPE a [<!ENTITY x 'y'>]>\n<n:a Id='1 &amp; 2'>\n  <b>x &lt;&#65;<!-- no -->&x;<![CDATA[<c>]]></b><b/></n:a>";
        let document = parse(text.as_bytes());
        assert_eq!(document.problem, None);
        let root = document.root.unwrap_or_default();
        assert_eq!((root.name.as_str(), root.line, root.attribute("id")), ("a", 3, Some("1 & 2")));
        assert_eq!(root.text_of("b"), Some("x <A&x;<c>"));
        assert_eq!(root.all("b").map(|b| b.line).collect::<Vec<_>>(), [4, 4]);
        let wide: Vec<u8> =
            [0xff, 0xfe].into_iter().chain("<a/>".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        assert_eq!(parse(&wide).root.map(|root| root.name).as_deref(), Some("a"));
    }

    #[test]
    fn what_comes_before_a_break_is_kept() {
        let check = |text: &str, expected: &str| {
            let document = parse(text.as_bytes());
            assert!(
                document.problem.as_deref().is_some_and(|problem| problem.contains(expected)),
                "{document:?}"
            );
            assert_eq!(
                document.root.and_then(|root| root.text_of("b").map(str::to_owned)).as_deref(),
                Some("1")
            );
        };
        check("<a>\n<b>1</b>\n<c>", "line 3: the document ends within an element");
        check("<a>\n<b>1</b>\n</c></a>", "line 3");
        check(&format!("<a><b>1</b>{}", "<c>".repeat(100)), "deep");
        check("<a><b>1</b></a><a><b>2</b></a>", "second document");
    }
}
