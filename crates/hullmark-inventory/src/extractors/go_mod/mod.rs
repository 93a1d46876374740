//! What a Go module needs (<https://go.dev/ref/mod#go-mod-file>).

use std::collections::BTreeMap;

use hullmark_types::PackageKind;

use crate::text::{excerpt, lines};
use crate::{Evidence, Extraction, Extractor, FileFacts, FoundPackage, OpenFile};

/// Reads module files of Go.
pub struct GoMod;

impl Extractor for GoMod {
    fn name(&self) -> &'static str {
        "go-mod"
    }

    fn summary(&self) -> &'static str {
        "Go modules that a module needs, from `go.mod`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Golang]
    }

    fn evidence(&self) -> Evidence {
        Evidence::Project
    }

    fn max_file_size(&self) -> u64 {
        16 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        file.file_name() == "go.mod"
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Path and version of a module.
type Module = (String, String);

/// Reads a module file. What is replaced is the module that replaces it; what a directory replaces is a part of the project. Before
/// Go 1.17 only what is needed directly is listed, which is a note. A line that is none is a gap `malformed-lock-file`.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let (mut block, mut language) = (String::new(), None);
    let mut required: Vec<(Module, bool)> = Vec::new();
    let mut replaced: BTreeMap<Module, Option<Module>> = BTreeMap::new();
    for (number, line) in lines(file.bytes) {
        let (code, comment) = line.split_once("//").unwrap_or((&line, ""));
        let words: Vec<&str> = code.split_whitespace().map(|word| word.trim_matches(['"', '`'])).collect();
        let (directive, rest) = match (block.as_str(), words.as_slice()) {
            (_, []) => continue,
            ("", [directive, "("]) => {
                block = (*directive).to_owned();
                continue;
            }
            (_, [")"]) => {
                block.clear();
                continue;
            }
            ("", [directive, rest @ ..]) => (*directive, rest),
            (block, rest) => (block, rest),
        };
        match (directive, rest) {
            ("go", [version]) => language = Some((*version).to_owned()),
            ("require", [path, version]) => {
                let comment = comment.trim();
                let is_indirect = comment == "indirect" || comment.starts_with("indirect;");
                required.push((((*path).to_owned(), (*version).to_owned()), is_indirect));
            }
            ("replace", words) => {
                let Some(at) = words.iter().position(|word| *word == "=>") else {
                    let message = format!("line {number}: `replace` without `=>`");
                    found.gap("malformed-lock-file", file.path, message);
                    continue;
                };
                let (from, to) = words.split_at(at);
                let text = |words: &[&str], at: usize| {
                    words.get(at).map_or(String::new(), |word| (*word).to_owned())
                };
                // A directory has no version.
                let to = words
                    .get(at + 2)
                    .map(|_| (text(to, 1), text(to, 2)))
                    .filter(|(_, version)| !version.is_empty());
                replaced.insert((text(from, 0), text(from, 1)), to);
            }
            ("require", _) => {
                let message = format!(
                    "line {number}: expected a module and a version, found `{}`",
                    excerpt(code.trim())
                );
                found.gap("malformed-lock-file", file.path, message);
            }
            _ => {}
        }
    }
    for (module, is_indirect) in required {
        let replacement = replaced.get(&module).or_else(|| replaced.get(&(module.0.clone(), String::new())));
        let (path, version) = match replacement {
            Some(Some(other)) => other.clone(),
            Some(None) => continue,
            None => module.clone(),
        };
        let mut package = FoundPackage::new(PackageKind::Golang, path, version);
        if is_indirect {
            package.properties.insert("go:indirect".to_owned(), "true".to_owned());
        }
        if replacement.is_some() {
            package.properties.insert("go:replaces".to_owned(), format!("{}@{}", module.0, module.1));
        }
        found.add_package(file.path, package);
    }
    let minor = language
        .as_deref()
        .and_then(|text: &str| text.strip_prefix("1.")?.split('.').next()?.parse::<u32>().ok());
    if minor.is_some_and(|minor| minor < 17) {
        let message =
            "before Go 1.17 a module names only what it needs directly; what that needs is not listed";
        found.note("incomplete-lock-file", file.path, message);
    }
    found
}
