//! What pip is told to install (<https://pip.pypa.io/en/stable/reference/requirements-file-format/>).

use hullmark_types::{Checksum, PackageKind};

use crate::text::{excerpt, lines};
use crate::{Evidence, Extraction, Extractor, FileFacts, FoundPackage, OpenFile};

/// Reads requirements files of pip.
pub struct Requirements;

impl Extractor for Requirements {
    fn name(&self) -> &'static str {
        "requirements"
    }

    fn summary(&self) -> &'static str {
        "Python distributions that are pinned (`==`), from `*requirements*.txt` and `requirements/*.txt`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Pypi]
    }

    fn evidence(&self) -> Evidence {
        Evidence::Project
    }

    fn max_file_size(&self) -> u64 {
        8 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        is_requirements(file.path)
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Whether a path is that of a requirements file, by its name or its directory.
fn is_requirements(path: &str) -> bool {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    name.ends_with(".txt")
        && (name.contains("requirements") || directory.rsplit('/').next() == Some("requirements"))
}

/// Reads a file. What is not pinned to one version is a gap `unpinned-requirement`: nobody knows what will be installed.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let name = file.file_name();
    let development = ["dev", "test", "lint", "doc"].iter().any(|word| name.contains(word));
    let mut whole = String::new();
    let mut begun = 0;
    for (number, line) in lines(file.bytes) {
        let line = line.trim();
        if whole.is_empty() {
            begun = number;
        }
        if let Some(more) = line.strip_suffix('\\') {
            whole.push_str(more);
            whole.push(' ');
            continue;
        }
        whole.push_str(line);
        let text = std::mem::take(&mut whole);
        // A comment begins at the beginning, or behind a blank.
        let text = match text.find(" #") {
            _ if text.starts_with('#') => continue,
            Some(at) => text.split_at(at).0,
            None => &text,
        };
        requirement(text.trim(), begun, development, file.path, &mut found);
    }
    found
}

fn requirement(text: &str, line: usize, development: bool, path: &str, found: &mut Extraction) {
    if text.is_empty() {
        return;
    }
    if text.starts_with('-') {
        let other =
            ["-r", "--requirement", "-c", "--constraint"].iter().find_map(|option| text.strip_prefix(option));
        match other.map(|name| name.trim_start_matches(['=', ' '])) {
            Some(name) if !is_requirements(name.trim_start_matches("./")) => {
                let message = format!(
                    "line {line}: `{}` is needed too, and is not read under that name",
                    excerpt(name)
                );
                found.gap("unread-requirements-file", path, message);
            }
            Some(_) => {}
            None if text.starts_with("-e") || text.starts_with("--editable") => {
                let message = format!("line {line}: `{}` is installed from its source", excerpt(text));
                found.note("unpinned-requirement", path, message);
            }
            None => {}
        }
        return;
    }
    let mut parts = text.split(" --hash=");
    let first = parts.next().unwrap_or_default();
    let specifier = first.split(';').next().unwrap_or_default().trim();
    let unpinned = |found: &mut Extraction| {
        let message = format!("line {line}: `{}` is not pinned to one version", excerpt(specifier));
        found.gap("unpinned-requirement", path, message);
    };
    let Some((name, version)) = specifier.split_once("==") else { return unpinned(found) };
    let version = version.trim_start_matches('=').trim();
    let name = name.split('[').next().unwrap_or_default().trim();
    let is_name = name.chars().all(|one| one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.'));
    if name.is_empty() || !is_name || version.is_empty() || version.contains(['*', ',', ' ', '<', '>']) {
        return unpinned(found);
    }
    let checksum = |hash: &str| {
        let (algorithm, value) = hash.trim().split_once(':')?;
        let is_sound = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_sound.then(|| Checksum {
            algorithm: algorithm.to_ascii_lowercase(),
            value: value.to_ascii_lowercase(),
        })
    };
    let package = FoundPackage {
        development,
        checksums: parts.filter_map(checksum).collect(),
        ..FoundPackage::new(PackageKind::Pypi, name, version)
    };
    found.add_package(path, package);
}
