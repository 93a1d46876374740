//! Terms of Erlang as text (<https://www.erlang.org/doc/system/data_types.html>): as much as resource files have.

/// How deep terms may be nested.
const MAX_DEPTH: usize = 32;
/// The most terms in one file.
const MAX_TERMS: usize = 200_000;

/// A term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Term {
    /// An atom, a string, a number or a variable.
    Text(String),
    /// A tuple, a list or anything else with terms in it.
    Several(Vec<Term>),
}

impl Term {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Several(_) => None,
        }
    }

    /// The terms in it; of a text, none.
    pub(super) fn elements(&self) -> &[Self] {
        match self {
            Self::Text(_) => &[],
            Self::Several(elements) => elements,
        }
    }
}

/// The terms of the file, each of which a full stop ends; with an error, those before it. The error says what is wrong, and where.
pub(super) fn parse(bytes: &[u8]) -> (Vec<Term>, Option<String>) {
    let mut terms = Vec::new();
    let mut position = skip(bytes, 0);
    let mut count = 0;
    while position < bytes.len() {
        match one(bytes, position, &mut count) {
            Ok((term, end)) => {
                terms.push(term);
                let end = skip(bytes, end);
                position = skip(bytes, end + usize::from(bytes.get(end) == Some(&b'.')));
            }
            Err(problem) => return (terms, Some(problem)),
        }
    }
    (terms, None)
}

/// The term at `position`, and where it ends.
fn one(bytes: &[u8], mut position: usize, count: &mut usize) -> Result<(Term, usize), String> {
    let mut open: Vec<(u8, Vec<Term>)> = Vec::new();
    loop {
        position = skip(bytes, position);
        let Some(byte) = bytes.get(position).copied() else {
            return Err(format!("it ends at byte {position} within a term"));
        };
        let at = position;
        let complete = match byte {
            b'{' | b'[' | b'(' => {
                if open.len() >= MAX_DEPTH {
                    return Err(format!("more than {MAX_DEPTH} terms within each other at byte {at}"));
                }
                open.push((byte, Vec::new()));
                position += 1;
                None
            }
            b'}' | b']' | b')' => match open.pop() {
                Some((opening, elements)) if closing(opening) == byte => {
                    position += 1;
                    Some(Term::Several(elements))
                }
                _ => return Err(format!("`{}` closes nothing at byte {at}", char::from(byte))),
            },
            b'"' | b'\'' => {
                let (text, end) = quoted(bytes, at, byte)?;
                position = end;
                Some(Term::Text(text))
            }
            _ if is_word(byte) => {
                let rest = bytes.get(at..).unwrap_or_default();
                let length = rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len());
                position += length;
                let text = String::from_utf8_lossy(rest.get(..length).unwrap_or_default()).into_owned();
                Some(Term::Text(text))
            }
            _ if open.is_empty() => return Err(format!("no term begins at byte {at}")),
            // Commas, and the marks of maps and binaries, which say nothing here.
            _ => {
                position += 1;
                None
            }
        };
        if let Some(term) = complete {
            *count += 1;
            if *count > MAX_TERMS {
                return Err(format!("more than {MAX_TERMS} terms"));
            }
            match open.last_mut() {
                Some((_, elements)) => elements.push(term),
                None => return Ok((term, position)),
            }
        }
    }
}

fn closing(opening: u8) -> u8 {
    match opening {
        b'{' => b'}',
        b'[' => b']',
        _ => b')',
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'@' | b'-' | b'+' | b'.') || byte >= 0x80
}

/// Past white space and comments.
fn skip(bytes: &[u8], mut position: usize) -> usize {
    while let Some(byte) = bytes.get(position) {
        match byte {
            b'%' => {
                let rest = bytes.get(position..).unwrap_or_default();
                position += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            }
            _ if byte.is_ascii_whitespace() => position += 1,
            _ => break,
        }
    }
    position
}

/// The text between quotes, and where it ends.
fn quoted(bytes: &[u8], start: usize, quote: u8) -> Result<(String, usize), String> {
    let mut text = Vec::new();
    let mut position = start + 1;
    while let Some(byte) = bytes.get(position) {
        match byte {
            b'\\' => {
                match bytes.get(position + 1) {
                    Some(b'n') => text.push(b'\n'),
                    Some(b't') => text.push(b'\t'),
                    Some(escaped) => text.push(*escaped),
                    None => break,
                }
                position += 2;
            }
            _ if *byte == quote => {
                return Ok((String::from_utf8_lossy(&text).into_owned(), position + 1));
            }
            _ => {
                text.push(*byte);
                position += 1;
            }
        }
    }
    Err(format!("the text at byte {start} has no end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Term {
        Term::Text(text.to_owned())
    }

    #[test]
    fn terms_are_read() {
        let file = b"%% a comment\n{a, 'B c', \"d\\\"e\", [1, -2.5, x@y], #{k => <<\"v\">>}}.\nb.\n% end";
        let (terms, problem) = parse(file);
        assert_eq!(problem, None);
        assert_eq!(
            terms,
            [
                Term::Several(vec![
                    text("a"),
                    text("B c"),
                    text("d\"e"),
                    Term::Several(vec![text("1"), text("-2.5"), text("x@y")]),
                    Term::Several(vec![text("k"), text("v")]),
                ]),
                text("b."),
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (bytes, expected) in [
            ("{a,", "it ends at byte 3 within a term"),
            ("{a]", "`]` closes nothing at byte 2"),
            ("{\"a", "the text at byte 1 has no end"),
            (",", "no term begins at byte 0"),
            ("{a}. {b", "it ends at byte 7 within a term"),
        ] {
            assert_eq!(parse(bytes.as_bytes()).1.unwrap(), expected, "{bytes}");
        }
        assert_eq!(parse(b"{a}. {b").0, [Term::Several(vec![text("a")])]);
        assert_eq!(parse(b""), (vec![], None));
        assert!(parse(&b"[".repeat(100)).1.unwrap().starts_with("more than 32 terms within"));
    }
}
