//! Paths inside an image.

/// Brings the name of a tar entry into the form of [`crate::Entry::path`]. `a/../b` is `b`, whatever `a` is, as for container
/// runtimes.
///
/// # Errors
/// The reason, when the name leads out of the root or cannot be a path.
pub(crate) fn normalize(name: &[u8]) -> Result<String, &'static str> {
    if name.contains(&0) {
        return Err("its name has a zero byte");
    }
    let mut path = String::with_capacity(name.len());
    for component in name.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." if path.is_empty() => return Err("its name leads out of the root"),
            b".." => path.truncate(path.rfind('/').unwrap_or(0)),
            _ => {
                if !path.is_empty() {
                    path.push('/');
                }
                path.push_str(&escape(component));
            }
        }
    }
    Ok(path)
}

/// The bytes as text; those that are not UTF-8 are written `\xNN`, so that different names stay different.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_brought_into_one_form() {
        for (name, expected) in [
            (&b"./a/b"[..], "a/b"),
            (b"/a//b/", "a/b"),
            (b"./", ""),
            (b"a/./b", "a/b"),
            (b"a\xff", "a\\xff"),
            (b"...", "..."),
            (b"a/../b", "b"),
            (b"a/b/..", "a"),
            (b"./a/b/../../c/", "c"),
            (b"a/..", ""),
        ] {
            assert_eq!(normalize(name).as_deref(), Ok(expected));
        }
        for name in [&b"../a"[..], b"a/../../b", b"/..", b"a\0b"] {
            assert!(normalize(name).is_err());
        }
    }
}
