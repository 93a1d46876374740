//! Why a request could not be made.

use std::error::Error;
use std::path::PathBuf;

use crate::reach::INTERNAL;

/// A request failed. Addresses are redacted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The client could not be set up.
    #[error("cannot set up the HTTP client")]
    Setup(#[source] reqwest::Error),
    /// `--offline` is set.
    #[error("`{host}` was not contacted, because `--offline` is set")]
    Offline {
        /// The host that would have been contacted.
        host: String,
    },
    /// The address is not one that can be used.
    #[error("`{address}` is not an address that can be used: expected {expected}")]
    Address {
        /// The address.
        address: String,
        /// What was expected.
        expected: &'static str,
    },
    /// Plain HTTP to another machine.
    #[error(
        "`{address}` is plain HTTP to another machine\nhint: use `https://`, or allow it with `--plain-http`"
    )]
    PlainHttp {
        /// The address.
        address: String,
    },
    /// No connection, or it broke.
    #[error("cannot reach `{host}`: {cause}")]
    Unreachable {
        /// The host.
        host: String,
        /// The cause in a few words.
        cause: String,
    },
    /// More redirects than allowed.
    #[error("`{address}` redirects more than {limit} times")]
    Redirects {
        /// The first address.
        address: String,
        /// How many are followed.
        limit: usize,
    },
    /// A server names an address that only we can reach: this machine, a private network, a cloud's metadata service.
    #[error("`{address}` leads to `{target}`, {INTERNAL}, and is not followed there")]
    LeadsInside {
        /// The address that was asked.
        address: String,
        /// Where it leads.
        target: String,
    },
    /// The file of certificate authorities cannot be used.
    #[error("the certificate authorities in `{}` cannot be used: {problem}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The certificate by which a server knows us, or its key, cannot be used.
    #[error("the client certificate in `{}` cannot be used: {problem}", path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The body is larger than expected.
    #[error("the answer of `{address}` is larger than {limit} bytes")]
    TooLarge {
        /// The address.
        address: String,
        /// The limit.
        limit: u64,
    },
    /// The body could not be read to its end.
    #[error("the answer of `{address}` broke off: {cause}")]
    Body {
        /// The address.
        address: String,
        /// The cause.
        cause: String,
    },
}

/// The innermost causes of an error of the HTTP library, without the address it repeats.
pub(crate) fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut last: Option<String> = None;
    let mut next: Option<&dyn Error> = error.source();
    while let Some(inner) = next {
        last = Some(inner.to_string());
        next = inner.source();
    }
    last.unwrap_or_else(|| "the request failed".to_owned())
}
