//! HTTP over a Unix socket, as the engines of this machine speak it. Calls block.
//!
//! Every answer has a connection of its own, which ends with it, and a deadline for each step.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderMap;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

use crate::ImageError;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long the next bytes of an answer may take.
const READ: Duration = Duration::from_secs(120);

/// The most bytes of the header of an answer.
const MAX_HEADERS: usize = 64 * 1024;

/// How much may be on its way in one HTTP/2 stream.
const WINDOW: u32 = 2 << 20;

/// The version of HTTP that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// HTTP/1.1.
    One,
    /// HTTP/2, known beforehand.
    Two,
}

/// Something to be asked of the server at a socket.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub(crate) socket: &'a Path,
    pub(crate) version: Version,
    pub(crate) request: Request<Full<Bytes>>,
    /// How long the answer may take to begin.
    pub(crate) wait: Duration,
}

impl Question<'_> {
    /// Sends the request; what comes back is an answer whatever its status.
    ///
    /// # Errors
    /// When nobody answers.
    pub(crate) fn ask(self) -> Result<Answer, ImageError> {
        let Self { socket, version, request, wait } = self;
        let failed = |source| ImageError::Socket { socket: socket.to_owned(), source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let response: Response<Incoming> = runtime
            .block_on(async {
                let stream = within(CONNECT, UnixStream::connect(socket)).await?;
                let stream = TokioIo::new(stream);
                match version {
                    Version::One => {
                        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
                            .max_buf_size(MAX_HEADERS)
                            .handshake(stream)
                            .await
                            .map_err(io::Error::other)?;
                        tokio::spawn(connection);
                        within(wait, async { sender.send_request(request).await.map_err(io::Error::other) })
                            .await
                    }
                    Version::Two => {
                        let (mut sender, connection) =
                            hyper::client::conn::http2::Builder::new(TokioExecutor::new())
                                .initial_stream_window_size(WINDOW)
                                .initial_connection_window_size(WINDOW)
                                .max_header_list_size(MAX_HEADERS as u32)
                                .handshake(stream)
                                .await
                                .map_err(io::Error::other)?;
                        tokio::spawn(connection);
                        let response = within(wait, async {
                            sender.send_request(request).await.map_err(io::Error::other)
                        })
                        .await;
                        // A connection of HTTP/2 ends when nobody can send any more, even before its answer.
                        response.map(|mut response| {
                            response.extensions_mut().insert(sender);
                            response
                        })
                    }
                }
            })
            .map_err(failed)?;
        let (parts, body) = response.into_parts();
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: Body {
                socket: socket.to_owned(),
                runtime,
                incoming: body,
                _held: parts.extensions,
                bytes: Bytes::new(),
                trailers: None,
                is_over: false,
            },
        })
    }
}

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

impl Answer {
    /// The whole body, which may not have more than `limit` bytes.
    pub(crate) fn document(self, limit: u64) -> Result<Vec<u8>, ImageError> {
        let socket = self.body.socket.clone();
        let mut bytes = Vec::new();
        self.body
            .take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|source| ImageError::Socket { socket: socket.clone(), source })?;
        match bytes.len() as u64 > limit {
            true => Err(ImageError::Limit {
                place: socket.display().to_string(),
                problem: format!("an answer of more than {limit} bytes"),
            }),
            false => Ok(bytes),
        }
    }
}

/// The bytes of an answer, as they come.
pub(crate) struct Body {
    socket: PathBuf,
    runtime: Runtime,
    incoming: Incoming,
    _held: hyper::http::Extensions,
    bytes: Bytes,
    trailers: Option<HeaderMap>,
    is_over: bool,
}

impl std::fmt::Debug for Body {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Body").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Body {
    /// What came behind the body, once it was read to its end.
    pub(crate) fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }

    /// Waits for more bytes unless there are some.
    fn fill(&mut self) -> io::Result<()> {
        while self.bytes.is_empty() && !self.is_over {
            let incoming = &mut self.incoming;
            let next = self.runtime.block_on(within(READ, async {
                incoming.frame().await.transpose().map_err(io::Error::other)
            }))?;
            match next.map(hyper::body::Frame::into_data) {
                None => self.is_over = true,
                Some(Ok(bytes)) => self.bytes = bytes,
                Some(Err(frame)) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        self.trailers = Some(trailers);
                    }
                }
            }
        }
        Ok(())
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill()?;
        let length = self.bytes.len().min(buffer.len());
        let taken = self.bytes.split_to(length);
        if let Some(into) = buffer.get_mut(..length) {
            into.copy_from_slice(&taken);
        }
        Ok(length)
    }
}

async fn within<T>(wait: Duration, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(wait, step).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("nothing came for {} seconds", wait.as_secs()),
        )),
    }
}
