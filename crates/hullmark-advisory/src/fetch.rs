//! Where feeds are read from: a directory, or a server.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use hullmark_types::{Digest, DigestAlgorithm, Hasher};
use jiff::Timestamp;

/// Something that was fetched: its bytes as a stream, and what is known of their age.
pub struct Fetched {
    /// The bytes.
    pub body: Box<dyn Read + Send>,
    /// Their number, where it is known beforehand.
    pub length: Option<u64>,
    /// `Last-Modified`, or the date of the file.
    pub last_modified: Option<Timestamp>,
    /// Whether it came over the network.
    pub remote: bool,
}

/// Something could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It is not there: the file is absent, or the server answered 404 or 410.
    #[error("{address} does not exist")]
    NotFound {
        /// What was asked for, without credentials.
        address: String,
    },
    /// The server could not be reached, or answered with an error.
    #[error("{address} cannot be fetched from {host}")]
    Remote {
        /// What was asked for, without credentials.
        address: String,
        /// The server.
        host: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file could not be read.
    #[error("{} cannot be read", path.display())]
    Local {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The bytes stopped coming.
    #[error("{address} could not be read to its end")]
    Interrupted {
        /// What was asked for, without credentials.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// There is more of it than is read.
    #[error("{address} has more than {limit} bytes")]
    TooLarge {
        /// What was asked for, without credentials.
        address: String,
        /// How much is read at most.
        limit: u64,
    },
}

impl FetchError {
    /// The server that was asked, when it was a server.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Remote { host, .. } => Some(host),
            Self::NotFound { address }
            | Self::Interrupted { address, .. }
            | Self::TooLarge { address, .. } => host_of(address),
            Self::Local { .. } => None,
        }
    }
}

/// Gives the bytes behind an address. Used from several threads at once.
pub trait Fetch: Sync {
    /// Opens `address`: a path, or a URL that begins with `http://` or `https://`.
    ///
    /// # Errors
    /// When it does not exist or cannot be opened.
    fn fetch(&self, address: &str) -> Result<Fetched, FetchError>;
}

/// Whether an address is a URL and not a path.
pub fn is_remote(address: &str) -> bool {
    address.starts_with("http://") || address.starts_with("https://")
}

/// Host and port of a URL.
pub(crate) fn host_of(address: &str) -> Option<&str> {
    let rest = address.strip_prefix("http://").or_else(|| address.strip_prefix("https://"))?;
    let authority = rest.split(['/', '?', '#']).next()?;
    Some(authority.rsplit_once('@').map_or(authority, |(_, host)| host))
}

/// Reads addresses that are paths from the file system, and refuses URLs.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalFetcher;

impl Fetch for LocalFetcher {
    fn fetch(&self, address: &str) -> Result<Fetched, FetchError> {
        if is_remote(address) {
            let source = io::Error::new(io::ErrorKind::Unsupported, "only local files are read here");
            return Err(FetchError::Remote {
                address: address.to_owned(),
                host: host_of(address).unwrap_or_default().to_owned(),
                source: source.into(),
            });
        }
        let path = Path::new(address);
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => FetchError::NotFound { address: address.to_owned() },
            _ => FetchError::Local { path: path.to_owned(), source },
        };
        let file = std::fs::File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        Ok(Fetched {
            length: Some(metadata.len()),
            last_modified: metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok()),
            body: Box::new(file),
            remote: false,
        })
    }
}

/// A whole document in memory.
pub(crate) struct Document {
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: Digest,
    pub(crate) last_modified: Option<Timestamp>,
    pub(crate) remote: bool,
}

/// Fetches all of `address`, at most `limit` bytes; tells `progress` the bytes read so far and their expected number.
pub(crate) fn fetch_whole(
    fetcher: &dyn Fetch,
    address: &str,
    limit: u64,
    progress: &dyn Fn(u64, Option<u64>),
) -> Result<Document, FetchError> {
    let mut fetched = fetcher.fetch(address)?;
    let too_large = || FetchError::TooLarge { address: address.to_owned(), limit };
    if fetched.length.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut hasher = Hasher::new(DigestAlgorithm::Sha256);
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = match fetched.body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(FetchError::Interrupted { address: address.to_owned(), source }),
        };
        let part = buffer.get(..count).unwrap_or(&buffer);
        if bytes.len() as u64 + part.len() as u64 > limit {
            return Err(too_large());
        }
        hasher.update(part);
        bytes.extend_from_slice(part);
        progress(bytes.len() as u64, fetched.length);
    }
    if let Some(length) = fetched.length.filter(|length| *length != bytes.len() as u64) {
        let message = format!("{} bytes came, {length} were announced", bytes.len());
        let source = io::Error::new(io::ErrorKind::UnexpectedEof, message);
        return Err(FetchError::Interrupted { address: address.to_owned(), source });
    }
    Ok(Document {
        digest: hasher.finish(),
        bytes,
        last_modified: fetched.last_modified,
        remote: fetched.remote,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_named_without_credentials() {
        for (address, expected) in [
            ("https://user:secret@feeds.example:8443/osv/PyPI/all.zip", Some("feeds.example:8443")),
            ("http://deb.example", Some("deb.example")),
            ("/srv/feeds/osv", None),
        ] {
            assert_eq!(host_of(address), expected, "{address}");
        }
    }

    #[test]
    fn local_files_are_read_whole_and_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("feed.json");
        std::fs::write(&path, b"0123456789").unwrap();
        let address = path.to_str().unwrap();
        let document = fetch_whole(&LocalFetcher, address, 10, &|_, _| {}).unwrap();
        assert_eq!(document.bytes, b"0123456789");
        assert_eq!(document.digest, Digest::sha256(b"0123456789"));
        assert!(document.last_modified.is_some());
        let too_large = fetch_whole(&LocalFetcher, address, 9, &|_, _| {});
        assert!(matches!(too_large, Err(FetchError::TooLarge { limit: 9, .. })));
        let absent = LocalFetcher.fetch(directory.path().join("absent").to_str().unwrap());
        assert!(matches!(absent, Err(FetchError::NotFound { .. })));
        assert!(matches!(LocalFetcher.fetch("https://feeds.example/x"), Err(FetchError::Remote { .. })));
    }
}
