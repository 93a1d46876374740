//! Packages that Yarn runs out of their archives (Plug'n'Play, <https://yarnpkg.com/features/pnp>).

use crate::zip::Zip;
use crate::{Extraction, OpenFile};

/// The most bytes of one manifest.
const MAX_MANIFEST: u64 = 8 * 1024 * 1024;
/// The most bytes of all manifests of one archive.
const MAX_MANIFESTS: u64 = 64 * 1024 * 1024;

/// Whether it is a directory that Yarn keeps the archives of packages in, that of a project or that of a user.
pub(super) fn is_cache(directory: &str) -> bool {
    let mut parts = directory.rsplit('/');
    if parts.next() != Some("cache") {
        return false;
    }
    match parts.next() {
        Some("berry") => matches!(parts.next(), Some(".yarn" | "yarn")),
        last => last == Some(".yarn"),
    }
}

/// Reads the manifests in an archive: that of the package, and those of what it bundles.
pub(super) fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let zip = match Zip::open(file.bytes) {
        Ok(zip) => zip,
        Err(error) => {
            found.gap("malformed-archive", file.path, error.to_string());
            return found;
        }
    };
    let mut inflated = 0_u64;
    for member in zip.members() {
        let member = match member {
            Ok(member) => member,
            Err(error) => {
                found.gap("malformed-archive", file.path, error.to_string());
                break;
            }
        };
        let path = member.path();
        if !path.ends_with("/package.json") || super::name_from_path(&path).is_none() {
            continue;
        }
        match zip.read(&member, MAX_MANIFEST) {
            Ok(bytes) => {
                inflated += bytes.len() as u64;
                let before = found.packages.len();
                super::manifest(&mut found, &OpenFile { path: file.path, bytes: &bytes }, &path);
                for package in found.packages.iter_mut().skip(before) {
                    package.inside = Some(path.clone().into_owned());
                }
            }
            Err(error) => found.gap("malformed-archive", file.path, format!("`{path}`: {error}")),
        }
        if inflated > MAX_MANIFESTS {
            let message =
                format!("the manifests have more than {MAX_MANIFESTS} bytes; the rest was not read");
            found.gap("limit-archive-size", file.path, message);
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zip::tests::archive;

    #[test]
    fn packages_and_what_they_bundle_are_found_in_archives() {
        let bytes = archive(&[
            ("node_modules/@s/left/package.json", br#"{"name":"@s/left","version":"1.0.0"}"#, true),
            ("node_modules/@s/left/test/package.json", br#"{"name":"fixture","version":"9.0.0"}"#, true),
            (
                "node_modules/@s/left/node_modules/in/package.json",
                br#"{"name":"in","version":"2.0.0"}"#,
                false,
            ),
        ]);
        let found = parse(&OpenFile { path: "app/.yarn/cache/@s-left-npm-1.0.0-0-10c0.zip", bytes: &bytes });
        let names: Vec<_> = found
            .packages
            .iter()
            .map(|package| (package.name.as_str(), package.version.as_str(), package.inside.as_deref()))
            .collect();
        assert_eq!(
            names,
            [
                ("@s/left", "1.0.0", Some("node_modules/@s/left/package.json")),
                ("in", "2.0.0", Some("node_modules/@s/left/node_modules/in/package.json")),
            ]
        );
        assert_eq!(found.diagnostics, []);
    }

    #[test]
    fn an_archive_that_cannot_be_read_is_said() {
        let found = parse(&OpenFile { path: "app/.yarn/cache/a.zip", bytes: b"PK" });
        assert_eq!(found.diagnostics.len(), 1);
    }

    #[test]
    fn caches_are_those_of_yarn() {
        for (directory, expected) in [
            ("app/.yarn/cache", true),
            ("root/.yarn/berry/cache", true),
            ("opt/yarn/berry/cache", true),
            ("app/cache", false),
            ("app/berry/cache", false),
        ] {
            assert_eq!(is_cache(directory), expected, "{directory}");
        }
    }
}
