//! What the header of a package says.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hullmark_types::{Checksum, PackageKind, SourcePackage};
use thiserror::Error;

use super::header::{Header, HeaderError, tag};
use super::signature;
use crate::text::non_empty;
use crate::{FoundPackage, OwnedFiles};

/// Keys of signatures are kept in the database as packages of this name.
const KEY_PACKAGE: &str = "gpg-pubkey";

/// The most directories of one package.
const MAX_DIRECTORIES: usize = 1_000_000;

/// How the algorithms of digests are numbered (RFC 9580, section 9.5).
const ALGORITHMS: &[(u32, &str)] =
    &[(1, "md5"), (2, "sha1"), (8, "sha256"), (9, "sha384"), (10, "sha512"), (11, "sha224")];

/// Why a package cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum PackageError {
    /// Its header is malformed.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// What makes it a package is missing.
    #[error("its header has no {0}")]
    Missing(&'static str),
}

/// A package, and what is needed to list its files.
pub(super) struct Read<'a> {
    pub(super) package: FoundPackage,
    pub(super) owned: Owned<'a>,
}

/// Reads a header; `None` when it is that of a key.
pub(super) fn read(blob: &[u8]) -> Result<Option<Read<'_>>, PackageError> {
    let header = Header::parse(blob)?;
    let text = |tag| Ok::<_, HeaderError>(header.text(tag)?.and_then(|text| non_empty(&text)));
    let name = text(tag::NAME)?.ok_or(PackageError::Missing("name"))?;
    if name == KEY_PACKAGE {
        return Ok(None);
    }
    let version = text(tag::VERSION)?.ok_or(PackageError::Missing("version"))?;
    let release = text(tag::RELEASE)?.ok_or(PackageError::Missing("release"))?;
    let epoch = header.number(tag::EPOCH)?;
    let architecture = text(tag::ARCHITECTURE)?;
    let package = FoundPackage {
        source: text(tag::SOURCE_RPM)?.as_deref().and_then(source_package),
        architecture: architecture.clone(),
        licenses: text(tag::LICENSE)?.into_iter().collect(),
        vendor: text(tag::VENDOR)?,
        checksums: checksums(&header)?,
        properties: properties(&header)?,
        ..FoundPackage::new(PackageKind::Rpm, &name, full_version(epoch, &version, &release))
    };
    Ok(Some(Read { package, owned: Owned { header, package: name, architecture } }))
}

/// `EPOCH:VERSION-RELEASE`. An epoch of 0 is the same as none, and is not written.
pub(super) fn full_version(epoch: Option<u32>, version: &str, release: &str) -> String {
    match epoch {
        Some(epoch) if epoch != 0 => format!("{epoch}:{version}-{release}"),
        _ => format!("{version}-{release}"),
    }
}

/// Reads `NAME-VERSION-RELEASE.src.rpm`. The epoch of the source package is not in it.
pub(crate) fn source_package(file: &str) -> Option<SourcePackage> {
    let stem = file.strip_suffix(".src.rpm").or_else(|| file.strip_suffix(".nosrc.rpm"))?;
    let (rest, release) = stem.rsplit_once('-')?;
    let (name, version) = rest.rsplit_once('-')?;
    (!name.is_empty())
        .then(|| SourcePackage { name: name.to_owned(), version: format!("{version}-{release}") })
}

/// The MD5 of header and content together, by which rpm itself tells packages apart, and the digest of the content.
fn checksums(header: &Header<'_>) -> Result<Vec<Checksum>, HeaderError> {
    let mut checksums = Vec::new();
    if let Some(md5) = header.binary(tag::SIGNATURE_MD5)?.filter(|md5| md5.len() == 16) {
        checksums.push(Checksum { algorithm: "md5".to_owned(), value: signature::hexadecimal(md5) });
    }
    let algorithm = header.number(tag::PAYLOAD_DIGEST_ALGORITHM)?;
    let algorithm = ALGORITHMS.iter().find(|(number, _)| Some(*number) == algorithm);
    if let Some(((_, algorithm), digest)) = algorithm.zip(header.text(tag::PAYLOAD_DIGEST)?)
        && (32..=128).contains(&digest.len())
        && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        let algorithm = (*algorithm).to_owned();
        checksums.push(Checksum { algorithm, value: digest.to_ascii_lowercase() });
    }
    Ok(checksums)
}

