//! Opening a database and looking things up.

use std::path::{Path, PathBuf};

use hullmark_types::{Advisory, Digest, FeedStatus, KnownExploited};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::{Damage, DatabaseError};
use super::header::{Header, MAGIC, Section, VERSION};
use super::package_key;
use super::primitive::{Cursor, u32_at};
use super::records::{self, RecordBlocks};
use super::table::{Part, Table};

/// The meta section, as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Meta {
    pub(super) built_at: Timestamp,
    pub(super) feeds: Vec<FeedStatus>,
}

enum Storage {
    Mapped(hullmark_mmap::Map),
    Owned(Vec<u8>),
}

impl Storage {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned(bytes) => bytes,
        }
    }
}

/// An advisory database, open for reading. Cheap to open; every lookup reads only the blocks it needs.
pub struct Database {
    storage: Storage,
    path: PathBuf,
    header: Header,
    meta: Meta,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Database").field("path", &self.path).field("digest", self.digest()).finish()
    }
}

impl Database {
    /// Opens the file at `path` by memory map and checks its header, its status and its directories.
    ///
    /// # Errors
    /// When the file cannot be opened, is no database, is of another version or is damaged.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        let map = hullmark_mmap::open(path)
            .map_err(|source| DatabaseError::Open { path: path.to_owned(), source })?;
        Self::new(Storage::Mapped(map), path.to_owned())
    }

    /// Reads a database from the bytes of its file.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, DatabaseError> {
        Self::new(Storage::Owned(bytes), PathBuf::new())
    }

    fn new(storage: Storage, path: PathBuf) -> Result<Self, DatabaseError> {
        let bytes = storage.bytes();
        if bytes.get(..MAGIC.len()) != Some(MAGIC.as_slice()) {
            return Err(DatabaseError::NotADatabase { path });
        }
        match u32_at(bytes, MAGIC.len()) {
            Some(VERSION) => {}
            Some(found) => return Err(DatabaseError::Version { path, found, expected: VERSION }),
            None => return Err(DatabaseError::NotADatabase { path }),
        }
        let damaged = |section, damage: Damage, base: u64| DatabaseError::Damaged {
            path: path.clone(),
            section,
            offset: base.saturating_add(damage.offset),
            expected: damage.expected,
        };
        let header = Header::read(bytes).map_err(|damage| damaged("header", damage, 0))?;
        for section in Section::ALL.into_iter().filter(|section| section.is_checked_at_open()) {
            check_digest(bytes, &header, section)
                .map_err(|damage| damaged(section.name(), damage, header.extent(section).offset))?;
        }
        let meta = serde_json::from_slice(section_bytes(bytes, &header, Section::Meta)).map_err(|_| {
            let offset = header.extent(Section::Meta).offset;
            damaged(Section::Meta.name(), Damage::at(0, "the status of the feeds as JSON"), offset)
        })?;
        Ok(Self { header, meta, storage, path })
    }

    /// The identity of the database: the SHA-256 of its header, which holds the digests of all its sections.
    pub fn digest(&self) -> &Digest {
        &self.header.identity
    }

    /// When it was built.
    pub fn built_at(&self) -> Timestamp {
        self.meta.built_at
    }

    /// The feeds it was built from, sorted by name.
    pub fn feeds(&self) -> &[FeedStatus] {
        &self.meta.feeds
    }

    /// Whether any feed speaks for `ecosystem` (`Alpine:v3.7`, `PyPI`). Where none does, an empty answer of
    /// [`Database::lookup`] means nothing.
    pub fn covers(&self, ecosystem: &str) -> bool {
        self.feeds_for(ecosystem).next().is_some()
    }

    /// The feeds that speak for `ecosystem`.
    pub fn feeds_for<'data>(&'data self, ecosystem: &'data str) -> impl Iterator<Item = &'data FeedStatus> {
        self.feeds().iter().filter(move |feed| feed.ecosystems.iter().any(|known| known == ecosystem))
    }

    /// Number of advisory records.
    pub fn record_count(&self) -> u32 {
        self.blocks().record_count()
    }

    /// The advisories that name the package `name` (as advisories write it: [`hullmark_types::Package::advisory_name`])
    /// of `ecosystem`. Their `affected` holds the entries of this package and no others.
    ///
    /// # Errors
    /// When a block that is needed is damaged.
    pub fn lookup(&self, ecosystem: &str, name: &str) -> Result<Vec<Advisory>, DatabaseError> {
        let Some(key) = package_key(ecosystem, name) else { return Ok(Vec::new()) };
        let Some(value) = self.table_value(Section::KeysDirectory, Section::Keys, &key)? else {
            return Ok(Vec::new());
        };
        let numbers = self.numbers(Section::Keys, &mut Cursor::new(value))?;
        let mut advisories = self.load(&numbers)?;
        for advisory in &mut advisories {
            advisory.affected.retain(|affected| affected.ecosystem == ecosystem && affected.name == name);
        }
        Ok(advisories)
    }

    /// Every advisory with this id or alias, or that covers it ([`Advisory::upstream`]), whole.
    ///
    /// A CVE that a distribution fixed in hundreds of packages has hundreds of records; [`Database::related`] gives
    /// those of them that say something beside the version of the fix.
    ///
    /// # Errors
    /// When a block that is needed is damaged.
    pub fn by_id(&self, id: &str) -> Result<Vec<Advisory>, DatabaseError> {
        let (mut telling, other) = self.numbers_of_id(id)?;
        telling.extend(other);
        telling.sort_unstable();
        self.load(&telling)
    }

    /// The advisories with this id or alias, or that cover it, which have aliases, ratings or a summary of their own:
    /// all that joining by alias and looking for ratings need.
    ///
    /// # Errors
    /// When a block that is needed is damaged.
    pub fn related(&self, id: &str) -> Result<Vec<Advisory>, DatabaseError> {
        self.load(&self.numbers_of_id(id)?.0)
    }

    /// The entry of the catalogue of known exploited vulnerabilities for a CVE id.
    ///
    /// # Errors
    /// When a block that is needed is damaged.
    pub fn known_exploited(&self, cve: &str) -> Result<Option<KnownExploited>, DatabaseError> {
        let value = self.table_value(Section::ExploitedDirectory, Section::Exploited, cve.as_bytes())?;
        let parse = |value| {
            serde_json::from_slice(value).map_err(|_| {
                self.damaged(Section::Exploited, Damage::at(0, "an entry of the catalogue as JSON"))
            })
        };
        value.map(parse).transpose()
    }

    /// All entries of the catalogue of known exploited vulnerabilities.
    ///
    /// # Errors
    /// When a block is damaged.
    pub fn all_known_exploited(&self) -> Result<Vec<KnownExploited>, DatabaseError> {
        let table = Table::new(self.section(Section::ExploitedDirectory), self.section(Section::Exploited));
        let values = table.values().map_err(|(part, damage)| match part {
            Part::Directory => self.damaged(Section::ExploitedDirectory, damage),
            Part::Blocks => self.damaged(Section::Exploited, damage),
        })?;
        let damage = Damage::at(0, "an entry of the catalogue as JSON");
        let parse =
            |value| serde_json::from_slice(value).map_err(|_| self.damaged(Section::Exploited, damage));
        values.into_iter().map(parse).collect()
    }

    /// All advisory records, in the order of the file.
    pub fn records(&self) -> Records<'_> {
        Records { database: self, block: 0, waiting: Vec::new().into_iter() }
    }

    /// Reads the whole file and checks every section against the digests of the header.
    ///
    /// # Errors
    /// The first section that is damaged.
    pub fn verify(&self) -> Result<(), DatabaseError> {
        for section in Section::ALL {
            check_digest(self.storage.bytes(), &self.header, section)
                .map_err(|damage| self.damaged(section, damage))?;
        }
        Ok(())
    }

    fn section(&self, section: Section) -> &[u8] {
        section_bytes(self.storage.bytes(), &self.header, section)
    }

    fn damaged(&self, section: Section, damage: Damage) -> DatabaseError {
        DatabaseError::Damaged {
            path: self.path.clone(),
            section: section.name(),
            offset: self.header.extent(section).offset.saturating_add(damage.offset),
            expected: damage.expected,
        }
    }

    fn table_value(
        &self,
        directory: Section,
        blocks: Section,
        key: &[u8],
    ) -> Result<Option<&[u8]>, DatabaseError> {
        Table::new(self.section(directory), self.section(blocks)).get(key).map_err(
            |(part, damage)| match part {
                Part::Directory => self.damaged(directory, damage),
                Part::Blocks => self.damaged(blocks, damage),
            },
        )
    }

    fn blocks(&self) -> RecordBlocks<'_> {
        RecordBlocks::new(self.section(Section::RecordsDirectory), self.section(Section::Records))
    }

    fn records_damaged(&self, (part, damage): (Part, Damage)) -> DatabaseError {
        match part {
            Part::Directory => self.damaged(Section::RecordsDirectory, damage),
            Part::Blocks => self.damaged(Section::Records, damage),
        }
    }

    fn numbers_of_id(&self, id: &str) -> Result<(Vec<u32>, Vec<u32>), DatabaseError> {
        let Some(value) = self.table_value(Section::IdsDirectory, Section::Ids, id.as_bytes())? else {
            return Ok((Vec::new(), Vec::new()));
        };
        let mut cursor = Cursor::new(value);
        Ok((self.numbers(Section::Ids, &mut cursor)?, self.numbers(Section::Ids, &mut cursor)?))
    }

    /// Reads a list of ascending record numbers.
    fn numbers(&self, section: Section, cursor: &mut Cursor<'_>) -> Result<Vec<u32>, DatabaseError> {
        let damaged = |damage| self.damaged(section, damage);
        let out_of_range = Damage::at(0, "ascending numbers of records that exist");
        let count = cursor.size().map_err(damaged)?;
        let records = self.record_count();
        let mut numbers = Vec::new();
        let mut next = 0_u64;
        for _ in 0..count {
            let number = next.checked_add(cursor.variable().map_err(damaged)?);
            let number = number
                .and_then(|number| u32::try_from(number).ok())
                .filter(|number| *number < records)
                .ok_or_else(|| damaged(out_of_range))?;
            numbers.push(number);
            next = u64::from(number) + 1;
        }
        Ok(numbers)
    }

    /// Loads records by ascending number; each block is read once.
    fn load(&self, numbers: &[u32]) -> Result<Vec<Advisory>, DatabaseError> {
        let blocks = self.blocks();
        let absent = || self.damaged(Section::RecordsDirectory, Damage::at(0, "a block for every record"));
        let mut advisories = Vec::new();
        let mut remaining = numbers;
        while let Some(number) = remaining.first() {
            let located = blocks.locate(*number).map_err(|damage| self.records_damaged(damage))?;
            let (block, _) = located.ok_or_else(absent)?;
            let mut places = Vec::new();
            while let Some(number) = remaining.first() {
                match blocks.locate(*number).map_err(|damage| self.records_damaged(damage))? {
                    Some((same, place)) if same == block => places.push(place),
                    _ => break,
                }
                remaining = &remaining[1..];
            }
            let plain = blocks.plain(block).map_err(|damage| self.records_damaged(damage))?;
            let found = self.parse_block(block, &plain, Some(&places))?;
            if found.len() != places.len() {
                return Err(
                    self.records_damaged(blocks.damage(block, "as many records as the directory says"))
                );
            }
            advisories.extend(found);
        }
        Ok(advisories)
    }

    /// Parses the records of a plain block: all, or those at ascending `places`.
    fn parse_block(
        &self,
        block: usize,
        plain: &[u8],
        places: Option<&[usize]>,
    ) -> Result<Vec<Advisory>, DatabaseError> {
        let damaged = |expected| self.records_damaged(self.blocks().damage(block, expected));
        let mut found = Vec::new();
        let mut wanted = places;
        for (place, record) in records::split(plain).enumerate() {
            let record = record.map_err(|damage| damaged(damage.expected))?;
            match wanted {
                Some([]) => break,
                Some([next, ..]) if *next != place => continue,
                Some([_, rest @ ..]) => wanted = Some(rest),
                None => {}
            }
            found.push(serde_json::from_slice(record).map_err(|_| damaged("an advisory as JSON"))?);
        }
        Ok(found)
    }
}

