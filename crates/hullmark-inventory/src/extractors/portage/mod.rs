//! Packages of Gentoo, from the database of Portage: a directory per package and version, with a file for each fact
//! (`PF`, `CONTENTS`, `LICENSE`, ...).

use hullmark_types::PackageKind;

use crate::text::{excerpt, lines, non_empty};
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile, OwnedFiles};

const DATABASE: &str = "var/db/pkg/";

/// Reads Portage's database.
pub struct Portage;

impl Extractor for Portage {
    fn name(&self) -> &'static str {
        "portage"
    }

    fn summary(&self) -> &'static str {
        "Packages of Gentoo, from `PF`, `CONTENTS` and `LICENSE` in `var/db/pkg/*/*`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Ebuild]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        matches!(file.file_name(), "PF" | "CONTENTS" | "LICENSE") && place(file.path).is_some()
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        match file.file_name() {
            "CONTENTS" => contents(file),
            "LICENSE" => license(file),
            _ => parse(file),
        }
    }
}

/// Category and directory of a package.
fn place(path: &str) -> Option<(&str, &str)> {
    let (category, rest) = path.strip_prefix(DATABASE)?.split_once('/')?;
    let (directory, file) = rest.split_once('/')?;
    (!file.contains('/')).then_some((category, directory))
}

/// Takes name and version apart: the version begins behind the last dash that a digit follows, and may end with a revision
/// (<https://projects.gentoo.org/pms/8/pms.html>, section 3).
fn name_and_version(full: &str) -> Option<(&str, &str)> {
    let is_revision = |text: &str| {
        text.strip_prefix('r')
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let base = full.rsplit_once('-').filter(|(_, last)| is_revision(last)).map_or(full, |(base, _)| base);
    let (name, version) = base.rsplit_once('-')?;
    let is_version = version.starts_with(|first: char| first.is_ascii_digit()) || version == "9999";
    (is_version && !name.is_empty()).then(|| full.get(name.len() + 1..).map(|version| (name, version)))?
}

/// Reads `PF`: name and version of a package. One of another form is a gap `malformed-package-database`.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let full = lines(file.bytes).find_map(|(_, line)| non_empty(&line)).unwrap_or_default();
    match (place(file.path), name_and_version(&full)) {
        (Some((category, directory)), Some((name, version))) => {
            let package = FoundPackage {
                details: vec![format!("{DATABASE}{category}/{directory}/LICENSE")],
                ..FoundPackage::new(PackageKind::Ebuild, format!("{category}/{name}"), version)
            };
            found.add_package(file.path, package);
        }
        _ => {
            let message = format!("`{}` is not the name and version of a package", excerpt(&full));
            found.gap("malformed-package-database", file.path, message);
        }
    }
    found
}

/// Reads `CONTENTS`: lines `obj PATH MD5 TIME`, `sym PATH -> TARGET TIME` and `dir PATH`.
fn contents(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let named =
        place(file.path).and_then(|(category, directory)| Some((category, name_and_version(directory)?)));
    let Some((category, (name, _))) = named else {
        let message = "the directory is not named after a package";
        found.gap("malformed-package-database", file.path, message);
        return found;
    };
    let mut owned = OwnedFiles { package: format!("{category}/{name}"), ..OwnedFiles::default() };
    for (number, line) in lines(file.bytes) {
        let path = match line.split_once(' ') {
            // Paths may have spaces; what follows them has none.
            Some(("obj", rest)) => rest.rsplitn(3, ' ').nth(2),
            Some(("sym", rest)) => rest.split_once(" -> ").map(|(path, _)| path),
            Some(("dir" | "fif" | "dev", rest)) => Some(rest),
            _ if line.trim().is_empty() => continue,
            _ => None,
        };
        match path.map(|path| path.trim_matches('/')) {
            Some(path) if !path.is_empty() => owned.files.push(path.to_owned()),
            Some(_) => {}
            None => {
                let message = format!("line {number} is no entry: `{}`", excerpt(&line));
                found.gap("malformed-package-database", file.path, message);
            }
        }
    }
    if !owned.files.is_empty() {
        found.owned.push(owned);
    }
    found
}

/// Reads `LICENSE`: an expression of Portage's own.
fn license(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let text: Vec<_> = lines(file.bytes).take(64).filter_map(|(_, line)| non_empty(&line)).collect();
    if !text.is_empty() {
        found.detail_licenses([text.join(" ")]);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions_are_told_apart() {
        let check = |full: &str, expected| assert_eq!(name_and_version(full), expected, "{full}");
        check("bash-5.2_p21-r2", Some(("bash", "5.2_p21-r2")));
        check("gtk+-2.24.33", Some(("gtk+", "2.24.33")));
        check("font-adobe-100dpi-1.0.4", Some(("font-adobe-100dpi", "1.0.4")));
        check("live-9999", Some(("live", "9999")));
        check("bash", None);
        check("bash-r1", None);
        check("-1", None);
        check("", None);
    }
}
