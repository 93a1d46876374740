//! Reading a blob of a registry, over connections that break.
//!
//! A body that breaks off, stalls or trickles is asked for again from where it ended. That goes on as long as it brings
//! bytes; the digest is that of the whole.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use hullmark_http::{HttpError, Response};
use hullmark_types::{Digest, Hasher};

use crate::ImageError;
use crate::client::Servers;
use crate::endpoint::Question;

/// How often in a row a blob is asked for again that does not get on.
const MAX_RESUMPTIONS: u32 = 5;

/// From which attempt on mirrors are not asked: the one that breaks off would break off again.
const WITHOUT_MIRRORS: u32 = 2;

/// How many bytes count as getting on. One byte for each connection would be a way to keep us for ever.
const PROGRESS: u64 = 1 << 20;

/// A blob that is being sent. Reading it to its end fails unless the bytes have the digest that was asked for.
pub struct Blob {
    servers: Arc<Servers>,
    repository: String,
    digest: Digest,
    response: Response,
    /// `None` where whoever reads computes the digest, and at the end.
    hasher: Option<Hasher>,
    /// Where it ends, or the part of it that is read, by the registry's word.
    size: Option<u64>,
    /// All of the blob, by the registry's word.
    whole: Option<u64>,
    /// Whether only a part is read.
    is_part: bool,
    position: u64,
    limit: u64,
    /// How often it was asked for again since it last got on, and where it was then.
    resumptions: u32,
    mark: u64,
}

/// Why a blob cannot be read on now.
enum Stop {
    /// It may be later.
    Passing(io::Error),
    /// It will not be.
    Lasting(io::Error),
}

impl fmt::Debug for Blob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.limit.saturating_sub(self.position);
        write!(formatter, "Blob({}, at most {left} more bytes)", self.digest)
    }
}

impl Blob {
    pub(crate) fn open(
        servers: &Arc<Servers>,
        repository: &str,
        digest: &Digest,
        limit: u64,
        is_verified: bool,
    ) -> Result<Self, ImageError> {
        let response = servers.ask(&question(repository, &format!("blobs/{digest}"), None))?;
        let size = response.content_length();
        if response.status() != 200 {
            return Err(ImageError::Malformed {
                place: servers.place(repository, &digest.to_string()),
                problem: format!("the registry answered {}, expected 200 and the blob", response.status()),
            });
        }
        if let Some(size) = size.filter(|size| *size > limit) {
            return Err(ImageError::Limit {
                place: servers.place(repository, &digest.to_string()),
                problem: format!("{size} bytes, the limit is {limit}"),
            });
        }
        Ok(Self {
            servers: Arc::clone(servers),
            repository: repository.to_owned(),
            digest: digest.clone(),
            response,
            hasher: is_verified.then(|| Hasher::new(digest.algorithm())),
            size,
            whole: size,
            is_part: false,
            position: 0,
            limit,
            resumptions: 0,
            mark: 0,
        })
    }

    /// Opens the bytes from `first` on of a blob, `length` of them and at least one. They are not verified.
    pub(crate) fn open_part(
        servers: &Arc<Servers>,
        repository: &str,
        digest: &Digest,
        first: u64,
        length: u64,
    ) -> Result<Self, ImageError> {
        let end = first.saturating_add(length.max(1));
        let range = Some((first, Some(end - 1)));
        let response = servers.ask(&question(repository, &format!("blobs/{digest}"), range))?;
        let sent = response.header("content-range").and_then(ContentRange::parse);
        let Some(sent) =
            sent.filter(|sent| response.status() == 206 && (sent.first, sent.last) == (first, end - 1))
        else {
            return Err(ImageError::Malformed {
                place: servers.place(repository, &digest.to_string()),
                problem: format!(
                    "the registry answered {} and not with the range asked for",
                    response.status()
                ),
            });
        };
        Ok(Self {
            servers: Arc::clone(servers),
            repository: repository.to_owned(),
            digest: digest.clone(),
            response,
            hasher: None,
            size: Some(end),
            whole: sent.size,
            is_part: true,
            position: first,
            limit: end,
            resumptions: 0,
            mark: first,
        })
    }

