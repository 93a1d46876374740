//! Packages of a distribution's format that somebody else built. The distribution's advisories say nothing of them.

use hullmark_types::{Distribution, PackageKind};

use crate::FoundPackage;
use crate::distribution::of_package;
use crate::extractors::dpkg::VENDOR_PROPERTY;

/// Addresses that vendors put into `Maintainer` of the packages in their own repositories. No distribution's package
/// carries one of them, so a match is certain; elsewhere than in packages of rpm a vendor that is not listed is taken for the
/// distribution.
const VENDOR_ADDRESSES: &[&str] = &[
    "<alpine-pkgs@sgerrand.com>",
    "<bazel-dev@googlegroups.com>",
    "<build@hashicorp.com>",
    "<build@nodesource.com>",
    "<contact@grafana.com>",
    "<cudatools@nvidia.com>",
    "<corretto-team@amazon.com>",
    "<dev@kubernetes.io>",
    "<info@elastic.co>",
    "<info@percona.com>",
    "<info@puppetlabs.com>",
    "<info@rabbitmq.com>",
    "<info@tailscale.com>",
    "<mongodb-dev@googlegroups.com>",
    "<mysql-build@oss.oracle.com>",
    "<nginx-packaging@f5.com>",
    "<nginx-packaging@nginx.com>",
    "<opensource+cli@github.com>",
    "<package@datadoghq.com>",
    "<packager@zabbix.com>",
    "<packages@confluent.io>",
    "<packages@erlang-solutions.com>",
    "<packages@gitlab.com>",
    "<redis@redis.io>",
    "<support@docker.com>",
    "<support@influxdata.com>",
    "<support@newrelic.com>",
    "<temurin-dev@eclipse.org>",
    "<yarn@dan.cx>",
    "@azul.com>",
    "@microsoft.com>",
    "chrome-linux-packager@google.com",
    "support@gitlab.com",
];

/// Parts of versions that only third parties' repositories use.
const VERSION_MARKS: &[&str] = &[".pgdg", "+maria~", "deb.sury.org", "nodesource"];

/// Names under which vendors publish and distributions never do.
const NAME_PREFIXES: &[&str] =
    &["docker-ce", "google-chrome-", "google-cloud-cli", "nvidia-container-toolkit"];

/// Who builds the packages of a distribution with rpm: its `ID` and how `Vendor` of all its packages begins. A package that anyone
/// else built is a third party's, also one that another of these built: EPEL's are of Fedora.
const RPM_VENDORS: &[(&str, &[&str])] = &[
    ("almalinux", &["AlmaLinux"]),
    ("amzn", &["Amazon"]),
    ("azurelinux", &["Microsoft Corporation"]),
    ("centos", &["CentOS", "Red Hat, Inc."]),
    ("fedora", &["Fedora Project"]),
    ("mageia", &["Mageia"]),
    ("mariner", &["Microsoft Corporation"]),
    ("ol", &["Oracle America"]),
    ("openeuler", &["http://openeuler.org", "openEuler"]),
    ("opensuse", &["openSUSE", "SUSE"]),
    ("opensuse-leap", &["openSUSE", "SUSE"]),
    ("opensuse-leap-micro", &["openSUSE", "SUSE"]),
    ("opensuse-tumbleweed", &["openSUSE", "SUSE"]),
    ("photon", &["VMware", "Broadcom"]),
    ("rhel", &["Red Hat"]),
    ("rocky", &["Rocky"]),
    ("sle-micro", &["SUSE"]),
    ("sled", &["SUSE"]),
    ("sles", &["SUSE"]),
    ("sles_sap", &["SUSE"]),
];

/// Distributions of which some packages have no vendor.
const WITHOUT_VENDOR: &[&str] = &["amzn"];

/// Whether the package is certainly not the distribution's own. Rather lets one through than takes a package of the
/// distribution for a third party's.
pub(crate) fn is_third_party(package: &FoundPackage, distribution: Option<&Distribution>) -> bool {
    let vendor = package.vendor.as_deref().unwrap_or("");
    let distribution = of_package(package, distribution);
    VENDOR_ADDRESSES.iter().any(|address| vendor.contains(address))
        || VERSION_MARKS.iter().any(|mark| package.version.contains(mark))
        || package.properties.contains_key(VENDOR_PROPERTY)
        || NAME_PREFIXES.iter().any(|prefix| package.name.starts_with(prefix))
        // What names its distribution itself need not name the vendor.
        || (package.kind == PackageKind::Rpm
            && package.distribution.is_none()
            && distribution.is_some_and(|distribution| is_foreign_rpm(vendor, &distribution.id)))
}

