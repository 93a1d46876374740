//! Databases of rpm: headers of packages, and the three stores that hold them.

/// Tags of headers (`rpmtag.h`).
pub mod rpm_tag {
    #![allow(missing_docs, reason = "the names of rpmtag.h")]
    pub const SIGMD5: u32 = 261;
    pub const RSAHEADER: u32 = 268;
    pub const NAME: u32 = 1000;
    pub const VERSION: u32 = 1001;
    pub const RELEASE: u32 = 1002;
    pub const EPOCH: u32 = 1003;
    pub const VENDOR: u32 = 1011;
    pub const LICENSE: u32 = 1014;
    pub const ARCH: u32 = 1022;
    pub const OLDFILENAMES: u32 = 1027;
    pub const SOURCERPM: u32 = 1044;
    pub const DIRINDEXES: u32 = 1116;
    pub const BASENAMES: u32 = 1117;
    pub const DIRNAMES: u32 = 1118;
    pub const PAYLOADDIGEST: u32 = 5092;
    pub const PAYLOADDIGESTALGO: u32 = 5093;
    pub const MODULARITYLABEL: u32 = 5096;
}

/// Writes the header of a package.
#[derive(Debug, Clone, Default)]
pub struct RpmHeader {
    entries: Vec<(u32, u32, u32, Vec<u8>)>,
}

impl RpmHeader {
    /// A package with a name, a version, a release and an architecture.
    pub fn new(name: &str, version: &str, release: &str, architecture: &str) -> Self {
        Self::default()
            .text(rpm_tag::NAME, name)
            .text(rpm_tag::VERSION, version)
            .text(rpm_tag::RELEASE, release)
            .text(rpm_tag::ARCH, architecture)
    }

    /// Adds data of a type that has `count` parts.
    #[must_use]
    pub fn data(mut self, tag: u32, kind: u32, count: u32, data: &[u8]) -> Self {
        self.entries.push((tag, kind, count, data.to_owned()));
        self
    }

    /// Adds a text.
    #[must_use]
    pub fn text(self, tag: u32, text: &str) -> Self {
        self.data(tag, 6, 1, &[text.as_bytes(), b"\0"].concat())
    }

    /// Adds several texts.
    #[must_use]
    pub fn texts(self, tag: u32, texts: &[&str]) -> Self {
        let data: Vec<u8> = texts.iter().flat_map(|text| [text.as_bytes(), b"\0"].concat()).collect();
        self.data(tag, 8, texts.len() as u32, &data)
    }

    /// Adds numbers of 32 bits.
    #[must_use]
    pub fn numbers(self, tag: u32, numbers: &[u32]) -> Self {
        let data: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        self.data(tag, 4, numbers.len() as u32, &data)
    }

    /// Adds bytes.
    #[must_use]
    pub fn binary(self, tag: u32, bytes: &[u8]) -> Self {
        self.data(tag, 7, bytes.len() as u32, bytes)
    }

    /// Adds a list of files: absolute paths, as directories, names, and which name is in which directory.
    #[must_use]
    pub fn files(self, paths: &[&str]) -> Self {
        let mut directories: Vec<String> = Vec::new();
        let (mut names, mut indexes) = (Vec::new(), Vec::new());
        for path in paths {
            let (directory, name) = path.rsplit_once('/').expect("paths are absolute");
            let directory = format!("{directory}/");
            let index = directories.iter().position(|known| *known == directory).unwrap_or_else(|| {
                directories.push(directory);
                directories.len() - 1
            });
            names.push(name);
            indexes.push(index as u32);
        }
        let directories: Vec<&str> = directories.iter().map(String::as_str).collect();
        self.numbers(rpm_tag::DIRINDEXES, &indexes)
            .texts(rpm_tag::BASENAMES, &names)
            .texts(rpm_tag::DIRNAMES, &directories)
    }

