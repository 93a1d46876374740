//! The version of the Go toolchain.

/// The version of the standard library in the form the Go vulnerability database compares: `go1.22.1` is `1.22.1`,
/// `go1.20` is `1.20.0`, `go1.23rc1` is `1.23.0-rc.1`. Vendor's suffixes after a space, `-` or `+` are cut off. `None`
/// for a toolchain built from a working tree (`devel go1.23-abcdef`).
pub(super) fn standard_library_version(text: &str) -> Option<String> {
    let text = text.strip_prefix("go")?;
    let text = text.split([' ', '-', '+']).next()?;
    let digits_end =
        text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    let (numbers, suffix) = text.split_at_checked(digits_end)?;
    let mut parts = numbers.split('.');
    let mut next = |default: Option<&'static str>| -> Option<String> {
        let part = parts.next().or(default)?;
        (!part.is_empty() && part.len() <= 9).then(|| part.to_owned())
    };
    let (major, minor, patch) = (next(None)?, next(Some("0"))?, next(Some("0"))?);
    if parts.next().is_some() {
        return None;
    }
    let prerelease = ["beta", "rc"].iter().find_map(|word| Some((word, suffix.strip_prefix(word)?)));
    match (suffix, prerelease) {
        ("", _) => Some(format!("{major}.{minor}.{patch}")),
        (_, Some((word, number)))
            if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            Some(format!("{major}.{minor}.{patch}-{word}.{number}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toolchain_versions_become_semantic_versions() {
        for (text, expected) in [
            ("go1.22.1", Some("1.22.1")),
            ("go1.20", Some("1.20.0")),
            ("go1.23rc1", Some("1.23.0-rc.1")),
            ("go1.18beta2", Some("1.18.0-beta.2")),
            ("go1.21.5 X:boringcrypto", Some("1.21.5")),
            ("go1.21.5 (Red Hat 1.21.5-1.el9)", Some("1.21.5")),
            ("go1.24.1-asan", Some("1.24.1")),
            ("devel go1.23-8c8e15e Fri Apr 5", None),
            ("go1.2.3.4", None),
            ("go", None),
            ("", None),
            ("go1..2", None),
        ] {
            assert_eq!(standard_library_version(text).as_deref(), expected, "{text}");
        }
    }
}
