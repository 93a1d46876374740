//! Values that PHP's `serialize` wrote (<https://www.php.net/manual/en/function.serialize.php>).

/// How deep arrays may be nested.
const MAX_DEPTH: usize = 32;

/// What the bytes of a value begin with.
enum Head<'a> {
    /// A text, a number, a truth value.
    Scalar(&'a [u8]),
    /// An array or an object; keys and values follow until `}`.
    Open,
    /// The end of the innermost array.
    Close,
}

/// Is told of a scalar: the keys that lead to it, and its bytes.
pub(super) type Found<'a> = dyn FnMut(&[&[u8]], &[u8]) + 'a;

/// Calls `found` with each scalar and the keys that lead to it, in the order of the bytes. Each byte is looked at a bounded
/// number of times, whatever the lengths that are written there. The error says what is wrong, and where.
pub(super) fn visit(bytes: &[u8], found: &mut Found<'_>) -> Result<(), String> {
    let mut path: Vec<&[u8]> = Vec::new();
    // For each open array whether the next scalar is a key.
    let mut open: Vec<bool> = Vec::new();
    let mut position = 0;
    loop {
        let at = position;
        let (head, end) = head(bytes, at).ok_or_else(|| format!("no value of PHP is at byte {at}"))?;
        position = end;
        let is_key = open.last() == Some(&true);
        match head {
            Head::Scalar(value) if is_key => {
                path.push(value);
                if let Some(expects_key) = open.last_mut() {
                    *expects_key = false;
                }
                continue;
            }
            Head::Scalar(value) => found(&path, value),
            Head::Open if is_key => return Err(format!("an array is the key at byte {at}")),
            Head::Open if open.len() >= MAX_DEPTH => {
                return Err(format!("more than {MAX_DEPTH} arrays within each other at byte {at}"));
            }
            Head::Open => {
                open.push(true);
                continue;
            }
            Head::Close if is_key => {
                open.pop();
            }
            Head::Close => return Err(format!("an array ends without a value at byte {at}")),
        }
        // A value is complete: the next in its array is a key.
        match open.last_mut() {
            Some(expects_key) => {
                path.pop();
                *expects_key = true;
            }
            None => return Ok(()),
        }
    }
}

/// What begins at `at`, and where it ends.
fn head(bytes: &[u8], at: usize) -> Option<(Head<'_>, usize)> {
    match bytes.get(at..)? {
        [b'}', ..] => Some((Head::Close, at + 1)),
        [b'N', b';', ..] => Some((Head::Scalar(b""), at + 2)),
        [b'i' | b'd' | b'b' | b'r' | b'R', b':', rest @ ..] => {
            let length = rest.iter().take(64).position(|byte| *byte == b';')?;
            Some((Head::Scalar(rest.get(..length)?), at + 2 + length + 1))
        }
        [b's', b':', ..] => {
            let (length, start) = length(bytes, at + 2)?;
            let end = start.checked_add(1)?.checked_add(length)?;
            let text = bytes.get(start + 1..end)?;
            let is_closed = bytes.get(start) == Some(&b'"') && bytes.get(end..)?.starts_with(b"\";");
            is_closed.then_some((Head::Scalar(text), end + 2))
        }
        [b'a', b':', ..] => {
            let (_, start) = length(bytes, at + 2)?;
            (bytes.get(start) == Some(&b'{')).then_some((Head::Open, start + 1))
        }
        // `O:LENGTH:"CLASS":COUNT:{`
        [b'O', b':', ..] => {
            let (name, start) = length(bytes, at + 2)?;
            let end = start.checked_add(2)?.checked_add(name)?;
            let (_, start) = bytes.get(end..)?.starts_with(b":").then(|| length(bytes, end + 1))??;
            (bytes.get(start) == Some(&b'{')).then_some((Head::Open, start + 1))
        }
        _ => None,
    }
}

/// The decimal number at `at`, which a colon ends, and where the colon ends.
fn length(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = bytes.get(at..)?;
    let digits = rest.iter().take(12).position(|byte| *byte == b':')?;
    let number = std::str::from_utf8(rest.get(..digits)?).ok()?;
    Some((number.parse().ok()?, at + digits + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> (Vec<String>, Result<(), String>) {
        let mut lines = Vec::new();
        let result = visit(text.as_bytes(), &mut |path, value| {
            let path: Vec<_> = path.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
            lines.push(format!("{}={}", path.join("."), String::from_utf8_lossy(value)));
        });
        (lines, result)
    }

    #[test]
    fn scalars_come_with_the_keys_that_lead_to_them() {
        let text = r#"a:3:{s:1:"a";s:3:"x"y";i:0;a:1:{s:1:"b";d:0.5;}s:1:"c";O:3:"Foo":1:{s:1:"d";N;}}"#;
        assert_eq!(all(text), (vec!["a=x\"y".to_owned(), "0.b=0.5".to_owned(), "c.d=".to_owned()], Ok(())));
        assert_eq!(all("b:1;"), (vec!["=1".to_owned()], Ok(())));
        assert_eq!(all("a:0:{}"), (vec![], Ok(())));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, expected) in [
            ("", "no value of PHP is at byte 0"),
            (r#"a:1:{s:9:"a";i:1;}"#, "no value of PHP is at byte 5"),
            (r#"a:1:{s:1:"a";}"#, "an array ends without a value at byte 13"),
            ("a:1:{a:0:{}i:1;}", "an array is the key at byte 5"),
            ("s:18446744073709551615:\"\";", "no value of PHP is at byte 0"),
        ] {
            assert_eq!(all(text).1.unwrap_err(), expected, "{text}");
        }
        let deep = "a:1:{i:0;".repeat(100);
        assert!(all(&deep).1.unwrap_err().starts_with("more than 32 arrays within each other"));
    }
}
