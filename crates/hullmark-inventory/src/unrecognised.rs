//! Programs of which nothing is known: no package installed them, and no extractor found anything in them. That is said.

use std::collections::{BTreeMap, BTreeSet};

use hullmark_types::{Diagnostic, ProgramKind};

use crate::merge::Placed;
use crate::program::Program;
use crate::root::{LiveFile, LiveNode, Root};
use crate::text::excerpt;

/// The most directories of which it is said, each in each layer.
const MAX_GROUPS: usize = 100;
/// How many programs of a directory are named.
const NAMED: usize = 4;

/// Extractors that read one file in a directory for all that is in it.
const READ_FOR_DIRECTORY: &[&str] = &["dotnet", "java-runtime"];

/// Directories whose programs belong to packages, of which it is not listed which files they have.
const OF_PACKAGES: &[&str] =
    &["Caskroom", "Cellar", "dist-packages", "gems", "node_modules", "site-packages"];
const BELOW: &[&str] = &["nix/store/", "snap/", "var/lib/flatpak/"];

/// A program, and the layer that brought it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unknown<'a> {
    pub(crate) path: &'a str,
    layer: u32,
}

/// The programs in which nothing was found and that belong to no package of a language.
pub(crate) fn candidates<'a>(root: &'a Root<'_>, packages: &[Placed<'_>]) -> Vec<Unknown<'a>> {
    let of_directories = packages.iter().filter(|found| READ_FOR_DIRECTORY.contains(&found.found_by));
    let directories: BTreeSet<&str> =
        of_directories.filter_map(|found| Some(found.path.rsplit_once('/')?.0)).collect();
    let nodes = root.nodes().filter_map(|(path, live)| {
        let LiveNode::File(LiveFile { content, program: Some(program) }) = live.node else { return None };
        let said = content.is_some_and(|content| {
            content.values().any(|found| !found.packages.is_empty() || !found.diagnostics.is_empty())
        });
        (!said && is_executable(path, program)).then_some(Unknown { path, layer: live.layer })
    });
    nodes.filter(|unknown| !is_of_package(unknown.path, &directories)).collect()
}

/// Whether it is a program that can be started, and neither a script nor a shared object.
fn is_executable(path: &str, program: &Program) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let is_library =
        || name.contains(".so.") || [".so", ".node", ".ko", ".o"].iter().any(|end| name.ends_with(end));
    match program.kind {
        ProgramKind::Elf => program.mode & 0o111 != 0 && !is_library(),
        ProgramKind::Other => name.ends_with(".exe"),
        ProgramKind::Script => false,
    }
}

fn is_of_package(path: &str, directories: &BTreeSet<&str>) -> bool {
    let mut above = path.rsplit_once('/').map(|(directory, _)| directory);
    while let Some(directory) = above {
        if directories.contains(directory) {
            return true;
        }
        above = directory.rsplit_once('/').map(|(directory, _)| directory);
    }
    BELOW.iter().any(|directory| path.starts_with(directory))
        || path.split('/').any(|part| OF_PACKAGES.contains(&part))
}

/// One gap for each directory and layer with such programs.
pub(crate) fn gaps<'a>(unknown: impl Iterator<Item = Unknown<'a>>) -> Vec<Diagnostic> {
    let mut groups: BTreeMap<(&str, u32), Vec<&str>> = BTreeMap::new();
    for one in unknown {
        let (directory, name) = one.path.rsplit_once('/').unwrap_or(("", one.path));
        groups.entry((directory, one.layer)).or_default().push(name);
    }
    let unsaid: usize = groups.values().skip(MAX_GROUPS).map(Vec::len).sum();
    let mut gaps: Vec<_> = groups
        .into_iter()
        .take(MAX_GROUPS)
        .map(|((directory, layer), names)| {
            let named: Vec<_> = names.iter().take(NAMED).map(|name| format!("`{}`", excerpt(name))).collect();
            let more = match names.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let message = match names.as_slice() {
                [_] => "no package has this program and nothing is recognised in it, so it is not assessed".to_owned(),
                _ => format!(
                    "no package has the programs {}{more} and nothing is recognised in them, so they are not assessed",
                    named.join(", ")
                ),
            };
            let path = match names.as_slice() {
                [name] if directory.is_empty() => (*name).to_owned(),
                [name] => format!("{directory}/{name}"),
                _ => directory.to_owned(),
            };
            Diagnostic::gap("unrecognised-program", path, message).in_layer(layer)
        })
        .collect();
    if unsaid > 0 {
        let message =
            format!("{unsaid} more programs in other directories are in no package and not recognised");
        gaps.push(Diagnostic::gap("unrecognised-program", "", message));
    }
    gaps
}