    /// The header as it is in a database: sorted by tag, numbers aligned.
    pub fn bytes(&self) -> Vec<u8> {
        let mut entries = self.entries.clone();
        entries.sort_by_key(|(tag, ..)| *tag);
        let (mut index, mut data) = (Vec::new(), Vec::new());
        for (tag, kind, count, bytes) in &entries {
            if *kind == 4 {
                data.resize(usize::next_multiple_of(data.len(), 4), 0);
            }
            for number in [*tag, *kind, data.len() as u32, *count] {
                index.extend(number.to_be_bytes());
            }
            data.extend(bytes);
        }
        let mut header = (entries.len() as u32).to_be_bytes().to_vec();
        header.extend((data.len() as u32).to_be_bytes());
        header.extend(index);
        header.extend(data);
        header
    }
}

/// `Packages`: a hash of Berkeley DB with one bucket, as a machine of either byte order writes it.
pub fn rpm_berkeley(headers: &[Vec<u8>], page_size: usize, big_endian: bool) -> Vec<u8> {
    const PAGE_HEADER: usize = 26;
    let long = |number: usize| match big_endian {
        true => (number as u32).to_be_bytes(),
        false => (number as u32).to_le_bytes(),
    };
    let short = |number: usize| match big_endian {
        true => (number as u16).to_be_bytes(),
        false => (number as u16).to_le_bytes(),
    };
    let put = |page: &mut Vec<u8>, at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
    // What is in a page of overflow, and the items of hash pages: the counter of packages first.
    let mut overflow: Vec<(Vec<u8>, bool)> = Vec::new();
    let mut pairs = Vec::from([(vec![1, 0, 0, 0, 0], [&[1][..], &long(headers.len())].concat())]);
    for (number, header) in headers.iter().enumerate() {
        let key = [&[1][..], &long(number + 1)].concat();
        let value = if header.len() > page_size / 4 {
            // The number of the page is put in when it is known how many hash pages there are.
            let value = [&[3, 0, 0, 0][..], &long(overflow.len()), &long(header.len())].concat();
            let parts: Vec<_> = header.chunks(page_size - PAGE_HEADER).collect();
            overflow.extend(parts.iter().enumerate().map(|(at, part)| (part.to_vec(), at + 1 < parts.len())));
            value
        } else {
            [&[1][..], header].concat()
        };
        pairs.push((key, value));
    }
    let mut groups: Vec<Vec<_>> = vec![Vec::new()];
    let mut free = page_size - PAGE_HEADER;
    for pair in pairs {
        let needed = pair.0.len() + pair.1.len() + 4;
        if needed > free {
            groups.push(Vec::new());
            free = page_size - PAGE_HEADER;
        }
        free -= needed;
        groups.last_mut().expect("there is one").push(pair);
    }
    let first_overflow = 1 + groups.len();
    let last = groups.len() + overflow.len();
    let mut meta = vec![0; page_size];
    for (at, number) in
        [(12, 0x0006_1561), (16, 9), (20, page_size), (32, last), (88, headers.len()), (96, 1)]
    {
        put(&mut meta, at, &long(number));
    }
    meta[25] = 8;
    let mut file = meta;
    let empty = |number: usize, next: usize, kind: u8| {
        let mut page = vec![0; page_size];
        put(&mut page, 8, &long(number));
        put(&mut page, 16, &long(next));
        page[25] = kind;
        page
    };
    let count = groups.len();
    for (position, group) in groups.into_iter().enumerate() {
        let number = position + 1;
        let mut page = empty(number, if number < count { number + 1 } else { 0 }, 13);
        let mut end = page_size;
        let mut items = 0;
        for (key, mut value) in group {
            if value[0] == 3 {
                let relative = value[4..8].try_into().expect("four bytes");
                let relative =
                    if big_endian { u32::from_be_bytes(relative) } else { u32::from_le_bytes(relative) };
                value[4..8].copy_from_slice(&long(first_overflow + relative as usize));
            }
            for item in [key, value] {
                end -= item.len();
                put(&mut page, end, &item);
                put(&mut page, PAGE_HEADER + 2 * items, &short(end));
                items += 1;
            }
        }
        put(&mut page, 20, &short(items));
        put(&mut page, 22, &short(end));
        file.extend(page);
    }
    for (position, (part, goes_on)) in overflow.into_iter().enumerate() {
        let number = first_overflow + position;
        let mut page = empty(number, if goes_on { number + 1 } else { 0 }, 7);
        put(&mut page, 20, &short(1));
        put(&mut page, 22, &short(part.len()));
        put(&mut page, PAGE_HEADER, &part);
        file.extend(page);
    }
    file
}

