//! Conditions of MSBuild, as far as the files of a project say what holds.

use std::collections::BTreeSet;

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    /// It holds.
    Yes,
    /// It does not.
    No,
    /// It depends on what no file says, such as the framework or the configuration.
    Unknown,
}

/// Whether a condition holds: comparisons with `and` between them. `expanded` replaces properties by the values that they may have
/// and leaves those that no file sets.
pub(crate) fn truth(condition: &str, expanded: impl Fn(&str) -> BTreeSet<String>) -> Truth {
    let lower = condition.to_lowercase();
    if lower.contains(" or ") || lower.contains("exists") {
        return Truth::Unknown;
    }
    let (mut rest, mut result) = (condition, Truth::Yes);
    // In lower case some letters are longer, so the place is looked for in the text itself.
    while !rest.is_empty() {
        let next = [" and ", " And ", " AND "].iter().filter_map(|word| rest.split_once(word));
        let (one, after) = next.min_by_key(|(one, _)| one.len()).unwrap_or((rest, ""));
        match comparison(one, &expanded) {
            Truth::Yes => {}
            Truth::No => return Truth::No,
            Truth::Unknown => result = Truth::Unknown,
        }
        rest = after;
    }
    result
}

fn comparison(text: &str, expanded: &impl Fn(&str) -> BTreeSet<String>) -> Truth {
    let (left, right, equal) = match (text.split_once("=="), text.split_once("!=")) {
        (Some((left, right)), None) => (left, right, true),
        (None, Some((left, right))) => (left, right, false),
        _ => return Truth::Unknown,
    };
    let plain = |side: &str| {
        let side = side.trim().trim_start_matches('(').trim();
        let closed = side.matches(')').count() > side.matches('(').count();
        let side = if closed { side.trim_end_matches(')').trim() } else { side };
        side.trim_matches(['\'', '"']).to_owned()
    };
    let (left, right) = (expanded(&plain(left)), expanded(&plain(right)));
    let (Some(one), Some(other)) = (left.first(), right.first()) else { return Truth::Unknown };
    let is_unset =
        |text: &str| text.starts_with("$(") && text.ends_with(')') && text.matches("$(").count() == 1;
    let is_equal = match (left.len(), right.len()) {
        // What no file sets is empty, unless it is set from outside.
        (1, 1) if is_unset(one) && other.is_empty() && !is_known_outside(one) => true,
        (1, 1) if !one.contains("$(") && !other.contains("$(") => one.eq_ignore_ascii_case(other),
        _ => return Truth::Unknown,
    };
    if is_equal == equal { Truth::Yes } else { Truth::No }
}

/// Properties that the tools set when no file does.
fn is_known_outside(property: &str) -> bool {
    const NAMES: &[&str] =
        &["targetframework", "targetframeworkidentifier", "configuration", "platform", "os"];
    let name = property.trim_start_matches("$(").trim_end_matches(')').to_lowercase();
    NAMES.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_or_not_or_depend() {
        let expanded = |text: &str| match text {
            "$(A)" => BTreeSet::from(["net8.0".to_owned()]),
            "$(B)" => BTreeSet::from(["1".to_owned(), "2".to_owned()]),
            other => BTreeSet::from([other.to_owned()]),
        };
        for (condition, expected) in [
            ("'$(A)' == 'NET8.0'", Truth::Yes),
            ("'$(A)' != 'net8.0'", Truth::No),
            (" ( '$(A)' == 'net6.0' ) ", Truth::No),
            ("'$(A)'=='net8.0' And '$(None)' == ''", Truth::Yes),
            ("'$(A)'=='net8.0' and '$(A)'=='x'", Truth::No),
            ("'$(None)' != ''", Truth::No),
            ("'$(None)' == 'true'", Truth::Unknown),
            ("'$(TargetFramework)' == ''", Truth::Unknown),
            ("'$(B)' == '1'", Truth::Unknown),
            ("'$(A)' == 'x' or '$(A)' == 'net8.0'", Truth::Unknown),
            ("Exists('x')", Truth::Unknown),
            ("$([MSBuild]::Is('x'))", Truth::Unknown),
            ("==", Truth::Yes),
        ] {
            assert_eq!(truth(condition, expanded), expected, "{condition}");
        }
    }
}
