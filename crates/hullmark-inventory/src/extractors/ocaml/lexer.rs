//! The words of an opam file (<https://opam.ocaml.org/doc/Manual.html#General-syntax>).

/// A word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or a number.
    Name(String),
    /// A string.
    Text(String),
    /// Anything else.
    Mark(u8),
}

/// The words of a file without its comments. A string without an end is the last.
pub(super) fn tokens(bytes: &[u8]) -> impl Iterator<Item = Token> + '_ {
    let mut position = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = bytes.get(position..)?;
            let first = *rest.first()?;
            if first.is_ascii_whitespace() {
                position += 1;
            } else if first == b'#' {
                position += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            } else if rest.starts_with(b"(*") {
                position += memchr::memmem::find(rest, b"*)").map_or(rest.len(), |end| end + 2);
            } else if let Some(text) = rest.strip_prefix(b"\"\"\"") {
                let end = memchr::memmem::find(text, b"\"\"\"").unwrap_or(text.len());
                position = bytes.len().min(position + end + 6);
                return Some(Token::Text(String::from_utf8_lossy(text.get(..end)?).into_owned()));
            } else if first == b'"' {
                let (text, length) = quoted(rest);
                position += length;
                return Some(Token::Text(text));
            } else if is_word(first) {
                let length = rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len());
                position += length;
                return Some(Token::Name(String::from_utf8_lossy(rest.get(..length)?).into_owned()));
            } else {
                position += 1;
                return Some(Token::Mark(first));
            }
        }
    })
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+')
}

/// The text between quotes, and the length of the whole.
fn quoted(bytes: &[u8]) -> (String, usize) {
    let mut text = Vec::new();
    let mut rest = bytes.iter().enumerate().skip(1);
    while let Some((position, byte)) = rest.next() {
        match byte {
            b'\\' => text.extend(rest.next().map(|(_, escaped)| *escaped)),
            b'"' => return (String::from_utf8_lossy(&text).into_owned(), position + 1),
            _ => text.push(*byte),
        }
    }
    (String::from_utf8_lossy(&text).into_owned(), bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_cut_into_words() {
        let file = b"a-b: \"c\\\"d\" # e\n(* f *) [\"\"\"g \"h\" \"\"\"] \"no end";
        let words: Vec<_> = tokens(file)
            .map(|token| match token {
                Token::Name(name) => name,
                Token::Text(text) => format!("<{text}>"),
                Token::Mark(mark) => char::from(mark).to_string(),
            })
            .collect();
        assert_eq!(words, ["a-b", ":", "<c\"d>", "[", "<g \"h\" >", "]", "<no end>"]);
    }
}