    /// How many bytes it has, by the registry's word.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    fn took(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.position = self.position.saturating_add(bytes.len() as u64);
        if self.position > self.limit {
            let problem = format!("`{}` has more than {} bytes", self.digest, self.limit);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<usize> {
        let got = self.hasher.take().map(Hasher::finish);
        match got.filter(|got| *got != self.digest) {
            Some(got) => {
                let problem = format!(
                    "`{}` is damaged or was changed: expected {}, got {got}",
                    self.response.address(),
                    self.digest
                );
                Err(io::Error::new(io::ErrorKind::InvalidData, problem))
            }
            None => Ok(0),
        }
    }

    /// Asks for the rest of a blob that broke off.
    fn resume(&mut self, mut cause: io::Error) -> io::Result<()> {
        if self.position.saturating_sub(self.mark) >= PROGRESS {
            self.resumptions = 0;
        }
        self.mark = self.position;
        while self.resumptions < MAX_RESUMPTIONS {
            self.resumptions += 1;
            self.servers.registry.pause(self.resumptions);
            match self.reopen() {
                Ok(response) => {
                    self.response = response;
                    return Ok(());
                }
                Err(Stop::Passing(error)) => cause = error,
                Err(Stop::Lasting(error)) => return Err(error),
            }
        }
        Err(cause)
    }

    fn reopen(&self) -> Result<Response, Stop> {
        let path = format!("blobs/{}", self.digest);
        let last = self.size.filter(|_| self.is_part).map(|end| end.saturating_sub(1));
        let range = (self.position > 0).then_some((self.position, last));
        let question = question(&self.repository, &path, range);
        let response = match self.resumptions < WITHOUT_MIRRORS {
            true => self.servers.ask(&question),
            false => self.servers.registry.ask(&question),
        };
        let mut response = response.map_err(|error| {
            let problem =
                io::Error::other(Resumption { digest: self.digest.clone(), problem: error.to_string() });
            if may_pass(&error) { Stop::Passing(problem) } else { Stop::Lasting(problem) }
        })?;
        let lies = |problem: String| {
            let error = Resumption { digest: self.digest.clone(), problem };
            Stop::Lasting(io::Error::new(io::ErrorKind::InvalidData, error))
        };
        let length = response.content_length();
        match response.status() {
            206 => {
                let range = response.header("content-range").and_then(ContentRange::parse);
                let fits = range.as_ref().is_some_and(|range| {
                    range.first == self.position
                        && (range.size.is_none() || self.whole.is_none_or(|size| Some(size) == range.size))
                        && last.is_none_or(|last| last == range.last)
                });
                match fits {
                    true => Ok(response),
                    false => Err(lies(format!(
                        "the registry sends other bytes than those from {} on",
                        self.position
                    ))),
                }
            }
            200 if self.is_part => Err(lies("the registry does not send ranges any more".to_owned())),
            200 if self.size.is_some() && length.is_some() && length != self.size => {
                Err(lies("the registry states another size than before".to_owned()))
            }
            // It does not know ranges, and sends everything again.
            200 => {
                let skipped = io::copy(&mut (&mut response).take(self.position), &mut io::sink());
                match skipped {
                    Ok(skipped) if skipped == self.position => Ok(response),
                    Ok(_) => Err(lies("the registry sends fewer bytes than before".to_owned())),
                    Err(error) => Err(Stop::Passing(error)),
                }
            }
            other => Err(lies(format!("the registry answers {other}"))),
        }
    }
}

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match self.response.read(buffer) {
                Ok(0) if self.size.is_some_and(|size| self.position < size) => {
                    self.resume(io::Error::new(io::ErrorKind::UnexpectedEof, "it ends too early"))?;
                }
                Ok(0) => return self.end(),
                Ok(length) => {
                    self.took(buffer.get(..length).unwrap_or_default())?;
                    return Ok(length);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                Err(error) => self.resume(error)?,
            }
        }
    }
}

/// A blob that could not be resumed; the error that a reader of it gets.
#[derive(Debug, thiserror::Error)]
#[error("`{digest}` broke off and cannot be read on: {problem}")]
struct Resumption {
    digest: Digest,
    problem: String,
}

fn question<'a>(repository: &'a str, path: &'a str, range: Option<(u64, Option<u64>)>) -> Question<'a> {
    Question { repository, path, accept: "*/*", only_head: false, range }
}

/// Whether the same question may be answered later.
pub(crate) fn may_pass(error: &ImageError) -> bool {
    matches!(
        error,
        ImageError::Registry { status: 429 | 500..=599, .. }
            | ImageError::Http(HttpError::Unreachable { .. } | HttpError::Body { .. })
    )
}

/// Which bytes an answer has: `bytes FIRST-LAST/SIZE` (RFC 9110, section 14.4).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ContentRange {
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// Of the whole, where it is said.
    pub(crate) size: Option<u64>,
}

impl ContentRange {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (unit, rest) = text.trim().split_once(' ')?;
        let (range, size) = rest.trim().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse::<u64>().ok(),
            false => None,
        };
        let size = if size == "*" { None } else { Some(number(size)?) };
        let range = Self { first: number(first)?, last: number(last)?, size };
        let possible = range.first <= range.last && size.is_none_or(|size| range.last < size);
        (unit.eq_ignore_ascii_case("bytes") && possible).then_some(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        let range = |first, last, size| Some(ContentRange { first, last, size });
        assert_eq!(ContentRange::parse("bytes 5-9/10"), range(5, 9, Some(10)));
        assert_eq!(ContentRange::parse("Bytes 0-0/*"), range(0, 0, None));
        for text in [
            "",
            "bytes */10",
            "bytes 5-4/10",
            "bytes 5-10/10",
            "items 5-9/10",
            "bytes +5-9/10",
            "bytes 5-9",
            "5-9/10",
        ] {
            assert_eq!(ContentRange::parse(text), None, "{text}");
        }
    }
}
