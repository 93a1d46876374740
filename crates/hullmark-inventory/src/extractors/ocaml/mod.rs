//! OCaml packages, from the files that opam keeps of each that is installed in a switch:
//! `.opam-switch/packages/NAME.VERSION/opam` (<https://opam.ocaml.org/doc/Manual.html#opam>).

mod lexer;

use std::collections::BTreeSet;

use hullmark_types::{Checksum, PackageKind};

use crate::text::non_empty;
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Requirement};
use lexer::{Token, tokens};

/// Reads the switches of opam.
pub struct Ocaml;

impl Extractor for Ocaml {
    fn name(&self) -> &'static str {
        "ocaml"
    }

    fn summary(&self) -> &'static str {
        "OCaml packages that opam installed, from `.opam-switch/packages/NAME.VERSION/opam`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Opam]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn max_file_size(&self) -> u64 {
        1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        file.file_name() == "opam" && name_and_version(file.directory()).is_some()
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Name and version from the directory; names have no dots.
fn name_and_version(directory: &str) -> Option<(&str, &str)> {
    let mut parts = directory.rsplit('/');
    let (package, packages, switch) = (parts.next()?, parts.next()?, parts.next()?);
    let is_switch = packages == "packages" && switch == ".opam-switch";
    package.split_once('.').filter(|(name, version)| is_switch && !name.is_empty() && !version.is_empty())
}

/// Reads the file of a package.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let Some((name, version)) = name_and_version(file.directory()) else { return found };
    let mut facts = Facts::default();
    let mut state = State::default();
    for token in tokens(file.bytes) {
        if let Some(text) = state.next(&token) {
            facts.add(state.is_in_url, state.field.as_deref(), text);
        }
    }
    let package = FoundPackage {
        licenses: facts.licenses,
        vendor: non_empty(&facts.maintainers.join(", ")),
        requires: facts.requires.into_iter().map(|name| Requirement { name, version: None }).collect(),
        checksums: facts.checksums,
        ..FoundPackage::new(PackageKind::Opam, name, version)
    };
    found.add_package(file.path, package);
    found
}

/// Where in the file the reader is.
#[derive(Default)]
struct State {
    /// The field whose value is being read.
    field: Option<String>,
    last_name: Option<String>,
    /// Whether within `url { ... }`.
    is_in_url: bool,
    /// How many braces of conditions are open.
    conditions: usize,
}

impl State {
    /// Goes on by a token; gives the text when it is a part of a value and not of a condition.
    fn next<'a>(&mut self, token: &'a Token) -> Option<&'a str> {
        let name = self.last_name.take();
        match token {
            Token::Name(name) => {
                // A section begins, and the value before it has ended.
                if self.conditions == 0 && matches!(name.as_str(), "extra-source" | "url") {
                    self.field = None;
                }
                self.last_name = Some(name.clone());
            }
            Token::Mark(b':') if self.conditions == 0 => self.field = name,
            Token::Mark(b'{') if self.conditions == 0 && name.as_deref() == Some("url") => {
                self.is_in_url = true;
            }
            Token::Mark(b'{') => self.conditions += 1,
            Token::Mark(b'}') if self.conditions > 0 => self.conditions -= 1,
            Token::Mark(b'}') => self.is_in_url = false,
            Token::Mark(_) => {}
            Token::Text(text) => return (self.conditions == 0).then_some(text),
        }
        None
    }
}

/// What a file says.
#[derive(Default)]
struct Facts {
    licenses: Vec<String>,
    maintainers: Vec<String>,
    requires: BTreeSet<String>,
    checksums: Vec<Checksum>,
}

impl Facts {
    fn add(&mut self, is_in_url: bool, field: Option<&str>, text: &str) {
        match (is_in_url, field) {
            (false, Some("license")) => self.licenses.extend(non_empty(text)),
            (false, Some("maintainer")) if self.maintainers.len() < 16 => {
                self.maintainers.extend(non_empty(text))
            }
            (false, Some("depends")) => self.requires.extend(non_empty(text)),
            (true, Some("checksum")) => self.checksums.extend(checksum(text)),
            _ => {}
        }
    }
}

/// `sha256=0123...`; without a name it is an MD5.
fn checksum(text: &str) -> Option<Checksum> {
    let (algorithm, value) = text.split_once('=').unwrap_or(("md5", text));
    let is_hexadecimal =
        !value.is_empty() && value.len() <= 128 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    (matches!(algorithm, "md5" | "sha256" | "sha512") && is_hexadecimal)
        .then(|| Checksum { algorithm: algorithm.to_owned(), value: value.to_lowercase() })
}
