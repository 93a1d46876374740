//! The list of extractors.

use hullmark_types::Digest;

use crate::{Evidence, Extractor, FileFacts};

/// Makes the list below the only place where an extractor is named: its module, and its entry in [`ALL`].
macro_rules! extractors {
    ($($module:ident::$extractor:ident,)*) => {
        $(pub mod $module;)*

        /// Every extractor, by name.
        pub static ALL: &[&dyn Extractor] = &[$(&$module::$extractor),*];
    };
}

extractors! {
    apk::Apk,
    bundler::Bundler,
    cargo_lock::CargoLock,
    chisel::Chisel,
    classifiers::Classifiers,
    cocoapods::Cocoapods,
    composer::Composer,
    composer_lock::ComposerLock,
    conan_lock::ConanLock,
    conda::Conda,
    dotnet::Dotnet,
    dpkg::Dpkg,
    elf_note::ElfNote,
    embedded_sbom::EmbeddedSbom,
    erlang::Erlang,
    flatpak::Flatpak,
    github_actions::GithubActions,
    go_binary::GoBinary,
    go_mod::GoMod,
    gradle_lock::GradleLock,
    haskell::Haskell,
    hex_lock::HexLock,
    homebrew::Homebrew,
    java::Java,
    java_runtime::JavaRuntime,
    julia::Julia,
    lua::Lua,
    maven::Maven,
    models::Models,
    msbuild::Msbuild,
    npm::Npm,
    npm_lock::NpmLock,
    nuget_assets::NugetAssets,
    nuget_lock::NugetLock,
    nuget_packages_config::NugetPackagesConfig,
    ocaml::Ocaml,
    opkg::Opkg,
    os_release::OsRelease,
    pacman::Pacman,
    pear::Pear,
    perl::Perl,
    portage::Portage,
    pub_lock::PubLock,
    python::Python,
    python_lock::PythonLock,
    r::R,
    renv_lock::RenvLock,
    requirements::Requirements,
    rpm::Rpm,
    ruby::Ruby,
    rust_binary::RustBinary,
    snap::Snap,
    swift_resolved::SwiftResolved,
    terraform_lock::TerraformLock,
    wordpress::Wordpress,
}

/// Directories that hold what others made: a lock file in them is not that of the project.
const FOREIGN_DIRECTORIES: &[&str] = &[
    ".git",
    ".tox",
    ".venv",
    "bower_components",
    "dist-packages",
    "node_modules",
    "site-packages",
    "vendor",
];

/// The extractors that want a file; those that read what a project needs only where `projects` are read.
pub(crate) fn wanting<'a>(
    file: &'a FileFacts<'a>,
    projects: bool,
) -> impl Iterator<Item = &'static dyn Extractor> + use<'a> {
    let counts = move |extractor: &&dyn Extractor| match extractor.evidence() {
        Evidence::Installed => true,
        Evidence::Project => {
            projects && !file.path.split('/').any(|part| FOREIGN_DIRECTORIES.contains(&part))
        }
    };
    ALL.iter().copied().filter(move |extractor| extractor.wants(file)).filter(counts)
}

/// Identity of the set of extractors: the digest of all names and versions. A result that was kept from an earlier run
/// is good only for the same set.
pub fn extractor_set_version() -> Digest {
    let lines: String =
        ALL.iter().map(|extractor| format!("{} {}\n", extractor.name(), extractor.version())).collect();
    Digest::sha256(lines.as_bytes())
}

/// The reference of all extractors as a Markdown table.
pub fn reference_table() -> String {
    let mut table = String::from("| Extractor | What it reads and finds | Largest file |\n|---|---|---|\n");
    for extractor in ALL {
        table.push_str(&format!(
            "| `{}` | {} | {} MiB |\n",
            extractor.name(),
            extractor.summary(),
            extractor.max_file_size() / (1024 * 1024)
        ));
    }
    table
}

/// The names of the programs that are recognised, sorted.
pub fn recognised_programs() -> Vec<&'static str> {
    classifiers::recognised()
}
