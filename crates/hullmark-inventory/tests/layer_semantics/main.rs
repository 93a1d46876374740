//! The rules of layers and tar, one test for each.
//!
//! A case is a list of layers, written by the test kit as tars of any form, and what must come of them: a file under
//! `golden/` with the entries that the walk sees, the merged view (which files are there, which layer brought each, what was
//! deleted), the packages and the diagnostics. `docs/layers.md` lists the rules with the names of their tests.
#![expect(clippy::unwrap_used, reason = "tests")]

/// Makes a test of each case, and the list of rules that the documentation has to have.
macro_rules! cases {
    ($($rule:literal $name:ident => [$($layer:expr),* $(,)?];)*) => {
        $(
            #[test]
            fn $name() {
                crate::check::layers(stringify!($name), $rule, vec![$(crate::check::stored($layer)),*]);
            }
        )*

        /// Each rule and the name of its test.
        pub(crate) const RULES: &[(&str, &str)] = &[$(($rule, stringify!($name))),*];
    };
}

#[path = "../common/mod.rs"]
mod common;

mod check;
mod headers;
mod images;
mod links;
mod names;
mod packages;
mod streams;
mod whiteouts;

use std::fmt::Write as _;

const CHAPTERS: &[(&str, &[(&str, &str)])] = &[
    ("Whiteouts and replaced directories", whiteouts::RULES),
    ("Links", links::RULES),
    ("Names", names::RULES),
    ("Headers and sizes", headers::RULES),
    ("Compression and limits", streams::RULES),
    ("Packages", packages::RULES),
    ("Images", images::RULES),
];

const START: &str =
    "<!-- The rules are made from the tests in crates/hullmark-inventory/tests/layer_semantics. -->\n";
const END: &str = "<!-- End of the rules. -->\n";

#[test]
fn the_documentation_lists_each_rule_with_its_test() {
    let path = hullmark_testkit::workspace_root().join("docs/layers.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(START).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let mut rules = String::new();
    for (chapter, cases) in CHAPTERS {
        let _ = write!(rules, "\n### {chapter}\n\n| rule | test |\n|---|---|\n");
        for (rule, name) in *cases {
            let _ = writeln!(rules, "| {rule} | `{name}` |");
        }
    }
    hullmark_testkit::golden(&path, &format!("{before}{START}{rules}\n{END}{after}"));
}

#[test]
fn each_golden_file_belongs_to_a_case() {
    let mut names: Vec<String> =
        CHAPTERS.iter().flat_map(|(_, cases)| *cases).map(|(_, name)| format!("{name}.txt")).collect();
    names.sort();
    let mut files: Vec<String> = std::fs::read_dir(check::golden_directory())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, names);
}
