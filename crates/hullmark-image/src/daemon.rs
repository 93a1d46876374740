//! Docker and Podman: the part of Docker's API that gives images away
//! (<https://docs.docker.com/reference/api/engine/>), which Podman has too.
//!
//! An image is exported as an archive like that of `docker save`, which comes once and is read as it comes.

use std::path::Path;
use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use serde::Deserialize;

use crate::ImageError;
use crate::documents::read;
use crate::unix::{Answer, Body, Question, Version};

/// How long a question may take.
const WAIT: Duration = Duration::from_secs(60);

/// How long the beginning of an export may take: it is prepared as a whole.
const WAIT_FOR_EXPORT: Duration = Duration::from_secs(30 * 60);

/// The largest answer about an image or a container, in bytes.
const MAX_ANSWER: u64 = 8 << 20;

/// A daemon behind a socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Daemon<'a> {
    /// `docker-daemon` or `podman`, for errors.
    pub(crate) scheme: &'static str,
    pub(crate) socket: &'a Path,
}

#[derive(Debug, Deserialize)]
struct Message {
    #[serde(default)]
    message: String,
}

/// A container, as far as it is used.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) state: State,
}

/// Whether a container runs.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct State {
    #[serde(default)]
    pub(crate) running: bool,
    #[serde(default)]
    pub(crate) pid: u32,
}

impl Daemon<'_> {
    /// Begins the export of an image.
    ///
    /// # Errors
    /// When the daemon does not have the image, or cannot be reached.
    pub(crate) fn export(&self, name: &str) -> Result<Body, ImageError> {
        let place = format!("{}:{name}", self.scheme);
        // The export of an image that does not exist is a failure of the server to some daemons.
        self.get(&format!("/images/{}/json", encode(name)), &place, WAIT)?.document(MAX_ANSWER)?;
        Ok(self.get(&format!("/images/{}/get", encode(name)), &place, WAIT_FOR_EXPORT)?.body)
    }

    /// The container with this id or name; `None` when the daemon has none.
    ///
    /// # Errors
    /// When the daemon cannot be reached, or fails.
    pub(crate) fn container(&self, name: &str) -> Result<Option<Container>, ImageError> {
        let place = format!("container:{name}");
        match self.get(&format!("/containers/{}/json", encode(name)), &place, WAIT) {
            Ok(answer) => Ok(Some(read(&place, &answer.document(MAX_ANSWER)?)?)),
            Err(ImageError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn get(&self, path: &str, subject: &str, wait: Duration) -> Result<Answer, ImageError> {
        let refused = |status, message| ImageError::Daemon {
            socket: self.socket.to_owned(),
            subject: subject.to_owned(),
            status,
            message,
        };
        let request = Request::get(path)
            .header("host", "localhost")
            .body(Full::<Bytes>::default())
            .map_err(|error| refused(0, error.to_string()))?;
        let answer = Question { socket: self.socket, version: Version::One, request, wait }.ask()?;
        let status = answer.status;
        if status == 200 {
            return Ok(answer);
        }
        let bytes = answer.document(MAX_ANSWER)?;
        let said = serde_json::from_slice::<Message>(&bytes).map(|said| said.message).unwrap_or_default();
        match status {
            404 => Err(ImageError::Missing {
                place: self.socket.display().to_string(),
                missing: subject.to_owned(),
            }),
            _ => Err(refused(status, said)),
        }
    }
}

/// The name as part of a path; slashes stay, as the daemons expect.
fn encode(name: &str) -> String {
    name.bytes().fold(String::with_capacity(name.len()), |mut text, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' | b':' | b'@' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_become_another_request() {
        assert_eq!(encode("docker.io/library/alpine:3.18"), "docker.io/library/alpine:3.18");
        assert_eq!(encode("a b?c#d%\r\n"), "a%20b%3Fc%23d%25%0D%0A");
    }
}
