//! The header: which section lies where, and its digest.

use hullmark_types::Digest;
use sha2::Digest as _;

use super::error::Damage;
use super::primitive::{slice, u32_at, u64_at};

/// The first bytes of every database.
pub(super) const MAGIC: &[u8; 8] = b"HULLMKDB";
/// The version of the format that is written and read.
pub(super) const VERSION: u32 = 1;

const FIXED_LENGTH: usize = 16;
const ENTRY_LENGTH: usize = 56;

/// The sections, in the order of the file. A directory says where the blocks of the section after it lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Meta,
    KeysDirectory,
    Keys,
    IdsDirectory,
    Ids,
    ExploitedDirectory,
    Exploited,
    RecordsDirectory,
    Records,
}

impl Section {
    pub(super) const ALL: [Self; 9] = [
        Self::Meta,
        Self::KeysDirectory,
        Self::Keys,
        Self::IdsDirectory,
        Self::Ids,
        Self::ExploitedDirectory,
        Self::Exploited,
        Self::RecordsDirectory,
        Self::Records,
    ];

    /// The name in error messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::KeysDirectory => "keys directory",
            Self::Keys => "keys",
            Self::IdsDirectory => "ids directory",
            Self::Ids => "ids",
            Self::ExploitedDirectory => "exploited directory",
            Self::Exploited => "exploited",
            Self::RecordsDirectory => "records directory",
            Self::Records => "records",
        }
    }

    /// Whether its digest is checked at each opening; the others are checked block by block.
    pub(super) fn is_checked_at_open(self) -> bool {
        !matches!(self, Self::Keys | Self::Ids | Self::Exploited | Self::Records)
    }
}

/// Where a section lies, and its digest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) offset: u64,
    pub(super) length: u64,
    sha256: [u8; 32],
}

impl Extent {
    /// Whether `bytes` (of the section) have the digest of the header.
    pub(super) fn matches(&self, bytes: &[u8]) -> bool {
        <[u8; 32]>::from(sha2::Sha256::digest(bytes)) == self.sha256
    }
}

/// The parsed header.
#[derive(Debug, Clone)]
pub(super) struct Header {
    extents: [Extent; Section::ALL.len()],
    /// The digest of the header: the identity of the database.
    pub(super) identity: Digest,
}

impl Header {
    /// Length of the header in bytes.
    pub(super) const LENGTH: usize = FIXED_LENGTH + ENTRY_LENGTH * Section::ALL.len();

    /// Where `section` lies.
    pub(super) fn extent(&self, section: Section) -> Extent {
        self.extents[section as usize]
    }

    /// The header for sections with these contents, as bytes.
    pub(super) fn write(contents: &[Vec<u8>; Section::ALL.len()]) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::LENGTH);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(Section::ALL.len() as u32).to_le_bytes());
        let mut offset = Self::LENGTH as u64;
        for (kind, content) in contents.iter().enumerate() {
            out.extend_from_slice(&(kind as u32).to_le_bytes());
            out.extend_from_slice(&0_u32.to_le_bytes());
            out.extend_from_slice(&offset.to_le_bytes());
            out.extend_from_slice(&(content.len() as u64).to_le_bytes());
            out.extend_from_slice(&sha2::Sha256::digest(content));
            offset += content.len() as u64;
        }
        out
    }

    /// Reads the header of a whole file whose magic bytes and version are right.
    pub(super) fn read(file: &[u8]) -> Result<Self, Damage> {
        let bytes = file.get(..Self::LENGTH).ok_or(Damage::at(file.len(), "a header of the right length"))?;
        if u32_at(bytes, 12) != Some(Section::ALL.len() as u32) {
            return Err(Damage::at(12, "the number of sections"));
        }
        let mut next = Self::LENGTH as u64;
        let mut extents = [Extent { offset: 0, length: 0, sha256: [0; 32] }; Section::ALL.len()];
        for (kind, extent) in extents.iter_mut().enumerate() {
            let at = FIXED_LENGTH + kind * ENTRY_LENGTH;
            let damage = |expected| Damage::at(at, expected);
            if u32_at(bytes, at) != Some(kind as u32) || u32_at(bytes, at + 4) != Some(0) {
                return Err(damage("the sections in their order"));
            }
            let (offset, length) =
                u64_at(bytes, at + 8).zip(u64_at(bytes, at + 16)).ok_or(damage("the place of a section"))?;
            if offset != next || slice(file, offset, length).is_none() {
                return Err(damage("sections that follow each other inside the file"));
            }
            next = offset + length;
            extent.offset = offset;
            extent.length = length;
            extent.sha256.copy_from_slice(&bytes[at + 24..at + ENTRY_LENGTH]);
        }
        if next != file.len() as u64 {
            return Err(Damage { offset: next, expected: "the end of the file" });
        }
        Ok(Self { extents, identity: Digest::sha256(bytes) })
    }
}
