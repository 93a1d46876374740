//! Licences as they are declared, in the words of SPDX (<https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/>).
//!
//! Package managers let authors write what they like. What can be said in SPDX without a guess is; the rest stays as it is.

use spdx::{Expression, ParseMode};

/// The longest text that is looked at, in bytes.
const MAX_LENGTH: usize = 1024;

/// Names that are not those of SPDX, in lower case with single blanks, and what they stand for.
/// A name that stands for several licences, such as `BSD`, is not here.
const NAMES: &[(&str, &str)] = &[
    ("agpl-3", "AGPL-3.0-only"),
    ("agpl-3+", "AGPL-3.0-or-later"),
    ("agplv3", "AGPL-3.0-only"),
    ("agplv3+", "AGPL-3.0-or-later"),
    ("apache 2", "Apache-2.0"),
    ("apache 2.0", "Apache-2.0"),
    ("apache license", "Apache-2.0"),
    ("apache license 2.0", "Apache-2.0"),
    ("apache license version 2.0", "Apache-2.0"),
    ("apache license, 2.0", "Apache-2.0"),
    ("apache license, version 2", "Apache-2.0"),
    ("apache license, version 2.0", "Apache-2.0"),
    ("apache software license 2.0", "Apache-2.0"),
    ("apache v2", "Apache-2.0"),
    ("apache version 2.0", "Apache-2.0"),
    ("apache-2", "Apache-2.0"),
    ("apache2", "Apache-2.0"),
    ("asl 2.0", "Apache-2.0"),
    ("artistic license 2.0", "Artistic-2.0"),
    ("artistic-2", "Artistic-2.0"),
    ("boost", "BSL-1.0"),
    ("boost software license - version 1.0", "BSL-1.0"),
    ("boost software license 1.0", "BSL-1.0"),
    ("bsd 2-clause", "BSD-2-Clause"),
    ("bsd 3-clause", "BSD-3-Clause"),
    ("bsd-2", "BSD-2-Clause"),
    ("bsd-2-clause license", "BSD-2-Clause"),
    ("bsd-3", "BSD-3-Clause"),
    ("bsd-3-clause license", "BSD-3-Clause"),
    ("2-clause bsd", "BSD-2-Clause"),
    ("3-clause bsd", "BSD-3-Clause"),
    ("3-clause bsd license", "BSD-3-Clause"),
    ("new bsd", "BSD-3-Clause"),
    ("new bsd license", "BSD-3-Clause"),
    ("modified bsd", "BSD-3-Clause"),
    ("simplified bsd", "BSD-2-Clause"),
    ("cc0", "CC0-1.0"),
    ("cc0 1.0", "CC0-1.0"),
    ("cddl 1.0", "CDDL-1.0"),
    ("common development and distribution license 1.0", "CDDL-1.0"),
    ("eclipse public license - v 1.0", "EPL-1.0"),
    ("eclipse public license - v 2.0", "EPL-2.0"),
    ("eclipse public license 1.0", "EPL-1.0"),
    ("eclipse public license 2.0", "EPL-2.0"),
    ("eclipse public license v2.0", "EPL-2.0"),
    ("epl 1.0", "EPL-1.0"),
    ("epl 2.0", "EPL-2.0"),
    ("edl 1.0", "BSD-3-Clause"),
    ("eclipse distribution license - v 1.0", "BSD-3-Clause"),
    ("expat", "MIT"),
    ("gpl-1", "GPL-1.0-only"),
    ("gpl-1+", "GPL-1.0-or-later"),
    ("gpl-2", "GPL-2.0-only"),
    ("gpl-2+", "GPL-2.0-or-later"),
    ("gpl-2.0+", "GPL-2.0-or-later"),
    ("gpl-2.0", "GPL-2.0-only"),
    ("gpl-3", "GPL-3.0-only"),
    ("gpl-3+", "GPL-3.0-or-later"),
    ("gpl-3.0", "GPL-3.0-only"),
    ("gpl-3.0+", "GPL-3.0-or-later"),
    ("gpl2", "GPL-2.0-only"),
    ("gpl3", "GPL-3.0-only"),
    ("gplv2", "GPL-2.0-only"),
    ("gplv2+", "GPL-2.0-or-later"),
    ("gplv3", "GPL-3.0-only"),
    ("gplv3+", "GPL-3.0-or-later"),
    ("gnu general public license v2 (gplv2)", "GPL-2.0-only"),
    ("gnu general public license v2 or later (gplv2+)", "GPL-2.0-or-later"),
    ("gnu general public license v3 (gplv3)", "GPL-3.0-only"),
    ("gnu general public license v3 or later (gplv3+)", "GPL-3.0-or-later"),
    ("gnu lesser general public license v2 (lgplv2)", "LGPL-2.0-only"),
    ("gnu lesser general public license v2 or later (lgplv2+)", "LGPL-2.0-or-later"),
    ("gnu lesser general public license v3 (lgplv3)", "LGPL-3.0-only"),
    ("gnu lesser general public license v3 or later (lgplv3+)", "LGPL-3.0-or-later"),
    ("gnu affero general public license v3", "AGPL-3.0-only"),
    ("isc license", "ISC"),
    ("isc license (iscl)", "ISC"),
    ("lgpl-2", "LGPL-2.0-only"),
    ("lgpl-2+", "LGPL-2.0-or-later"),
    ("lgpl-2.0", "LGPL-2.0-only"),
    ("lgpl-2.0+", "LGPL-2.0-or-later"),
    ("lgpl-2.1", "LGPL-2.1-only"),
    ("lgpl-2.1+", "LGPL-2.1-or-later"),
    ("lgpl-3", "LGPL-3.0-only"),
    ("lgpl-3+", "LGPL-3.0-or-later"),
    ("lgpl-3.0", "LGPL-3.0-only"),
    ("lgpl-3.0+", "LGPL-3.0-or-later"),
    ("lgplv2.1", "LGPL-2.1-only"),
    ("lgplv2.1+", "LGPL-2.1-or-later"),
    ("lgplv3", "LGPL-3.0-only"),
    ("lgplv3+", "LGPL-3.0-or-later"),
    ("mit license", "MIT"),
    ("the mit license", "MIT"),
    ("the mit license (mit)", "MIT"),
    ("mit/x11", "MIT"),
    ("mit no attribution license (mit-0)", "MIT-0"),
    ("mozilla public license 1.1 (mpl 1.1)", "MPL-1.1"),
    ("mozilla public license 2.0 (mpl 2.0)", "MPL-2.0"),
    ("mozilla public license 2.0", "MPL-2.0"),
    ("mozilla public license, version 2.0", "MPL-2.0"),
    ("mpl 1.1", "MPL-1.1"),
    ("mpl 2.0", "MPL-2.0"),
    ("mplv1.1", "MPL-1.1"),
    ("mplv2.0", "MPL-2.0"),
    ("psf", "PSF-2.0"),
    ("psf license", "PSF-2.0"),
    ("python software foundation license", "PSF-2.0"),
    ("public domain dedication cc0", "CC0-1.0"),
    ("the apache license, version 2.0", "Apache-2.0"),
    ("the apache software license, version 2.0", "Apache-2.0"),
    ("the bsd 3-clause license", "BSD-3-Clause"),
    ("the bsd 2-clause license", "BSD-2-Clause"),
    ("the unlicense", "Unlicense"),
    ("the unlicense (unlicense)", "Unlicense"),
    ("wtfpl", "WTFPL"),
    ("zlib/libpng", "Zlib"),
    ("zlib/libpng license", "Zlib"),
    ("zope public license", "ZPL-2.1"),
    ("zpl 2.1", "ZPL-2.1"),
    ("https://www.apache.org/licenses/license-2.0.txt", "Apache-2.0"),
    ("https://www.apache.org/licenses/license-2.0", "Apache-2.0"),
    ("http://www.apache.org/licenses/license-2.0.txt", "Apache-2.0"),
    ("http://www.apache.org/licenses/license-2.0", "Apache-2.0"),
    ("https://opensource.org/licenses/mit", "MIT"),
    ("http://opensource.org/licenses/mit", "MIT"),
    ("https://opensource.org/licenses/bsd-3-clause", "BSD-3-Clause"),
    ("https://www.eclipse.org/legal/epl-2.0", "EPL-2.0"),
];

