//! From the text of the build information to packages.

use hullmark_types::{Confidence, PackageKind};

use super::blob::BuildInformation;
use super::settings::Settings;
use super::version::standard_library_version;
use crate::text::excerpt;
use crate::{Extraction, FoundPackage};

/// What Go writes where a module has no version: the main module of a build from a working tree.
const DEVEL: &str = "(devel)";

struct Module<'a> {
    path: &'a str,
    version: &'a str,
    is_main: bool,
}

/// Takes the main module, each dependency (or what replaces it) and the standard library.
pub(super) fn collect(place: &str, information: &BuildInformation, found: &mut Extraction) {
    match standard_library_version(&information.go_version) {
        Some(version) => {
            found.add_package(place, FoundPackage::new(PackageKind::Golang, "stdlib", version));
        }
        None => {
            found.add_package(place, FoundPackage::new(PackageKind::Golang, "stdlib", ""));
            let message = format!("`{}` is no released Go version", excerpt(&information.go_version));
            found.note("package-without-version", place, message);
        }
    }
    if information.modules.is_empty() {
        let message = "the program was built outside a Go module, so its dependencies are not known";
        found.gap("malformed-build-information", place, message);
    }
    let settings = Settings::read(&information.modules);
    let mut last: Option<Module<'_>> = None;
    for line in information.modules.lines() {
        let mut fields = line.split('\t');
        let kind = fields.next().unwrap_or("");
        let path = fields.next().unwrap_or("");
        let version = fields.next().unwrap_or("");
        match kind {
            "mod" | "dep" => {
                add(place, last.take(), &settings, found);
                last = Some(Module { path, version, is_main: kind == "mod" });
            }
            "=>" => match &mut last {
                // A replacement from a directory is code of unknown origin under the name of the original.
                Some(replaced) if is_directory(path) => replaced.version = "",
                Some(replaced) => {
                    replaced.path = path;
                    replaced.version = version;
                }
                None => {
                    let message = format!("`{}` replaces no module", excerpt(path));
                    found.gap("malformed-build-information", place, message);
                }
            },
            _ => {}
        }
    }
    add(place, last, &settings, found);
}

fn add(place: &str, module: Option<Module<'_>>, settings: &Settings, found: &mut Extraction) {
    let Some(module) = module else { return };
    if module.path.is_empty() {
        return found.gap("malformed-build-information", place, "a module has no path");
    }
    let version = if module.version == DEVEL { "" } else { module.version };
    let mut package = FoundPackage::new(PackageKind::Golang, module.path, version);
    if module.is_main
        && let Some(revision) = &settings.revision
    {
        package.properties.insert("go:revision".to_owned(), revision.clone());
    }
    if module.is_main
        && version.is_empty()
        && let Some(linked) = settings.version(module.path)
    {
        package.version = linked;
        package.confidence = Confidence::Derived;
    }
    if package.version.is_empty() {
        let what = if module.is_main { "main module" } else { "module" };
        let message =
            format!("the {what} `{}` was built from a directory and has no version", excerpt(module.path));
        found.note("package-without-version", place, message);
    }
    found.add_package(place, package);
}

/// Module paths never begin like this (<https://go.dev/ref/mod#go-mod-file-replace>).
fn is_directory(path: &str) -> bool {
    path.starts_with("./")
        || path.starts_with("../")
        || path.starts_with('/')
        || path.get(1..3) == Some(":\\")
}
