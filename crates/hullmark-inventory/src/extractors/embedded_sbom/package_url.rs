//! Package URLs taken apart (<https://github.com/package-url/purl-spec>), and the packages that they stand for.

use std::collections::BTreeMap;

use hullmark_types::{Distribution, PackageKind, SourcePackage, split_bitnami_revision};

use crate::FoundPackage;
use crate::extractors::rpm;

/// The most qualifiers that are read.
const MAX_QUALIFIERS: usize = 64;

/// What others call the distributions, and their `ID`: namespaces, and the names that tools put into `distro`.
const DISTRIBUTIONS: &[(&str, &str)] = &[
    ("alma", "almalinux"),
    ("amazon", "amzn"),
    ("cbl-mariner", "mariner"),
    ("opensuse.leap", "opensuse-leap"),
    ("opensuse.tumbleweed", "opensuse-tumbleweed"),
    ("oracle", "ol"),
    ("redhat", "rhel"),
    ("suse", "sles"),
];

/// `pkg:type/namespace/name@version?qualifiers#subpath`.
struct Url {
    kind: String,
    namespace: String,
    name: String,
    version: String,
    qualifiers: BTreeMap<String, String>,
}

/// The package that a package URL stands for; `None` when it is malformed, or of a kind that is not known. One of a distribution
/// says which.
pub(super) fn package(text: &str) -> Option<FoundPackage> {
    let url = parse(text)?;
    let kind = PackageKind::from_purl_type(&url.kind)?;
    let qualifier = |key: &str| url.qualifiers.get(key).filter(|value| !value.is_empty());
    let is_system = kind.is_operating_system();
    let name = match (kind, url.namespace.as_str()) {
        (_, "") => url.name.clone(),
        (PackageKind::Maven, namespace) => format!("{namespace}:{}", url.name),
        // A category is part of the name for Portage.
        (PackageKind::Ebuild, namespace) => format!("{namespace}/{}", url.name),
        _ if is_system => url.name.clone(),
        (
            PackageKind::Composer
            | PackageKind::GithubActions
            | PackageKind::Golang
            | PackageKind::Huggingface
            | PackageKind::Npm
            | PackageKind::Swift
            | PackageKind::Terraform,
            namespace,
        ) => format!("{namespace}/{}", url.name),
        _ => url.name.clone(),
    };
    let version = match (kind, qualifier("epoch")) {
        (PackageKind::Deb | PackageKind::Rpm, Some(epoch)) if epoch != "0" && !url.version.contains(':') => {
            format!("{epoch}:{}", url.version)
        }
        (PackageKind::Golang, _) if name == "stdlib" => {
            url.version.trim_start_matches("go").trim_start_matches('v').to_owned()
        }
        _ => url.version.clone(),
    };
    let mut properties = BTreeMap::new();
    let (version, revision) = match kind {
        PackageKind::Bitnami => split_bitnami_revision(&version),
        _ => (version.as_str(), None),
    };
    let version = version.to_owned();
    if let Some(revision) = revision {
        properties.insert("bitnami:revision".to_owned(), revision.to_owned());
    }
    let module = qualifier("modularitylabel").or_else(|| qualifier("rpmmod"));
    if let (PackageKind::Rpm, Some(module)) = (kind, module) {
        properties.insert("rpm:module".to_owned(), module.clone());
    }
    Some(FoundPackage {
        source: qualifier("upstream").filter(|_| is_system).and_then(|text| source(text, &version)),
        architecture: qualifier("arch").filter(|_| is_system).cloned(),
        distribution: if is_system { distribution(&url) } else { None },
        properties,
        ..FoundPackage::new(kind, name, version)
    })
}

/// The qualifier `distro` (`debian-12`, `opensuse-leap-15.5`, `wolfi`), or the namespace alone.
fn distribution(url: &Url) -> Option<Distribution> {
    let (id, version) = match url.qualifiers.get("distro").filter(|text| !text.is_empty()) {
        Some(text) => match text.rsplit_once('-') {
            Some((id, version)) if version.starts_with(|first: char| first.is_ascii_digit()) => {
                (id, Some(version.to_owned()))
            }
            _ => (text.as_str(), None),
        },
        // The namespace of Gentoo's packages is their category.
        None if url.kind == PackageKind::Ebuild.purl_type() => return None,
        None => (url.namespace.as_str(), None),
    };
    let id = id.to_ascii_lowercase();
    if id.is_empty() {
        return None;
    }
    let known = DISTRIBUTIONS.iter().find(|(name, _)| *name == id);
    let id = known.map_or(id.as_str(), |(_, known)| *known).to_owned();
    Some(Distribution { id, version, ..Distribution::default() })
}

