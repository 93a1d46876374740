//! Patterns for image references: `*` stands for any text, also across `/`.

/// Whether `pattern` matches all of `text`.
///
/// Takes time in the product of the lengths at most; there is no recursion.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut position) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while position < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, position));
                at += 1;
            }
            Some(letter) if text.get(position) == Some(letter) => {
                at += 1;
                position += 1;
            }
            _ => match star {
                Some((after, from)) => {
                    at = after + 1;
                    position = from + 1;
                    star = Some((after, position));
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|letter| *letter == b'*')
}

/// Whether any of `patterns` matches any of `texts`.
pub(crate) fn any(patterns: &[String], texts: &[String]) -> bool {
    patterns.iter().any(|pattern| texts.iter().any(|text| matches(pattern, text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "docker.io/library/mongo:7", true),
            ("docker.io/library/mongo:*", "docker.io/library/mongo:7", true),
            ("docker.io/library/mongo:*", "docker.io/library/mongodb:7", false),
            ("*/mongo:*", "docker.io/library/mongo:7", true),
            ("*a*b", "xaybzb", true),
            ("*a*b", "xaybz", false),
            ("a", "ab", false),
            ("", "", true),
            ("", "a", false),
            ("a**", "a", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_do_not_take_exponential_time() {
        assert!(!matches(&"*a".repeat(200), &"a".repeat(199)));
        assert!(!matches(&format!("{}b", "*a".repeat(200)), &"a".repeat(2000)));
    }
}
