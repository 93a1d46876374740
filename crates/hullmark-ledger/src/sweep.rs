//! What lies in the directory besides the ledger of the checkpoint: left by a killed process, or put there.

use std::fs;
use std::path::Path;

use crate::error::LedgerError;
use crate::files::{Publisher, TEMPORARY, is_absent};
use crate::frontier::TILE_WIDTH;
use crate::resource::{MAX_DEPTH, Resource, width_at};

/// Most names that are looked at: a ledger of four billion entries has fewer.
const MAX_NAMES: u64 = 40_000_000;

/// Why a file is not part of the ledger of the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extra {
    /// A file that was never completed.
    Temporary,
    /// Written, but its checkpoint never was.
    AheadOfCheckpoint,
    /// A narrower version of a tile or bundle, from an earlier checkpoint.
    Superseded,
    /// Nothing a ledger writes.
    Unknown,
}

/// Takes the path of a file that is not part of the ledger, what it is, and the resource it would be.
pub(crate) type Visit<'a> = dyn FnMut(&str, Extra, Option<Resource>) -> Result<(), LedgerError> + 'a;

/// Calls `each` for every file under `tile/` that a tree of `size` entries does not consist of, in order of names.
///
/// The resource is given where the name is that of one. Returns false when there were too many names to look at all.
pub(crate) fn extras(root: &Path, size: u64, each: &mut Visit<'_>) -> Result<bool, LedgerError> {
    let mut budget = MAX_NAMES;
    walk(root, "tile", 1, size, &mut budget, each)?;
    Ok(budget > 0)
}

fn walk(
    root: &Path,
    relative: &str,
    depth: usize,
    size: u64,
    budget: &mut u64,
    each: &mut Visit<'_>,
) -> Result<(), LedgerError> {
    let directory = root.join(relative);
    let listing = match fs::read_dir(&directory) {
        Ok(listing) => listing,
        // A directory may vanish while another process appends.
        Err(error) if is_absent(&error) => return Ok(()),
        Err(error) => return Err(LedgerError::io("list", &directory)(error)),
    };
    let mut names = Vec::new();
    for item in listing {
        if *budget == 0 {
            break;
        }
        *budget -= 1;
        let item = item.map_err(LedgerError::io("list", &directory))?;
        let is_directory = item.file_type().map_err(LedgerError::io("read", &item.path()))?.is_dir();
        names.push((item.file_name(), is_directory));
    }
    names.sort();
    for (name, is_directory) in names {
        let Some(name) = name.to_str() else {
            each(&format!("{relative}/{}", name.to_string_lossy()), Extra::Unknown, None)?;
            continue;
        };
        let path = format!("{relative}/{name}");
        if is_directory && depth < MAX_DEPTH {
            walk(root, &path, depth + 1, size, budget, each)?;
        } else if let Some((extra, resource)) = classify(&path, size) {
            each(&path, extra, resource)?;
        }
    }
    Ok(())
}

/// `None` for a file the ledger consists of.
fn classify(path: &str, size: u64) -> Option<(Extra, Option<Resource>)> {
    if let Some(stem) = path.strip_suffix(TEMPORARY) {
        let extra = if Resource::parse(stem).is_some() { Extra::Temporary } else { Extra::Unknown };
        return Some((extra, None));
    }
    let Some(resource) = Resource::parse(path) else { return Some((Extra::Unknown, None)) };
    let width = width_at(size, resource.kind.level(), resource.index);
    match resource.width.cmp(&width) {
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Less => Some((Extra::Superseded, Some(resource))),
        std::cmp::Ordering::Greater => Some((Extra::AheadOfCheckpoint, Some(resource))),
    }
}

/// Removes what a killed process left. Must be called under the lock. Files a ledger never writes are left alone.
pub(crate) fn sweep(publisher: &mut Publisher<'_>, root: &Path, size: u64) -> Result<(), LedgerError> {
    for name in [crate::store::CHECKPOINT, crate::keyfiles::PRIVATE_KEY, crate::keyfiles::PUBLIC_KEY] {
        let temporary = format!("{name}{TEMPORARY}");
        if root.join(&temporary).exists() {
            publisher.discard(&temporary);
        }
    }
    extras(root, size, &mut |path, extra, resource| {
        if extra != Extra::Unknown {
            publisher.discard(path);
            if let Some(resource) = resource.filter(|resource| resource.width < TILE_WIDTH) {
                publisher.discard_directory(&resource.partial_directory());
            }
        }
        Ok(())
    })?;
    Ok(())
}