fn properties(header: &Header<'_>) -> Result<BTreeMap<String, String>, HeaderError> {
    let mut properties = BTreeMap::new();
    // A label that is empty says that the package is of no module; without one that is not known.
    if let Some(label) = header.text(tag::MODULARITY_LABEL)? {
        properties.insert("rpm:module".to_owned(), label.trim().to_owned());
    }
    if let Some(key) = signature::key_id(header)? {
        properties.insert("rpm:signature-key".to_owned(), key);
    }
    Ok(properties)
}

/// What lists the files of a package.
pub(super) struct Owned<'a> {
    header: Header<'a>,
    package: String,
    architecture: Option<String>,
}

/// Why a list is not whole; with what there is of it.
#[derive(Debug)]
pub(super) enum OwnedError {
    Limit(OwnedFiles),
    Malformed(OwnedFiles),
}

impl Owned<'_> {
    /// The paths of all files and directories that the package says are its own. `budget` is how many bytes they may take.
    pub(super) fn collect(self, budget: &mut usize) -> Result<OwnedFiles, OwnedError> {
        let mut owned = OwnedFiles {
            package: self.package.clone(),
            architecture: self.architecture.clone(),
            files: Vec::new(),
        };
        match list(&self.header, &mut owned.files, budget) {
            Ok(true) => Ok(owned),
            Ok(false) => Err(OwnedError::Limit(owned)),
            Err(_) => Err(OwnedError::Malformed(owned)),
        }
    }
}

/// Whether there was room for all.
fn list(header: &Header<'_>, files: &mut Vec<String>, budget: &mut usize) -> Result<bool, HeaderError> {
    let mut push = |path: &[&[u8]]| {
        let [directory, name] = [0, 1].map(|index| path.get(index).copied().unwrap_or_default());
        // Directories are written once in the header and repeated here, so that the result can be far larger.
        let Some(left) = budget.checked_sub(directory.len() + name.len() + size_of::<String>()) else {
            *budget = 0;
            return false;
        };
        *budget = left;
        let path = joined(directory, name);
        if !path.is_empty() {
            files.push(path);
        }
        true
    };
    if let Some(mut names) = header.texts(tag::OLD_FILE_NAMES)? {
        return Ok(names.all(|name| push(&[name])));
    }
    let Some(mut names) = header.texts(tag::BASE_NAMES)? else { return Ok(true) };
    let missing = HeaderError::Data(tag::DIRECTORY_NAMES);
    let Some(directories) = header.texts(tag::DIRECTORY_NAMES)? else { return Err(missing) };
    let directories: Vec<_> = directories.take(MAX_DIRECTORIES).collect();
    let Some(mut indexes) = header.numbers(tag::DIRECTORY_INDEXES)? else { return Err(missing) };
    while names.left() > 0 {
        let Some(name) = names.next() else { return Err(HeaderError::Data(tag::BASE_NAMES)) };
        let index = indexes.next().and_then(|index| usize::try_from(index).ok());
        let directory = index.and_then(|index| directories.get(index));
        let Some(directory) = directory else { return Err(HeaderError::Data(tag::DIRECTORY_INDEXES)) };
        if !push(&[directory, name]) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn joined(directory: &[u8], name: &[u8]) -> String {
    let lossy = |bytes| -> Cow<'_, str> { String::from_utf8_lossy(bytes) };
    let path = lossy(directory).into_owned() + &lossy(name);
    path.trim_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_packages_are_taken_from_the_name_of_their_file() {
        let check = |file: &str, expected: Option<(&str, &str)>| {
            let found = source_package(file);
            assert_eq!(
                found.as_ref().map(|source| (source.name.as_str(), source.version.as_str())),
                expected
            );
        };
        check("bash-5.1.8-6.el9.src.rpm", Some(("bash", "5.1.8-6.el9")));
        check("java-17-openjdk-17.0.1-2.el9.src.rpm", Some(("java-17-openjdk", "17.0.1-2.el9")));
        check("steam-1.0-1.nosrc.rpm", Some(("steam", "1.0-1")));
        check("(none)", None);
        check("a-b.src.rpm", None);
        check("-1-2.src.rpm", None);
    }

    #[test]
    fn epochs_of_zero_are_not_written() {
        assert_eq!(full_version(None, "1", "2"), "1-2");
        assert_eq!(full_version(Some(0), "1", "2"), "1-2");
        assert_eq!(full_version(Some(3), "1", "2"), "3:1-2");
    }
}
