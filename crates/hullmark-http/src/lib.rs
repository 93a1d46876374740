//! One HTTP client: TLS, proxies, retry, timeouts, offline switch, redaction of credentials.
//!
//! [`Client::get`] begins a request, [`Request::send`] gives a [`Response`] whose body is a reader. Calls block: the stages
//! that use them are synchronous. TLS is always verified, by the system's certificate authorities and those of
//! [`ClientOptions::ca_files`]. Plain HTTP is for the loopback interface unless [`PlainHttp::Allowed`]. Proxies come from the
//! usual environment variables, and are never used for the loopback interface. No redirect leads into a private network, or
//! to this machine, unless the server that was asked is there itself.

mod client;
mod error;
mod proxy;
mod reach;
mod retry;
mod secret;
mod tls;

pub use client::{Client, ClientOptions, PlainHttp, Request, Response, leads_to_loopback};
pub use error::HttpError;
pub use reach::Lookup;
pub use retry::Sleep;
pub use secret::{Secret, redact};
pub use tls::Identity;
