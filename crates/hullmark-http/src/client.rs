//! The client.

use std::io::{self, Read};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION, RANGE, RETRY_AFTER,
};

use crate::error::cause;
use crate::retry::{Sleep, is_transient, wait};
use crate::{HttpError, Secret, redact};

/// Whether plain HTTP may be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PlainHttp {
    /// Only to this machine.
    #[default]
    LoopbackOnly,
    /// To any machine.
    Allowed,
}

/// How a client behaves.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Contact no other machine at all.
    pub offline: bool,
    /// Where plain HTTP may be used.
    pub plain_http: PlainHttp,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long to wait for more bytes.
    pub read_timeout: Duration,
    /// How many times to try again after a failure that may pass.
    pub retries: u32,
    /// How many redirects to follow.
    pub max_redirects: usize,
    /// What the client calls itself.
    pub user_agent: String,
    /// How to wait.
    pub sleep: Sleep,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            offline: false,
            plain_http: PlainHttp::LoopbackOnly,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(60),
            retries: 3,
            max_redirects: 10,
            user_agent: concat!("hullmark/", env!("CARGO_PKG_VERSION")).to_owned(),
            sleep: std::thread::sleep,
        }
    }
}

/// An HTTP client. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    inner: reqwest::blocking::Client,
    /// For this machine itself, past any proxy; set up when it is first needed.
    direct: Arc<OnceLock<reqwest::blocking::Client>>,
    options: ClientOptions,
}

fn build(options: &ClientOptions, proxies: bool) -> Result<reqwest::blocking::Client, HttpError> {
    let builder = reqwest::blocking::Client::builder()
        .connect_timeout(options.connect_timeout)
        // In the blocking client this is the limit of each wait, not of the whole exchange: a layer may take long, as long as
        // bytes come.
        .timeout(options.read_timeout)
        // Followed by hand, so that each hop is checked and credentials stay with their host.
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(&options.user_agent);
    let builder = if proxies { builder } else { builder.no_proxy() };
    builder.build().map_err(HttpError::Setup)
}

impl Client {
    /// Sets a client up. Contacts nobody.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn new(options: ClientOptions) -> Result<Self, HttpError> {
        let inner = build(&options, true)?;
        Ok(Self { inner, direct: Arc::default(), options })
    }

    fn reaching(&self, host: &str) -> Result<reqwest::blocking::Client, HttpError> {
        if !is_loopback(host) {
            return Ok(self.inner.clone());
        }
        match self.direct.get() {
            Some(client) => Ok(client.clone()),
            None => {
                let client = build(&self.options, false)?;
                Ok(self.direct.get_or_init(|| client).clone())
            }
        }
    }

    /// How the client behaves.
    pub fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// Begins a GET request.
    pub fn get(&self, address: &str) -> Request<'_> {
        Request { client: self, address: address.to_owned(), headers: Vec::new() }
    }

    fn check(&self, address: &str) -> Result<Url, HttpError> {
        let expected = |expected| HttpError::Address { address: redact(address), expected };
        let url = Url::parse(address).map_err(|_| expected("`https://HOST/PATH`"))?;
        let host = url.host_str().ok_or_else(|| expected("a host"))?.to_owned();
        let local = is_loopback(&host);
        if self.options.offline && !local {
            return Err(HttpError::Offline { host });
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if local || self.options.plain_http == PlainHttp::Allowed => Ok(url),
            "http" => Err(HttpError::PlainHttp { address: redact(address) }),
            _ => Err(expected("the scheme `https` or `http`")),
        }
    }
}