/// The classifiers of PyPI begin like this; what counts stands behind the last `::`.
const CLASSIFIER: &str = "license ::";

/// A declared licence as an SPDX expression; `None` when it cannot be said in SPDX without a guess.
///
/// # Example
/// ```
/// use hullmark_report::spdx_expression;
///
/// assert_eq!(spdx_expression("Apache License, Version 2.0").as_deref(), Some("Apache-2.0"));
/// assert_eq!(spdx_expression("GPLv2+ and MIT").as_deref(), Some("GPL-2.0-or-later AND MIT"));
/// assert_eq!(spdx_expression("BSD"), None);
/// ```
pub fn spdx_expression(declared: &str) -> Option<String> {
    let text = declared.trim();
    if text.is_empty() || text.len() > MAX_LENGTH {
        return None;
    }
    if let Some(name) = name(text) {
        return Some(name);
    }
    if let Ok(expression) = Expression::parse(text) {
        return Some(expression.to_string());
    }
    let words = with_names(text)?;
    Expression::parse_mode(&words, ParseMode::STRICT).ok().map(|expression| expression.to_string())
}

/// One licence by its name or one of its other names.
fn name(text: &str) -> Option<String> {
    let mut lower = text.to_ascii_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    if lower.starts_with(CLASSIFIER) {
        lower = lower.rsplit("::").next().unwrap_or_default().trim().to_owned();
    }
    let lower = lower.trim_end_matches('/');
    if let Some((_, id)) = NAMES.iter().find(|(name, _)| *name == lower) {
        return Some((*id).to_owned());
    }
    // SPDX compares its ids without case.
    let same = spdx::identifiers::LICENSES.iter().find(|license| license.name.eq_ignore_ascii_case(lower));
    same.map(|license| license.name.to_owned())
}

