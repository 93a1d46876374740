//! Feeds from servers.

use hullmark_http::Client;
use jiff::Timestamp;
use jiff::fmt::rfc2822;

use crate::fetch::{Fetch, FetchError, Fetched, LocalFetcher, host_of, is_remote};

/// Fetches URLs through the HTTP client, and paths from the file system.
#[derive(Debug, Clone)]
pub struct HttpFetcher {
    client: Client,
}

impl HttpFetcher {
    /// Fetches through `client`, with its retries, proxies, and rules for plain HTTP and offline work.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

/// The server answered, but not with the document.
#[derive(Debug, thiserror::Error)]
#[error("the server answered with status {status}")]
struct Status {
    status: u16,
}

impl Fetch for HttpFetcher {
    fn fetch(&self, address: &str) -> Result<Fetched, FetchError> {
        if !is_remote(address) {
            return LocalFetcher.fetch(address);
        }
        let shown = hullmark_http::redact(address);
        let remote = |source| FetchError::Remote {
            address: shown.clone(),
            host: host_of(address).unwrap_or_default().to_owned(),
            source,
        };
        let response = self.client.get(address).send().map_err(|error| remote(error.into()))?;
        match response.status() {
            200 => {}
            404 | 410 => return Err(FetchError::NotFound { address: shown }),
            status => return Err(remote(Status { status }.into())),
        }
        let encoded = response.header("content-encoding").is_some();
        let last_modified = response.header("last-modified").and_then(parse_date);
        Ok(Fetched {
            length: response.content_length().filter(|_| !encoded),
            last_modified,
            body: Box::new(response),
            remote: true,
        })
    }
}

/// A date of an HTTP header: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110).
pub(crate) fn parse_date(text: &str) -> Option<Timestamp> {
    rfc2822::parse(text.trim()).ok().map(|date| date.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_headers_are_read() {
        assert_eq!(
            parse_date("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some("1994-11-06T08:49:37Z".parse().unwrap())
        );
        assert_eq!(
            parse_date("Sat, 21 Nov 2026 00:53:02 UTC"),
            Some("2026-11-21T00:53:02Z".parse().unwrap())
        );
        assert_eq!(parse_date("yesterday"), None);
    }
}
