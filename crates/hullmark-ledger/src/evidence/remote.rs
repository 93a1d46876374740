//! Evidence from a log that is elsewhere: its files are asked for by name, as C2SP tlog-tiles serves them.

use std::collections::BTreeSet;

use hullmark_types::Digest;

use super::{Evidence, Source};
use crate::bundle::{MAX_BUNDLE_SIZE, parse_bundle};
use crate::checkpoint::parse_checkpoint;
use crate::error::LedgerError;
use crate::frontier::TILE_WIDTH;
use crate::hash::{HASH_SIZE, NodeHash};
use crate::key::VerifierKey;
use crate::note::MAX_NOTE_SIZE;
use crate::resource::{Kind, Resource};
use crate::store::{CHECKPOINT, TiledTree};

/// The files of a log that is elsewhere.
pub trait LogFiles {
    /// The file of this name relative to the log, such as `checkpoint` or `tile/0/000.p/11`; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be had, or has more than `limit` bytes.
    fn read(
        &self,
        name: &str,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, Box<dyn std::error::Error + Send + Sync>>;
}

/// Makes the evidence for some entries of a log that is elsewhere, by its present checkpoint. Nothing that is not signed by
/// the key gets into it.
///
/// # Errors
/// A file cannot be had or is damaged, the checkpoint is not signed by the key, or an entry is not the one that was
/// signed.
pub fn evidence_from(
    files: &dyn LogFiles,
    key: &VerifierKey,
    about: &Digest,
    indexes: &BTreeSet<u64>,
) -> Result<Evidence, LedgerError> {
    let damaged = |name: &str, reason: String| LedgerError::RemoteDamaged { name: name.to_owned(), reason };
    let text = read(files, CHECKPOINT, MAX_NOTE_SIZE)?
        .ok_or_else(|| damaged(CHECKPOINT, "it is absent".to_owned()))?;
    let checkpoint = parse_checkpoint(&text)
        .and_then(|checkpoint| checkpoint.verify(key).map(|()| checkpoint))
        .map_err(|error| damaged(CHECKPOINT, error.to_string()))?;
    let size = checkpoint.size();
    let mut tree = TiledTree::reading(size, |wanted| {
        let bytes = read_resource(files, wanted, TILE_WIDTH * HASH_SIZE)?;
        let (hashes, rest) = bytes.as_chunks::<HASH_SIZE>();
        if hashes.len() < wanted.width || !rest.is_empty() {
            return Err(damaged(&wanted.to_string(), format!("it has {} bytes", bytes.len())));
        }
        Ok(hashes.iter().take(wanted.width).map(|hash| NodeHash(*hash)).collect())
    });
    Source { key, checkpoint: &checkpoint }.evidence(about, indexes, &mut tree, |number| {
        let wanted = Resource::at(size, Kind::Entries, number)
            .ok_or(LedgerError::NoSuchEntry { index: number.saturating_mul(TILE_WIDTH as u64), size })?;
        let bytes = read_resource(files, wanted, MAX_BUNDLE_SIZE)?;
        let entries =
            parse_bundle(&bytes).map_err(|error| damaged(&wanted.to_string(), error.to_string()))?;
        Ok(entries.into_iter().map(<[u8]>::to_vec).collect())
    })
}

fn read(files: &dyn LogFiles, name: &str, limit: usize) -> Result<Option<Vec<u8>>, LedgerError> {
    files.read(name, limit).map_err(|source| LedgerError::RemoteRead { name: name.to_owned(), source })
}

/// Reads a resource, or its full version when it has become full since the checkpoint was read.
fn read_resource(files: &dyn LogFiles, wanted: Resource, limit: usize) -> Result<Vec<u8>, LedgerError> {
    for candidate in [wanted, wanted.with_width(TILE_WIDTH)] {
        if let Some(bytes) = read(files, &candidate.to_string(), limit)? {
            return Ok(bytes);
        }
    }
    Err(LedgerError::RemoteDamaged { name: wanted.to_string(), reason: "it is absent".to_owned() })
}
