//! The CEL grammar reserves the word `package`, which is the natural name of an object here. Conditions may write it; the
//! parser gets a word of the same length instead, so that places stay what they are.

/// The name of the object in conditions as written.
pub(crate) const WRITTEN: &str = "package";

/// The name of the object in parsed conditions.
pub(crate) const PARSED: &str = "_ackage";

/// The name under which `object` is bound when conditions are evaluated.
pub(crate) fn bound(object: &str) -> &str {
    if object == WRITTEN { PARSED } else { object }
}

/// The name as people write it.
pub(crate) fn written(name: &str) -> &str {
    if name == PARSED { WRITTEN } else { name }
}

/// Replaces the word `package` outside of strings and comments. The result has the length of `text`.
pub(crate) fn rename(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let length = if letter.is_ascii_alphabetic() || letter == '_' {
            let word = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
            let raw = matches!(
                rest.get(..word),
                Some("r" | "R" | "rb" | "Rb" | "rB" | "RB" | "br" | "bR" | "Br" | "BR")
            );
            let after = rest.get(word..).unwrap_or_default();
            word + if raw { string_length(after, false) } else { 0 }
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else {
            string_length(rest, true).max(letter.len_utf8())
        };
        let (token, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        out.push_str(if token == WRITTEN { PARSED } else { token });
        rest = after;
    }
    out
}

/// Bytes of the string literal that `text` starts with; 0 when it starts with none.
fn string_length(text: &str, escapes: bool) -> usize {
    let Some(delimiter) =
        ["\"\"\"", "'''", "\"", "'"].into_iter().find(|delimiter| text.starts_with(delimiter))
    else {
        return 0;
    };
    let mut at = delimiter.len();
    while let Some(rest) = text.get(at..) {
        if rest.starts_with(delimiter) {
            return at + delimiter.len();
        }
        let Some(letter) = rest.chars().next() else { break };
        at += letter.len_utf8();
        if escapes && letter == '\\' {
            at += text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_word_itself_is_renamed() {
        for (text, expected) in [
            ("package.name == \"package\"", "_ackage.name == \"package\""),
            ("!package.x && packages && my_package", "!_ackage.x && packages && my_package"),
            (r#"'it\'s package' + package.name"#, r#"'it\'s package' + _ackage.name"#),
            (r#"r'\' + package.name"#, r#"r'\' + _ackage.name"#),
            ("'''a ' package''' + package.name", "'''a ' package''' + _ackage.name"),
            ("true // package\n&& package.x", "true // package\n&& _ackage.x"),
            ("\"open package", "\"open package"),
            ("\u{e9} package", "\u{e9} _ackage"),
            ("\"\\", "\"\\"),
            ("", ""),
        ] {
            assert_eq!(rename(text), expected);
        }
        assert_eq!(WRITTEN.len(), PARSED.len());
    }
}
