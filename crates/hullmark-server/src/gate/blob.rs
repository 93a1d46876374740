//! Blobs: only those that an allowed manifest of the repository reaches, from the cache, whole or in part.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};
use hullmark_types::Digest;
use tokio::sync::mpsc;

use super::answer::describe;
use super::assess::{Assessment, Finding};
use super::decision::Asked;
use super::document::{Blob, Kind};
use super::error::{Code, OciError};
use super::route::{Place, Reference, Route};
use super::upstream::{RETRY_AFTER, unavailable};
use super::{Gate, Pull};
use crate::error::chain;

/// Memory for bodies that are being sent, in bytes, and the most and the least that one of them takes at once.
const STREAM_MEMORY: usize = 16 << 20;
const MAX_PIECE: usize = 512 << 10;
const MIN_PIECE: usize = 16 << 10;

/// How many bodies are sent at the same time.
const MAX_STREAMS: usize = 4096;

impl Pull {
    pub(crate) async fn blob(
        &self,
        asked: &Asked,
        route: &Route,
        digest: &Digest,
        headers: &HeaderMap,
        head: bool,
    ) -> Result<Response, OciError> {
        let place = &route.place;
        let (manifest, assessed) = self.reaching(asked, place, digest).await?;
        let allowed = assessed.as_ref().is_some_and(|one| matches!(one.answer, Finding::Allowed));
        let reference = Reference::Digest(manifest.clone());
        let warnings = self.decide(asked, place, &reference, &manifest, assessed, false).await?;
        if allowed {
            let key = (place.clone(), digest.clone());
            Gate::lock(&self.gate.reached).insert(key, manifest.clone(), 1);
        }
        let blob = self.named(place, &manifest, digest).await?;
        let range = headers.get(RANGE).and_then(|range| range.to_str().ok()).filter(|_| !head);
        let part = part_of(range, blob.size);
        let (first, length) = match part {
            Part::Whole => (0, blob.size),
            Part::Range(first, length) => (first, length),
            Part::Unsatisfiable => return Ok(unsatisfiable(blob.size)),
        };
        let body = match head {
            true => Body::empty(),
            false => self.body(asked, place, &blob, first, length).await?,
        };
        let status = if part == Part::Whole { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT };
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        describe(headers, digest, &warnings);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if status == StatusCode::PARTIAL_CONTENT
            && let Ok(range) =
                HeaderValue::from_str(&format!("bytes {first}-{}/{}", first + length - 1, blob.size))
        {
            headers.insert(CONTENT_RANGE, range);
        }
        Ok(response)
    }

    /// The best manifest of the repository that names a blob, and what is known of it: an allowed one when there is one.
    async fn reaching(
        &self,
        asked: &Asked,
        place: &Place,
        digest: &Digest,
    ) -> Result<(Digest, Option<Assessment>), OciError> {
        let mut best: Option<(u8, Digest, Option<Assessment>)> = None;
        let last = Gate::lock(&self.gate.reached).get(&(place.clone(), digest.clone()));
        if let Some(manifest) = last
            && let Ok(Some(assessed)) = self.assess_until(asked, place, &manifest).await
            && matches!(assessed.answer, Finding::Allowed)
        {
            return Ok((manifest, Some(assessed)));
        }
        let found = self.shared.store.manifests_with_blob(&place.upstream, &place.repository, digest).await;
        let found = found.map_err(|error| unavailable("the store cannot be read", &chain(&error)))?;
        for manifest in found {
            let assessed = match self.assess_until(asked, place, &manifest).await {
                Ok(assessed) => assessed,
                // It may be gone from the upstream; another one may reach the blob.
                Err(error) => {
                    tracing::debug!(%manifest, %error, "a manifest that names a blob cannot be assessed");
                    continue;
                }
            };
            let rank = match assessed.as_ref().map(|assessed| &assessed.answer) {
                Some(Finding::Allowed) => 0,
                None => 1,
                Some(Finding::Failed(_)) => 2,
                Some(Finding::Denied(_)) => 3,
            };
            if rank == 0 {
                return Ok((manifest, assessed));
            }
            if best.as_ref().is_none_or(|(other, _, _)| rank < *other) {
                best = Some((rank, manifest, assessed));
            }
        }
        match best {
            Some((_, manifest, assessed)) => Ok((manifest, assessed)),
            None => {
                let message =
                    "no manifest of this repository that was pulled through this gate names the blob";
                Err(OciError::new(404, Code::BlobUnknown, message))
            }
        }
    }

