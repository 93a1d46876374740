//! Applications of Erlang and Elixir: the resource file `NAME.app` beside the compiled modules of each
//! (<https://www.erlang.org/doc/apps/kernel/app.html>), and the resource files of releases, which tell the version of the
//! run-time system.

mod archive;
mod term;

use std::collections::BTreeSet;

use hullmark_types::{Confidence, PackageKind};

use crate::text::{excerpt, non_empty};
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Requirement};
use term::Term;

/// The applications that come with Erlang/OTP and Elixir; all others are packages of Hex, or one's own.
const BUNDLED: &[&str] = &[
    "asn1",
    "common_test",
    "compiler",
    "cosEvent",
    "cosEventDomain",
    "cosFileTransfer",
    "cosNotification",
    "cosProperty",
    "cosTime",
    "cosTransactions",
    "crypto",
    "debugger",
    "dialyzer",
    "diameter",
    "edoc",
    "eex",
    "eldap",
    "elixir",
    "erl_docgen",
    "erl_interface",
    "erts",
    "et",
    "eunit",
    "ex_unit",
    "ftp",
    "hipe",
    "ic",
    "iex",
    "inets",
    "jinterface",
    "kernel",
    "logger",
    "megaco",
    "mix",
    "mnesia",
    "observer",
    "odbc",
    "orber",
    "os_mon",
    "otp_mibs",
    "parsetools",
    "percept",
    "public_key",
    "reltool",
    "runtime_tools",
    "sasl",
    "snmp",
    "ssh",
    "ssl",
    "stdlib",
    "syntax_tools",
    "tftp",
    "tools",
    "typer",
    "wx",
    "xmerl",
];

/// Reads the resource files of applications and releases.
pub struct Erlang;

impl Extractor for Erlang {
    fn name(&self) -> &'static str {
        "erlang"
    }

    fn summary(&self) -> &'static str {
        "Applications of Erlang and Elixir, from `ebin/NAME.app`, also in archives (`*.ez`), and `hex_metadata.config`, and the run-time system from `releases/RELEASES` and `releases/**/*.rel`; those of Erlang/OTP and Elixir themselves as `otp`, others as `hex`"
    }

    fn version(&self) -> u32 {
        3
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Hex, PackageKind::Otp]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        let parent = |nth: usize| file.directory().rsplit('/').nth(nth);
        match file.file_name() {
            "RELEASES" => parent(0) == Some("releases"),
            "hex_metadata.config" => matches!(parent(1), Some("deps" | "lib")),
            name if name.ends_with(".app") => parent(0) == Some("ebin"),
            name if name.ends_with(".ez") => true,
            name if name.ends_with(".rel") => parent(0) == Some("releases") || parent(1) == Some("releases"),
            _ => false,
        }
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        let mut found = Extraction::default();
        if file.file_name().ends_with(".ez") {
            archive::read(&mut found, file);
            return found;
        }
        let terms = read_terms(&mut found, file.path, None, file.bytes);
        let Some(term) = terms.first() else { return found };
        match file.file_name() {
            "hex_metadata.config" => hex(&mut found, file, &terms),
            "RELEASES" => {
                for release in term.elements() {
                    add_runtime(&mut found, file.path, release.elements().get(3));
                }
            }
            name if name.ends_with(".rel") => {
                let runtime = term.elements().get(2).and_then(|runtime| runtime.elements().get(1));
                add_runtime(&mut found, file.path, runtime);
            }
            _ => application(&mut found, file.path, None, term),
        }
        found
    }
}

/// Reports that a file, or a member of an archive, cannot be read.
fn malformed(found: &mut Extraction, path: &str, inside: Option<&str>, problem: &str) {
    let subject = inside.map_or_else(|| "it".to_owned(), |inside| format!("`{}`", excerpt(inside)));
    found.gap("malformed-package-metadata", path, format!("{subject} {problem}"));
}

/// The terms of a file; what is wrong with it is reported.
fn read_terms(found: &mut Extraction, path: &str, inside: Option<&str>, bytes: &[u8]) -> Vec<Term> {
    let (terms, problem) = term::parse(bytes);
    match problem {
        Some(problem) => {
            malformed(found, path, inside, &format!("is not made of terms of Erlang: {problem}"));
        }
        None if terms.is_empty() => malformed(found, path, inside, "is empty"),
        None => {}
    }
    terms
}

/// A package of the application. Erlang/OTP says of its own what they are; of the others the name is that of the application,
/// which mostly is that of its package.
fn package(name: &str, version: &str) -> FoundPackage {
    match BUNDLED.binary_search(&name) {
        Ok(_) => FoundPackage::new(PackageKind::Otp, name, version),
        Err(_) => FoundPackage {
            confidence: Confidence::Derived,
            ..FoundPackage::new(PackageKind::Hex, name, version)
        },
    }
}

