//! The client.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION, RANGE,
    RETRY_AFTER,
};
use reqwest::{Method, Url};

use crate::error::cause;
use crate::reach::{INTERNAL, Reach, Resolver, proxies, system_lookup};
use crate::retry::{Sleep, is_transient, wait};
use crate::tls::{Identity, Tls};
use crate::{HttpError, Lookup, Secret, proxy, redact};

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
    /// How slow a body may come, in bytes a second on average, once it has been waited for as long as `read_timeout`. A
    /// server that sends a byte now and then would keep us for ever.
    pub slowest: u64,
    /// How many times to try again after a failure that may pass.
    pub retries: u32,
    /// How many redirects to follow.
    pub max_redirects: usize,
    /// What the client calls itself.
    pub user_agent: String,
    /// Files with certificate authorities (PEM) that are trusted beside the system's.
    pub ca_files: Vec<PathBuf>,
    /// The certificate by which one server knows us.
    pub identity: Option<Identity>,
    /// How to wait.
    pub sleep: Sleep,
    /// How to find the addresses of a host.
    pub lookup: Lookup,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            offline: false,
            plain_http: PlainHttp::LoopbackOnly,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(60),
            slowest: 256,
            retries: 3,
            max_redirects: 10,
            user_agent: concat!("hullmark/", env!("CARGO_PKG_VERSION")).to_owned(),
            ca_files: Vec::new(),
            identity: None,
            sleep: std::thread::sleep,
            lookup: system_lookup,
        }
    }
}

/// An HTTP client. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Connections>,
    options: ClientOptions,
}

/// The connections, apart by where they may lead and how, so that none is used for a request that may not lead there.
#[derive(Debug)]
struct Connections {
    tls: Tls,
    pools: Mutex<BTreeMap<Way, reqwest::blocking::Client>>,
    /// What each server that was asked for may lead to. It stays as it was at first: a name that leads to the internet now
    /// and to a private network in a minute is not a private server.
    reaches: Mutex<BTreeMap<String, Reach>>,
}

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    /// The addresses that may be contacted; `None` for this machine itself.
    guard: Option<Reach>,
    /// Whether proxies of the environment are used.
    proxied: bool,
    /// Whether the certificate by which the server knows us is shown.
    identified: bool,
}

fn build(options: &ClientOptions, tls: &Tls, way: Way) -> Result<reqwest::blocking::Client, HttpError> {
    let builder = reqwest::blocking::Client::builder()
        .connect_timeout(options.connect_timeout)
        // In the blocking client this is the limit of each wait, not of the whole exchange: a layer may take long, as long as
        // bytes come.
        .timeout(options.read_timeout)
        // Followed by hand, so that each hop is checked and credentials stay with their host.
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(&options.user_agent)
        .tls_certs_merge(tls.authorities.iter().cloned());
    let builder = if way.proxied { builder } else { builder.no_proxy() };
    let builder = match way.guard {
        None => builder,
        Some(reach) => builder.dns_resolver(Arc::new(Resolver {
            reach,
            lookup: options.lookup,
            proxies: Arc::new(if way.proxied { proxies() } else { BTreeSet::new() }),
        })),
    };
    let builder = match tls.identity.as_ref().filter(|_| way.identified) {
        Some((_, identity)) => builder.identity(identity.clone()),
        None => builder,
    };
    builder.build().map_err(HttpError::Setup)
}

impl Client {
    /// Sets a client up. Contacts nobody.
    ///
    /// # Errors
    /// When the TLS library cannot be set up, or a file of certificates cannot be read.
    pub fn new(options: ClientOptions) -> Result<Self, HttpError> {
        let tls = Tls::read(&options)?;
        let usual = Way { guard: Some(Reach::Public), proxied: true, identified: tls.identity.is_some() };
        let pools = BTreeMap::from([(usual, build(&options, &tls, usual)?)]);
        let shared = Connections { tls, pools: Mutex::new(pools), reaches: Mutex::default() };
        Ok(Self { shared: Arc::new(shared), options })
    }

    fn reaching(&self, url: &Url, reach: Reach) -> Result<reqwest::blocking::Client, HttpError> {
        let host = url.host_str().unwrap_or_default();
        let local = is_loopback(host);
        let port = url.port_or_known_default().unwrap_or_default();
        let way = Way {
            guard: (!local).then_some(reach),
            proxied: !local && !proxy::is_exempt(&proxy::exemptions(), host, port),
            identified: self.shared.tls.knows(url),
        };
        let mut pools = self.shared.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = pools.get(&way) {
            return Ok(client.clone());
        }
        let client = build(&self.options, &self.shared.tls, way)?;
        pools.insert(way, client.clone());
        Ok(client)
    }