    /// The blob as a manifest names it.
    async fn named(&self, place: &Place, manifest: &Digest, digest: &Digest) -> Result<Blob, OciError> {
        let document = self.document(place, manifest).await?;
        let found = match &document.kind {
            Kind::Manifest(manifest) => manifest.blobs().into_iter().find(|blob| blob.digest == *digest),
            Kind::Index(_) => None,
        };
        found.ok_or_else(|| OciError::new(404, Code::BlobUnknown, "the manifest does not name the blob"))
    }

    async fn body(
        &self,
        asked: &Asked,
        place: &Place,
        blob: &Blob,
        first: u64,
        length: u64,
    ) -> Result<Body, OciError> {
        let cached = self.gate.cache.get(&blob.digest);
        let (file, size) = match cached {
            Some(found) => found,
            None => {
                let fetching = self.fetch_blob(place, blob);
                let fetched = tokio::time::timeout_at(asked.until.into(), fetching).await;
                let fetched = fetched.map_err(|_| {
                    OciError::new(503, Code::BlobUnknown, "the blob is being fetched; try again in a moment")
                        .retry_after(RETRY_AFTER)
                })?;
                fetched.map_err(|failure| {
                    let status =
                        if failure.word == "disk-failed" || failure.word == "cache-full" { 503 } else { 502 };
                    OciError::new(status, Code::BlobUnknown, failure.message)
                })?;
                let lost = || unavailable("the blob cannot be read", "it is not in the cache");
                self.gate.cache.get(&blob.digest).ok_or_else(lost)?
            }
        };
        if size != blob.size {
            return Err(unavailable(
                "the blob cannot be read",
                &format!("it has {size} bytes, expected {}", blob.size),
            ));
        }
        let active = self.gate.streaming();
        if active >= MAX_STREAMS {
            let message = "too many blobs are being sent; try again later";
            return Err(OciError::new(503, Code::TooManyRequests, message).retry_after(RETRY_AFTER));
        }
        let piece = (STREAM_MEMORY / (active + 1)).clamp(MIN_PIECE, MAX_PIECE);
        let stream = Stream { file, piece, counted: Counted::new(&self.gate.streams) };
        Ok(Body::new(stream.body(first, length)))
    }
}

/// A body that is being sent, from a task of its own: it reads ahead by one piece, and waits for the client after that.
struct Stream {
    file: File,
    piece: usize,
    counted: Counted,
}

/// What a body receives: pieces in their order, and an error in the place of the next piece when there is none to come.
type Piece = std::io::Result<Bytes>;

impl Stream {
    /// The body with `length` bytes from `first`.
    fn body(self, first: u64, length: u64) -> Pieces {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(self.send(sender, first, length));
        Pieces { receiver, left: length }
    }

    async fn send(self, sender: mpsc::Sender<Piece>, first: u64, length: u64) {
        let Self { mut file, piece, counted: _counted } = self;
        let (mut at, mut left) = (first, length);
        while left > 0 {
            let wanted = left.min(piece as u64);
            let read = tokio::task::spawn_blocking(move || {
                let mut bytes = Vec::with_capacity(usize::try_from(wanted).unwrap_or(piece));
                file.seek(SeekFrom::Start(at))?;
                (&file).take(wanted).read_to_end(&mut bytes)?;
                match bytes.len() as u64 == wanted {
                    true => Ok((file, bytes)),
                    false => Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)),
                }
            });
            let bytes = match read.await.map_err(std::io::Error::other).and_then(|read| read) {
                Ok((same, bytes)) => {
                    file = same;
                    bytes
                }
                Err(error) => {
                    tracing::error!(%error, "a blob cannot be read to its end");
                    let _ = sender.send(Err(error)).await;
                    return;
                }
            };
            (at, left) = (at + wanted, left - wanted);
            // The client has gone when nobody receives.
            if sender.send(Ok(bytes.into())).await.is_err() {
                return;
            }
        }
    }
}

