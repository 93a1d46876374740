//! Finding and decoding the build information in an executable.
//!
//! It begins with a magic of 14 bytes at an address divisible by 16, then the size of a pointer and a byte of flags.
//! From Go 1.18 on (flag 2) two strings with their lengths as varints follow at offset 32; before, two pointers to
//! Go strings, in the byte order that flag 1 names.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use object::File;
use object::read::{Object, ObjectSection, ObjectSegment};

use super::elf;
use super::sparse::Sparse;

/// What the build information begins with.
pub(super) const MAGIC: &[u8] = b"\xff Go buildinf:";
const ALIGNMENT: u64 = 16;
const HEADER: usize = 32;
/// Sixteen bytes stand before and after the text of the modules, so that it can be found in a memory dump too.
const SENTINEL: usize = 16;
/// No toolchain name and no list of modules comes near this.
const MAX_STRING: usize = 16 * 1024 * 1024;

/// The two strings that the linker writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildInformation {
    /// The toolchain, such as `go1.22.1`.
    pub go_version: String,
    /// Lines `path`, `mod`, `dep`, `=>` and `build`, tab-separated; empty for programs built outside a module.
    pub modules: String,
}

/// An executable of Go whose build information cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// A string lies outside the file, or is longer than any real one.
    #[error("the build information at offset {offset} of its section points outside the file")]
    OutOfBounds {
        /// Where the build information begins in its section.
        offset: u64,
    },
    /// The size of a pointer is neither 4 nor 8.
    #[error("the build information has pointers of {size} bytes; expected 4 or 8")]
    PointerSize {
        /// The size found.
        size: u8,
    },
    /// The text is not UTF-8, or has no sentinels.
    #[error("the build information is not text")]
    NotText,
    /// There are sections that only Go writes, but no build information.
    #[error("this is a Go executable without build information, so its modules are not known")]
    Missing,
    /// It lies in a part of the executable that was not kept while it passed.
    #[error(
        "the build information, or what it points to, is not where Go writes it, and an executable is not kept whole, so \
         its modules are not known"
    )]
    NotKept,
    /// Compressed by UPX.
    #[error("the executable is packed by UPX, so it cannot be read")]
    Packed,
}

/// Reads the build information of an ELF, PE or Mach-O executable. `None` when `bytes` is no executable of Go.
///
/// # Errors
/// When the executable is Go's, or packed, and its build information cannot be read.
pub fn read_build_information(bytes: &[u8]) -> Result<Option<BuildInformation>, BlobError> {
    if bytes.starts_with(elf::MAGIC) {
        return elf::read(&Sparse::whole(bytes));
    }
    let Ok(file) = File::parse(bytes) else { return Ok(None) };
    let memory = |address, length| {
        let wanted = u64::try_from(length).ok()?;
        file.segments().find_map(|segment| segment.data_range(address, wanted).ok().flatten())
    };
    for name in [".go.buildinfo", "__go_buildinfo"] {
        if let Some(data) = file.section_by_name(name).and_then(|section| section.data().ok())
            && let Some(offset) = find_magic(data, 0)
        {
            return decode(data.get(offset..).unwrap_or_default(), offset as u64, &memory).map(Some);
        }
    }
    // PE files have no section of their own for it, and section headers may be stripped: look through the data.
    for data in data_of(&file) {
        if let Some(offset) = find_magic(data, 0) {
            return decode(data.get(offset..).unwrap_or_default(), offset as u64, &memory).map(Some);
        }
    }
    if file.section_by_name("__gopclntab").is_some() {
        return Err(BlobError::Missing);
    }
    if is_packed(bytes) { Err(BlobError::Packed) } else { Ok(None) }
}

/// Whether the first bytes of an executable have the mark of UPX.
pub(super) fn is_packed(head: &[u8]) -> bool {
    memchr::memmem::find(head.get(..512).unwrap_or(head), b"UPX!").is_some()
}