    /// Waits before attempt number `attempt` (from 1), longer each time.
    pub fn pause(&self, attempt: u32) {
        (self.options.sleep)(wait(attempt, None, None));
    }

    /// What a server may lead to.
    fn reach_of(&self, url: &Url) -> Reach {
        let host = url.host_str().unwrap_or_default();
        if let Some(address) = literal(host) {
            return Reach::of(&[address]);
        }
        if is_loopback(host) {
            return Reach::Loopback;
        }
        let known = self.shared.reaches.lock().ok().and_then(|reaches| reaches.get(host).copied());
        known.unwrap_or_else(|| match (self.options.lookup)(host) {
            // Behind a proxy names may have no address here; the proxy finds it.
            Err(_) => Reach::Public,
            Ok(addresses) => {
                let reach = Reach::of(&addresses);
                if let Ok(mut reaches) = self.shared.reaches.lock() {
                    return *reaches.entry(host.to_owned()).or_insert(reach);
                }
                reach
            }
        })
    }

    /// How the client behaves.
    pub fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// Begins a GET request.
    pub fn get(&self, address: &str) -> Request<'_> {
        Request {
            client: self,
            method: Method::GET,
            address: address.to_owned(),
            named_by: None,
            headers: Vec::new(),
            body: None,
        }
    }

    /// Begins a POST request. It is sent once, whatever `retries` says, and redirects of it are answers: only the caller
    /// knows whether it may be repeated.
    pub fn post(&self, address: &str, media_type: &'static str, body: Vec<u8>) -> Request<'_> {
        Request {
            method: Method::POST,
            headers: vec![(CONTENT_TYPE, HeaderValue::from_static(media_type))],
            body: Some(body),
            ..self.get(address)
        }
    }

    /// Begins a HEAD request.
    pub fn head(&self, address: &str) -> Request<'_> {
        Request { method: Method::HEAD, ..self.get(address) }
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
    host == "localhost"
        || literal(host).is_some_and(|address| Reach::needed(address) == Some(Reach::Loopback))
}

/// The address that a host is, when it is not a name.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether the address itself, without a look-up, says that it is out of reach.
fn is_beyond(url: &Url, reach: Reach) -> bool {
    let host = url.host_str().unwrap_or_default();
    match literal(host) {
        Some(address) => !reach.allows(address),
        None => is_loopback(host) && reach < Reach::Loopback,
    }
}