/// `Packages.db`: an NDB store with as many pages of slots as are needed.
pub fn rpm_ndb(headers: &[Vec<u8>]) -> Vec<u8> {
    const SLOTS: usize = 4096 / 16;
    let long = |number: usize| (number as u32).to_le_bytes();
    let pages = (headers.len() + 2).div_ceil(SLOTS);
    let mut file =
        [&b"RpmP"[..], &long(0), &long(1), &long(pages), &long(headers.len() + 1), &[0; 12]].concat();
    let mut blobs = Vec::new();
    for (number, header) in headers.iter().enumerate() {
        let start = pages * 4096 + blobs.len();
        let begin = blobs.len();
        blobs.extend([&b"BlbS"[..], &long(number + 1), &long(1), &long(header.len())].concat());
        blobs.extend(header);
        // The tail of 12 bytes ends a block: the checksum of all before it, the length again, a mark.
        blobs.resize((blobs.len() + 12).next_multiple_of(16) - 12, 0);
        let checksum = adler32(&blobs[begin..]);
        blobs.extend([&checksum.to_le_bytes()[..], &long(header.len()), b"BlbE"].concat());
        let blocks = (blobs.len() - begin) / 16;
        file.extend([&b"Slot"[..], &long(number + 1), &long(start / 16), &long(blocks)].concat());
    }
    while file.len() < pages * 4096 {
        file.extend([&b"Slot"[..], &[0; 12]].concat());
    }
    file.extend(blobs);
    file
}