/// Whether a host is this machine.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A request that is being put together.
#[derive(Debug)]
pub struct Request<'a> {
    client: &'a Client,
    address: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Request<'_> {
    /// Which media types are wanted.
    #[must_use]
    pub fn accept(mut self, media_types: &str) -> Self {
        self.headers.extend(HeaderValue::from_str(media_types).ok().map(|value| (ACCEPT, value)));
        self
    }

    /// Only the bytes from `first` on.
    #[must_use]
    pub fn range_from(mut self, first: u64) -> Self {
        self.headers
            .extend(HeaderValue::from_str(&format!("bytes={first}-")).ok().map(|value| (RANGE, value)));
        self
    }

    /// An `Authorization` header, such as `Bearer ...`. It is not sent to other hosts that the first redirects to.
    #[must_use]
    pub fn authorization(mut self, value: &Secret) -> Self {
        if let Ok(mut header) = HeaderValue::from_str(value.expose()) {
            header.set_sensitive(true);
            self.headers.push((AUTHORIZATION, header));
        }
        self
    }

    /// Sends the request: follows redirects, and tries again after failures that may pass. An answer with an error status
    /// is an answer.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn send(self) -> Result<Response, HttpError> {
        let mut url = self.client.check(&self.address)?;
        let first_host = origin(&url);
        let limit = self.client.options.max_redirects;
        for _ in 0..=limit {
            let same_host = origin(&url) == first_host;
            let response = self.send_to(&url, same_host)?;
            let target = response.headers().get(LOCATION).and_then(|target| target.to_str().ok());
            match target {
                Some(target) if response.status().is_redirection() => {
                    let next = url.join(target).map_err(|_| HttpError::Address {
                        address: redact(url.as_str()),
                        expected: "a redirect to an address",
                    })?;
                    let next = self.client.check(next.as_str())?;
                    if is_local(&next) && !is_local(&url) {
                        return Err(HttpError::RedirectToLoopback {
                            address: redact(url.as_str()),
                            target: redact(next.as_str()),
                        });
                    }
                    url = next;
                }
                _ => return Ok(Response { inner: response, address: redact(url.as_str()) }),
            }
        }
        Err(HttpError::Redirects { address: redact(&self.address), limit })
    }

    fn send_to(&self, url: &Url, same_host: bool) -> Result<reqwest::blocking::Response, HttpError> {
        let options = &self.client.options;
        let host = url.host_str().unwrap_or_default();
        let client = self.client.reaching(host)?;
        let mut attempt = 0;
        loop {
            let mut request = client.get(url.clone());
            for (name, value) in self.headers.iter().filter(|(name, _)| same_host || *name != AUTHORIZATION) {
                request = request.header(name, value);
            }
            let result = request.send();
            attempt += 1;
            let last = attempt > options.retries;
            match result {
                Ok(response) if !last && is_transient(response.status().as_u16()) => {
                    let headers = response.headers();
                    (options.sleep)(wait(attempt, text(headers, RETRY_AFTER), text(headers, DATE)));
                }
                Ok(response) => return Ok(response),
                // Asking twice changes nothing on a server, so whatever broke may be tried again.
                Err(error) if !last && !error.is_builder() && !is_final(&error) => {
                    (options.sleep)(wait(attempt, None, None));
                }
                Err(error) => {
                    return Err(HttpError::Unreachable { host: host.to_owned(), cause: cause(&error) });
                }
            }
        }
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Whether trying again cannot help: the name does not exist, or the certificate is not trusted.
fn is_final(error: &reqwest::Error) -> bool {
    let cause = cause(error);
    ["certificate", "Name or service not known", "No address associated with hostname"]
        .iter()
        .any(|word| cause.contains(word))
}

/// Whether an address leads to this machine itself.
pub fn leads_to_loopback(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| is_local(&url))
}

fn is_local(url: &Url) -> bool {
    url.host_str().is_some_and(is_loopback)
}

fn origin(url: &Url) -> (String, Option<String>, Option<u16>) {
    (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default())
}

/// An answer. Its body is read through [`Read`].
#[derive(Debug)]
pub struct Response {
    inner: reqwest::blocking::Response,
    address: String,
}

impl Response {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.inner.status().as_u16()
    }

    /// Whether the status says success.
    pub fn is_success(&self) -> bool {
        self.inner.status().is_success()
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.inner.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// All values of a header.
    pub fn headers(&self, name: &str) -> Vec<String> {
        self.inner.headers().get_all(name).iter().filter_map(|v| v.to_str().ok()).map(str::to_owned).collect()
    }

    /// How many bytes the body has, where the server says it.
    pub fn content_length(&self) -> Option<u64> {
        self.inner.content_length()
    }

    /// The address that answered, redacted.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Reads the whole body, if it is not too large.
    ///
    /// # Errors
    /// When it is larger than `limit` bytes, or breaks off.
    pub fn read_limited(mut self, limit: u64) -> Result<Vec<u8>, HttpError> {
        let mut bytes = Vec::new();
        let result = (&mut self.inner).take(limit.saturating_add(1)).read_to_end(&mut bytes);
        result.map_err(|error| HttpError::Body { address: self.address.clone(), cause: root(&error) })?;
        if bytes.len() as u64 > limit {
            return Err(HttpError::TooLarge { address: self.address, limit });
        }
        Ok(bytes)
    }
}

impl Read for Response {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("the answer of `{}` broke off: {}", self.address, root(&error)),
            )
        })
    }
}

fn root(error: &io::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.get_ref().and_then(|inner| inner.source());
    while let Some(inner) = next {
        text = inner.to_string();
        next = inner.source();
    }
    text
}
