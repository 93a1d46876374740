//! One archive, and the archives in it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hullmark_types::{Checksum, Confidence, PackageKind};
use sha1::{Digest as _, Sha1};

use super::manifest::Manifest;
use super::pom::{self, Coordinates, Project};
use super::{ZIP, is_archive, names};
use crate::text::{cut, excerpt};
use crate::zip::{Member, Zip, ZipError};
use crate::{Extraction, FoundPackage, OpenFile};

/// How deep archives in archives are read: a file is at depth 0.
const MAX_DEPTH: usize = 8;
/// The most archives in one file.
const MAX_ARCHIVES: usize = 20_000;
/// The most bytes that archives in archives may take in memory at one time, besides the file.
const MAX_HELD: u64 = 64 * 1024 * 1024;
/// The most bytes that are inflated for one file.
const MAX_INFLATED: u64 = 2 * 1024 * 1024 * 1024;
/// The most members of all archives in one file.
const MAX_MEMBERS: usize = 5_000_000;
/// The largest description (`pom.xml`, `pom.properties`) that is read.
const MAX_DESCRIPTION: u64 = 4 * 1024 * 1024;
/// How much of a manifest is read: its main section comes first, digests of every member may follow.
const MAX_MANIFEST: u64 = 256 * 1024;
/// The most artifacts that one archive may say it was merged from.
const MAX_MERGED: usize = 10_000;
/// The longest path within archives that is kept.
const MAX_INSIDE: usize = 1024;

/// Reads an archive.
pub(super) fn read(file: &OpenFile<'_>) -> Extraction {
    let mut reading = Reading {
        path: file.path,
        found: Extraction::default(),
        archives: 0,
        members: 0,
        held: 0,
        inflated: 0,
    };
    reading.archive(file.bytes, &Place { name: file.file_name(), inside: None, depth: 0 });
    reading.found
}

/// Where an archive is.
struct Place<'a> {
    name: &'a str,
    /// The way to it through archives; none for the file itself.
    inside: Option<&'a str>,
    depth: usize,
}

impl Place<'_> {
    /// The way to a member.
    fn member(&self, path: &str) -> String {
        let mut inside = match self.inside {
            Some(inside) => format!("{inside} > {path}"),
            None => path.to_owned(),
        };
        cut(&mut inside, MAX_INSIDE);
        inside
    }

    /// What it is called in messages.
    fn in_words(&self) -> String {
        self.inside.map_or_else(|| "the archive".to_owned(), |inside| format!("`{}`", excerpt(inside)))
    }
}

/// What one archive says of itself and of what was merged into it.
#[derive(Default)]
struct Said {
    manifest: Manifest,
    /// By the directory below `META-INF/maven`: `GROUP/ARTIFACT`.
    properties: BTreeMap<String, Coordinates>,
    projects: BTreeMap<String, Project>,
}

struct Reading<'a> {
    path: &'a str,
    found: Extraction,
    archives: usize,
    members: usize,
    held: u64,
    inflated: u64,
}

