//! Certificates from files: authorities that are trusted, and the one by which a server knows us.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use reqwest::{Certificate, Url};

use crate::client::origin;
use crate::error::cause;
use crate::{ClientOptions, HttpError};

/// The largest file of certificates, in bytes.
const MAX_CERTIFICATES: u64 = 16 << 20;

/// The certificate by which one server knows us. No other server is shown it, whatever the first redirects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The address of the server, without a path: `https://registry.example:5000`.
    pub server: String,
    /// File with the certificate, and those between it and its authority (PEM).
    pub certificate: PathBuf,
    /// File with its private key (PEM).
    pub key: PathBuf,
}

/// What the files hold.
pub(crate) struct Tls {
    pub(crate) authorities: Vec<Certificate>,
    /// With the server that it is shown to.
    pub(crate) identity: Option<(Url, reqwest::Identity)>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let server = self.identity.as_ref().map(|(server, _)| server.as_str());
        write!(formatter, "Tls({} authorities, known to {server:?})", self.authorities.len())
    }
}

impl Tls {
    pub(crate) fn read(options: &ClientOptions) -> Result<Self, HttpError> {
        let authorities =
            options.ca_files.iter().map(|path| authorities(path)).collect::<Result<Vec<_>, _>>()?;
        let identity = options.identity.as_ref().map(identity).transpose()?;
        Ok(Self { authorities: authorities.into_iter().flatten().collect(), identity })
    }

    /// Whether the server at an address is the one that knows us by a certificate.
    pub(crate) fn knows(&self, url: &Url) -> bool {
        self.identity.as_ref().is_some_and(|(server, _)| origin(server) == origin(url))
    }
}

fn read(path: &Path, failed: impl Fn(String) -> HttpError) -> Result<Vec<u8>, HttpError> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_CERTIFICATES).read_to_end(&mut bytes))
        .map_err(|error| failed(error.to_string()))?;
    Ok(bytes)
}

fn authorities(path: &Path) -> Result<Vec<Certificate>, HttpError> {
    let failed = |problem: String| HttpError::Certificates { path: path.to_owned(), problem };
    let found = Certificate::from_pem_bundle(&read(path, failed)?).map_err(|error| failed(cause(&error)))?;
    match found.is_empty() {
        true => Err(failed("expected certificates in the PEM form, found none".to_owned())),
        false => Ok(found),
    }
}

fn identity(identity: &Identity) -> Result<(Url, reqwest::Identity), HttpError> {
    let server = Url::parse(&identity.server).map_err(|_| HttpError::Address {
        address: crate::redact(&identity.server),
        expected: "`https://HOST`",
    })?;
    let failed = |path: &Path, problem| HttpError::Identity { path: path.to_owned(), problem };
    let read = |path| read(path, |problem| failed(path, problem));
    let (key, certificate) = (read(&identity.key)?, read(&identity.certificate)?);
    // The message of the parser is not repeated: it might show a part of the key.
    let pair = reqwest::Identity::from_pem(&[key.as_slice(), b"\n", certificate.as_slice()].concat());
    let pair = pair.map_err(|_| {
        let key = identity.key.display();
        let problem =
            format!("expected a certificate there and its private key in `{key}`, both in the PEM form");
        failed(&identity.certificate, problem)
    })?;
    Ok((server, pair))
}