/// The qualifier `upstream`: `name`, `name@version`, or the file of a source rpm.
fn source(text: &str, version: &str) -> Option<SourcePackage> {
    if text.ends_with(".rpm") {
        return rpm::source_package(text);
    }
    let (name, version) = text.split_once('@').unwrap_or((text, version));
    Some(SourcePackage { name: name.to_owned(), version: version.to_owned() })
}

fn parse(text: &str) -> Option<Url> {
    let rest = text.strip_prefix("pkg:")?.trim_start_matches('/');
    let rest = rest.split('#').next()?;
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    // A scope may have an `@` that is not escaped; the version is behind the last one that follows a name.
    let (path, version) = match path.rsplit_once('@') {
        Some((before, version)) if !before.is_empty() && !before.ends_with('/') && !version.contains('/') => {
            (before, version)
        }
        _ => (path, ""),
    };
    let (kind, path) = path.split_once('/')?;
    let path = path.trim_matches('/');
    let (namespace, name) = path.rsplit_once('/').unwrap_or(("", path));
    let pairs = query.split('&').take(MAX_QUALIFIERS).filter_map(|pair| pair.split_once('='));
    let qualifiers =
        pairs.map(|(key, value)| Some((key.to_ascii_lowercase(), decode(value)?))).collect::<Option<_>>()?;
    Some(Url {
        kind: kind.to_ascii_lowercase(),
        namespace: decode(namespace)?,
        name: decode(name).filter(|name| !name.is_empty())?,
        version: decode(version)?,
        qualifiers,
    })
}

/// Undoes percent-encoding; `None` when it is malformed.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
                rest = after;
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = package(text).map(|package| {
            let source = package.source.map(|source| format!(" of {} {}", source.name, source.version));
            let distribution = package
                .distribution
                .map(|known| format!(" in {} {}", known.id, known.version.unwrap_or_else(|| "-".to_owned())));
            format!(
                "{} {} {}{}{}",
                package.kind,
                package.name,
                package.version,
                source.unwrap_or_default(),
                distribution.unwrap_or_default()
            )
        });
        assert_eq!(shown.as_deref().unwrap_or("none"), expected, "{text}");
    }

    #[test]
    fn package_urls_lead_back_to_packages() {
        check("pkg:npm/%40angular/core@1.0.0", "npm @angular/core 1.0.0");
        check("pkg:npm/@angular/core", "npm @angular/core ");
        check("pkg:maven/org.a/b@1.0?type=jar", "maven org.a:b 1.0");
        check(
            "pkg:golang/github.com/a/b/v2@v2.0.0%2Bincompatible#cmd",
            "golang github.com/a/b/v2 v2.0.0+incompatible",
        );
        check("pkg:golang/stdlib@go1.22.1", "golang stdlib 1.22.1");
        check("pkg:golang/stdlib@v1.22.1", "golang stdlib 1.22.1");
        check("pkg:pypi/six@1.0", "pypi six 1.0");
        check(
            "pkg:deb/debian/libc6@2.36-9?arch=amd64&epoch=1&upstream=glibc%402.36-9&distro=debian-12",
            "deb libc6 1:2.36-9 of glibc 2.36-9 in debian 12",
        );
        check(
            "pkg:rpm/redhat/bash@5.1-6.el9?epoch=0&upstream=bash-5.1-6.el9.src.rpm&distro=rhel-9.4",
            "rpm bash 5.1-6.el9 of bash 5.1-6.el9 in rhel 9.4",
        );
        check("pkg:rpm/suse/a@1-1?distro=opensuse-leap-15.5", "rpm a 1-1 in opensuse-leap 15.5");
        check("pkg:rpm/oracle/a@1-1", "rpm a 1-1 in ol -");
        check("pkg:apk/wolfi/a@1-r0?distro=wolfi", "apk a 1-r0 in wolfi -");
        check("pkg:ebuild/app-misc/a@1", "ebuild app-misc/a 1");
        check("pkg:generic/openssl@3.0", "generic openssl 3.0");
    }

    #[test]
    fn what_is_no_package_of_a_known_kind_is_none() {
        for text in
            ["", "pkg:", "pkg:npm", "pkg:npm/", "npm/a@1", "pkg:npm/a%2", "pkg:npm/a%zz@1", "pkg:oci/a@1"]
        {
            check(text, "none");
        }
        check("pkg:npm/%ff@1", "none");
        check("pkg:npm/a@1?x=%", "none");
    }
}
