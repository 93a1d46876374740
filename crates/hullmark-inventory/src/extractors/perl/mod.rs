//! Perl distributions: what cpanm and cpm keep of each that they install (`.meta/NAME-VERSION/`), the log of installations of
//! ExtUtils::MakeMaker and Module::Build (`perllocal.pod`), and the lists of files in `auto/` (`.packlist`), which tell no
//! version.

use std::collections::BTreeMap;

use hullmark_types::{Confidence, PackageKind};
use serde_json::Value;

use crate::text::{excerpt, lines, non_empty};
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile};

/// Reads what Perl's installers write down.
pub struct Perl;

impl Extractor for Perl {
    fn name(&self) -> &'static str {
        "perl"
    }

    fn summary(&self) -> &'static str {
        "Perl distributions, from `.meta/*/MYMETA.json` and `install.json` (cpanm, cpm, Carton), `perllocal.pod` and `auto/**/.packlist`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Cpan]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn max_file_size(&self) -> u64 {
        16 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        match file.file_name() {
            "MYMETA.json" | "META.json" | "install.json" => {
                file.directory().rsplit('/').nth(1).is_some_and(|directory| directory == ".meta")
            }
            "perllocal.pod" => true,
            ".packlist" => module_of_list(file.directory()).is_some(),
            _ => false,
        }
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        match file.file_name() {
            "perllocal.pod" => log(file),
            ".packlist" => list(file),
            _ => metadata(file),
        }
    }
}

/// Reads `MYMETA.json` (<https://metacpan.org/pod/CPAN::Meta::Spec>), or cpanm's `install.json`.
fn metadata(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let document = match serde_json::from_slice::<Value>(file.bytes) {
        Ok(document) => document,
        Err(error) => {
            found.gap("malformed-package-metadata", file.path, format!("it is not JSON: {error}"));
            return found;
        }
    };
    let version = scalar(&document, "version");
    // `name` in `install.json` is that of the main module; the distribution is `dist`, with its version.
    let name = match (scalar(&document, "dist"), &version) {
        (Some(full), Some(version)) => {
            let name = full.strip_suffix(version.as_str());
            name.and_then(|name| name.strip_suffix('-').or_else(|| name.strip_suffix("-v")))
                .and_then(non_empty)
        }
        _ => scalar(&document, "name").map(|name| name.replace("::", "-")),
    };
    let (Some(name), Some(version)) = (name, version) else {
        found.gap("malformed-package-metadata", file.path, "it does not say both name and version");
        return found;
    };
    let texts = |key: &str| -> Vec<String> {
        let list = document.get(key).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(|text| non_empty(text.as_str()?)).collect()
    };
    let licenses = texts("license").iter().map(|license| spdx(license).to_owned()).collect();
    let archive = scalar(&document, "pathname").map(|path| ("cpan:archive".to_owned(), path));
    let package = FoundPackage {
        licenses,
        vendor: non_empty(&texts("author").join(", ")),
        properties: archive.into_iter().collect(),
        ..FoundPackage::new(PackageKind::Cpan, name, version)
    };
    found.add_package(file.path, package);
    found
}

/// A text, or a number as text.
fn scalar(document: &Value, key: &str) -> Option<String> {
    match document.get(key)? {
        Value::String(text) => non_empty(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The SPDX expression for what the specification of CPAN's metadata defines; anything else as it is.
fn spdx(license: &str) -> &str {
    match license {
        "agpl_3" => "AGPL-3.0-only",
        "apache_1_1" => "Apache-1.1",
        "apache_2_0" => "Apache-2.0",
        "artistic_1" => "Artistic-1.0",
        "artistic_2" => "Artistic-2.0",
        "bsd" => "BSD-3-Clause",
        "freebsd" => "BSD-2-Clause",
        "gfdl_1_2" => "GFDL-1.2-only",
        "gfdl_1_3" => "GFDL-1.3-only",
        "gpl_1" => "GPL-1.0-only",
        "gpl_2" => "GPL-2.0-only",
        "gpl_3" => "GPL-3.0-only",
        "lgpl_2_1" => "LGPL-2.1-only",
        "lgpl_3_0" => "LGPL-3.0-only",
        "mit" => "MIT",
        "mozilla_1_0" => "MPL-1.0",
        "mozilla_1_1" => "MPL-1.1",
        "openssl" => "OpenSSL",
        "perl_5" => "Artistic-1.0-Perl OR GPL-1.0-or-later",
        "qpl_1_0" => "QPL-1.0",
        "zlib" => "Zlib",
        other => other,
    }
}

/// Reads `perllocal.pod`, to which each installation is added; of several of one module the last counts.
fn log(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let mut versions: BTreeMap<String, String> = BTreeMap::new();
    let mut module = None;
    for (number, line) in lines(file.bytes) {
        if line.starts_with("=head2 ") {
            module =
                line.split_once("L<").and_then(|(_, link)| link.split(['|', '>']).next()).and_then(non_empty);
            if module.is_none() {
                let message = format!("line {number} names no module: `{}`", excerpt(&line));
                found.gap("malformed-package-database", file.path, message);
            }
        } else if let Some(version) = line.trim().strip_prefix("C<VERSION: ")
            && let Some(version) = version.strip_suffix('>').and_then(non_empty)
            && let Some(module) = module.take()
        {
            versions.insert(module.replace("::", "-"), version);
        }
    }
    for (name, version) in versions {
        let package = FoundPackage {
            confidence: Confidence::Derived,
            ..FoundPackage::new(PackageKind::Cpan, name, version)
        };
        found.add_package(file.path, package);
    }
    found
}

/// The main module of a distribution, `::` written as `-`: the path below the last `auto`.
fn module_of_list(directory: &str) -> Option<String> {
    let (_, module) =
        directory.rsplit_once("/auto/").or_else(|| Some(("", directory.strip_prefix("auto/")?)))?;
    non_empty(&module.replace('/', "-"))
}

/// A list of files shows that a distribution is there, by the name of its main module, and nothing more.
fn list(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    if let Some(name) = module_of_list(file.directory()) {
        let package = FoundPackage {
            confidence: Confidence::Derived,
            ..FoundPackage::new(PackageKind::Cpan, name, "")
        };
        found.add_package(file.path, package);
    }
    found
}