/// A request that is being put together.
#[derive(Debug)]
pub struct Request<'a> {
    client: &'a Client,
    method: Method,
    address: String,
    named_by: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Option<Vec<u8>>,
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

    /// Only the bytes from `first` to `last`, both included.
    #[must_use]
    pub fn range(mut self, first: u64, last: u64) -> Self {
        self.headers
            .extend(HeaderValue::from_str(&format!("bytes={first}-{last}")).ok().map(|value| (RANGE, value)));
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

    /// The server at `address` named the address of this request, such as the one where tokens are given: it may lead no
    /// further than a redirect of that server.
    #[must_use]
    pub fn named_by(mut self, address: &str) -> Self {
        self.named_by = Some(address.to_owned());
        self
    }

    /// Sends the request: follows redirects, and tries again after failures that may pass. An answer with an error status
    /// is an answer.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn send(mut self) -> Result<Response, HttpError> {
        let mut body = self.body.take();
        let once = body.is_some();
        let mut url = self.client.check(&self.address)?;
        let first_host = origin(&url);
        let asked = match &self.named_by {
            Some(address) => self.client.check(address)?,
            None => url.clone(),
        };
        let reach = self.client.reach_of(&asked);
        if origin(&asked) != first_host && is_beyond(&url, reach) {
            return Err(internal(&asked, &url));
        }
        let options = &self.client.options;
        let limit = options.max_redirects;
        for _ in 0..=limit {
            let same_host = origin(&url) == first_host;
            let response = self.send_to(&url, same_host, reach, body.take())?;
            let target = response.headers().get(LOCATION).and_then(|target| target.to_str().ok());
            match target {
                Some(target) if response.status().is_redirection() && !once => {
                    let next = url.join(target).map_err(|_| HttpError::Address {
                        address: redact(url.as_str()),
                        expected: "a redirect to an address",
                    })?;
                    let next = self.client.check(next.as_str())?;
                    if origin(&next) != first_host && is_beyond(&next, reach) {
                        return Err(internal(&url, &next));
                    }
                    url = next;
                }
                _ => {
                    return Ok(Response {
                        inner: response,
                        address: redact(url.as_str()),
                        pace: Pace {
                            patience: options.read_timeout,
                            slowest: options.slowest,
                            ..Pace::default()
                        },
                    });
                }
            }
        }
        Err(HttpError::Redirects { address: redact(&self.address), limit })
    }

    fn send_to(
        &self,
        url: &Url,
        same_host: bool,
        reach: Reach,
        mut body: Option<Vec<u8>>,
    ) -> Result<reqwest::blocking::Response, HttpError> {
        let options = &self.client.options;
        let host = url.host_str().unwrap_or_default();
        let client = self.client.reaching(url, reach)?;
        let retries = if body.is_some() { 0 } else { options.retries };
        let mut attempt = 0;
        loop {
            let mut request = client.request(self.method.clone(), url.clone());
            for (name, value) in self.headers.iter().filter(|(name, _)| same_host || *name != AUTHORIZATION) {
                request = request.header(name, value);
            }
            if let Some(body) = body.take() {
                request = request.body(body);
            }
            let result = request.send();
            attempt += 1;
            let last = attempt > retries;
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
    ["certificate", INTERNAL, "Name or service not known", "No address associated with hostname"]
        .iter()
        .any(|word| cause.contains(word))
}

/// Whether an address leads to this machine itself.
pub fn leads_to_loopback(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| url.host_str().is_some_and(is_loopback))
}

fn internal(from: &Url, to: &Url) -> HttpError {
    HttpError::LeadsInside { address: redact(from.as_str()), target: redact(to.as_str()) }
}

pub(crate) fn origin(url: &Url) -> (String, Option<String>, Option<u16>) {
    (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default())
}

/// An answer. Its body is read through [`Read`].
#[derive(Debug)]
pub struct Response {
    inner: reqwest::blocking::Response,
    address: String,
    pace: Pace,
}

/// How fast a body comes, measured anew whenever it was waited for as long as `patience`: a server that was fast at first
/// may not trickle afterwards. Only the time of waiting for it counts, not that of using it.
#[derive(Debug, Default)]
struct Pace {
    patience: Duration,
    slowest: u64,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    fn is_too_slow(&mut self, waited: Duration, bytes: usize) -> bool {
        self.waited = self.waited.saturating_add(waited);
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.waited <= self.patience {
            return false;
        }
        let (waited, bytes) = (std::mem::take(&mut self.waited), std::mem::take(&mut self.bytes));
        bytes / waited.as_secs().max(1) < self.slowest
    }
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
        // A server that says so need not be listened to. Answers to HEAD state the size of a body that does not come.
        if self.content_length().is_some_and(|length| length > limit) {
            return Err(HttpError::TooLarge { address: self.address, limit });
        }
        let mut bytes = Vec::new();
        let result = (&mut self).take(limit.saturating_add(1)).read_to_end(&mut bytes);
        result.map_err(|error| HttpError::Body {
            address: self.address.clone(),
            cause: match error.get_ref().and_then(|inner| inner.downcast_ref::<BrokeOff>()) {
                Some(broke) => broke.cause.clone(),
                None => root(&error),
            },
        })?;
        if bytes.len() as u64 > limit {
            return Err(HttpError::TooLarge { address: self.address, limit });
        }
        Ok(bytes)
    }
}

impl Response {
    fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let begun = Instant::now();
        let length = self.inner.read(buffer)?;
        match length > 0 && self.pace.is_too_slow(begun.elapsed(), length) {
            true => Err(io::Error::new(io::ErrorKind::TimedOut, "it comes too slowly")),
            false => Ok(length),
        }
    }
}

impl Read for Response {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_some(buffer).map_err(|error| {
            io::Error::new(error.kind(), BrokeOff { address: self.address.clone(), cause: root(&error) })
        })
    }
}

/// A body that broke off; the error that a reader of it gets.
#[derive(Debug, thiserror::Error)]
#[error("the answer of `{address}` broke off: {cause}")]
struct BrokeOff {
    address: String,
    cause: String,
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
