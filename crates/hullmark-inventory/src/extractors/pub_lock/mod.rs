//! What pub locked for Dart and Flutter (<https://dart.dev/tools/pub/glossary#lockfile>).

use hullmark_types::{Checksum, PackageKind};

use crate::text::{excerpt, lines};
use crate::{Evidence, Extraction, Extractor, FileFacts, FoundPackage, OpenFile};

/// Reads the lock files of pub.
pub struct PubLock;

impl Extractor for PubLock {
    fn name(&self) -> &'static str {
        "pub-lock"
    }

    fn summary(&self) -> &'static str {
        "Dart and Flutter packages that pub locked, from `pubspec.lock`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Pub]
    }

    fn evidence(&self) -> Evidence {
        Evidence::Project
    }

    fn max_file_size(&self) -> u64 {
        16 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        file.file_name() == "pubspec.lock"
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// A package as far as it was read.
struct Entry {
    package: FoundPackage,
    /// `hosted`, `git`, `path` or `sdk`.
    source: String,
}

/// Reads the entries, in the form in which pub writes them. Those of a path are parts of the project, those of an SDK are parts of
/// that. One without version is a gap `malformed-lock-file`.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let mut is_packages = false;
    let mut entry: Option<Entry> = None;
    for (_, line) in lines(file.bytes) {
        let text = line.trim();
        let depth = line.bytes().take_while(|byte| *byte == b' ').count();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let (key, value) = text.split_once(':').unwrap_or((text, ""));
        let (key, value) = (key.trim_matches('"'), value.trim().trim_matches('"'));
        if depth <= 2
            && let Some(finished) = entry.take()
        {
            add(&mut found, file, finished);
        }
        match (depth, key) {
            (0, _) => is_packages = key == "packages",
            (2, _) if is_packages => {
                let package = FoundPackage::new(PackageKind::Pub, key, "");
                entry = Some(Entry { package, source: String::new() });
            }
            _ => {
                let Some(entry) = &mut entry else { continue };
                match (depth, key) {
                    (4, "dependency") => entry.package.development = value == "direct dev",
                    (4, "version") => value.clone_into(&mut entry.package.version),
                    (4, "source") => value.clone_into(&mut entry.source),
                    (6, "sha256") if value.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                        entry.package.checksums = vec![Checksum {
                            algorithm: "sha256".to_owned(),
                            value: value.to_ascii_lowercase(),
                        }];
                    }
                    (6, "resolved-ref") => {
                        entry.package.properties.insert("pub:commit".to_owned(), value.to_owned());
                    }
                    _ => {}
                }
            }
        }
    }
    if let Some(finished) = entry {
        add(&mut found, file, finished);
    }
    found
}

fn add(found: &mut Extraction, file: &OpenFile<'_>, entry: Entry) {
    if matches!(entry.source.as_str(), "path" | "sdk") {
        return;
    }
    if entry.package.version.is_empty() {
        let message = format!("package `{}` has no version", excerpt(&entry.package.name));
        return found.gap("malformed-lock-file", file.path, message);
    }
    found.add_package(file.path, entry.package);
}
