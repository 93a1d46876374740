//! CPE names of packages, where they have the form that the schemas of SBOMs ask for.

use hullmark_types::Package;

/// The CPE 2.3 name of a package: `cpe:2.3:`, the part, and ten more fields. Anything else is not written, as it makes a whole
/// document invalid.
pub(crate) fn of(package: &Package) -> Option<&str> {
    let name = package.properties.get("cpe")?;
    let fields = fields(name.strip_prefix("cpe:2.3:")?)?;
    let (part, others) = fields.split_first()?;
    let is_valid = matches!(*part, "a" | "o" | "h" | "*" | "-")
        && others.len() == 10
        && others.iter().enumerate().all(|(at, field)| match at {
            // The language, such as `en` or `en-gb`.
            5 => is_language(field),
            _ => is_field(field),
        });
    is_valid.then_some(name.as_str())
}

/// The fields between the colons that are not escaped.
fn fields(text: &str) -> Option<Vec<&str>> {
    let mut fields = Vec::new();
    let (mut start, mut is_escaped) = (0, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b':' => {
                fields.push(text.get(start..at)?);
                start = at + 1;
            }
            _ => {}
        }
        if fields.len() > 11 {
            return None;
        }
    }
    fields.push(text.get(start..)?);
    Some(fields)
}

/// `-`, `*`, or a text in which what is no letter, digit, `-`, `.` or `_` is escaped, with wildcards at its ends only.
fn is_field(field: &str) -> bool {
    if matches!(field, "*" | "-") {
        return true;
    }
    let wildcard = |text: &str| text.strip_prefix('*').map_or(text.trim_start_matches('?').len(), str::len);
    let Some(rest) = field.get(field.len() - wildcard(field)..) else { return false };
    let mut bytes = rest.bytes();
    let mut count = 0;
    while let Some(byte) = bytes.next() {
        let is_good = match byte {
            b'\\' => bytes.next().is_some_and(|next| next.is_ascii_punctuation() && !b"-._".contains(&next)),
            // Behind a wildcard there may be nothing but that wildcard.
            b'*' => return count > 0 && bytes.next().is_none(),
            b'?' => return count > 0 && bytes.all(|next| next == b'?'),
            _ => byte.is_ascii_alphanumeric() || b"-._".contains(&byte),
        };
        if !is_good {
            return false;
        }
        count += 1;
    }
    count > 0
}

fn is_language(field: &str) -> bool {
    let (language, region) = field.split_once('-').unwrap_or((field, "gb"));
    let letters = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphabetic());
    let digits = region.len() == 3 && region.bytes().all(|byte| byte.is_ascii_digit());
    matches!(field, "*" | "-")
        || (letters(language)
            && matches!(language.len(), 2 | 3)
            && ((region.len() == 2 && letters(region)) || digits))
}

#[cfg(test)]
mod tests {
    use hullmark_types::PackageKind;

    use super::*;

    #[test]
    fn only_well_formed_names_are_written() {
        for (cpe, expected) in [
            ("cpe:2.3:a:x:y:1.0:*:*:*:*:*:*:*", true),
            ("cpe:2.3:a:x\\:z:y\\+\\+:1:-:*:en-gb:*:*:*:*", true),
            ("cpe:2.3:a:x:y:1?:*:*:*:*:*:*:*", true),
            ("cpe:2.3:a:x:y:*1*:*:*:*:*:*:*:*", true),
            ("cpe:2.3:a:x:y+:1:*:*:*:*:*:*:*", false),
            ("cpe:2.3:a:x:y:1:*:*:*:*:*:*", false),
            ("cpe:2.3:a:x:y:1:*:*:*:*:*:*:*:*", false),
            ("cpe:2.3:b:x:y:1:*:*:*:*:*:*:*", false),
            ("cpe:2.3:a:x:y:a b:*:*:*:*:*:*:*", false),
            ("cpe:2.3:a:x::1:*:*:*:*:*:*:*", false),
            ("cpe:2.3:a:x:\u{e4}:1:*:*:*:*:*:*:*", false),
            ("cpe:/a:x:y:1", false),
            ("no cpe", false),
            ("cpe:2.3:a:x:y:1*2:*:*:*:*:*:*:*", false),
            ("cpe:2.3:a:x:y:1:*:*:english:*:*:*:*", false),
        ] {
            let mut package = Package::new(PackageKind::Npm, "a", "1", "pkg:npm/a@1", "npm");
            package.properties.insert("cpe".to_owned(), cpe.to_owned());
            assert_eq!(of(&package), expected.then_some(cpe), "{cpe}");
        }
    }
}
