//! The `WWW-Authenticate` header: which ways to authenticate a server offers.

use std::collections::BTreeMap;

/// One way to authenticate that a server offers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// In lower case.
    pub(crate) scheme: String,
    /// By names in lower case; the first value of each.
    pub(crate) parameters: BTreeMap<String, String>,
}

/// Reads a `WWW-Authenticate` header, which may hold several challenges (RFC 9110, section 11.6.1). What is malformed is
/// skipped.
pub(crate) fn parse_challenges(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let after_spaces = after.trim_start_matches([' ', '\t']);
        match after_spaces.strip_prefix('=') {
            // A parameter of the challenge before.
            Some(value) => {
                let (value, after) = parameter_value(value.trim_start_matches([' ', '\t']));
                if let Some(challenge) = challenges.last_mut() {
                    challenge.parameters.entry(word.to_ascii_lowercase()).or_insert(value);
                }
                rest = after;
            }
            None if word.is_empty() => return challenges,
            None => {
                challenges.push(Challenge { scheme: word.to_ascii_lowercase(), ..Challenge::default() });
                rest = after;
            }
        }
    }
}

/// Reads a token, or a string in quotation marks in which `\` keeps the next character; gives what is behind it.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find([' ', '\t', ',']).unwrap_or(text.len()));
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((position, character)) = characters.next() {
        match character {
            '"' => return (value, quoted.get(position + 1..).unwrap_or_default()),
            '\\' => value.extend(characters.next().map(|(_, kept)| kept)),
            _ => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, expected: &str) {
        let parsed: Vec<String> = parse_challenges(header)
            .into_iter()
            .map(|challenge| {
                let parameters = challenge.parameters.iter().map(|(key, value)| format!(" {key}={value}"));
                challenge.scheme + &parameters.collect::<String>()
            })
            .collect();
        assert_eq!(parsed.join(" | "), expected, "{header}");
    }

    #[test]
    fn challenges_are_taken_apart() {
        check(
            r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a:pull,push""#,
            "bearer realm=https://auth.example/token scope=repository:a:pull,push service=registry.example",
        );
        check(
            r#"Basic realm="a, b", Bearer realm=c ,service = "d""#,
            "basic realm=a, b | bearer realm=c service=d",
        );
        check("Negotiate, Basic realm=x", "negotiate | basic realm=x");
        check("basic", "basic");
        check(r#"Bearer REALM="a\"b\\",realm="evil""#, "bearer realm=a\"b\\");
        check(r#"Bearer realm="never ends"#, "bearer realm=never ends");
        check("", "");
        check(", ,=,", "");
    }
}
