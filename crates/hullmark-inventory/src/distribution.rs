//! Which distribution an image is made from.

use hullmark_types::{Diagnostic, Distribution, PackageKind, SubjectKind};

use crate::purl::namespace;
use crate::root::Root;
use crate::text::excerpt;
use crate::{DistributionClue, FoundPackage};

/// Files that distributions with rpm had before `os-release`, and most have still.
const OLDER_FILES: &[&str] = &[
    "etc/oracle-release",
    "etc/centos-release",
    "etc/system-release",
    "etc/redhat-release",
    "etc/mageia-release",
    "etc/photon-release",
    "etc/mariner-release",
    "etc/SuSE-release",
];

/// Judges the clues in the order of their strength. `ID` comes first: some distributions have no version. For Alpine the
/// release of its repositories beats the version in `os-release`, for packages come from there.
pub(crate) fn find(root: &Root<'_>) -> (Option<Distribution>, Vec<Diagnostic>) {
    let mut notes = Vec::new();
    let from_os_release =
        ["etc/os-release", "usr/lib/os-release"].iter().find_map(|path| match clue(root, path) {
            Some(DistributionClue::OsRelease(distribution)) => Some(distribution.clone()),
            _ => None,
        });
    let mut distribution = match from_os_release {
        Some(distribution) => distribution,
        None => match from_older_files(root) {
            Some(distribution) => distribution,
            None => return (None, notes),
        },
    };
    match distribution.id.as_str() {
        "alpine" => {
            if distribution.version.is_none()
                && let Some(DistributionClue::AlpineRelease(version)) = clue(root, "etc/alpine-release")
            {
                distribution.version = Some(version.clone());
            }
            if let Some(DistributionClue::AlpineRepositories(release)) = clue(root, "etc/apk/repositories") {
                notes.extend(follow_repositories(&mut distribution, release));
            }
        }
        "debian" if distribution.version.is_none() => {
            if let Some(DistributionClue::DebianVersion(version)) = clue(root, "etc/debian_version") {
                distribution.version = numbered(version);
            }
        }
        _ => {}
    }
    (Some(distribution), notes)
}

/// The distribution that a package is of: the one that its file names, unless that is the one of the image, for which others may
/// have another name or a longer version.
pub(crate) fn of_package<'a>(
    package: &'a FoundPackage,
    image: Option<&'a Distribution>,
) -> Option<&'a Distribution> {
    let Some(own) = &package.distribution else { return image };
    let is_image = |image: &&Distribution| {
        let is_same = match (&own.version, &image.version) {
            (Some(own), Some(image)) => begins(own, image) || begins(image, own),
            _ => true,
        };
        is_same && namespace(&own.id) == namespace(&image.id)
    };
    image.filter(is_image).or(Some(own))
}

