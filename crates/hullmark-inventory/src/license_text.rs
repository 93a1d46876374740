//! Licences recognised by their texts: by phrases that a text has and others have not, in normalised words. No text is kept here.

/// The most bytes that are looked at.
const MAX_TEXT: usize = 256 * 1024;

/// A licence, and the phrases that a text must all have.
struct Rule {
    id: &'static str,
    phrases: &'static [&'static str],
    /// Phrases of another licence that has those as well.
    without: &'static [&'static str],
}

const fn rule(id: &'static str, phrases: &'static [&'static str]) -> Rule {
    Rule { id, phrases, without: &[] }
}

const BSD: &str = "redistributions of source code must retain the above copyright notice";
const BSD_BINARY: &str = "redistributions in binary form must reproduce the above copyright notice";
const NO_ENDORSEMENT: &str = "may be used to endorse or promote products derived from";
const ADVERTISING: &str =
    "all advertising materials mentioning features or use of this software must display";

static RULES: &[Rule] = &[
    rule("Apache-2.0", &["apache license version 2.0"]),
    rule(
        "Artistic-1.0",
        &[
            "the artistic license",
            "the intent of this document is to state the conditions under which a package may be copied",
        ],
    ),
    rule("Artistic-2.0", &["the artistic license 2.0"]),
    Rule { id: "BSD-2-Clause", phrases: &[BSD, BSD_BINARY], without: &[NO_ENDORSEMENT, ADVERTISING] },
    Rule { id: "BSD-3-Clause", phrases: &[BSD, BSD_BINARY, NO_ENDORSEMENT], without: &[ADVERTISING] },
    Rule {
        id: "BSD-4-Clause",
        phrases: &[BSD, BSD_BINARY, NO_ENDORSEMENT, ADVERTISING],
        without: &["openssl project"],
    },
    rule("BSL-1.0", &["boost software license version 1.0"]),
    rule("CC0-1.0", &["cc0 1.0 universal"]),
    rule("EPL-1.0", &["eclipse public license v 1.0"]),
    rule("EPL-2.0", &["eclipse public license v 2.0"]),
    rule(
        "ISC",
        &[
            "permission to use copy modify and/or distribute this software for any purpose with or without fee is hereby granted",
        ],
    ),
    rule(
        "ISC",
        &[
            "permission to use copy modify and distribute this software for any purpose with or without fee is hereby granted",
        ],
    ),
    rule(
        "MIT",
        &[
            "permission is hereby granted free of charge to any person obtaining a copy of this software and associated documentation files",
            "the above copyright notice and this permission notice shall be included in all copies or substantial portions of the software",
        ],
    ),
    rule("MPL-1.1", &["mozilla public license version 1.1"]),
    rule("MPL-2.0", &["mozilla public license version 2.0"]),
    rule("MPL-2.0", &["mozilla public license v. 2.0"]),
    rule(
        "OpenSSL",
        &["this product includes software developed by the openssl project for use in the openssl toolkit"],
    ),
    rule("PSF-2.0", &["python software foundation license version 2"]),
    rule("Unlicense", &["this is free and unencumbered software released into the public domain"]),
    rule(
        "Zlib",
        &[
            "the origin of this software must not be misrepresented you must not claim that you wrote the original software",
            "altered source versions must be plainly marked as such",
        ],
    ),
];

/// How the licences of GNU are told by the notice that programs carry, and by the heading of their texts.
static GNU: &[(&str, &str, &str)] = &[
    ("AGPL-3.0", "gnu affero general public license", "3"),
    ("GPL-2.0", "gnu general public license", "2"),
    ("GPL-3.0", "gnu general public license", "3"),
    ("LGPL-2.1", "gnu lesser general public license", "2.1"),
    ("LGPL-3.0", "gnu lesser general public license", "3"),
];

/// Files of Debian that hold licences, which texts refer to.
static COMMON: &[(&str, &str)] = &[
    ("apache-2.0", "Apache-2.0"),
    ("cc0-1.0", "CC0-1.0"),
    ("gpl-2", "GPL-2.0"),
    ("gpl-3", "GPL-3.0"),
    ("lgpl-2.1", "LGPL-2.1"),
    ("lgpl-3", "LGPL-3.0"),
    ("mpl-1.1", "MPL-1.1"),
    ("mpl-2.0", "MPL-2.0"),
];

/// SPDX identifiers of the licences that a text holds or refers to, sorted. What is past a limit is not looked at.
pub(crate) fn recognise(text: &[u8]) -> Vec<&'static str> {
    let text = words(text.get(..MAX_TEXT).unwrap_or(text));
    let has = |phrase: &str| memchr::memmem::find(text.as_bytes(), phrase.as_bytes()).is_some();
    let mut found: Vec<&'static str> = RULES
        .iter()
        .filter(|rule| rule.phrases.iter().all(|phrase| has(phrase)))
        .filter(|rule| !rule.without.iter().any(|phrase| has(phrase)))
        .map(|rule| rule.id)
        .collect();
    // A text of the licence itself ends with a notice for others to take.
    let notices = text.split("how to apply these terms").next().unwrap_or_default();
    for (id, name, number) in GNU {
        let later = format!(
            "{name} as published by the free software foundation either version {number} of the license or at your option any later version"
        );
        let is_later = notices.contains(&later);
        let is_named = has(&format!("{name} version {number} "))
            || COMMON.iter().any(|(file, common)| common == id && has(&format!("common-licenses/{file} ")));
        match (is_later, is_named) {
            (true, _) => found.push(with_suffix(id, true)),
            (false, true) => found.push(with_suffix(id, false)),
            (false, false) => {}
        }
    }
    let others = COMMON.iter().filter(|(_, id)| !id.contains("GPL"));
    found.extend(others.filter(|(file, _)| has(&format!("common-licenses/{file} "))).map(|(_, id)| *id));
    found.sort_unstable();
    found.dedup();
    // A text that says "or later" has the version in its heading as well.
    let all = found.clone();
    found.retain(|id| {
        id.strip_suffix("-only")
            .is_none_or(|stem| !all.iter().any(|one| one.strip_suffix("-or-later") == Some(stem)))
    });
    found
}

