//! Package URLs (<https://github.com/package-url/purl-spec>).

use hullmark_types::{Distribution, PackageKind, fold_pypi_name};
use packageurl::PackageUrl;

use crate::FoundPackage;
use crate::distribution::of_package;

/// The canonical package URL. `None` when the package has a name of which no package URL can be made.
pub(crate) fn package_url(package: &FoundPackage, distribution: Option<&Distribution>) -> Option<String> {
    let distribution = of_package(package, distribution);
    let is_system = package.kind.is_operating_system();
    let (namespace, name) = match package.kind {
        PackageKind::Pypi => (None, fold_pypi_name(&package.name)),
        // A scope is part of the name for npm, a channel for PEAR; modules have a path.
        PackageKind::Composer
        | PackageKind::GithubActions
        | PackageKind::Golang
        | PackageKind::Huggingface
        | PackageKind::Npm
        | PackageKind::Pear
        | PackageKind::Swift
        | PackageKind::Terraform
        | PackageKind::Wordpress => split(&package.name, '/'),
        // Gentoo has categories.
        PackageKind::Ebuild => split(&package.name, '/'),
        PackageKind::Maven => split(&package.name, ':'),
        _ if !is_system => (None, package.name.clone()),
        _ => (distribution.map(|distribution| namespace(&distribution.id).to_owned()), package.name.clone()),
    };
    // The epoch of an rpm stands beside the version.
    let (epoch, version) = match package.version.split_once(':') {
        Some((epoch, version)) if package.kind == PackageKind::Rpm => (Some(epoch), version),
        _ => (None, package.version.as_str()),
    };
    let mut url = PackageUrl::new(package.kind.purl_type(), name).ok()?;
    if let Some(namespace) = namespace.filter(|namespace| !namespace.is_empty()) {
        url.with_namespace(namespace).ok()?;
    }
    if !version.is_empty() {
        url.with_version(version).ok()?;
    }
    if let Some(epoch) = epoch {
        url.add_qualifier("epoch", epoch).ok()?;
    }
    // Packages of conda and gems of one version are built for several platforms; packages of Julia may share a name.
    let qualifiers: &[(&str, &str)] = match package.kind {
        PackageKind::Conda => &[
            ("build", "conda:build"),
            ("channel", "conda:channel"),
            ("subdir", "conda:subdir"),
            ("type", "conda:type"),
        ],
        PackageKind::Gem => &[("platform", "gem:platform")],
        PackageKind::Julia => &[("uuid", "julia:uuid")],
        _ => &[],
    };
    for (qualifier, property) in qualifiers {
        if let Some(value) = package.properties.get(*property) {
            url.add_qualifier(*qualifier, value.as_str()).ok()?;
        }
    }
    if is_system && let Some(architecture) = &package.architecture {
        url.add_qualifier("arch", architecture.as_str()).ok()?;
    }
    if is_system && let Some(distribution) = distribution {
        let value = match &distribution.version {
            Some(version) => format!("{}-{version}", distribution.id),
            None => distribution.id.clone(),
        };
        url.add_qualifier("distro", value).ok()?;
    }
    Some(url.to_string())
}

/// Whose the packages of a distribution are: those of one maker have one namespace.
pub(crate) fn namespace(id: &str) -> &str {
    match id {
        "rhel" => "redhat",
        "sle-micro" | "sled" | "sles" | "sles_sap" => "suse",
        id if id.starts_with("opensuse") => "opensuse",
        id => id,
    }
}

/// Namespace and name, apart at the last `separator`.
fn split(name: &str, separator: char) -> (Option<String>, String) {
    match name.rsplit_once(separator) {
        Some((namespace, name)) => (Some(namespace.to_owned()), name.to_owned()),
        None => (None, name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: PackageKind, name: &str, version: &str, architecture: Option<&str>, expected: &str) {
        let distribution = Distribution {
            id: if kind == PackageKind::Deb { "debian" } else { "alpine" }.to_owned(),
            version: Some(if kind == PackageKind::Deb { "12" } else { "3.7.3" }.to_owned()),
            ..Distribution::default()
        };
        let package = FoundPackage {
            architecture: architecture.map(str::to_owned),
            ..FoundPackage::new(kind, name, version)
        };
        assert_eq!(package_url(&package, Some(&distribution)).as_deref(), Some(expected));
    }

    #[test]
    fn package_urls_of_rpm_have_the_epoch_beside_the_version() {
        let check = |id: &str, version: &str, expected: &str| {
            let distribution = Distribution {
                id: id.to_owned(),
                version: Some("9.4".to_owned()),
                ..Distribution::default()
            };
            let package = FoundPackage {
                architecture: Some("x86_64".to_owned()),
                ..FoundPackage::new(PackageKind::Rpm, "dbus", version)
            };
            assert_eq!(package_url(&package, Some(&distribution)).as_deref(), Some(expected));
        };
        check("rhel", "1:1.12-8.el9", "pkg:rpm/redhat/dbus@1.12-8.el9?arch=x86_64&distro=rhel-9.4&epoch=1");
        check("fedora", "1.12-8.fc40", "pkg:rpm/fedora/dbus@1.12-8.fc40?arch=x86_64&distro=fedora-9.4");
        check("sles", "1.12-8", "pkg:rpm/suse/dbus@1.12-8?arch=x86_64&distro=sles-9.4");
        check("opensuse-leap", "1.12-8", "pkg:rpm/opensuse/dbus@1.12-8?arch=x86_64&distro=opensuse-leap-9.4");
    }

    #[test]
    fn package_urls_follow_the_rules_of_their_type() {
        use PackageKind::{Apk, Composer, Deb, Gem, Golang, Maven, Npm, Pypi};
        check(
            Apk,
            "musl",
            "1.1.18-r3",
            Some("x86_64"),
            "pkg:apk/alpine/musl@1.1.18-r3?arch=x86_64&distro=alpine-3.7.3",
        );
        check(
            Deb,
            "libstdc++6",
            "1:2.3-4+b1",
            Some("amd64"),
            "pkg:deb/debian/libstdc%2B%2B6@1:2.3-4%2Bb1?arch=amd64&distro=debian-12",
        );
        check(Pypi, "Ruamel.Yaml_X", "1.0", None, "pkg:pypi/ruamel-yaml-x@1.0");
        check(Npm, "@angular/core", "1.0.0", None, "pkg:npm/%40angular/core@1.0.0");
        check(Npm, "left-pad", "", None, "pkg:npm/left-pad");
        check(
            Golang,
            "github.com/BurntSushi/toml/v2",
            "v2.0.0+incompatible",
            None,
            "pkg:golang/github.com/burntsushi/toml/v2@v2.0.0%2Bincompatible",
        );
        check(Maven, "org.a:b", "1.0", None, "pkg:maven/org.a/b@1.0");
        check(Composer, "symfony/yaml", "v6.4.0", None, "pkg:composer/symfony/yaml@v6.4.0");
        check(PackageKind::Pear, "pecl.php.net/redis", "6.0.2", None, "pkg:pear/pecl.php.net/redis@6.0.2");
        check(Gem, "rack", "3.0.0", None, "pkg:gem/rack@3.0.0");
        check(Golang, "stdlib", "1.22.1", None, "pkg:golang/stdlib@1.22.1");
    }
}
