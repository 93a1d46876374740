//! Ruby gems, from the specifications that RubyGems and Bundler write when they install one
//! (<https://guides.rubygems.org/specification-reference/>). A specification is a Ruby program; of it only what is written
//! literally is read, which is everything in those that RubyGems writes.

mod literal;

use std::collections::{BTreeMap, BTreeSet};

use hullmark_types::{Confidence, PackageKind};

use crate::text::{excerpt, lines, non_empty};
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Requirement};
use literal::strings;

/// In how many lines at the beginning the summary that RubyGems writes for itself is looked for.
const STUB_LINES: usize = 8;

/// Reads the specifications of installed gems.
pub struct Ruby;

impl Extractor for Ruby {
    fn name(&self) -> &'static str {
        "ruby"
    }

    fn summary(&self) -> &'static str {
        "Ruby gems, from `specifications/*.gemspec`, `specifications/default/*.gemspec` (the default gems) and the git checkouts in `bundler/gems`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Gem]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn max_file_size(&self) -> u64 {
        8 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        file.file_name().ends_with(".gemspec") && place(file.directory()).is_some()
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// What the directory of a specification says of the gem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Installed by RubyGems or Bundler.
    Installed,
    /// A part of Ruby itself.
    Default,
    /// A git checkout of Bundler.
    Checkout,
}

/// `None` for a specification that stands for nothing installed, such as the one that a gem carries among its own files.
fn place(directory: &str) -> Option<Place> {
    let mut parts = directory.rsplit('/');
    match (parts.next()?, parts.next()) {
        ("specifications", _) => return Some(Place::Installed),
        ("default", Some("specifications")) => return Some(Place::Default),
        _ => {}
    }
    // Bundler looks for specifications in the checkout and in two levels of directories below.
    let parts: Vec<_> = directory.rsplit('/').take(5).collect();
    let is_checkout = parts.windows(2).skip(1).any(|pair| matches!(pair, ["gems", "bundler"]));
    is_checkout.then_some(Place::Checkout)
}

/// Reads a specification. One that does not say its name or version literally has them from the name of its file, with the
/// confidence `derived`; where that has none either, in a checkout, the gem has no version, and a note says so.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let place = place(file.directory()).unwrap_or(Place::Installed);
    let mut facts = Facts::default();
    for (number, line) in lines(file.bytes) {
        match line.trim().strip_prefix("# stub: ") {
            Some(stub) if number <= STUB_LINES && facts.stub_name.is_none() => facts.stub(stub),
            Some(_) => {}
            None => facts.line(line.trim()),
        }
    }
    let stem = file.file_name().strip_suffix(".gemspec").unwrap_or_default();
    let declared_name = facts.stub_name.or(facts.name);
    let declared_version = facts.stub_version.or(facts.version);
    let confidence = match (&declared_name, &declared_version) {
        (Some(_), Some(_)) => Confidence::Declared,
        _ => Confidence::Derived,
    };
    let named = match place {
        Place::Checkout => (stem, None),
        Place::Installed | Place::Default => name_and_version(stem),
    };
    let name = declared_name.or_else(|| non_empty(named.0));
    let version = declared_version.or_else(|| named.1.map(str::to_owned));
    let Some(name) = name else {
        found.gap("malformed-package-metadata", file.path, "the specification does not name its gem");
        return found;
    };
    if version.is_none() {
        let message = format!("the specification of `{}` computes its version", excerpt(&name));
        found.note("package-without-version", file.path, message);
    }
    let mut properties = BTreeMap::new();
    if place == Place::Default {
        properties.insert("gem:default".to_owned(), "true".to_owned());
    }
    if let Some(platform) = facts.stub_platform.or(facts.platform).filter(|platform| platform != "ruby") {
        properties.insert("gem:platform".to_owned(), platform);
    }
    if let Some((_, revision)) = (place == Place::Checkout).then(|| checkout(file.path)).flatten() {
        properties.insert("gem:revision".to_owned(), revision.to_owned());
    }
    let general = facts.requires_in_general.difference(&facts.requires_for_development);
    let requires: BTreeSet<&String> = facts.requires.iter().chain(general).collect();
    let package = FoundPackage {
        licenses: facts.licenses,
        vendor: non_empty(&facts.authors.join(", ")),
        confidence,
        requires: requires
            .into_iter()
            .map(|name| Requirement { name: name.clone(), version: None })
            .collect(),
        properties,
        ..FoundPackage::new(PackageKind::Gem, name, version.unwrap_or_default())
    };
    found.add_package(file.path, package);
    found
}

/// Name and commit in `bundler/gems/NAME-COMMIT/...`.
fn checkout(path: &str) -> Option<(&str, &str)> {
    let (_, rest) = path.rsplit_once("bundler/gems/")?;
    rest.split('/').next()?.rsplit_once('-')
}

