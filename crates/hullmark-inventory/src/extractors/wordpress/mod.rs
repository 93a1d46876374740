//! WordPress: its core, and plug-ins and themes by the header in their main file
//! (<https://developer.wordpress.org/plugins/plugin-basics/header-requirements/>).

use std::collections::{BTreeMap, BTreeSet};

use hullmark_types::PackageKind;

use crate::text::{excerpt, lines, non_empty};
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Requirement};

/// How much of a file WordPress looks at for a header.
const HEADER_LENGTH: usize = 8 * 1024;
/// The fields of headers that are of use.
const FIELDS: &[&str] =
    &["Author", "License", "Plugin Name", "Requires Plugins", "Template", "Theme Name", "Version"];

/// Reads the version of WordPress and the headers of plug-ins and themes.
pub struct Wordpress;

impl Extractor for Wordpress {
    fn name(&self) -> &'static str {
        "wordpress"
    }

    fn summary(&self) -> &'static str {
        "WordPress from `wp-includes/version.php`, its plug-ins and themes from the headers in `wp-content/plugins/**.php`, `mu-plugins/*.php` and `themes/*/style.css`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Wordpress]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        part(file.path).is_some()
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        match part(file.path) {
            Some(Part::Core) => core(file),
            Some(Part::Plugin(slug)) => extension(file, "plugins", slug, "Plugin Name"),
            Some(Part::Theme(slug)) => extension(file, "themes", slug, "Theme Name"),
            None => Extraction::default(),
        }
    }
}

/// The part of WordPress that a file may tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'a> {
    Core,
    /// With the name of its directory, or of its file when it has no directory.
    Plugin(&'a str),
    /// With the name of its directory.
    Theme(&'a str),
}

fn part(path: &str) -> Option<Part<'_>> {
    let (_, extension) = path.rsplit_once('.')?;
    if !matches!(extension, "php" | "css") {
        return None;
    }
    let mut parts = path.rsplit('/');
    let (file, first, second) = (parts.next()?, parts.next()?, parts.next().unwrap_or_default());
    let third = parts.next().unwrap_or_default();
    // Bedrock has `app` for `wp-content`.
    let is_content = |name: &str| matches!(name, "wp-content" | "app");
    match (file, first, second) {
        ("version.php", "wp-includes", _) => Some(Part::Core),
        ("style.css", slug, "themes") if is_content(third) => Some(Part::Theme(slug)),
        _ if extension != "php" => None,
        (_, slug, "plugins") if is_content(third) => Some(Part::Plugin(slug)),
        (_, "plugins" | "mu-plugins", _) if is_content(second) => file.strip_suffix(".php").map(Part::Plugin),
        _ => None,
    }
}

/// `$wp_version = '6.4.2';`
fn core(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let version = lines(file.bytes).find_map(|(_, line)| {
        let value =
            line.trim_start().strip_prefix("$wp_version")?.trim_start().strip_prefix('=')?.trim_start();
        let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        value.split(quote).nth(1).and_then(non_empty)
    });
    match version {
        Some(version) => {
            let package = FoundPackage {
                licenses: vec!["GPL-2.0-or-later".to_owned()],
                vendor: Some("WordPress".to_owned()),
                ..FoundPackage::new(PackageKind::Wordpress, "wordpress", version)
            };
            found.add_package(file.path, package);
        }
        None => found.gap("malformed-package-metadata", file.path, "it does not set `$wp_version`"),
    }
    found
}

/// A plug-in or a theme. A file without a header is one of its other files.
fn extension(file: &OpenFile<'_>, group: &str, slug: &str, title: &str) -> Extraction {
    let mut found = Extraction::default();
    let fields = header(file.bytes);
    let field = |name: &str| fields.get(name).cloned();
    let Some(title) = field(title) else { return found };
    let version = field("Version");
    if version.is_none() {
        let message = format!("`{}` has no version", excerpt(slug));
        found.note("package-without-version", file.path, message);
    }
    let listed = |name: &str| -> Vec<String> {
        let list = fields.get(name).map(String::as_str).unwrap_or_default();
        list.split(',').filter_map(non_empty).collect()
    };
    let needed: BTreeSet<String> = match group {
        "plugins" => listed("Requires Plugins"),
        _ => listed("Template"),
    }
    .into_iter()
    .map(|name| format!("{group}/{name}"))
    .collect();
    let package = FoundPackage {
        licenses: field("License").into_iter().collect(),
        vendor: field("Author"),
        requires: needed.into_iter().map(|name| Requirement { name, version: None }).collect(),
        properties: BTreeMap::from([("wordpress:title".to_owned(), title)]),
        ..FoundPackage::new(PackageKind::Wordpress, format!("{group}/{slug}"), version.unwrap_or_default())
    };
    found.add_package(file.path, package);
    found
}

/// The fields of a header as WordPress finds them: `Name: value` behind the marks of a comment; the first of a name counts.
fn header(bytes: &[u8]) -> BTreeMap<&'static str, String> {
    let mut fields = BTreeMap::new();
    let head = bytes.get(..HEADER_LENGTH).unwrap_or(bytes);
    for line in head.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_start().strip_prefix("<?php").unwrap_or(&line);
        let line = line.trim_start_matches([' ', '\t', '/', '*', '#', '@']);
        let Some((name, value)) = line.split_once(':') else { continue };
        let Some(name) = FIELDS.iter().find(|field| field.eq_ignore_ascii_case(name)) else { continue };
        let end = ["*/", "?>"].iter().filter_map(|end| value.find(end)).min().unwrap_or(value.len());
        if let Some(value) = value.get(..end).and_then(non_empty) {
            fields.entry(*name).or_insert(value);
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_by_their_place() {
        for (path, expected) in [
            ("var/www/html/wp-includes/version.php", Some(Part::Core)),
            ("var/www/html/wp-includes/other.php", None),
            ("srv/wp-content/plugins/a/b.php", Some(Part::Plugin("a"))),
            ("srv/wp-content/plugins/hello.php", Some(Part::Plugin("hello"))),
            ("srv/wp-content/mu-plugins/must.php", Some(Part::Plugin("must"))),
            ("web/app/plugins/a/a.php", Some(Part::Plugin("a"))),
            ("srv/wp-content/plugins/a/inc/b.php", None),
            ("srv/wp-content/plugins/a/style.css", None),
            ("srv/wp-content/themes/t/style.css", Some(Part::Theme("t"))),
            ("srv/wp-content/themes/t/functions.php", None),
            ("plugins/a/b.php", None),
            ("wp-content/plugins/a/b.php", Some(Part::Plugin("a"))),
            ("wp-content/plugins/b.php", Some(Part::Plugin("b"))),
            ("b.php", None),
        ] {
            assert_eq!(part(path), expected, "{path}");
        }
    }
}
