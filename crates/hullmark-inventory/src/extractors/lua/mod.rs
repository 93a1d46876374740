//! Lua rocks, from the `rockspec` that LuaRocks keeps of each that it installs:
//! `rocks-LUA/NAME/VERSION/NAME-VERSION.rockspec`. A rockspec is a Lua program; of it only what is written literally is read.

mod lexer;

use std::collections::BTreeSet;

use hullmark_types::PackageKind;

use crate::text::non_empty;
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Requirement};
use lexer::{Token, tokens};

/// Reads the rockspecs of installed rocks.
pub struct Lua;

impl Extractor for Lua {
    fn name(&self) -> &'static str {
        "lua"
    }

    fn summary(&self) -> &'static str {
        "Lua rocks that LuaRocks installed, from `rocks-*/NAME/VERSION/NAME-VERSION.rockspec`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Luarocks]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn max_file_size(&self) -> u64 {
        1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        file.file_name().ends_with(".rockspec") && name_and_version(file.path).is_some()
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Name and version of the rock, from the directories that LuaRocks makes.
fn name_and_version(path: &str) -> Option<(&str, &str)> {
    let mut parts = path.rsplit('/');
    let stem = parts.next()?.strip_suffix(".rockspec")?;
    let (version, name, tree) = (parts.next()?, parts.next()?, parts.next()?);
    let is_tree = tree == "rocks" || tree.starts_with("rocks-");
    let rest = stem.strip_prefix(name)?.strip_prefix('-')?;
    (is_tree && rest == version).then_some((name, version))
}

/// Reads a rockspec: licence, maintainer and what it needs, as far as they are written literally.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let Some((name, version)) = name_and_version(file.path) else { return found };
    let mut package = FoundPackage::new(PackageKind::Luarocks, name, version);
    let mut needed = BTreeSet::new();
    // The tables that are open, by the names that they are assigned to.
    let mut tables: Vec<Option<String>> = Vec::new();
    let mut assigned: Option<String> = None;
    let mut last_name = None;
    for token in tokens(file.bytes) {
        match token {
            Token::Name(name) => last_name = Some(name),
            Token::Mark(b'=') => assigned = last_name.take(),
            Token::Mark(b'{') => tables.push(assigned.take()),
            Token::Mark(b'}') => {
                tables.pop();
                assigned = None;
            }
            Token::Mark(_) => assigned = None,
            Token::Text(text) => {
                match (tables.as_slice(), assigned.take().as_deref()) {
                    ([Some(table)], Some("license")) if table == "description" => {
                        package.licenses.extend(non_empty(&text));
                    }
                    ([Some(table)], Some("maintainer")) if table == "description" => {
                        package.vendor = non_empty(&text);
                    }
                    ([Some(table)], None) if table == "dependencies" => {
                        let end = text.find([' ', '\t', '=', '<', '>', '~', '@']).unwrap_or(text.len());
                        needed.extend(text.get(..end).and_then(non_empty).filter(|name| name != "lua"));
                    }
                    _ => {}
                }
                last_name = None;
            }
        }
    }
    package.requires = needed.into_iter().map(|name| Requirement { name, version: None }).collect();
    found.add_package(file.path, package);
    found
}
