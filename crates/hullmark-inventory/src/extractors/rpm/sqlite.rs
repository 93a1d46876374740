//! `rpmdb.sqlite`: the table `Packages` of an SQLite database (<https://www.sqlite.org/fileformat.html>), of which only what a
//! table scan needs is read.

use std::collections::{BTreeMap, BTreeSet};

use super::bytes::{Order, part};
use super::sink::Sink;

pub(super) const MAGIC: &[u8] = b"SQLite format 3\0";
const FILE_HEADER: usize = 100;
const TABLE: &str = "Packages";
const UTF_8: u32 = 1;

/// Types of pages of a table.
const INTERIOR: u8 = 5;
const LEAF: u8 = 13;

/// The pages of a database, numbered from 1.
pub(super) struct Pages<'a> {
    bytes: &'a [u8],
    size: usize,
    /// Of each page, what is not reserved for others.
    usable: usize,
    /// Where each page is, when they are not in their order.
    starts: Option<BTreeMap<usize, usize>>,
}

/// What a row holds: the fields of its record, each a type and bytes.
type Fields<'a> = Vec<(u64, &'a [u8])>;

/// Reads all packages.
pub(super) fn read(bytes: &[u8], sink: &mut Sink<'_>) {
    let Some(pages) = Pages::new(bytes) else {
        return sink.broken("the header of the database is malformed");
    };
    if !matches!(Order::Big.u32(bytes, 56), Some(0 | UTF_8)) {
        return sink.unsupported("the texts of the database are not in UTF-8");
    }
    let mut root = None;
    pages.scan(1, sink, |_, _, record| {
        if root.is_none() {
            root = fields(record).as_deref().and_then(table_root);
        }
        true
    });
    let Some(root) = root else {
        // A database that was never written to has no tables.
        if bytes.len() > pages.size {
            sink.broken(format!("the database has no table `{TABLE}`"));
        }
        return;
    };
    pages.scan(root, sink, |sink, row, record| {
        match blob_of_package(record) {
            Some(blob) => sink.header(format_args!("row {row}"), blob),
            None => sink.broken(format!("row {row} of table `{TABLE}` holds no package")),
        }
        true
    });
}

impl<'a> Pages<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let size = match Order::Big.short(bytes, 16)? {
            1 => 65_536,
            size => size,
        };
        let usable = size.checked_sub(usize::from(*bytes.get(20)?))?;
        // A page of which less can be used has no room for a record.
        (is_page_size(size) && usable >= 480).then_some(Self { bytes, size, usable, starts: None })
    }

    /// The pages in a log; `starts` says where each is.
    pub(super) fn of_log(bytes: &'a [u8], size: usize, starts: BTreeMap<usize, usize>) -> Self {
        Self { bytes, size, usable: size, starts: Some(starts) }
    }

    fn page(&self, number: usize) -> Option<&'a [u8]> {
        let start = match &self.starts {
            Some(starts) => *starts.get(&number)?,
            None => number.checked_sub(1)?.checked_mul(self.size)?,
        };
        part(self.bytes, start, self.size)?.get(..self.usable)
    }

    /// How many records a page has, when it is a leaf of a table.
    pub(super) fn leaf_length(&self, number: usize) -> usize {
        let start = start_of_page(number);
        match self.page(number) {
            Some(page) if page.get(start) == Some(&LEAF) => {
                Order::Big.short(page, start + 3).unwrap_or_default()
            }
            _ => 0,
        }
    }

    /// One of the records of such a page, with the number of its row.
    pub(super) fn leaf_record(
        &self,
        number: usize,
        index: usize,
        sink: &mut Sink<'_>,
    ) -> Result<(u64, Vec<u8>), Broken> {
        let page = self.page(number).unwrap_or_default();
        match Order::Big.short(page, start_of_page(number) + 8 + 2 * index) {
            Some(at) => self.record(page, at, sink),
            None => Err(Broken::Malformed),
        }
    }

    /// Gives the records of a table to `each`, with the number of their row, in the order of the tree, until it returns
    /// `false`. Each page is read once only.
    fn scan(
        &self,
        root: usize,
        sink: &mut Sink<'_>,
        mut each: impl FnMut(&mut Sink<'_>, u64, &[u8]) -> bool,
    ) {
        let mut seen = BTreeSet::new();
        let mut pending = Vec::from([root]);
        let most = self.bytes.len() / self.size;
        while let Some(number) = pending.pop() {
            if pending.len() > most {
                return sink.broken("the tree of the database has more branches than there are pages");
            }
            let Some(page) = self.page(number) else {
                sink.broken(format!("page {number} is beyond the end of the database"));
                continue;
            };
            if !seen.insert(number) {
                sink.broken(format!("page {number} is in the tree of the database twice"));
                continue;
            }
            let start = start_of_page(number);
            let count = Order::Big.short(page, start + 3).unwrap_or_default();
            let cell = |index: usize, header: usize| Order::Big.short(page, start + header + 2 * index);
            match page.get(start) {
                Some(&INTERIOR) => {
                    // In reverse, for the last that is put on the stack is the first that is taken.
                    pending.extend(Order::Big.size(page, start + 8));
                    for index in (0..count).rev() {
                        match cell(index, 12).and_then(|at| Order::Big.size(page, at)) {
                            Some(child) => pending.push(child),
                            None => sink.broken(format!("page {number} of the database is malformed")),
                        }
                    }
                }
                Some(&LEAF) => {
                    for index in 0..count {
                        match self.leaf_record(number, index, sink) {
                            Ok((row, record)) => {
                                if !each(sink, row, &record) {
                                    return;
                                }
                            }
                            Err(Broken::Limit) => return,
                            Err(Broken::Malformed) => {
                                sink.broken(format!("record {index} of page {number} is malformed"));
                            }
                        }
                    }
                }
                _ => sink.broken(format!("page {number} is no page of a table")),
            }
        }
    }

    /// The number and the record of the row whose cell is at `at`.
    fn record(&self, page: &[u8], at: usize, sink: &mut Sink<'_>) -> Result<(u64, Vec<u8>), Broken> {
        let (length, at) = varint(page, at).ok_or(Broken::Malformed)?;
        let (row, at) = varint(page, at).ok_or(Broken::Malformed)?;
        let length = usize::try_from(length).map_err(|_| Broken::Malformed)?;
        if !sink.allows(length) {
            return Err(Broken::Limit);
        }
        let local = self.local(length);
        let mut record = Vec::with_capacity(length);
        record.extend_from_slice(part(page, at, local).ok_or(Broken::Malformed)?);
        let mut next = if local < length { Order::Big.size(page, at + local) } else { None };
        // What follows is in a chain of pages; each has a part of it, so that the chain ends with the record.
        while record.len() < length {
            let page = next.and_then(|number| self.page(number)).ok_or(Broken::Malformed)?;
            let content = page.get(4..).unwrap_or_default();
            record.extend_from_slice(content.get(..length - record.len()).unwrap_or(content));
            next = Order::Big.size(page, 0);
        }
        Ok((row, record))
    }

    /// How much of a record of `length` bytes is in the page of its cell.
    fn local(&self, length: usize) -> usize {
        let most = self.usable - 35;
        if length <= most {
            return length;
        }
        let least = (self.usable - 12) * 32 / 255 - 23;
        let wanted = least + (length - least) % (self.usable - 4);
        if wanted <= most { wanted } else { least }
    }
}