impl Reading<'_> {
    fn limit(&mut self, code: &str, message: String) {
        self.found.report_once(hullmark_types::Diagnostic::gap(code, self.path, message));
    }

    fn archive(&mut self, bytes: &[u8], place: &Place<'_>) {
        self.archives += 1;
        if self.archives > MAX_ARCHIVES {
            return self.limit(
                "limit-nested-archives",
                format!("more than {MAX_ARCHIVES} archives in one file; the rest was not read"),
            );
        }
        let zip = match Zip::open(bytes) {
            Ok(zip) => zip,
            // An empty file has no contents that could be missed.
            Err(_) if bytes.is_empty() => return,
            Err(error) => {
                return self.found.gap(
                    "malformed-archive",
                    self.path,
                    format!("{} cannot be read: {error}", place.in_words()),
                );
            }
        };
        let mut said = Said::default();
        let mut nested = Vec::new();
        let mut used: Vec<(usize, usize)> = Vec::new();
        for member in zip.members() {
            self.members += 1;
            if self.members > MAX_MEMBERS {
                self.limit(
                    "limit-archive-members",
                    format!("more than {MAX_MEMBERS} members in one file; the rest was not read"),
                );
                break;
            }
            match member {
                Ok(member) => self.member(&zip, &member, place, &mut said, &mut nested, &mut used),
                Err(error) => {
                    self.found.gap("malformed-archive", self.path, format!("{}: {error}", place.in_words()))
                }
            }
        }
        used.sort_unstable();
        if used.windows(2).any(|pair| matches!(pair, [(_, end), (start, _)] if start < end)) {
            let message =
                format!("members of {} overlap, which no tool that makes archives does", place.in_words());
            self.found.gap("overlapping-archive", self.path, message);
        }
        self.packages(&said, bytes, place);
        for member in nested {
            self.nested(&zip, &member, place);
        }
    }

    fn member<'z>(
        &mut self,
        zip: &Zip<'z>,
        member: &Member<'z>,
        place: &Place<'_>,
        said: &mut Said,
        nested: &mut Vec<Member<'z>>,
        used: &mut Vec<(usize, usize)>,
    ) {
        let path = member.path();
        let file_name = path.rsplit('/').next().unwrap_or_default();
        let maven = path.strip_prefix("META-INF/maven/").and_then(|rest| rest.rsplit_once('/'));
        let is_manifest = path.eq_ignore_ascii_case("META-INF/MANIFEST.MF");
        let is_pom = matches!(maven, Some((_, "pom.properties" | "pom.xml")));
        if !is_manifest && !is_pom && !is_archive(file_name) {
            return;
        }
        if let Ok((start, stored)) = zip.stored(member) {
            used.push((start, start + stored.len()));
        }
        if !is_manifest && !is_pom {
            return nested.push(*member);
        }
        if is_pom && said.properties.len() + said.projects.len() >= 2 * MAX_MERGED {
            return self.limit(
                "limit-merged-artifacts",
                format!(
                    "{} was merged from more than {MAX_MERGED} artifacts; the rest was not read",
                    place.in_words()
                ),
            );
        }
        let content = match is_manifest {
            true => zip.read_beginning(member, MAX_MANIFEST),
            false => zip.read(member, MAX_DESCRIPTION),
        };
        let content = match content {
            Ok(content) => content,
            Err(error) => return self.unreadable(place, &path, &error),
        };
        if !self.inflates(content.len() as u64) {
            return;
        }
        match maven {
            Some((directory, "pom.properties")) => {
                said.properties.insert(directory.to_owned(), pom::properties(&content));
            }
            Some((directory, "pom.xml")) => match pom::project(&content) {
                Some(project) => {
                    said.projects.insert(directory.to_owned(), project);
                }
                None => {
                    let message = format!("`{}` is not XML", excerpt(&place.member(&path)));
                    self.found.note("malformed-package-metadata", self.path, message);
                }
            },
            _ => said.manifest = Manifest::parse(&content),
        }
    }

    fn unreadable(&mut self, place: &Place<'_>, path: &str, error: &ZipError) {
        let code = match error {
            ZipError::TooLarge(_) => "limit-archive-member",
            ZipError::Encrypted => "encrypted-archive",
            _ => "malformed-archive",
        };
        self.found.gap(
            code,
            self.path,
            format!("`{}` cannot be read: {error}", excerpt(&place.member(path))),
        );
    }

    /// Counts what was inflated; whether more may be.
    fn inflates(&mut self, bytes: u64) -> bool {
        self.inflated = self.inflated.saturating_add(bytes);
        if self.inflated > MAX_INFLATED {
            let message =
                format!("more than {MAX_INFLATED} bytes come out of the archive; the rest was not read");
            self.limit("limit-archive-size", message);
        }
        self.inflated <= MAX_INFLATED
    }

    fn nested(&mut self, zip: &Zip<'_>, member: &Member<'_>, place: &Place<'_>) {
        let path = member.path();
        if place.depth == MAX_DEPTH {
            let message =
                format!("archives in archives are read to depth {MAX_DEPTH}; what is in them was not read");
            return self.limit("limit-archive-depth", message);
        }
        if self.inflated > MAX_INFLATED {
            return;
        }
        let left = MAX_HELD.saturating_sub(self.held);
        // What is stored is not copied.
        let limit = if member.is_stored() { u64::MAX - 1 } else { left };
        let content = match zip.read(member, limit) {
            Ok(content) => content,
            Err(error) => return self.unreadable(place, &path, &error),
        };
        let held = if matches!(content, Cow::Owned(_)) { content.len() as u64 } else { 0 };
        if !self.inflates(content.len() as u64) {
            return;
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        // A file that only has the name of an archive, such as one of RAR, is not one.
        if !content.starts_with(ZIP) && !name.to_ascii_lowercase().ends_with("ar") {
            return;
        }
        let inside = place.member(&path);
        self.held += held;
        self.archive(&content, &Place { name, inside: Some(&inside), depth: place.depth + 1 });
        self.held -= held;
    }

    /// What the archive is, and what was merged into it.
    fn packages(&mut self, said: &Said, bytes: &[u8], place: &Place<'_>) {
        let (artifact, version) = names::split_file_name(place.name);
        let mut artifacts: Vec<(String, Coordinates)> = Vec::new();
        let directories = said
            .properties
            .keys()
            .chain(said.projects.keys().filter(|key| !said.properties.contains_key(*key)));
        for directory in directories {
            let mut found = said.properties.get(directory).cloned().unwrap_or_default();
            if let Some(project) = said.projects.get(directory) {
                let of_project = &project.coordinates;
                found.group = found.group.or_else(|| of_project.group.clone());
                found.artifact = found.artifact.or_else(|| of_project.artifact.clone());
                found.version = found.version.or_else(|| of_project.version.clone());
            }
            let named = directory.rsplit_once('/');
            found.group = found.group.or_else(|| named.map(|(group, _)| group.to_owned()));
            found.artifact = found.artifact.or_else(|| named.map(|(_, artifact)| artifact.to_owned()));
            artifacts.push((directory.clone(), found));
        }
        let own = own_artifact(&artifacts, &artifact, version.as_deref());
        for (position, (directory, coordinates)) in artifacts.iter().enumerate() {
            let (Some(group), Some(artifact)) = (&coordinates.group, &coordinates.artifact) else { continue };
            let project = said.projects.get(directory);
            let is_own = own == Some(position);
            let mut licenses = project.map(|project| project.licenses.clone()).unwrap_or_default();
            if is_own && licenses.is_empty() {
                licenses = said.manifest.licenses();
            }
            let of_manifest = || is_own.then(|| names::version(version.clone(), &said.manifest)).flatten();
            let inside = match is_own {
                true => place.inside.map(str::to_owned),
                false => Some(place.member(&format!("META-INF/maven/{directory}"))),
            };
            let package = FoundPackage {
                licenses,
                inside,
                checksums: if is_own { vec![sha1(bytes)] } else { Vec::new() },
                ..FoundPackage::new(
                    PackageKind::Maven,
                    format!("{group}:{artifact}"),
                    coordinates.version.clone().or_else(of_manifest).unwrap_or_default(),
                )
            };
            self.add(package);
        }
        if own.is_none() {
            self.by_name(said, bytes, place, artifact, version, !artifacts.is_empty());
        }
    }

    /// The archive, of which Maven says nothing.
    fn by_name(
        &mut self,
        said: &Said,
        bytes: &[u8],
        place: &Place<'_>,
        artifact: String,
        version: Option<String>,
        has_others: bool,
    ) {
        let manifest = &said.manifest;
        let of_name = version.is_some();
        let Some(version) = names::version(version, manifest) else {
            if !has_others && !manifest.is_empty() {
                let message = format!("{} does not say what it is: it has no version", place.in_words());
                self.found.note("java-archive-without-version", self.path, message);
            }
            return;
        };
        // Without a version in its name the name need not be that of the artifact.
        let title = manifest.first(&["bundle-symbolicname", "implementation-title", "specification-title"]);
        let title = title.map(|title| title.split(';').next().unwrap_or_default().trim());
        let is_plain = |text: &&str| !text.is_empty() && !text.contains([' ', '.', ':', '/', '$']);
        let artifact = match title.filter(is_plain) {
            Some(title) if !of_name => title.to_owned(),
            _ => artifact,
        };
        let name = match names::group(&artifact, manifest) {
            Some(group) => format!("{group}:{artifact}"),
            None => artifact,
        };
        let vendor = manifest.first(&["implementation-vendor", "bundle-vendor", "specification-vendor"]);
        let package = FoundPackage {
            licenses: manifest.licenses(),
            vendor: vendor.map(str::to_owned),
            inside: place.inside.map(str::to_owned),
            confidence: Confidence::Derived,
            checksums: vec![sha1(bytes)],
            ..FoundPackage::new(PackageKind::Maven, name, version)
        };
        self.add(package);
    }

    fn add(&mut self, package: FoundPackage) {
        if package.version.is_empty() {
            let message = format!("`{}` has no version", excerpt(&package.name));
            self.found.note("package-without-version", self.path, message);
        }
        self.found.add_package(self.path, package);
    }
}

/// Which of the artifacts that Maven names is the archive itself: the one that the file is named after, else the only one.
fn own_artifact(artifacts: &[(String, Coordinates)], name: &str, version: Option<&str>) -> Option<usize> {
    let is_named = |(_, found): &(String, Coordinates)| found.artifact.as_deref() == Some(name);
    let has_version = |(_, found): &(String, Coordinates)| match (version, &found.version) {
        (Some(wanted), Some(found)) => wanted == found || wanted.starts_with(&format!("{found}-")),
        _ => true,
    };
    let both = artifacts.iter().position(|one| is_named(one) && has_version(one));
    both.or_else(|| artifacts.iter().position(is_named)).or_else(|| {
        // A file that bears another name, such as `app.jar`, was renamed.
        match artifacts {
            [only] if version.is_none() || has_version(only) => Some(0),
            _ => None,
        }
    })
}

fn sha1(bytes: &[u8]) -> Checksum {
    let digest = Sha1::digest(bytes);
    let value = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Checksum { algorithm: "sha1".to_owned(), value }
}
