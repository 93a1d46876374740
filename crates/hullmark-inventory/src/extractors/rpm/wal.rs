//! `rpmdb.sqlite-wal`: what was written to an SQLite database last, and is not in the file of the database yet
//! (<https://www.sqlite.org/fileformat.html#the_write_ahead_log>). A database that was closed in order has none.

use std::collections::BTreeMap;

use super::bytes::{Order, part};
use super::package;
use super::sink::Sink;
use super::sqlite::{Broken, Pages, blob_of_package, is_page_size};

/// The checksums are of numbers of the one or the other byte order.
const MAGIC_LITTLE: u32 = 0x377f_0682;
const MAGIC_BIG: u32 = 0x377f_0683;
const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// Reads the packages that are in the pages of the log. A package of which a part is in the database only was there before.
pub(super) fn read(bytes: &[u8], sink: &mut Sink<'_>) {
    let Some((size, starts)) = committed(bytes) else {
        return sink.broken("the header of the log of the database is malformed");
    };
    if starts.is_empty() {
        return;
    }
    let count = starts.len();
    let numbers: Vec<usize> = starts.keys().copied().collect();
    let pages = Pages::of_log(bytes, size, starts);
    for number in numbers {
        for index in 0..pages.leaf_length(number) {
            match pages.leaf_record(number, index, sink) {
                Ok((row, record)) => {
                    if let Some(blob) = blob_of_package(&record)
                        && package::read(blob).is_ok()
                    {
                        sink.header(format_args!("row {row}"), blob);
                    }
                }
                Err(Broken::Limit) => return,
                Err(Broken::Malformed) => {}
            }
        }
    }
    sink.note(
        "package-database-log",
        format!("the database was not closed in order: {count} pages of it are in its log; packages that they removed or replaced may be listed as well"),
    );
}

/// The size of a page, and where in the log each page is as it was last committed. What follows the first frame that is not whole
/// is from before the log was begun anew, or was never finished.
fn committed(bytes: &[u8]) -> Option<(usize, BTreeMap<usize, usize>)> {
    let order = match Order::Big.u32(bytes, 0)? {
        MAGIC_LITTLE => Order::Little,
        MAGIC_BIG => Order::Big,
        _ => return None,
    };
    let size = Order::Big.size(bytes, 8).filter(|size| is_page_size(*size))?;
    let salt = part(bytes, 16, 8)?;
    let mut sum = checksum(order, part(bytes, 0, 24)?, (0, 0));
    if Some(sum) != sum_at(bytes, 24) {
        return None;
    }
    let (mut starts, mut pending) = (BTreeMap::new(), Vec::new());
    let frames = bytes.get(HEADER..).unwrap_or_default().chunks_exact(FRAME_HEADER + size);
    for (position, frame) in frames.enumerate() {
        let content = frame.get(FRAME_HEADER..).unwrap_or_default();
        let numbers = Order::Big.size(frame, 0).zip(Order::Big.u32(frame, 4));
        let (Some((number, commit)), Some(head)) = (numbers, part(frame, 0, 8)) else { break };
        sum = checksum(order, content, checksum(order, head, sum));
        if part(frame, 8, 8) != Some(salt) || sum_at(frame, 16) != Some(sum) {
            break;
        }
        pending.push((number, HEADER + position * (FRAME_HEADER + size) + FRAME_HEADER));
        if commit != 0 {
            starts.extend(pending.drain(..));
        }
    }
    Some((size, starts))
}

fn sum_at(bytes: &[u8], at: usize) -> Option<(u32, u32)> {
    Order::Big.u32(bytes, at).zip(Order::Big.u32(bytes, at + 4))
}

/// The checksum of `bytes`, of which there are a multiple of eight, behind what `sum` is of.
fn checksum(order: Order, bytes: &[u8], sum: (u32, u32)) -> (u32, u32) {
    bytes.chunks_exact(8).fold(sum, |(one, other), pair| {
        let number = |at| order.u32(pair, at).unwrap_or_default();
        let one = one.wrapping_add(number(0)).wrapping_add(other);
        (one, other.wrapping_add(number(4)).wrapping_add(one))
    })
}