/// Whether another vendor than those of the distribution built a package; of a distribution that is not known nobody knows.
fn is_foreign_rpm(vendor: &str, distribution: &str) -> bool {
    let Some((_, own)) = RPM_VENDORS.iter().find(|(id, _)| *id == distribution) else { return false };
    match vendor.is_empty() {
        true => !WITHOUT_VENDOR.contains(&distribution),
        false => !own.iter().any(|known| vendor.starts_with(known)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_certain_third_parties_are_told_apart() {
        for (name, version, vendor, expected) in [
            ("nginx", "1.27.0-1~bookworm", "NGINX Packaging <nginx-packaging@f5.com>", true),
            ("docker-ce", "5:27.0.3-1~debian.12~bookworm", "Docker <support@docker.com>", true),
            (
                "postgresql-16",
                "16.3-1.pgdg120+1",
                "Debian PostgreSQL Maintainers <x@tracker.debian.org>",
                true,
            ),
            (
                "nginx",
                "1.22.1-9",
                "Debian Nginx Maintainers <pkg-nginx-maintainers@alioth-lists.debian.net>",
                false,
            ),
            ("zlib1g", "1:1.2.13", "Mark Brown <broonie@debian.org>", false),
            ("bash", "5.2", "Matthias Klose <doko@example.org>", false),
        ] {
            let vendor = Some(vendor.to_owned());
            let package = FoundPackage { vendor, ..FoundPackage::new(PackageKind::Deb, name, version) };
            assert_eq!(is_third_party(&package, None), expected, "{name} {version}");
        }
    }

    #[test]
    fn a_debian_package_that_names_its_vendor_is_no_package_of_the_distribution() {
        for (line, expected) in
            [("Vendor: Some Company", true), ("Vendor: none", true), ("Homepage: x", false)]
        {
            let text = format!("Package: x\nVersion: 1\nMaintainer: <a@b>\n{line}\n");
            let file = crate::OpenFile { path: "var/lib/dpkg/status", bytes: text.as_bytes() };
            let found = crate::extractors::dpkg::parse(&file);
            assert_eq!(found.packages.len(), 1);
            for package in &found.packages {
                assert_eq!(is_third_party(package, None), expected, "{line}");
                let vendor = if line.ends_with("Company") { "Some Company" } else { "<a@b>" };
                assert_eq!(package.vendor.as_deref(), Some(vendor), "{line}");
            }
        }
    }

    #[test]
    fn the_vendor_of_an_rpm_says_whose_it_is() {
        let check = |id: &str, vendor: &str, expected: bool| {
            let distribution = Distribution { id: id.to_owned(), ..Distribution::default() };
            let vendor = Some(vendor.to_owned()).filter(|vendor| !vendor.is_empty());
            let package = FoundPackage { vendor, ..FoundPackage::new(PackageKind::Rpm, "a", "1-1") };
            assert_eq!(is_third_party(&package, Some(&distribution)), expected, "{id} {:?}", package.vendor);
        };
        check("rhel", "Red Hat, Inc.", false);
        check("rhel", "Fedora Project", true);
        check("fedora", "Fedora Project", false);
        check("rocky", "Rocky Enterprise Software Foundation", false);
        check("rocky", "CentOS", true);
        check("centos", "CentOS", false);
        check("opensuse-leap", "SUSE LLC <https://www.suse.com/>", false);
        check("opensuse-leap", "obs://build.opensuse.org/home:someone", true);
        check("ol", "Oracle America", false);
        check("amzn", "", false);
        check("amzn", "Amazon Linux", false);
        check("amzn", "Docker", true);
        check("azurelinux", "Microsoft Corporation", false);
        check("rhel", "", true);
        check("unheard-of", "", false);
        check("unheard-of", "Somebody", false);
        check("unheard-of", "NGINX Packaging <nginx-packaging@f5.com>", true);
    }
}
