//! Literals of Ruby: the strings in a line.

/// The most strings taken from one line.
const MAX_STRINGS: usize = 4096;

/// The strings that are written out in a line, in their order. One that is computed in part (`"#{x}"`) is not among them; a
/// comment ends the line.
pub(super) fn strings(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(position) = rest.find(['"', '\'', '%', '#'])
        && found.len() < MAX_STRINGS
    {
        let Some(from) = rest.get(position..) else { break };
        let length = match from.as_bytes() {
            [b'#', ..] => break,
            [quote @ (b'"' | b'\''), ..] => quoted(from, 1, (*quote, *quote), *quote == b'"', &mut found),
            [b'%', b'q' | b'Q' | b'w', open, ..] if closing(*open).is_some() => {
                let close = closing(*open).unwrap_or(*open);
                let mut words = Vec::new();
                let length = quoted(from, 3, (*open, close), from.starts_with("%Q"), &mut words);
                if from.starts_with("%w") {
                    let words = words.iter().flat_map(|text| text.split_ascii_whitespace());
                    found.extend(words.map(str::to_owned).take(MAX_STRINGS));
                } else {
                    found.append(&mut words);
                }
                length
            }
            _ => 1,
        };
        rest = from.get(length..).unwrap_or_default();
    }
    found.truncate(MAX_STRINGS);
    found
}

fn closing(open: u8) -> Option<u8> {
    match open {
        b'<' => Some(b'>'),
        b'(' => Some(b')'),
        b'[' => Some(b']'),
        b'{' => Some(b'}'),
        b'|' | b'!' | b'/' => Some(open),
        _ => None,
    }
}

/// Reads a string whose content begins at `start`; gives the length of the whole literal. One without an end is none.
fn quoted(
    text: &str,
    start: usize,
    (open, close): (u8, u8),
    has_escapes: bool,
    found: &mut Vec<String>,
) -> usize {
    let mut content = Vec::new();
    let mut depth = 0_usize;
    let mut is_computed = false;
    let mut bytes = text.bytes().enumerate().skip(start).peekable();
    while let Some((position, byte)) = bytes.next() {
        match byte {
            b'\\' => match bytes.next() {
                Some((_, b'n')) if has_escapes => content.push(b'\n'),
                Some((_, b't')) if has_escapes => content.push(b'\t'),
                Some((_, b'u')) if has_escapes => {
                    let digits: Vec<u8> = std::iter::from_fn(|| {
                        bytes.next_if(|(_, byte)| byte.is_ascii_hexdigit()).map(|(_, byte)| byte)
                    })
                    .take(4)
                    .collect();
                    let digits = String::from_utf8_lossy(&digits).into_owned();
                    let code = u32::from_str_radix(&digits, 16).ok();
                    let character = code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
                    content.extend(character.to_string().bytes());
                }
                Some((_, escaped)) => {
                    if !has_escapes && escaped != close && escaped != b'\\' {
                        content.push(b'\\');
                    }
                    content.push(escaped);
                }
                None => break,
            },
            _ if byte == close && depth == 0 => {
                if !is_computed {
                    found.push(String::from_utf8_lossy(&content).into_owned());
                }
                return position + 1;
            }
            _ => {
                depth = match byte {
                    _ if open == close => depth,
                    _ if byte == open => depth + 1,
                    _ if byte == close => depth - 1,
                    _ => depth,
                };
                is_computed |= has_escapes
                    && byte == b'#'
                    && bytes.peek().is_some_and(|(_, next)| matches!(next, b'{' | b'@' | b'$'));
                content.push(byte);
            }
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_each_form_are_read() {
        for (line, expected) in [
            ("[\"a\".freeze, 'b', nil]", vec!["a", "b"]),
            ("(%q<rake>.freeze, [\">= 0\".freeze])", vec!["rake", ">= 0"]),
            ("%q{a {b} c}", vec!["a {b} c"]),
            ("%w[MIT Ruby]", vec!["MIT", "Ruby"]),
            (r#""J\u00f6rg \"x\" \#{y}""#, vec!["Jörg \"x\" #{y}"]),
            (r"'it\'s \n'", vec!["it's \\n"]),
            ("\"#{name}-1\", 'x'", vec!["x"]),
            ("Foo::VERSION # \"comment\"", vec![]),
            ("\"no end", vec![]),
            ("%q", vec![]),
            ("100 % 3", vec![]),
        ] {
            assert_eq!(strings(line), expected, "{line}");
        }
    }
}
