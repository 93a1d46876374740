//! The licences of a Debian package, from a `copyright` that machines can read
//! (<https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/>). In one that is written
//! for people licences are recognised by their texts, and kept apart from what is declared.

use crate::text::{lines, non_empty};
use crate::{Extraction, OpenFile, license_text};

/// The property that holds the licences recognised in a text; whether all or any of them apply it does not say.
const FROM_TEXT: &str = "license:from-text";

/// How the address of the format contains its name, also in its drafts.
const FORMAT: &[&str] = &["copyright-format", "dep5", "DEP5", "machine-readable"];

/// The most lines that are read.
const MAX_LINES: usize = 200_000;

/// Reads the short names in the fields `License`.
pub(super) fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let mut lines = lines(file.bytes).take(MAX_LINES).map(|(_, line)| line);
    let is_format = |line: &str| {
        field(line).is_some_and(|(key, value)| {
            matches!(key.to_ascii_lowercase().as_str(), "format" | "format-specification")
                && FORMAT.iter().any(|name| value.contains(name))
        })
    };
    // Some begin with a comment or an empty line.
    if !lines.by_ref().take(10).any(|line| is_format(&line)) {
        let known = license_text::recognise(file.bytes);
        if !known.is_empty() {
            let details = found.details.get_or_insert_default();
            details.properties.insert(FROM_TEXT.to_owned(), known.join(", "));
        }
        return found;
    }
    let licenses: Vec<_> = lines
        .filter_map(|line| {
            let (key, value) = field(&line)?;
            key.eq_ignore_ascii_case("license").then(|| non_empty(value))?
        })
        .collect();
    if !licenses.is_empty() {
        found.detail_licenses(licenses);
    }
    found
}

fn field(line: &str) -> Option<(&str, &str)> {
    line.split_once(':').filter(|(key, _)| !key.starts_with([' ', '\t']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&[&str]>) {
        let path = "usr/share/doc/a/copyright";
        let found = parse(&OpenFile { path, bytes: text.as_bytes() });
        let licenses = found.details.map(|details| details.licenses);
        assert_eq!(
            licenses.as_deref().map(|known| known.iter().map(String::as_str).collect()),
            expected.map(<[_]>::to_vec)
        );
    }

    #[test]
    fn licences_are_named_once_in_their_order() {
        let format = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n";
        check(
            &format!(
                "{format}\nFiles: *\nCopyright: A\nLicense: GPL-2+ or MIT\n Some text.\n License: no field\n\nFiles: b\nLicense: MIT\n\nLicense: GPL-2+ or MIT\n"
            ),
            Some(&["GPL-2+ or MIT", "MIT"]),
        );
        check(&format!("# A comment\n{format}license: X\n"), Some(&["X"]));
        check(format, None);
        check("This package was debianized by hand.\nLicense: GPL\n", None);
        check("", None);
    }

    #[test]
    fn what_is_for_people_is_recognised_and_not_declared() {
        let text = b"This package was debianized by hand.\nThe GNU General Public License is in /usr/share/common-licenses/GPL-3.\n";
        let found = parse(&OpenFile { path: "usr/share/doc/a/copyright", bytes: text }).details.unwrap();
        assert_eq!(found.licenses, Vec::<String>::new());
        assert_eq!(found.properties[FROM_TEXT], "GPL-3.0-only");
    }
}