/// Why there is no record.
pub(super) enum Broken {
    /// Enough was read.
    Limit,
    /// It is malformed, or not all there.
    Malformed,
}

/// Where the content of a page begins: the first has the header of the file before it.
fn start_of_page(number: usize) -> usize {
    if number == 1 { FILE_HEADER } else { 0 }
}

/// Whether pages may have this size.
pub(super) fn is_page_size(size: usize) -> bool {
    size.is_power_of_two() && (512..=65_536).contains(&size)
}

/// The header of a package in a record of the table of packages.
pub(super) fn blob_of_package(record: &[u8]) -> Option<&[u8]> {
    let fields = fields(record)?;
    fields.into_iter().rev().find(|(kind, _)| is_blob(*kind)).map(|(_, blob)| blob)
}

/// A number of one to nine bytes, and where it ends.
fn varint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut number = 0_u64;
    for (index, byte) in bytes.get(at..)?.iter().take(9).enumerate() {
        if index == 8 {
            return Some((number << 8 | u64::from(*byte), at + 9));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((number, at + index + 1));
        }
    }
    None
}

/// Splits a record; `None` when it is malformed.
fn fields(record: &[u8]) -> Option<Fields<'_>> {
    const MAX_FIELDS: usize = 64;
    let (header, mut at) = varint(record, 0)?;
    let header = usize::try_from(header).ok()?;
    let mut start = header;
    let mut fields = Vec::new();
    while at < header && fields.len() < MAX_FIELDS {
        let (kind, next) = varint(record, at)?;
        let length = usize::try_from(content_length(kind)).ok()?;
        fields.push((kind, part(record, start, length)?));
        (at, start) = (next, start.checked_add(length)?);
    }
    Some(fields)
}

/// How many bytes a field of a type has.
fn content_length(kind: u64) -> u64 {
    match kind {
        0 | 8..=11 => 0,
        1..=4 => kind,
        5 => 6,
        6 | 7 => 8,
        _ => (kind - 12) / 2,
    }
}

fn is_blob(kind: u64) -> bool {
    kind >= 12 && kind.is_multiple_of(2)
}

/// The first page of the table of packages, when the row of the schema (type, name, table, page, text) is its own.
fn table_root(fields: &[(u64, &[u8])]) -> Option<usize> {
    let [(_, kind), (_, name), _, (_, root), ..] = fields else { return None };
    if *kind != b"table" || *name != TABLE.as_bytes() || root.len() > 8 {
        return None;
    }
    usize::try_from(root.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_to_nine_bytes() {
        let check = |bytes: &[u8], expected| assert_eq!(varint(bytes, 0), expected, "{bytes:?}");
        check(&[0x7f], Some((127, 1)));
        check(&[0x81, 0x00], Some((128, 2)));
        check(&[0xff; 9], Some((u64::MAX, 9)));
        check(&[0xff; 8], None);
        check(&[], None);
    }
}
