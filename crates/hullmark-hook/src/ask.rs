//! Asking over the local socket: one line of JSON there, one line back.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use hullmark_types::{DECISION_SCHEMA, DecisionAnswer, DecisionRequest, MAX_DECISION_LINE};

use crate::bounded;

/// There is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens, or the connection broke.
    #[error("nobody answers on `{socket}`")]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is there cannot be trusted to answer.
    #[error("`{socket}` is not a socket of this user or of root")]
    NotTrusted {
        /// The socket.
        socket: PathBuf,
    },
    /// The answer makes no sense.
    #[error("the answer on `{socket}` is malformed: {problem}")]
    Malformed {
        /// The socket.
        socket: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl AskError {
    /// The word for the records.
    pub fn failure(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } | Self::NotTrusted { .. } => "server-unreachable",
            Self::Malformed { .. } => "answer-malformed",
        }
    }
}

/// Asks, and waits for the answer however long it takes: the deadline is the caller's.
///
/// # Errors
/// When there is no answer that makes sense.
pub fn ask(socket: &Path, request: &DecisionRequest) -> Result<DecisionAnswer, AskError> {
    let unreachable = |source| AskError::Unreachable { socket: socket.to_owned(), source };
    let malformed = |problem: String| AskError::Malformed { socket: socket.to_owned(), problem };
    if !is_trusted(socket).map_err(unreachable)? {
        return Err(AskError::NotTrusted { socket: socket.to_owned() });
    }
    let mut line = serde_json::to_vec(request).map_err(|error| unreachable(error.into()))?;
    line.push(b'\n');
    if line.len() > MAX_DECISION_LINE {
        return Err(unreachable(io::Error::other("the question is too long")));
    }
    let mut stream = UnixStream::connect(socket).map_err(unreachable)?;
    stream.write_all(&line).map_err(unreachable)?;

    let mut answer = Vec::new();
    let limit = u64::try_from(MAX_DECISION_LINE).unwrap_or(u64::MAX);
    BufReader::new(stream.take(limit)).read_until(b'\n', &mut answer).map_err(unreachable)?;
    match answer.last() {
        Some(b'\n') => {}
        None => return Err(unreachable(io::ErrorKind::UnexpectedEof.into())),
        Some(_) => return Err(malformed("it has no end, or is too long".to_owned())),
    }
    let answer: DecisionAnswer =
        serde_json::from_slice(&answer).map_err(|error| malformed(error.to_string()))?;
    if answer.schema != DECISION_SCHEMA {
        return Err(malformed(format!("its version is {} and not {DECISION_SCHEMA}", answer.schema)));
    }
    Ok(answer)
}

/// Whoever may make a socket here may allow everything: only root and this user are believed.
fn is_trusted(socket: &Path) -> io::Result<bool> {
    let metadata = std::fs::metadata(socket)?;
    Ok(metadata.file_type().is_socket() && bounded::is_trusted(&metadata))
}