/// `{application, NAME, [{vsn, VERSION}, ...]}`.
fn application(found: &mut Extraction, path: &str, inside: Option<&str>, term: &Term) {
    let (name, facts) = match term.elements() {
        [Term::Text(kind), Term::Text(name), facts] if kind == "application" && !name.is_empty() => {
            (name, facts)
        }
        _ => return malformed(found, path, inside, "does not describe an application"),
    };
    let fact = |key: &str| {
        facts.elements().iter().find_map(|fact| match fact.elements() {
            [Term::Text(name), value] if name == key => Some(value),
            _ => None,
        })
    };
    let version = fact("vsn").and_then(Term::text).and_then(non_empty);
    if version.is_none() {
        let message = format!("`{}` has no version", excerpt(name));
        found.note("package-without-version", path, message);
    }
    let texts = |key: &str| fact(key).into_iter().flat_map(Term::elements).filter_map(Term::text);
    let needed: BTreeSet<&str> = texts("applications").chain(texts("included_applications")).collect();
    let package = FoundPackage {
        licenses: texts("licenses").filter_map(non_empty).collect(),
        requires: needed
            .into_iter()
            .map(|name| Requirement { name: name.to_owned(), version: None })
            .collect(),
        inside: inside.map(str::to_owned),
        ..package(name, &version.unwrap_or_default())
    };
    found.add_package(path, package);
}

/// What Hex says of a package that Mix or rebar3 fetched: `{<<"name">>, <<"plug">>}.`, and so on.
fn hex(found: &mut Extraction, file: &OpenFile<'_>, terms: &[Term]) {
    let fact = |terms: &'_ [Term], key: &str| {
        terms.iter().position(|term| term.elements().first().and_then(Term::text) == Some(key))
    };
    let value = |key: &str| fact(terms, key).and_then(|position| terms.get(position)?.elements().get(1));
    let text = |key: &str| value(key).and_then(Term::text).and_then(non_empty);
    let (Some(name), Some(version)) = (text("name"), text("version")) else {
        let message = "it does not say both name and version of the package";
        return found.gap("malformed-package-metadata", file.path, message);
    };
    let licenses = value("licenses").into_iter().flat_map(Term::elements).filter_map(Term::text);
    // Each requirement is a list with its name among others, or, as was once usual, a pair of name and list.
    let needed = value("requirements").into_iter().flat_map(Term::elements).filter_map(|requirement| {
        let elements = requirement.elements();
        match (elements.first()?.text(), fact(elements, "name")) {
            (Some(name), _) => Some(name),
            (None, position) => elements.get(position?)?.elements().get(1)?.text(),
        }
    });
    let needed: BTreeSet<&str> = needed.collect();
    let package = FoundPackage {
        licenses: licenses.filter_map(non_empty).collect(),
        requires: needed
            .into_iter()
            .map(|name| Requirement { name: name.to_owned(), version: None })
            .collect(),
        ..FoundPackage::new(PackageKind::Hex, name, version)
    };
    found.add_package(file.path, package);
}

/// The run-time system of a release. The applications that the release names have files of their own where they are there.
fn add_runtime(found: &mut Extraction, path: &str, version: Option<&Term>) {
    match version.and_then(Term::text).and_then(non_empty) {
        Some(version) => found.add_package(path, package("erts", &version)),
        None => found.gap("malformed-package-metadata", path, "it does not describe a release"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zip::tests::archive;

    #[test]
    fn bundled_applications_are_sorted() {
        assert!(BUNDLED.is_sorted());
    }

    #[test]
    fn applications_in_archives_are_read() {
        let application = b"{application,lamp,[{vsn,\"1.2.0\"},{applications,[kernel]}]}.";
        let bytes = archive(&[
            ("lamp-1.2.0/ebin/lamp.app", application, true),
            ("lamp-1.2.0/ebin/lamp.beam", b"FOR1", false),
            ("lamp-1.2.0/priv/other.app", b"text", false),
            ("wick/ebin/wick.app", b"{", false),
        ]);
        let found = Erlang.extract(&OpenFile { path: "plugins/lamp-1.2.0.ez", bytes: &bytes });
        let [lamp] = found.packages.as_slice() else { panic!("{found:?}") };
        assert_eq!((lamp.name.as_str(), lamp.version.as_str()), ("lamp", "1.2.0"));
        assert_eq!(lamp.inside.as_deref(), Some("lamp-1.2.0/ebin/lamp.app"));
        let messages: Vec<_> =
            found.diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect();
        let expected = "`wick/ebin/wick.app` is not made of terms of Erlang: it ends at byte 1 within a term";
        assert_eq!(messages, [expected]);
        let broken = Erlang.extract(&OpenFile { path: "x.ez", bytes: b"PK" });
        assert_eq!(broken.diagnostics[0].code, "malformed-archive");
    }
}