/// Apart at the first dash that a digit follows and behind which no other does, as in `a-b-1.0-x86_64-linux`.
fn name_and_version(stem: &str) -> (&str, Option<&str>) {
    let starts_version = |rest: &str| rest.starts_with(|first: char| first.is_ascii_digit());
    for (position, _) in stem.match_indices('-') {
        let (Some(name), Some(rest)) = (stem.get(..position), stem.get(position + 1..)) else { continue };
        let version = rest.split('-').next().unwrap_or(rest);
        if starts_version(version) && !name.is_empty() {
            return (name, Some(version));
        }
    }
    (stem, None)
}

/// What the lines of a specification say.
#[derive(Default)]
struct Facts {
    stub_name: Option<String>,
    stub_version: Option<String>,
    stub_platform: Option<String>,
    name: Option<String>,
    version: Option<String>,
    platform: Option<String>,
    licenses: Vec<String>,
    authors: Vec<String>,
    requires: BTreeSet<String>,
    /// What is needed in one of several cases: RubyGems of old wrote all that is needed, for development too, a second time
    /// for those older still.
    requires_in_general: BTreeSet<String>,
    requires_for_development: BTreeSet<String>,
}

impl Facts {
    /// `NAME VERSION PLATFORM REQUIRE-PATHS`.
    fn stub(&mut self, stub: &str) {
        let mut words = stub.split(' ').map(str::to_owned);
        if let (Some(name), Some(version)) = (words.next(), words.next())
            && !name.is_empty()
            && version.starts_with(|first: char| first.is_ascii_digit())
        {
            self.stub_name = Some(name);
            self.stub_version = Some(version);
            self.stub_platform = words.next();
        }
    }

    /// A line that sets an attribute or calls a method of the specification: `s.name = ...`, `s.add_dependency(...)`.
    fn line(&mut self, line: &str) {
        let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let Some((variable, rest)) = line.split_once('.') else { return };
        if variable.is_empty() || !is_name(variable) {
            return;
        }
        let end = rest.bytes().position(|byte| !byte.is_ascii_alphanumeric() && byte != b'_');
        let Some((attribute, value)) = end.and_then(|end| rest.split_at_checked(end)) else { return };
        match attribute {
            "name" => set(&mut self.name, value),
            "version" => set(&mut self.version, value),
            "platform" => set(&mut self.platform, value),
            "license" | "licenses" => self.licenses.extend(assigned(value)),
            "author" | "authors" => self.authors.extend(assigned(value)),
            "add_runtime_dependency" => self.requires.extend(strings(value).into_iter().next()),
            "add_dependency" => self.requires_in_general.extend(strings(value).into_iter().next()),
            "add_development_dependency" => {
                self.requires_for_development.extend(strings(value).into_iter().next());
            }
            _ => {}
        }
    }
}

/// The first assignment of a text counts, unless the text is only a part of what is assigned, as in `File.read("VERSION")`.
fn set(fact: &mut Option<String>, value: &str) {
    let assignment = value.trim_start().strip_prefix('=').unwrap_or_default().trim_start();
    let is_literal = assignment.starts_with(['"', '\'', '%']) || assignment.starts_with("Gem::Version.");
    if fact.is_none() && is_literal {
        *fact = assigned(value).into_iter().next();
    }
}

/// The texts that are assigned; none when the line does something else.
fn assigned(value: &str) -> Vec<String> {
    match value.trim_start().strip_prefix('=') {
        Some(value) if !value.starts_with(['=', '~']) => {
            strings(value).iter().filter_map(|text| non_empty(text)).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_specifications_of_what_is_installed_count() {
        for (directory, expected) in [
            ("usr/lib/ruby/gems/3.1.0/specifications", Some(Place::Installed)),
            ("specifications", Some(Place::Installed)),
            ("usr/lib/ruby/gems/3.1.0/specifications/default", Some(Place::Default)),
            ("app/vendor/bundle/ruby/3.1.0/bundler/gems/rack-0123456789ab", Some(Place::Checkout)),
            ("b/bundler/gems/rails-0123456789ab/activesupport", Some(Place::Checkout)),
            ("b/bundler/gems/rails-0123456789ab/x/y", Some(Place::Checkout)),
            ("b/bundler/gems/rails-0123456789ab/x/y/z", None),
            ("b/bundler/gems", None),
            ("usr/lib/ruby/gems/3.1.0/gems/rack-2.0.0", None),
            ("app", None),
            ("", None),
        ] {
            assert_eq!(place(directory), expected, "{directory}");
        }
    }

    #[test]
    fn file_names_have_name_and_version() {
        assert_eq!(name_and_version("a-b-1.0-x86_64-linux"), ("a-b", Some("1.0")));
        assert_eq!(name_and_version("rack-2.0.0"), ("rack", Some("2.0.0")));
        assert_eq!(name_and_version("rack"), ("rack", None));
        assert_eq!(name_and_version("-1"), ("-1", None));
    }
}
