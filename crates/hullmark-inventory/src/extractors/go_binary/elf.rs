//! The build information of an ELF executable of which perhaps only parts are at hand.

use std::cell::Cell;
use std::ops::Range;

use object::Endianness;
use object::elf::{ELFCLASS32, FileHeader32, FileHeader64, PF_W, PT_LOAD};
use object::read::ReadRef;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};

use super::blob::{BlobError, BuildInformation, decode, find_magic, is_packed};
use super::sparse::Sparse;

/// The first bytes of an ELF file.
pub(super) const MAGIC: &[u8] = b"\x7fELF";

/// No linker writes as many places where build information may be; those beyond are not looked at.
const MAX_PLACES: usize = 64;

/// The most that is kept of all writable segments together, in bytes.
const MAX_WRITABLE: u64 = 16 * 1024 * 1024;

/// The most that is kept of any other table, in bytes.
const MAX_TABLE: u64 = 1024 * 1024;

/// Names of sections are near the section headers when those stand at the end, as the GNU linker writes them.
const BEFORE_SECTION_HEADERS: u64 = 128 * 1024;

/// Reads the build information. `None` when the file is no executable of Go.
pub(super) fn read(image: &Sparse<'_>) -> Result<Option<BuildInformation>, BlobError> {
    if is_32_bit(image.read(0, 5).unwrap_or_default()) {
        read_class::<FileHeader32<Endianness>>(image)
    } else {
        read_class::<FileHeader64<Endianness>>(image)
    }
}

/// What to keep of a file that begins with `head`, besides `head`: the tables of the file, and the data where build
/// information and the headers of Go strings are.
pub(super) fn ranges_to_keep(head: &[u8]) -> Vec<Range<u64>> {
    let ranges = if is_32_bit(head) {
        ranges_of_class::<FileHeader32<Endianness>>(head)
    } else {
        ranges_of_class::<FileHeader64<Endianness>>(head)
    };
    ranges.unwrap_or_default()
}

fn is_32_bit(head: &[u8]) -> bool {
    head.get(4) == Some(&ELFCLASS32.0)
}

fn read_class<Elf: FileHeader<Endian = Endianness>>(
    image: &Sparse<'_>,
) -> Result<Option<BuildInformation>, BlobError> {
    let Ok((header, endian)) = Elf::parse(image).and_then(|header| Ok((header, header.endian()?))) else {
        return Ok(None);
    };
    let segments = header.program_headers(endian, image).unwrap_or_default();
    let sections = header.sections(endian, image).unwrap_or_default();
    let mut is_go = false;
    let mut places = Vec::new();
    for section in sections.iter() {
        match sections.section_name(endian, section) {
            Ok(b".go.buildinfo") => {
                is_go = true;
                places.extend(section.file_range(endian).and_then(range));
            }
            Ok(b".gopclntab" | b".note.go.buildid") => is_go = true,
            _ => {}
        }
    }
    places.extend(segments.iter().filter(|segment| is_writable(*segment, endian)).filter_map(|segment| {
        // Section headers may be stripped.
        range(segment.file_range(endian))
    }));
    places.retain(|place| image.contains(place));
    let has_more_places = places.len() > MAX_PLACES;
    places.truncate(MAX_PLACES);

    let is_incomplete = Cell::new(false);
    let memory = |address: u64, length: usize| {
        let wanted = u64::try_from(length).ok()?;
        segments.iter().filter(|segment| segment.p_type(endian) == PT_LOAD).find_map(|segment| {
            let file = range(segment.file_range(endian)).filter(|file| image.contains(file))?;
            let start = file.start.checked_add(address.checked_sub(segment.p_vaddr(endian).into())?)?;
            if start.checked_add(wanted)? > file.end {
                return None;
            }
            let bytes = image.read(start, length);
            is_incomplete.set(is_incomplete.get() || bytes.is_none());
            bytes
        })
    };
    for place in &places {
        let found = image.parts(place).find_map(|(start, bytes)| {
            let before = start.saturating_sub(place.start);
            let at = find_magic(bytes, before)?;
            Some((bytes.get(at..)?, before.saturating_add(at as u64)))
        });
        let Some((blob, offset)) = found else { continue };
        let end = place.start.saturating_add(offset).saturating_add(blob.len() as u64);
        return match decode(blob, offset, &memory) {
            Err(BlobError::OutOfBounds { .. }) if end < place.end || is_incomplete.get() => {
                Err(BlobError::NotKept)
            }
            result => result.map(Some),
        };
    }
    let has_gaps = places.iter().any(|place| !image.has(place));
    let is_elsewhere =
        || image.parts(&(0..u64::MAX)).any(|(start, bytes)| find_magic(bytes, start).is_some());
    if has_gaps && image.misses_magic() || has_more_places && (image.misses_magic() || is_elsewhere()) {
        return Err(BlobError::NotKept);
    }
    if is_go {
        return Err(BlobError::Missing);
    }
    let is_packed = image.parts(&(0..512)).any(|(start, bytes)| start == 0 && is_packed(bytes));
    if is_packed { Err(BlobError::Packed) } else { Ok(None) }
}

fn ranges_of_class<Elf: FileHeader<Endian = Endianness>>(head: &[u8]) -> Option<Vec<Range<u64>>> {
    let header = Elf::parse(head).ok()?;
    let endian = header.endian().ok()?;
    let mut ranges = Vec::new();
    let table = |start: u64, count: u16, size: usize| range((start, u64::from(count) * size as u64));
    let segments = header.e_phoff(endian).into();
    ranges.extend(table(segments, header.e_phnum(endian), size_of::<Elf::ProgramHeader>()).map(bounded));
    let sections: u64 = header.e_shoff(endian).into();
    let section_size = size_of::<Elf::SectionHeader>();
    if let Some(table) = table(sections, header.e_shnum(endian).max(1), section_size) {
        ranges.push(sections.saturating_sub(BEFORE_SECTION_HEADERS)..sections);
        ranges.push(bounded(table));
    }
    // The linker of Go writes the section headers first, and their names anywhere.
    let names = header.shstrndx(endian, head).ok().and_then(|index| {
        let place = sections.checked_add(u64::from(index) * section_size as u64)?;
        range(head.read_at::<Elf::SectionHeader>(place).ok()?.file_range(endian)?)
    });
    ranges.extend(names.map(bounded));
    let mut left = MAX_WRITABLE;
    let segments = header.program_headers(endian, head).unwrap_or_default();
    for segment in segments.iter().filter(|segment| is_writable(*segment, endian)).take(MAX_PLACES) {
        let Some(data) = range(segment.file_range(endian)) else { continue };
        let length = left.min(data.end - data.start);
        left -= length;
        ranges.push(data.start..data.start + length);
    }
    Some(ranges)
}

fn is_writable<Segment: ProgramHeader<Endian = Endianness>>(segment: &Segment, endian: Endianness) -> bool {
    segment.p_type(endian) == PT_LOAD && segment.p_flags(endian).0 & PF_W.0 != 0
}

/// From offset and size, unless it ends beyond every file.
fn range((start, size): (u64, u64)) -> Option<Range<u64>> {
    Some(start..start.checked_add(size)?)
}

fn bounded(table: Range<u64>) -> Range<u64> {
    table.start..table.end.min(table.start.saturating_add(MAX_TABLE))
}
