//! Writing a database: the same bytes for the same input, in whatever order it comes.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hullmark_types::{Advisory, Diagnostic, Digest, FeedStatus, KnownExploited};
use jiff::Timestamp;

use super::header::{Header, Section};
use super::primitive::write_variable;
use super::read::Meta;
use super::{package_key, records, table};

/// What one feed brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedData {
    /// Where it came from and how old it is.
    pub status: FeedStatus,
    /// Its advisories, in any order.
    pub advisories: Vec<Advisory>,
    /// Entries of the catalogue of known exploited vulnerabilities, in any order.
    pub exploited: Vec<KnownExploited>,
}

/// The database cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Writing failed.
    #[error("the advisory database {} cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The records could not be brought into the form of the file.
    #[error("the advisory records cannot be encoded")]
    Encode(#[source] io::Error),
    /// There is more than the format can hold.
    #[error("the advisory database would be too large for its format: {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
    },
}

/// A whole database in memory.
struct Encoded {
    header: Vec<u8>,
    sections: [Vec<u8>; Section::ALL.len()],
    digest: Digest,
}

impl Encoded {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.header)?;
        for section in &self.sections {
            out.write_all(section)?;
        }
        out.flush()
    }
}

/// A record, encoded, with what its place in the file depends on.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Record {
    first_key: Vec<u8>,
    id: String,
    json: Vec<u8>,
    keys: Vec<Vec<u8>>,
    ids: Vec<String>,
    telling: bool,
}

/// Collects feeds and writes a database.
pub struct Builder {
    built_at: Timestamp,
    feeds: BTreeMap<String, FeedStatus>,
    records: Vec<Record>,
    exploited: BTreeMap<String, KnownExploited>,
}

impl Builder {
    /// An empty database that says it was built at `built_at`.
    pub fn new(built_at: Timestamp) -> Self {
        Self { built_at, feeds: BTreeMap::new(), records: Vec::new(), exploited: BTreeMap::new() }
    }

    /// Takes in a feed; its name must be unique, and its advisories bear it. Gives back what was left out: records
    /// longer than 8 MiB, and package names that hold a NUL.
    pub fn add(&mut self, data: FeedData) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        let mut status = data.status;
        for advisory in &data.advisories {
            match encode(advisory) {
                Ok(record) => self.records.push(record),
                Err(reason) => {
                    status.records = status.records.saturating_sub(1);
                    status.skipped += 1;
                    diagnostics.push(Diagnostic::gap(
                        "advisory-not-encodable",
                        &status.name,
                        format!("the advisory {} was left out: {reason}", advisory.id),
                    ));
                }
            }
        }
        for entry in data.exploited {
            // Should two catalogues disagree, the same one wins whatever the order in which they come.
            let known = self.exploited.entry(entry.cve.clone()).or_insert_with(|| entry.clone());
            if entry < *known {
                *known = entry;
            }
        }
        self.feeds.insert(status.name.clone(), status);
        diagnostics
    }

    /// Number of records taken in so far.
    pub fn record_count(&self) -> usize {
        self.records.len()
    }

    /// Writes the database to `out`.
    ///
    /// # Errors
    /// When writing fails (`path` of the error is empty), or there is more than the format can hold.
    pub fn write(self, out: &mut impl Write) -> Result<Digest, BuildError> {
        let encoded = self.encode()?;
        encoded.write(out).map_err(|source| BuildError::Write { path: PathBuf::new(), source })?;
        Ok(encoded.digest)
    }

    /// Writes the database to a new file beside `path`, flushes it to disk and renames it to `path`. Readers see the
    /// old file or the new one, never a mixture; of two writers at once the last rename wins, whole.
    ///
    /// # Errors
    /// As [`Builder::write`]; `path` is then as it was.
    pub fn write_atomically(self, path: &Path) -> Result<Digest, BuildError> {
        let encoded = self.encode()?;
        replace(path, |file| encoded.write(file))
            .map_err(|source| BuildError::Write { path: path.to_owned(), source })?;
        Ok(encoded.digest)
    }

    fn encode(self) -> Result<Encoded, BuildError> {
        let mut records = self.records;
        records.sort_unstable();
        records.dedup();
        if u32::try_from(records.len()).is_err() {
            return Err(BuildError::TooLarge { what: "records" });
        }
        let mut keys: BTreeMap<&[u8], Vec<u32>> = BTreeMap::new();
        let mut ids: BTreeMap<&[u8], (Vec<u32>, Vec<u32>)> = BTreeMap::new();
        for (number, record) in (0_u32..).zip(&records) {
            for key in &record.keys {
                keys.entry(key).or_default().push(number);
            }
            for id in &record.ids {
                let (telling, other) = ids.entry(id.as_bytes()).or_default();
                if record.telling { telling.push(number) } else { other.push(number) }
            }
        }
        let keys: BTreeMap<_, Vec<u8>> =
            keys.into_iter().map(|(key, numbers)| (key, encode_numbers(&numbers))).collect();
        let ids: BTreeMap<_, Vec<u8>> = ids
            .into_iter()
            .map(|(id, (telling, other))| (id, [encode_numbers(&telling), encode_numbers(&other)].concat()))
            .collect();
        let json_error = |error: serde_json::Error| BuildError::Encode(error.into());
        let exploited = self
            .exploited
            .iter()
            .map(|(cve, entry)| Ok((cve.as_bytes(), serde_json::to_vec(entry).map_err(json_error)?)))
            .collect::<Result<Vec<_>, BuildError>>()?;
        let meta = Meta { built_at: self.built_at, feeds: self.feeds.into_values().collect() };

        let too_large = |what| move || BuildError::TooLarge { what };
        let (keys_directory, keys) = table::write(keys.iter().map(|(key, value)| (*key, value.as_slice())))
            .ok_or_else(too_large("package names"))?;
        let (ids_directory, ids) = table::write(ids.iter().map(|(id, value)| (*id, value.as_slice())))
            .ok_or_else(too_large("identifiers"))?;
        let (exploited_directory, exploited) =
            table::write(exploited.iter().map(|(cve, value)| (*cve, value.as_slice())))
                .ok_or_else(too_large("known exploited vulnerabilities"))?;
        let (records_directory, records) =
            records::write(records.iter().map(|record| record.json.as_slice()))
                .map_err(BuildError::Encode)?
                .ok_or_else(too_large("records"))?;
        let sections = [
            serde_json::to_vec(&meta).map_err(json_error)?,
            keys_directory,
            keys,
            ids_directory,
            ids,
            exploited_directory,
            exploited,
            records_directory,
            records,
        ];
        let header = Header::write(&sections);
        let digest = Digest::sha256(&header);
        Ok(Encoded { header, sections, digest })
    }
}