fn adler32(bytes: &[u8]) -> u32 {
    let (low, high) = bytes.iter().fold((1_u32, 0_u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    high << 16 | low
}

/// `rpmdb.sqlite`: an SQLite database with the table `Packages`, in a tree of as many levels as are needed.
pub fn rpm_sqlite(headers: &[Vec<u8>], page_size: usize) -> Vec<u8> {
    const SCHEMA: &str = "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)";
    // Page 1 is written last; page 2 is the first of the table's.
    let mut pages: Vec<Vec<u8>> = vec![Vec::new()];
    let mut level = Vec::new();
    let mut cells: Vec<Vec<u8>> = Vec::new();
    let mut room = page_size - 8;
    for (number, header) in headers.iter().enumerate() {
        let row = number + 1;
        let record = [&record_header(&[0, 2 * header.len() + 12])[..], header].concat();
        let cell = leaf_cell(row, &record, page_size, &mut pages);
        if cell.len() + 2 > room {
            pages.push(table_page(13, 0, &std::mem::take(&mut cells), None, page_size));
            level.push((pages.len(), number));
            room = page_size - 8;
        }
        room -= cell.len() + 2;
        cells.push(cell);
    }
    pages.push(table_page(13, 0, &cells, None, page_size));
    level.push((pages.len(), headers.len()));
    while level.len() > 1 {
        let mut above = Vec::new();
        // A cell has at most 4 + 9 bytes and a pointer of 2.
        for group in level.chunks((page_size - 12) / 15 + 1) {
            let (right, last) = *group.last().expect("not empty");
            let cell =
                |(page, row): &(usize, usize)| [&(*page as u32).to_be_bytes()[..], &varint(*row)].concat();
            let cells: Vec<_> = group[..group.len() - 1].iter().map(cell).collect();
            pages.push(table_page(5, 0, &cells, Some(right), page_size));
            above.push((pages.len(), last));
        }
        level = above;
    }
    let root = level[0].0;
    let text = |text: &str| (2 * text.len() + 13, text.as_bytes().to_vec());
    let fields = [
        text("table"),
        text("Packages"),
        text("Packages"),
        (4, (root as u32).to_be_bytes().to_vec()),
        text(SCHEMA),
    ];
    let types: Vec<_> = fields.iter().map(|(kind, _)| *kind).collect();
    let content: Vec<u8> = fields.into_iter().flat_map(|(_, bytes)| bytes).collect();
    let record = [record_header(&types), content].concat();
    let cell = [varint(record.len()), varint(1), record].concat();
    let mut first = table_page(13, 100, &[cell], None, page_size);
    first[..16].copy_from_slice(b"SQLite format 3\0");
    first[16..18].copy_from_slice(&(if page_size == 65_536 { 1 } else { page_size as u16 }).to_be_bytes());
    first[18..24].copy_from_slice(&[1, 1, 0, 64, 32, 32]);
    for (at, number) in
        [(24, 1), (28, pages.len() as u32), (40, 1), (44, 4), (56, 1), (92, 1), (96, 3_040_001)]
    {
        first[at..at + 4].copy_from_slice(&u32::to_be_bytes(number));
    }
    pages[0] = first;
    pages.concat()
}

/// A cell of a leaf; what does not fit goes to pages of overflow.
fn leaf_cell(row: usize, record: &[u8], page_size: usize, pages: &mut Vec<Vec<u8>>) -> Vec<u8> {
    let most = page_size - 35;
    let least = (page_size - 12) * 32 / 255 - 23;
    let local = match record.len() {
        length if length <= most => length,
        length => match least + (length - least) % (page_size - 4) {
            local if local <= most => local,
            _ => least,
        },
    };
    let mut cell = [varint(record.len()), varint(row), record[..local].to_vec()].concat();
    let parts: Vec<_> = record[local..].chunks(page_size - 4).collect();
    for (position, part) in parts.iter().enumerate() {
        let number = pages.len() as u32 + 1;
        if position == 0 {
            cell.extend(number.to_be_bytes());
        }
        let next = if position + 1 < parts.len() { number + 1 } else { 0 };
        let mut page = [&next.to_be_bytes()[..], part].concat();
        page.resize(page_size, 0);
        pages.push(page);
    }
    cell
}

fn table_page(kind: u8, start: usize, cells: &[Vec<u8>], right: Option<usize>, page_size: usize) -> Vec<u8> {
    let mut page = vec![0; page_size];
    let mut end = page_size;
    let pointers = start + if right.is_some() { 12 } else { 8 };
    for (index, cell) in cells.iter().enumerate() {
        end -= cell.len();
        page[end..end + cell.len()].copy_from_slice(cell);
        page[pointers + 2 * index..][..2].copy_from_slice(&(end as u16).to_be_bytes());
    }
    page[start] = kind;
    page[start + 3..start + 5].copy_from_slice(&(cells.len() as u16).to_be_bytes());
    page[start + 5..start + 7].copy_from_slice(&(end as u16).to_be_bytes());
    if let Some(right) = right {
        page[start + 8..start + 12].copy_from_slice(&(right as u32).to_be_bytes());
    }
    page
}

fn record_header(types: &[usize]) -> Vec<u8> {
    let types: Vec<u8> = types.iter().flat_map(|kind| varint(*kind)).collect();
    // Headers here are shorter than 127 bytes, so that their length is one byte.
    [vec![types.len() as u8 + 1], types].concat()
}

/// A number in groups of seven bits.
fn varint(number: usize) -> Vec<u8> {
    let mut groups = vec![(number & 0x7f) as u8];
    let mut rest = number >> 7;
    while rest > 0 {
        groups.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    groups.reverse();
    groups
}