/// An expression whose names are put into the words of SPDX: `and`, `or`, `|`, `&`, `,` and brackets stand between them.
fn with_names(text: &str) -> Option<String> {
    let spaced =
        text.replace('(', " ( ").replace(')', " ) ").replace('|', " or ").replace(['&', ','], " and ");
    let mut parts: Vec<String> = Vec::new();
    let mut current: Vec<&str> = Vec::new();
    let flush = |current: &mut Vec<&str>, parts: &mut Vec<String>| -> Option<()> {
        if !current.is_empty() {
            parts.push(name(&current.join(" "))?);
            current.clear();
        }
        Some(())
    };
    for word in spaced.split_whitespace() {
        match word.to_ascii_lowercase().as_str() {
            "and" | "or" | "(" | ")" => {
                flush(&mut current, &mut parts)?;
                let word = word.to_ascii_uppercase();
                // `MIT, and BSD-2-Clause` has two of them.
                let is_twice = matches!(word.as_str(), "AND" | "OR")
                    && parts.last().is_some_and(|last| matches!(last.as_str(), "AND" | "OR"));
                if !is_twice {
                    parts.push(word);
                }
            }
            _ => current.push(word),
        }
    }
    flush(&mut current, &mut parts)?;
    Some(parts.join(" ").replace("( ", "(").replace(" )", ")"))
}

/// All declared licences of a package as one expression: all of them hold. `None` when one of them cannot be said.
pub(crate) fn expression_of(declared: &[String]) -> Option<String> {
    let mut parts = Vec::new();
    for one in declared {
        let expression = spdx_expression(one)?;
        let is_compound = expression.contains(" OR ") || expression.contains(" AND ");
        let part = if is_compound && declared.len() > 1 { format!("({expression})") } else { expression };
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    (!parts.is_empty()).then(|| parts.join(" AND "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn declared_licences_are_put_into_the_words_of_spdx() {
        let check = |declared: &str, expected: Option<&str>| {
            assert_eq!(spdx_expression(declared).as_deref(), expected, "{declared}");
        };
        check("MIT", Some("MIT"));
        check(" mit ", Some("MIT"));
        check("MIT OR Apache-2.0", Some("MIT OR Apache-2.0"));
        check(
            "GPL-2.0-or-later WITH Classpath-exception-2.0",
            Some("GPL-2.0-or-later WITH Classpath-exception-2.0"),
        );
        check("License :: OSI Approved :: MIT License", Some("MIT"));
        check("License :: OSI Approved :: BSD License", None);
        check("GPLv2+ and (MIT or LGPLv2.1+)", Some("GPL-2.0-or-later AND (MIT OR LGPL-2.1-or-later)"));
        check("Expat | GPL-2+", Some("MIT OR GPL-2.0-or-later"));
        check("MIT, BSD-3-Clause", Some("MIT AND BSD-3-Clause"));
        check("https://www.apache.org/licenses/LICENSE-2.0.txt", Some("Apache-2.0"));
        check("SEE LICENSE IN LICENSE.md", None);
        check("UNLICENSED", None);
        check("BSD", None);
        check("GPL", None);
        check("", None);
        check("and or", None);
        check("((MIT", None);
    }

    #[test]
    fn several_licences_all_hold() {
        let of = |declared: &[&str]| {
            expression_of(&declared.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(
            of(&["MIT", "GPL-2+ or Apache-2.0"]).as_deref(),
            Some("MIT AND (GPL-2.0-or-later OR Apache-2.0)")
        );
        assert_eq!(of(&["MIT", "Expat"]).as_deref(), Some("MIT"));
        assert_eq!(of(&["MIT", "custom"]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn every_other_name_stands_for_a_licence_that_spdx_knows() {
        for (name, id) in NAMES {
            assert_eq!(*name, name.to_ascii_lowercase());
            assert!(spdx::license_id(id).is_some(), "{id}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived_and_what_comes_out_is_an_expression(text in "[A-Za-z0-9.+() |&,/-]{0,60}|\\PC{0,40}") {
            if let Some(expression) = spdx_expression(&text) {
                prop_assert!(Expression::parse(&expression).is_ok(), "{}", expression);
                prop_assert_eq!(spdx_expression(&expression), Some(expression.clone()));
            }
        }
    }
}