fn encode(advisory: &Advisory) -> Result<Record, String> {
    let json = serde_json::to_vec(advisory).map_err(|error| error.to_string())?;
    if json.len() > records::MAX_RECORD {
        return Err(format!("it has {} bytes, at most {} are taken", json.len(), records::MAX_RECORD));
    }
    let mut keys = Vec::with_capacity(advisory.affected.len());
    for affected in &advisory.affected {
        let key = package_key(&affected.ecosystem, &affected.name).ok_or("a package name holds a NUL")?;
        keys.push(key);
    }
    keys.sort_unstable();
    keys.dedup();
    let mut ids: Vec<String> = std::iter::once(&advisory.id)
        .chain(&advisory.aliases)
        .chain(&advisory.upstream)
        .filter(|id| !id.is_empty())
        .cloned()
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let telling = !advisory.aliases.is_empty()
        || !advisory.upstream.is_empty()
        || !advisory.summary.is_empty()
        || !advisory.severities.is_empty()
        || advisory.affected.iter().any(|affected| !affected.severities.is_empty());
    Ok(Record {
        first_key: keys.first().cloned().unwrap_or_default(),
        id: advisory.id.clone(),
        json,
        keys,
        ids,
        telling,
    })
}

/// Ascending numbers: their count, then the gaps between them.
fn encode_numbers(numbers: &[u32]) -> Vec<u8> {
    let mut out = Vec::new();
    write_variable(numbers.len() as u64, &mut out);
    let mut next = 0;
    for number in numbers {
        write_variable(u64::from(*number) - next, &mut out);
        next = u64::from(*number) + 1;
    }
    out
}

/// What the names of files begin with that this process has not finished yet.
pub fn unfinished_prefix() -> String {
    format!(".hullmark-{}-", std::process::id())
}

/// Writes a file beside `path` and renames it to `path` when it is whole and on disk.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut std::fs::File) -> io::Result<()>,
) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(directory)?;
    let mut file = tempfile::Builder::new().prefix(&unfinished_prefix()).tempfile_in(directory)?;
    write(file.as_file_mut())?;
    make_readable(file.as_file())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The rename itself is on disk once the directory is.
    std::fs::File::open(directory)?.sync_all()
}

/// Temporary files are made for their owner alone; a database holds nothing secret.
#[cfg(unix)]
fn make_readable(file: &std::fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn make_readable(_file: &std::fs::File) -> io::Result<()> {
    Ok(())
}