fn section_bytes<'data>(bytes: &'data [u8], header: &Header, section: Section) -> &'data [u8] {
    let extent = header.extent(section);
    // The header was read against this file: the section lies inside it.
    super::primitive::slice(bytes, extent.offset, extent.length).unwrap_or(&[])
}

fn check_digest(bytes: &[u8], header: &Header, section: Section) -> Result<(), Damage> {
    if header.extent(section).matches(section_bytes(bytes, header, section)) {
        Ok(())
    } else {
        Err(Damage::at(0, "bytes that have the digest of the header"))
    }
}

/// All records of a database; see [`Database::records`].
pub struct Records<'database> {
    database: &'database Database,
    block: usize,
    waiting: std::vec::IntoIter<Advisory>,
}

impl Iterator for Records<'_> {
    type Item = Result<Advisory, DatabaseError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(advisory) = self.waiting.next() {
                return Some(Ok(advisory));
            }
            let blocks = self.database.blocks();
            if self.block >= blocks.block_count() {
                return None;
            }
            let block = self.block;
            self.block += 1;
            let plain = match blocks.plain(block) {
                Ok(plain) => plain,
                Err(damage) => return Some(Err(self.database.records_damaged(damage))),
            };
            match self.database.parse_block(block, &plain, None) {
                Ok(advisories) => self.waiting = advisories.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