/// The body that receives the pieces. It ends when all its bytes have come; when the sender is gone before that, it fails,
/// so that a client never takes a part for the whole.
///
/// (`http_body_util::channel` may lose the last piece: it looks for the end in a second channel after it has found the first
/// one empty, and the piece and the end may both come between the two.)
struct Pieces {
    receiver: mpsc::Receiver<Piece>,
    left: u64,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let piece = ready!(self.receiver.poll_recv(context));
        let piece = piece.unwrap_or_else(|| Err(std::io::ErrorKind::UnexpectedEof.into()));
        self.left = piece.as_ref().map_or(0, |bytes| self.left.saturating_sub(bytes.len() as u64));
        Poll::Ready(Some(piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Counts a body for as long as it is sent.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(streams: &Arc<AtomicUsize>) -> Self {
        streams.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(streams))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What part of a blob is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    /// First byte and length.
    Range(u64, u64),
    Unsatisfiable,
}

/// One range of bytes (RFC 9110, section 14.1.2). Several, and what is malformed, are not looked at.
fn part_of(range: Option<&str>, size: u64) -> Part {
    let Some((first, last)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else {
        return Part::Whole;
    };
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u64>().ok(),
        false => None,
    };
    match (number(first), number(last), first.is_empty(), last.is_empty()) {
        (Some(first), _, false, true) if first < size => Part::Range(first, size - first),
        (Some(first), Some(last), false, false) if first <= last && first < size => {
            Part::Range(first, last.min(size - 1) - first + 1)
        }
        (_, Some(0), true, false) => Part::Unsatisfiable,
        (_, Some(suffix), true, false) if size > 0 => Part::Range(size - suffix.min(size), suffix.min(size)),
        (Some(first), Some(last), false, false) if first > last => Part::Whole,
        (Some(_), _, false, true) | (Some(_), Some(_), false, false) | (_, Some(_), true, false) => {
            Part::Unsatisfiable
        }
        _ => Part::Whole,
    }
}

fn unsatisfiable(size: u64) -> Response {
    let error =
        OciError::new(416, Code::SizeInvalid, format!("the blob has {size} bytes; the range is not in it"));
    let mut response = error.into_response();
    if let Ok(range) = HeaderValue::from_str(&format!("bytes */{size}")) {
        response.headers_mut().insert(CONTENT_RANGE, range);
    }
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn check(range: &str, size: u64, expected: Part) {
        assert_eq!(part_of(Some(range), size), expected, "{range} of {size}");
    }

    /// The body of a file with `size` bytes of which `length` are asked for, in pieces of at most `piece`.
    async fn collected(size: usize, length: u64, piece: usize) -> Result<Vec<u8>, std::io::Error> {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &vec![7; size]).unwrap();
        let streams = Arc::new(AtomicUsize::new(0));
        let stream = Stream { file, piece, counted: Counted::new(&streams) };
        Ok(stream.body(0, length).collect().await?.to_bytes().to_vec())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn no_piece_of_a_body_is_lost_however_its_end_comes() {
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                tokio::spawn(async {
                    for length in 0..500 {
                        assert_eq!(collected(600, length, 200).await.unwrap().len() as u64, length);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_file_that_ends_early_fails_the_body() {
        let error = collected(450, 600, 200).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn ranges_are_those_of_the_standard() {
        for (range, first, length) in [
            ("bytes=0-0", 0, 1),
            ("bytes=0-", 0, 10),
            ("bytes=3-5", 3, 3),
            ("bytes=9-99", 9, 1),
            ("bytes=-3", 7, 3),
            ("bytes=-99", 0, 10),
        ] {
            check(range, 10, Part::Range(first, length));
        }
        for range in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
            check(range, 10, Part::Unsatisfiable);
        }
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-3",
            "bytes=0-1,3-4",
            "bytes=+1-2",
            "bytes=a-b",
            "items=0-1",
            "bytes=99999999999999999999-",
        ] {
            check(range, 10, Part::Whole);
        }
        check("bytes=0-", 0, Part::Unsatisfiable);
        check("bytes=-1", 0, Part::Unsatisfiable);
        assert_eq!(part_of(None, 10), Part::Whole);
    }
}
