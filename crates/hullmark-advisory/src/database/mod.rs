//! The file: its layout, its reader and its builder.
//!
//! ```text
//! header   magic, version, number of sections, then for each section its kind, offset, length and SHA-256
//! sections meta | keys directory | keys | ids directory | ids | exploited directory | exploited
//!          | records directory | records
//! ```
//!
//! All numbers are little-endian. The sections follow each other without a gap, and the last one ends the file. The
//! identity of a database is the SHA-256 of its header, which holds the SHA-256 of every section; it is computed at
//! each opening and not taken on trust.
//!
//! - *meta* is JSON: when the database was built, and the status of each feed.
//! - *keys*, *ids* and *exploited* are sorted tables ([`table`]): from ecosystem and package name to record numbers,
//!   from advisory id or alias to record numbers, and from CVE id to the entry of the catalogue.
//! - *records* are advisories as JSON in small independently compressed blocks ([`records`]), sorted by the first package
//!   they name, so that the advisories of one package lie together.
//!
//! Opening checks the header, the meta section and the directories. Every block of a table or of records carries a
//! checksum of its own and is checked when it is touched: a damaged file gives an error, never a missing advisory.

mod build;
mod error;
mod header;
mod primitive;
mod read;
mod records;
mod table;

pub(crate) use build::replace;
pub use build::{BuildError, Builder, FeedData, unfinished_prefix};
pub use error::DatabaseError;
pub use read::{Database, Records};

/// Separates ecosystem and package name in a key; neither can contain it.
const SEPARATOR: u8 = 0;

/// The key of a package in the table of keys; `None` when a part holds the separator, which no real name does.
fn package_key(ecosystem: &str, name: &str) -> Option<Vec<u8>> {
    if ecosystem.as_bytes().contains(&SEPARATOR) || name.as_bytes().contains(&SEPARATOR) {
        return None;
    }
    let mut key = Vec::with_capacity(ecosystem.len() + name.len() + 1);
    key.extend_from_slice(ecosystem.as_bytes());
    key.push(SEPARATOR);
    key.extend_from_slice(name.as_bytes());
    Some(key)
}
