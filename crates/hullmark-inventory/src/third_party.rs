//! Packages of a distribution's format that somebody else built. The distribution's advisories say nothing of them.

use crate::FoundPackage;

/// Addresses that vendors put into `Maintainer` of the packages in their own repositories. No distribution's package
/// carries one of them, so a match is certain; a vendor that is not listed is taken for the distribution.
const VENDOR_ADDRESSES: &[&str] = &[
    "<build@hashicorp.com>",
    "<build@nodesource.com>",
    "<contact@grafana.com>",
    "<cudatools@nvidia.com>",
    "<gpgsecurity@microsoft.com>",
    "<info@elastic.co>",
    "<mongodb-dev@googlegroups.com>",
    "<mysql-build@oss.oracle.com>",
    "<nginx-packaging@f5.com>",
    "<nginx-packaging@nginx.com>",
    "<opensource+cli@github.com>",
    "<package@datadoghq.com>",
    "<packages@gitlab.com>",
    "<redis@redis.io>",
    "<support@docker.com>",
    "chrome-linux-packager@google.com",
    "support@gitlab.com",
];

/// Parts of versions that only third parties' repositories use.
const VERSION_MARKS: &[&str] = &[".pgdg", "+maria~", "deb.sury.org", "nodesource"];

/// Names under which vendors publish and distributions never do.
const NAME_PREFIXES: &[&str] =
    &["docker-ce", "google-chrome-", "google-cloud-cli", "nvidia-container-toolkit"];

/// Whether the package is certainly not the distribution's own. Rather lets one through than takes a package of the
/// distribution for a third party's.
pub(crate) fn is_third_party(package: &FoundPackage) -> bool {
    let vendor = package.vendor.as_deref().unwrap_or("");
    VENDOR_ADDRESSES.iter().any(|address| vendor.contains(address))
        || VERSION_MARKS.iter().any(|mark| package.version.contains(mark))
        || NAME_PREFIXES.iter().any(|prefix| package.name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use hullmark_types::PackageKind;

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
            assert_eq!(is_third_party(&package), expected, "{name} {version}");
        }
    }
}
