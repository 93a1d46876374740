//! The socket on which hooks ask: one line of JSON each way. [`ask`] is the other side of it.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hullmark_types::MAX_DECISION_LINE;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::sys::stat::{Mode, umask};

/// How long a client may take to ask, or to listen.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many are answered at once.
const MAX_CLIENTS: usize = 32;

/// The socket cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the socket `{}`: {source}", path.display())]
pub struct SocketError {
    /// Its path.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Answers one line, which a process asked.
pub trait Answer: Send + Sync + 'static {
    /// The answer, without a line end.
    fn answer(&self, line: &str, asker: u32) -> String;
}

/// The socket.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Makes the socket, which only root may use. One that an earlier agent left is replaced; one where somebody answers is
    /// not. Must be called before threads are made: it changes the file mode mask of the process for a moment.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn listen(path: &Path) -> Result<Self, SocketError> {
        let error = |source| SocketError { path: path.to_owned(), source };
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(error)?;
        }
        match fs::symlink_metadata(path) {
            Ok(facts) if facts.file_type().is_socket() => {
                if UnixStream::connect(path).is_ok() {
                    return Err(error(io::Error::other("another agent answers there")));
                }
                fs::remove_file(path).map_err(error)?;
            }
            Ok(_) => return Err(error(io::Error::other("something else is there"))),
            Err(_) => {}
        }
        let mask = umask(Mode::from_bits_truncate(0o177));
        let listener = UnixListener::bind(path);
        umask(mask);
        let listener = listener.map_err(error)?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Answers until `stop`, and then once more.
    pub fn run(&self, answer: &Arc<impl Answer>, stop: &AtomicBool) {
        let clients = Arc::new(AtomicUsize::new(0));
        for stream in self.listener.incoming() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let Ok(stream) = stream else { continue };
            if clients.fetch_add(1, Ordering::Relaxed) >= MAX_CLIENTS {
                clients.fetch_sub(1, Ordering::Relaxed);
                tracing::warn!("too many ask at once; one is turned away");
                continue;
            }
            let (answer, own) = (Arc::clone(answer), Arc::clone(&clients));
            let spawned = std::thread::Builder::new().name("answer".to_owned()).spawn(move || {
                if let Err(error) = converse(stream, answer.as_ref()) {
                    tracing::debug!(%error, "a client went away");
                }
                own.fetch_sub(1, Ordering::Relaxed);
            });
            if let Err(error) = spawned {
                clients.fetch_sub(1, Ordering::Relaxed);
                tracing::error!(%error, "a client is turned away");
            }
        }
    }

    /// Wakes [`Self::run`], so that it sees that it is to stop.
    pub fn wake(path: &Path) {
        // When nobody listens any more there is nobody to wake.
        let _ = UnixStream::connect(path);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The next agent would replace it anyway.
        let _ = fs::remove_file(&self.path);
    }
}

fn converse(stream: UnixStream, answer: &impl Answer) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let asker = getsockopt(&stream, PeerCredentials)?;
    let line = read_line(&stream)?;
    if line.is_empty() {
        return Ok(());
    }
    let mut text = answer.answer(&line, u32::try_from(asker.pid()).unwrap_or_default());
    text.push('\n');
    (&stream).write_all(text.as_bytes())
}

fn read_line(stream: &UnixStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(MAX_DECISION_LINE as u64)).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

/// Asks an agent, or a server, on its socket.
///
/// # Errors
/// When nobody answers.
pub fn ask(path: &Path, line: &str) -> Result<String, SocketError> {
    let error = |source| SocketError { path: path.to_owned(), source };
    let mut stream = UnixStream::connect(path).map_err(error)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(error)?;
    stream.write_all(format!("{line}\n").as_bytes()).map_err(error)?;
    read_line(&stream).map_err(error)
}
