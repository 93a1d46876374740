//! `Packages`, a hash of Berkeley DB (`dbinc/db_page.h` of Berkeley DB), which rpm used until 4.16. Each package is an item of a
//! hash page; one that is larger than a quarter of a page is in a chain of overflow pages. Numbers have the byte order of the
//! machine that wrote the file.

use super::bytes::{Order, part};
use super::sink::Sink;

const MAGIC: u32 = 0x0006_1561;
const MAGIC_AT: usize = 12;
const PAGE_HEADER: usize = 26;

/// Types of pages. An older hash page differs in the order of its items only.
const UNSORTED_HASH_PAGE: u8 = 2;
const OVERFLOW_PAGE: u8 = 7;
const METADATA_PAGE: u8 = 8;
const HASH_PAGE: u8 = 13;

/// Types of items.
const INLINE: u8 = 1;
const DUPLICATES: u8 = 2;
const OFF_PAGE: u8 = 3;
const OFF_PAGE_DUPLICATES: u8 = 4;

/// The flag of pages that carry a checksum, which moves what follows.
const CHECKSUMS: u8 = 1;

/// The byte order of a hash; `None` when the bytes are none.
pub(super) fn order(bytes: &[u8]) -> Option<Order> {
    [Order::Little, Order::Big].into_iter().find(|order| order.u32(bytes, MAGIC_AT) == Some(MAGIC))
}

/// Reads all packages. `order` is that of the file.
pub(super) fn read(bytes: &[u8], order: Order, sink: &mut Sink<'_>) {
    let size = order.size(bytes, 20).unwrap_or_default();
    let byte = |at: usize| bytes.get(at).copied().unwrap_or_default();
    if byte(25) != METADATA_PAGE || !size.is_power_of_two() || !(512..=65_536).contains(&size) {
        return sink.broken("the first page of the database is malformed");
    }
    if byte(24) != 0 || byte(26) & CHECKSUMS != 0 {
        return sink.unsupported("the database is encrypted, or its pages carry checksums");
    }
    let pages = order.size(bytes, 32).unwrap_or_default().saturating_add(1);
    let actual = bytes.len() / size;
    if pages > actual {
        sink.broken(format!(
            "the database says {pages} pages and has {actual}, so that packages may be missing"
        ));
    }
    let store = Store { bytes, order, size };
    for number in 1..pages.min(actual) {
        if let Some(page) = store.page(number)
            && matches!(page.get(25), Some(&HASH_PAGE | &UNSORTED_HASH_PAGE))
            && !store.hash_page(number, page, sink)
        {
            return;
        }
    }
}

struct Store<'a> {
    bytes: &'a [u8],
    order: Order,
    size: usize,
}

impl<'a> Store<'a> {
    fn page(&self, number: usize) -> Option<&'a [u8]> {
        part(self.bytes, number.checked_mul(self.size)?, self.size)
    }

    /// Reads the pairs of a page: keys at even places, and what they stand for behind each. Returns whether to go on.
    fn hash_page(&self, number: usize, page: &[u8], sink: &mut Sink<'_>) -> bool {
        let count = self.order.short(page, 20).unwrap_or_default();
        if !count.is_multiple_of(2) || PAGE_HEADER + 2 * count > page.len() {
            sink.broken(format!("page {number} says that it has {count} items"));
            return true;
        }
        // Items are laid down from the end of the page, so that each ends where the one before begins.
        let starts =
            (0..count).map(|index| self.order.short(page, PAGE_HEADER + 2 * index).unwrap_or_default());
        let mut end = page.len();
        let mut key: &[u8] = &[];
        for (index, start) in starts.enumerate() {
            let item = page.get(start..end).unwrap_or_default();
            end = start;
            if index % 2 == 0 {
                key = item;
                continue;
            }
            let place = Place { page: number, item: index };
            match item {
                // What stands for the key 0 is the number of the next package.
                [INLINE, ..] if matches!(key, [INLINE, 0, 0, 0, 0]) => {}
                [INLINE, package @ ..] if sink.allows(package.len()) => sink.header(place, package),
                [OFF_PAGE, ..] => match self.off_page(item, sink) {
                    Ok(package) => sink.header(place, &package),
                    Err(Chain::Limit) => return false,
                    Err(Chain::Broken(why)) => sink.broken(format!("the package at {place} {why}")),
                },
                [INLINE, ..] => return false,
                [DUPLICATES | OFF_PAGE_DUPLICATES, ..] => {
                    sink.broken(format!("there are several packages at {place}"));
                }
                _ => sink.broken(format!("there is no package at {place}")),
            }
        }
        true
    }

    /// Puts an item together that is in a chain of pages. The chain ends with the length that the item says, so that one that
    /// leads in a circle ends too.
    fn off_page(&self, item: &[u8], sink: &mut Sink<'_>) -> Result<Vec<u8>, Chain> {
        let (Some(mut number), Some(length)) = (self.order.size(item, 4), self.order.size(item, 8)) else {
            return Err(Chain::Broken("points nowhere"));
        };
        if !sink.allows(length) {
            return Err(Chain::Limit);
        }
        let mut package = Vec::with_capacity(length);
        while package.len() < length {
            let page = self.page(number).filter(|page| number != 0 && page.get(25) == Some(&OVERFLOW_PAGE));
            let Some(page) = page else {
                return Err(Chain::Broken("is in a chain of pages that leads to one of another kind"));
            };
            let used = self.order.short(page, 22).unwrap_or_default().min(length - package.len());
            match part(page, PAGE_HEADER, used) {
                Some(content) if used > 0 => package.extend_from_slice(content),
                _ => {
                    return Err(Chain::Broken(
                        "is in a page that says that it holds more than it can, or nothing",
                    ));
                }
            }
            number = self.order.size(page, 16).unwrap_or_default();
        }
        Ok(package)
    }
}

/// Why a chain of pages is no package.
enum Chain {
    Limit,
    Broken(&'static str),
}

#[derive(Clone, Copy)]
struct Place {
    page: usize,
    item: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "page {}, item {}", self.page, self.item)
    }
}