/// Whether a version is that of a release, or one within it: `12` and `12.5`.
fn begins(version: &str, release: &str) -> bool {
    version.strip_prefix(release).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// What is not known of the distribution, and what is odd: gaps and notes for the whole image. Of each package its kind is given,
/// and whether an SBOM names it only, for that is no database.
pub(crate) fn assess(
    subject: SubjectKind,
    distribution: Option<&Distribution>,
    packages: &[(PackageKind, bool)],
    has_unsupported: bool,
) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    // A project is of no distribution, and may need nothing.
    if subject == SubjectKind::Directory && distribution.is_none() {
        if packages.is_empty() {
            findings.push(Diagnostic::note("no-packages-found", "", "no package was found in the directory"));
        }
        return findings;
    }
    let system = packages.iter().filter(|(kind, _)| kind.is_operating_system()).count();
    match distribution {
        Some(known) if known.ecosystem().is_some() => {}
        Some(known) => {
            let message = format!(
                "no advisories are known for `{}`: none is published by release, or its distribution or release is unknown, so {system} operating system packages are not assessed",
                excerpt(&known.display_name())
            );
            findings.push(Diagnostic::gap("unknown-distribution", "etc/os-release", message));
        }
        // Programs on an empty base image depend on no distribution.
        None if system == 0 && !packages.is_empty() && !has_unsupported => findings.push(Diagnostic::note(
            "unknown-distribution",
            "",
            "there is no distribution and there are no operating system packages",
        )),
        None => {
            let message = format!(
                "no file names the distribution (`etc/os-release`, `usr/lib/os-release`), so {system} operating system packages are not assessed"
            );
            findings.push(Diagnostic::gap("unknown-distribution", "", message));
        }
    }
    let expected = distribution.and_then(package_manager);
    if let (Some(known), Some(kind)) = (distribution, expected)
        && !packages.iter().any(|(found, is_of_sbom)| *found == kind && !is_of_sbom)
    {
        let message = format!(
            "`{}` uses {kind} packages, but none was found: the package database is missing, empty or unreadable",
            excerpt(&known.display_name())
        );
        findings.push(Diagnostic::gap("package-database-missing", "", message));
    }
    if packages.is_empty() {
        findings.push(Diagnostic::gap(
            "no-packages-found",
            "",
            "no package was found, so nothing is assessed",
        ));
    }
    findings
}

fn clue<'a>(root: &Root<'a>, path: &str) -> Option<&'a DistributionClue> {
    let (_, content) = root.content(path)?;
    content?.values().find_map(|extraction| extraction.distribution.as_ref())
}

fn from_older_files(root: &Root<'_>) -> Option<Distribution> {
    let named = |id: &str, version| Distribution { id: id.to_owned(), version, ..Distribution::default() };
    if let Some(DistributionClue::AlpineRelease(version)) = clue(root, "etc/alpine-release") {
        return Some(named("alpine", Some(version.clone())));
    }
    // The first is the most exact: Oracle's has Red Hat's name beside its own.
    for path in OLDER_FILES {
        if let Some(DistributionClue::ReleaseFile(distribution)) = clue(root, path) {
            return Some(distribution.clone());
        }
    }
    match clue(root, "etc/debian_version") {
        Some(DistributionClue::DebianVersion(version)) => Some(named("debian", numbered(version))),
        _ => None,
    }
}

/// The file names a codename (`trixie/sid`) before the release.
fn numbered(version: &str) -> Option<String> {
    version.starts_with(|first: char| first.is_ascii_digit()).then(|| version.to_owned())
}

fn follow_repositories(distribution: &mut Distribution, release: &str) -> Option<Diagnostic> {
    let own = distribution.version.clone().unwrap_or_default();
    let number = release.strip_prefix('v').unwrap_or(release);
    let agrees = own == number || own.strip_prefix(number).is_some_and(|rest| rest.starts_with('.'));
    if agrees {
        return None;
    }
    distribution.version = Some(number.to_owned());
    let message =
        format!("`os-release` says `{own}`, the repositories say `{release}`: the repositories count");
    Some(Diagnostic::note("distribution-release-differs", "etc/apk/repositories", message))
}

fn package_manager(distribution: &Distribution) -> Option<PackageKind> {
    let names = std::iter::once(&distribution.id).chain(&distribution.id_like);
    names.into_iter().find_map(|id| match id.as_str() {
        "alpine" | "wolfi" | "chainguard" => Some(PackageKind::Apk),
        "debian" | "ubuntu" => Some(PackageKind::Deb),
        "almalinux"
        | "amzn"
        | "azurelinux"
        | "centos"
        | "fedora"
        | "mageia"
        | "mariner"
        | "ol"
        | "openeuler"
        | "opensuse"
        | "opensuse-leap"
        | "opensuse-tumbleweed"
        | "photon"
        | "rhel"
        | "rocky"
        | "sled"
        | "sles"
        | "suse" => Some(PackageKind::Rpm),
        _ => None,
    })
}
