//! What Mix locked for projects of Elixir (<https://hexdocs.pm/mix/Mix.Tasks.Deps.html>) and Rebar3 for those of Erlang
//! (<https://rebar3.org/docs/configuration/dependencies/#lock-files>). Both are terms of the language, one package to a line.

use hullmark_types::{Checksum, PackageKind};

use crate::text::lines;
use crate::{Evidence, Extraction, Extractor, FileFacts, FoundPackage, OpenFile};

/// Reads the lock files of Mix and Rebar3.
pub struct HexLock;

impl Extractor for HexLock {
    fn name(&self) -> &'static str {
        "hex-lock"
    }

    fn summary(&self) -> &'static str {
        "Packages of Hex that Mix or Rebar3 locked, from `mix.lock` and `rebar.lock`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Hex]
    }

    fn evidence(&self) -> Evidence {
        Evidence::Project
    }

    fn max_file_size(&self) -> u64 {
        16 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        matches!(file.file_name(), "mix.lock" | "rebar.lock")
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        if file.file_name() == "mix.lock" { mix(file) } else { rebar(file) }
    }
}

/// Reads lines `"name": {:hex, :package, "version", "checksum", ...},` and `"name": {:git, "url", "commit", ...},`. One of
/// another form is a gap `malformed-lock-file`.
pub fn mix(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    for (number, line) in lines(file.bytes) {
        let text = line.trim();
        if matches!(text, "" | "%{" | "}" | "%{}") {
            continue;
        }
        let parts: Vec<&str> = text.split('"').take(8).collect();
        let package = match parts.as_slice() {
            ["" | "%{", app, kind, version, _, sum, ..] if kind.contains(":hex,") => {
                // The package may have another name than the application.
                let name = kind.rsplit(':').next().map(|name| name.trim_matches([',', ' '])).unwrap_or(app);
                let mut package = FoundPackage::new(PackageKind::Hex, name, *version);
                package.checksums.extend(sha256(sum));
                Some(package)
            }
            ["" | "%{", app, kind, _, _, commit, ..] if kind.contains(":git,") => Some(of_git(app, commit)),
            _ => None,
        };
        match package {
            Some(package) => found.add_package(file.path, package),
            None => gap(&mut found, file, number),
        }
    }
    found
}

/// Reads lines `{<<"name">>,{pkg,<<"package">>,<<"version">>},0},`, and `{<<"name">>,` with a `{ref,"commit"}` in it or in a line
/// that follows. Checksums are in a list of their own behind, and are not read.
pub fn rebar(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let mut packages: Vec<FoundPackage> = Vec::new();
    let mut name = String::new();
    for (number, line) in lines(file.bytes) {
        let text = line.trim();
        if text.contains("pkg_hash") {
            break;
        }
        let parts: Vec<&str> = text.split('"').take(8).collect();
        if let [start, app, ..] = parts.as_slice()
            && start.ends_with("{<<")
        {
            (*app).clone_into(&mut name);
        }
        match parts.as_slice() {
            [_, _, rest, package, _, version, ..] if rest.contains("{pkg,") => {
                packages.push(FoundPackage::new(PackageKind::Hex, *package, *version));
            }
            _ if text.contains("{pkg,") => gap(&mut found, file, number),
            _ => {
                let commit = text.split_once("{ref,\"").and_then(|(_, rest)| rest.split_once('"'));
                if let Some((commit, _)) = commit.filter(|_| !name.is_empty()) {
                    packages.push(of_git(&name, commit));
                }
            }
        }
    }
    for package in packages {
        found.add_package(file.path, package);
    }
    found
}

/// A package of a repository: there is no version but the commit.
fn of_git(name: &str, commit: &str) -> FoundPackage {
    let mut package = FoundPackage::new(PackageKind::Hex, name, commit);
    package.properties.insert("hex:commit".to_owned(), commit.to_owned());
    package
}

fn sha256(value: &str) -> Option<Checksum> {
    let is_sound = value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_sound.then(|| Checksum { algorithm: "sha256".to_owned(), value: value.to_ascii_lowercase() })
}

fn gap(found: &mut Extraction, file: &OpenFile<'_>, number: usize) {
    found.gap("malformed-lock-file", file.path, format!("line {number} is not that of a package"));
}
