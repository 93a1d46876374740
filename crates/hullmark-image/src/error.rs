//! Why an image cannot be read.

use std::io;
use std::path::PathBuf;

use hullmark_http::HttpError;
use hullmark_types::{Digest, ImageReferenceError};

/// A text that names no target.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// It looks like a path, and nothing is there.
    #[error("there is no file or directory `{0}`")]
    NoSuchFile(String),
    /// The scheme before the colon needs something behind it.
    #[error("`{scheme}:` needs {expected} behind it")]
    Empty {
        /// The scheme.
        scheme: &'static str,
        /// What is needed.
        expected: &'static str,
    },
    /// What stands behind the scheme is not of its form.
    #[error("`{text}` is not of the form `{form}`")]
    Form {
        /// What was given.
        text: String,
        /// What was expected.
        form: &'static str,
    },
    /// It is not an image reference.
    #[error(transparent)]
    Reference(#[from] ImageReferenceError),
}

/// An image could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A file could not be read.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("`{place}` cannot be read: {problem}")]
    Malformed {
        /// The file, and the member inside it.
        place: String,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// The bytes are not those that the digest names.
    #[error("`{place}` is damaged or was changed: expected {expected}, got {got}")]
    DigestMismatch {
        /// Which bytes.
        place: String,
        /// The digest they should have.
        expected: Digest,
        /// The digest they have.
        got: Digest,
    },
    /// The bytes break off or cannot be decompressed, so that they cannot be verified.
    #[error("`{place}` cannot be read to its end, so it cannot be verified as {expected}: {problem}")]
    Unverified {
        /// Which bytes.
        place: String,
        /// The digest they should have.
        expected: Digest,
        /// What went wrong.
        problem: String,
    },
    /// A document is missing.
    #[error("`{place}` has no `{missing}`")]
    Missing {
        /// The archive, layout or repository.
        place: String,
        /// What is missing.
        missing: String,
    },
    /// The target holds several images, and none was chosen.
    #[error("`{place}` holds {count} images\nhint: choose one of: {choices}", count = choices.len(), choices = choices.join(", "))]
    Ambiguous {
        /// The archive or layout.
        place: String,
        /// How each is named.
        choices: Vec<String>,
    },
    /// No image for the platform.
    #[error("`{place}` has no image for {wanted}; it has {}", offered.join(", "))]
    Platform {
        /// The index.
        place: String,
        /// The platform that was asked for.
        wanted: String,
        /// The platforms there are.
        offered: Vec<String>,
    },
    /// A form of image that is not read.
    #[error("`{place}` is {form}, which is not supported")]
    Unsupported {
        /// The image.
        place: String,
        /// Its form.
        form: String,
    },
    /// A limit was hit that leaves nothing to go on with.
    #[error("`{place}` exceeds a limit: {problem}")]
    Limit {
        /// The image or document.
        place: String,
        /// The limit.
        problem: String,
    },
    /// What comes only once cannot be read to its end.
    #[error("`{place}` cannot be read")]
    Stream {
        /// Where it comes from.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// An engine of this machine cannot be reached, or its answer breaks off.
    #[error("no answer from the engine at `{}`", socket.display())]
    Socket {
        /// Its socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An engine of this machine refused.
    #[error("the engine at `{}` does not give `{subject}`{}: {message}", socket.display(), answered(*status))]
    Daemon {
        /// Its socket.
        socket: PathBuf,
        /// What was asked for.
        subject: String,
        /// The status code of HTTP; 0 when there is none.
        status: u16,
        /// What it said.
        message: String,
    },
    /// The root of a process cannot be read.
    #[error("the root file system of the process {pid} cannot be read: {problem}")]
    Process {
        /// Its number.
        pid: u32,
        /// Why.
        problem: String,
    },
    /// The registry could not be reached.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The registry refused.
    #[error("the registry `{registry}` answered {status} for `{subject}`{detail}")]
    Registry {
        /// The registry.
        registry: String,
        /// What was asked for.
        subject: String,
        /// The status code.
        status: u16,
        /// What the registry said, and a hint.
        detail: String,
    },
    /// The registry asks for a kind of authentication that is not known.
    #[error("the registry `{registry}` asks for authentication that cannot be given: {problem}")]
    Authentication {
        /// The registry.
        registry: String,
        /// What it asks for.
        problem: String,
    },
    /// The file with credentials cannot be used.
    #[error("the credentials in `{}` cannot be used: {problem}", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Certificates for a server cannot be used.
    #[error("the certificates in `{}` cannot be used: {problem}", path.display())]
    Certificates {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

fn answered(status: u16) -> String {
    match status {
        0 => String::new(),
        status => format!(" (status {status})"),
    }
}
