//! What Bundler locked (<https://bundler.io/man/bundle-install.1.html#THE-GEMFILE-LOCK>).

use std::collections::BTreeMap;

use hullmark_types::{Checksum, PackageKind};

use crate::text::lines;
use crate::{Evidence, Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Requirement};

/// Reads the lock files of Bundler.
pub struct Bundler;

impl Extractor for Bundler {
    fn name(&self) -> &'static str {
        "bundler"
    }

    fn summary(&self) -> &'static str {
        "Ruby gems that Bundler locked, from `Gemfile.lock`, `gems.locked` and `*.gemfile.lock`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Gem]
    }

    fn evidence(&self) -> Evidence {
        Evidence::Project
    }

    fn max_file_size(&self) -> u64 {
        16 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        let name = file.file_name();
        matches!(name, "Gemfile.lock" | "gems.locked") || name.ends_with(".gemfile.lock")
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// The section that a line is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Gem,
    Git,
    Checksums,
    Other,
}

/// Reads the sections. Gems of `PATH` are parts of the project. A line that is none of the form is a gap
/// `malformed-lock-file`.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let mut section = Section::Other;
    let mut commit = None;
    let mut packages: Vec<FoundPackage> = Vec::new();
    // Checksums follow the gems, by what stands for a gem in both.
    let mut checksums: BTreeMap<String, Vec<Checksum>> = BTreeMap::new();
    for (number, line) in lines(file.bytes) {
        let text = line.trim();
        let depth = line.bytes().take_while(|byte| *byte == b' ').count();
        if text.is_empty() {
            continue;
        }
        if text.starts_with("<<<<<<<") {
            found.gap("malformed-lock-file", file.path, format!("line {number} is a conflict of a merge"));
            continue;
        }
        match (section, depth) {
            (_, 0) => {
                section = match text {
                    "GEM" => Section::Gem,
                    "GIT" => Section::Git,
                    "CHECKSUMS" => Section::Checksums,
                    _ => Section::Other,
                };
                commit = None;
            }
            (Section::Git, 2) => {
                if let Some(revision) = text.strip_prefix("revision: ") {
                    commit = Some(revision.to_owned());
                }
            }
            (Section::Gem | Section::Git, 4) => {
                let Some((name, version)) = gem(text) else {
                    found.gap(
                        "malformed-lock-file",
                        file.path,
                        format!("line {number} is not `name (version)`"),
                    );
                    continue;
                };
                let (version, platform) = match version.split_once('-') {
                    Some((version, platform)) => (version, Some(platform)),
                    None => (version, None),
                };
                let commit = commit.clone().map(|commit| ("gem:commit".to_owned(), commit));
                let platform = platform.map(|platform| ("gem:platform".to_owned(), platform.to_owned()));
                packages.push(FoundPackage {
                    properties: commit.into_iter().chain(platform).collect(),
                    ..FoundPackage::new(PackageKind::Gem, name, version)
                });
            }
            (Section::Gem | Section::Git, 6) => {
                let name = text.split(' ').next().unwrap_or(text).trim_end_matches('!').to_owned();
                if let Some(package) = packages.last_mut() {
                    package.requires.push(Requirement { name, version: None });
                }
            }
            (Section::Checksums, 2) => {
                let (gem, sums) = text.rsplit_once(") ").unwrap_or((text, ""));
                let sums = sums.split(',').filter_map(|sum| sum.trim().split_once('='));
                let sums = sums.map(|(algorithm, value)| Checksum {
                    algorithm: algorithm.to_owned(),
                    value: value.to_ascii_lowercase(),
                });
                checksums.insert(format!("{gem})"), sums.collect());
            }
            _ => {}
        }
    }
    for mut package in packages {
        let platform =
            package.properties.get("gem:platform").map(|name| format!("-{name}")).unwrap_or_default();
        let key = format!("{} ({}{platform})", package.name, package.version);
        package.checksums = checksums.get(&key).cloned().unwrap_or_default();
        found.add_package(file.path, package);
    }
    found
}

/// Name and version of `name (version)`.
fn gem(text: &str) -> Option<(&str, &str)> {
    let (name, version) = text.split_once(" (")?;
    Some((name, version.strip_suffix(')')?))
}