fn data_of<'data>(file: &File<'data>) -> Vec<&'data [u8]> {
    match file {
        File::Pe32(_) | File::Pe64(_) => {
            file.section_by_name(".data").and_then(|section| section.data().ok()).into_iter().collect()
        }
        _ => file.segments().filter_map(|segment| segment.data().ok()).collect(),
    }
}

/// The first place in `data` where the magic stands, of those divisible by the alignment when `data` itself begins `before`
/// bytes into something aligned.
pub(super) fn find_magic(data: &[u8], before: u64) -> Option<usize> {
    static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(MAGIC));
    let is_aligned = |offset: &usize| before.wrapping_add(*offset as u64).is_multiple_of(ALIGNMENT);
    FINDER.find_iter(data).find(is_aligned)
}

/// Decodes the build information that `blob` begins with, `offset` bytes into its section. `memory` has what lies at an
/// address, of a length, when the executable runs.
pub(super) fn decode<'data>(
    blob: &[u8],
    offset: u64,
    memory: &dyn Fn(u64, usize) -> Option<&'data [u8]>,
) -> Result<BuildInformation, BlobError> {
    let out_of_bounds = BlobError::OutOfBounds { offset };
    let header = blob.get(..HEADER).ok_or(out_of_bounds.clone())?;
    let [.., pointer_size, flags] = *header.first_chunk::<16>().ok_or(out_of_bounds.clone())?;
    let (go_version, modules) = if flags & 2 != 0 {
        let rest = blob.get(HEADER..).ok_or(out_of_bounds.clone())?;
        let (go_version, rest) = inline_string(rest).ok_or(out_of_bounds.clone())?;
        let (modules, _) = inline_string(rest).ok_or(out_of_bounds)?;
        (go_version, modules)
    } else {
        if !matches!(pointer_size, 4 | 8) {
            return Err(BlobError::PointerSize { size: pointer_size });
        }
        let pointers = Pointers { memory, size: usize::from(pointer_size), big_endian: flags & 1 != 0 };
        let string = |place: Range<usize>| pointers.string(pointers.number(header.get(place)?));
        let first = HEADER / 2;
        let (second, third) = (first + pointers.size, first + 2 * pointers.size);
        (string(first..second).ok_or(out_of_bounds.clone())?, string(second..third).ok_or(out_of_bounds)?)
    };
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| BlobError::NotText);
    Ok(BuildInformation { go_version: text(go_version)?, modules: text(strip_sentinels(modules)?)? })
}

/// A varint (unsigned LEB128) and as many bytes.
fn inline_string(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0_u64;
    for (position, byte) in data.iter().take(9).enumerate() {
        length |= u64::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            let length = usize::try_from(length).ok().filter(|length| *length <= MAX_STRING)?;
            return data.get(position + 1..)?.split_at_checked(length);
        }
    }
    None
}

fn strip_sentinels(modules: &[u8]) -> Result<&[u8], BlobError> {
    if modules.is_empty() {
        return Ok(modules);
    }
    // As Go does: text without sentinels, or that does not end a line before the last one, is none.
    let end = modules.len().saturating_sub(SENTINEL);
    match modules.get(SENTINEL..end) {
        Some(text) if text.last() == Some(&b'\n') => Ok(text),
        _ => Err(BlobError::NotText),
    }
}

/// Go strings of the executable as it would lie in memory.
struct Pointers<'memory, 'data> {
    memory: &'memory dyn Fn(u64, usize) -> Option<&'data [u8]>,
    size: usize,
    big_endian: bool,
}

impl<'data> Pointers<'_, 'data> {
    fn number(&self, bytes: &[u8]) -> u64 {
        let join = |number: u64, byte: &u8| (number << 8) | u64::from(*byte);
        if self.big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) }
    }

    /// A Go string: an address and a length.
    fn string(&self, address: u64) -> Option<&'data [u8]> {
        let header = (self.memory)(address, self.size.checked_mul(2)?)?;
        let (pointer, length) = header.split_at_checked(self.size)?;
        match usize::try_from(self.number(length)).ok()? {
            0 => Some(&[]),
            length if length <= MAX_STRING => (self.memory)(self.number(pointer), length),
            _ => None,
        }
    }
}
