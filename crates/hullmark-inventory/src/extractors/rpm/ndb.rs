//! `Packages.db`, the NDB store that SUSE uses (`lib/backend/ndb/rpmpkg.c` of rpm): a table of slots, and blocks of 16 bytes
//! that they point to. All numbers are little-endian.

use super::bytes::{Order, part};
use super::sink::Sink;

pub(super) const MAGIC: &[u8] = b"RpmP";
const VERSION: u32 = 0;
const SLOT_MAGIC: &[u8] = b"Slot";
const BLOB_MAGIC: &[u8] = b"BlbS";
const PAGE_SIZE: usize = 4096;
const HEADER_SIZE: usize = 32;
const SLOT_SIZE: usize = 16;
const BLOCK_SIZE: usize = 16;
const BLOB_HEADER_SIZE: usize = 16;

/// Reads all packages.
pub(super) fn read(bytes: &[u8], sink: &mut Sink<'_>) {
    let order = Order::Little;
    let Some((version, pages)) = order.u32(bytes, 4).zip(order.size(bytes, 12)) else {
        return sink.broken("the database ends within its header");
    };
    if version != VERSION {
        return sink.unsupported(format!("the database has version {version} of its format, not {VERSION}"));
    }
    let end = pages.saturating_mul(PAGE_SIZE);
    let slots = bytes.get(HEADER_SIZE..end.min(bytes.len())).unwrap_or_default();
    if end > bytes.len() || pages == 0 {
        sink.broken(format!(
            "the database says {pages} pages of slots and is {} bytes long, so that packages are missing",
            bytes.len()
        ));
    }
    for (number, slot) in slots.chunks_exact(SLOT_SIZE).enumerate() {
        if slot.get(..4) != Some(SLOT_MAGIC) {
            sink.broken(format!("slot {number} has no `Slot` mark"));
            continue;
        }
        let index = order.u32(slot, 4).unwrap_or_default();
        if index == 0 {
            continue;
        }
        let start = order.size(slot, 8).unwrap_or_default().saturating_mul(BLOCK_SIZE);
        match blob(bytes, start, index) {
            Some(blob) if sink.allows(blob.len()) => sink.header(format_args!("slot {number}"), blob),
            Some(_) => return,
            None => sink.broken(format!("slot {number} points to offset {start}, where its package is not")),
        }
    }
}

fn blob(bytes: &[u8], start: usize, index: u32) -> Option<&[u8]> {
    let order = Order::Little;
    let header = part(bytes, start, BLOB_HEADER_SIZE)?;
    if header.get(..4) != Some(BLOB_MAGIC) || order.u32(header, 4) != Some(index) {
        return None;
    }
    part(bytes, start.checked_add(BLOB_HEADER_SIZE)?, order.size(header, 12)?)
}