fn with_suffix(id: &str, is_later: bool) -> &'static str {
    match (id, is_later) {
        ("AGPL-3.0", false) => "AGPL-3.0-only",
        ("AGPL-3.0", true) => "AGPL-3.0-or-later",
        ("GPL-2.0", false) => "GPL-2.0-only",
        ("GPL-2.0", true) => "GPL-2.0-or-later",
        ("GPL-3.0", false) => "GPL-3.0-only",
        ("GPL-3.0", true) => "GPL-3.0-or-later",
        ("LGPL-2.1", false) => "LGPL-2.1-only",
        ("LGPL-2.1", true) => "LGPL-2.1-or-later",
        (_, false) => "LGPL-3.0-only",
        (_, true) => "LGPL-3.0-or-later",
    }
}

/// The words in lower case, with one space behind each. Marks between words are none; those within a word (`2.0`, `and/or`) are.
fn words(text: &[u8]) -> String {
    let mut words = String::with_capacity(text.len() + 1);
    for word in String::from_utf8_lossy(text)
        .split(|one: char| one.is_whitespace() || "()[]{}<>\"'`*#,;:".contains(one))
    {
        let word = word.trim_matches(|one: char| matches!(one, '.' | '-' | '/' | '_' | '!' | '?'));
        if !word.is_empty() {
            words.extend(word.chars().map(|one| one.to_ascii_lowercase()));
            words.push(' ');
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_told_by_their_texts() {
        for (text, expected) in [
            (
                "Permission is hereby granted, free of charge, to any person obtaining a copy\n of this software and associated documentation files (the \"Software\") ... The above copyright notice and this permission notice shall be\n * included in all copies or substantial portions of the Software.",
                &["MIT"][..],
            ),
            ("Apache License\n   Version 2.0, January 2004", &["Apache-2.0"]),
            (
                "Redistributions of source code must retain the above copyright notice. Redistributions in binary form must reproduce the above copyright notice.",
                &["BSD-2-Clause"],
            ),
            (
                "Redistributions of source code must retain the above copyright notice. Redistributions in binary form must reproduce the above copyright notice. Names may be used to endorse or promote products derived from",
                &["BSD-3-Clause"],
            ),
            (
                "under the terms of the GNU General Public License as published by the Free Software Foundation; either version 2 of the License, or (at your option) any later version. See `/usr/share/common-licenses/GPL-2'.",
                &["GPL-2.0-or-later"],
            ),
            (
                "the complete text of the GNU General Public License is in /usr/share/common-licenses/GPL-2.",
                &["GPL-2.0-only"],
            ),
            ("GNU LESSER GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007", &["LGPL-3.0-only"]),
            (
                "Mozilla Public License Version 2.0\n Boost Software License - Version 1.0",
                &["BSL-1.0", "MPL-2.0"],
            ),
            ("This file is under a licence of its own.", &[]),
            ("", &[]),
        ] {
            assert_eq!(recognise(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn the_licences_that_debian_installs_are_recognised() {
        for (file, expected) in [
            ("Apache-2.0", "Apache-2.0"),
            ("Artistic", "Artistic-1.0"),
            ("BSD", "BSD-3-Clause"),
            ("CC0-1.0", "CC0-1.0"),
            ("GPL-2", "GPL-2.0-only"),
            ("GPL-3", "GPL-3.0-only"),
            ("LGPL-2.1", "LGPL-2.1-only"),
            ("LGPL-3", "LGPL-3.0-only"),
            ("MPL-1.1", "MPL-1.1"),
            ("MPL-2.0", "MPL-2.0"),
        ] {
            let Ok(text) = std::fs::read(format!("/usr/share/common-licenses/{file}")) else { continue };
            let found = recognise(&text);
            assert!(found.contains(&expected), "{file}: {found:?}");
        }
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(recognise(&b"a ".repeat(MAX_TEXT)), Vec::<&str>::new());
    }
}
