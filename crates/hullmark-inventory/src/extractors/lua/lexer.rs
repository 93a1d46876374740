//! The words of a Lua program (<https://www.lua.org/manual/5.4/manual.html#3.1>).

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

/// The words of a program without its comments. A string without an end is the last.
pub(super) fn tokens(bytes: &[u8]) -> impl Iterator<Item = Token> + '_ {
    let mut position = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = bytes.get(position..)?;
            let first = *rest.first()?;
            if first.is_ascii_whitespace() {
                position += 1;
            } else if let Some(comment) = rest.strip_prefix(b"--") {
                position += 2 + long(comment).map_or_else(
                    || memchr::memchr(b'\n', comment).unwrap_or(comment.len()),
                    |(_, length)| length,
                );
            } else if let Some((text, length)) = long(rest) {
                position += length;
                return Some(Token::Text(text));
            } else if matches!(first, b'"' | b'\'') {
                let (text, length) = quoted(rest, first);
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
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// `[[text]]`, `[==[text]==]`: the text, and the length of the whole.
fn long(bytes: &[u8]) -> Option<(String, usize)> {
    let level = bytes.strip_prefix(b"[")?.iter().take_while(|byte| **byte == b'=').count();
    let content = bytes.get(1 + level..)?.strip_prefix(b"[")?;
    let close: Vec<u8> = [b"]".as_slice(), &b"=".repeat(level), b"]"].concat();
    let end = memchr::memmem::find(content, &close).unwrap_or(content.len());
    let text = String::from_utf8_lossy(content.get(..end)?).into_owned();
    Some((text, bytes.len().min(2 * (level + 2) + end)))
}

/// The text between quotes, and the length of the whole.
fn quoted(bytes: &[u8], quote: u8) -> (String, usize) {
    let mut text = Vec::new();
    let mut rest = bytes.iter().enumerate().skip(1);
    while let Some((position, byte)) = rest.next() {
        match byte {
            b'\\' => match rest.next() {
                Some((_, b'n')) => text.push(b'\n'),
                Some((_, b't')) => text.push(b'\t'),
                Some((_, escaped)) => text.push(*escaped),
                None => break,
            },
            _ if *byte == quote => return (String::from_utf8_lossy(&text).into_owned(), position + 1),
            _ => text.push(*byte),
        }
    }
    (String::from_utf8_lossy(&text).into_owned(), bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_cut_into_words() {
        let program = b"a = \"b\\\"c\" -- d\n--[[ e\n]] f = {[==[ g ]] ]==], 'h'} \"no end";
        let words: Vec<_> = tokens(program)
            .map(|token| match token {
                Token::Name(name) => name,
                Token::Text(text) => format!("<{text}>"),
                Token::Mark(mark) => char::from(mark).to_string(),
            })
            .collect();
        assert_eq!(words, ["a", "=", "<b\"c>", "f", "=", "{", "< g ]] >", ",", "<h>", "}", "<no end>"]);
    }
}
