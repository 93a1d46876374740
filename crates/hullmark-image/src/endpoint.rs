//! One server that has what a registry has: the registry itself, or a mirror of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hullmark_http::{Client, ClientOptions, Identity, Response};
use hullmark_types::ImageReference;
use serde::Deserialize;

use crate::auth::{Authenticator, encode};
use crate::{CredentialSources, ImageError, Mirror, RegistryAccess, certificates};

/// How many repositories are remembered with the rights that were granted for them.
const MAX_REPOSITORIES: usize = 1024;

/// How long a mirror is left alone that could not be reached.
const ABSENCE: Duration = Duration::from_secs(30);

/// A server. Its credentials and its certificates are its own.
#[derive(Debug)]
pub(crate) struct Endpoint {
    client: Client,
    /// What it is called in files of credentials and in messages: `HOST[:PORT]`.
    name: String,
    /// `https://HOST[:PORT]`.
    address: String,
    /// What stands before the names of repositories, with a slash behind it; may be empty.
    prefix: String,
    /// The registry that a mirror is asked about, as the OCI distribution specification says of proxies.
    namespace: Option<String>,
    credentials: CredentialSources,
    authenticators: Mutex<BTreeMap<String, Arc<Authenticator>>>,
    /// Until when it is not asked, as it could not be reached.
    away: Mutex<Option<Instant>>,
}

/// What is asked of a repository.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) repository: &'a str,
    /// Below the repository, with query.
    pub(crate) path: &'a str,
    /// The media types that are wanted.
    pub(crate) accept: &'a str,
    /// Only what describes the answer.
    pub(crate) only_head: bool,
    /// Only these bytes: the first, and the last where there is one.
    pub(crate) range: Option<(u64, Option<u64>)>,
}

impl Endpoint {
    /// The registry itself.
    pub(crate) fn of_registry(
        name: &str,
        url: &str,
        client: &ClientOptions,
        access: &RegistryAccess,
    ) -> Result<Self, ImageError> {
        let address = url.trim_end_matches('/').to_owned();
        let host = host_of(&address).to_owned();
        let found = certificates::find(&access.certificates, &[name, &host])?;
        let mut options = client.clone();
        options.ca_files.extend(found.authorities);
        let identity = access.client_certificate.clone().or(found.client);
        options.identity = identity.map(|identity| Identity {
            server: address.clone(),
            certificate: identity.certificate,
            key: identity.key,
        });
        Ok(Self {
            client: Client::new(options)?,
            name: name.to_owned(),
            address,
            prefix: String::new(),
            namespace: None,
            credentials: access.credentials.clone(),
            authenticators: Mutex::default(),
            away: Mutex::default(),
        })
    }

    /// A mirror. What is known of the registry is not known of it: it has a name of its own.
    pub(crate) fn of_mirror(
        mirror: &Mirror,
        client: &ClientOptions,
        access: &RegistryAccess,
    ) -> Result<Self, ImageError> {
        let (scheme, rest) = mirror.url.split_once("://").unwrap_or(("https", &mirror.url));
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_matches('/');
        let access = RegistryAccess { client_certificate: None, ..access.clone() };
        // What it does not do at once the registry does.
        let client = ClientOptions { retries: 0, ..client.clone() };
        Ok(Self {
            prefix: if path.is_empty() { String::new() } else { format!("{path}/") },
            namespace: Some(mirror.registry.clone()),
            ..Self::of_registry(host, &format!("{scheme}://{host}"), &client, &access)?
        })
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Asks a mirror, unless it could not be reached a while ago. `None` when it does not have it or cannot be asked.
    pub(crate) fn ask_if_there(&self, question: &Question<'_>) -> Option<Response> {
        let now = Instant::now();
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        if away.is_some_and(|until| now < until) {
            return None;
        }
        *away = None;
        drop(away);
        let result = self.ask(question);
        if let Err(ImageError::Http(_)) = &result {
            *self.away.lock().unwrap_or_else(PoisonError::into_inner) = now.checked_add(ABSENCE);
        }
        result.ok()
    }

    /// Waits before another attempt.
    pub(crate) fn pause(&self, attempt: u32) {
        self.client.pause(attempt);
    }

    /// Asks for something; authenticates when the server says that it must. An answer that is no success is an error.
    pub(crate) fn ask(&self, question: &Question<'_>) -> Result<Response, ImageError> {
        let repository = format!("{}{}", self.prefix, question.repository);
        let mut address = format!("{}/v2/{repository}/{}", self.address, question.path);
        if let Some(namespace) = &self.namespace {
            let separator = if address.contains('?') { '&' } else { '?' };
            address.push_str(&format!("{separator}ns={}", encode(namespace)));
        }
        let authenticator = self.authenticator(&repository)?;
        let send = || {
            let request = match question.only_head {
                true => self.client.head(&address),
                false => self.client.get(&address),
            };
            let mut request = request.accept(question.accept);
            request = match question.range {
                Some((first, Some(last))) => request.range(first, last),
                Some((first, None)) => request.range_from(first),
                None => request,
            };
            let authorization = authenticator.authorization(&self.client);
            if let Some(authorization) = &authorization {
                request = request.authorization(authorization);
            }
            Ok::<_, ImageError>((request.send()?, authorization))
        };
        let (mut response, sent) = send()?;
        // What another server, to which this one led, wants to know is not answered: it is not known who that is.
        if response.status() == 401 && is_at(response.address(), &self.address) {
            let challenges = response.headers("www-authenticate");
            authenticator.answer(&self.client, &challenges, sent.as_ref())?;
            response = send()?.0;
        }
        match response.is_success() {
            true => Ok(response),
            false => {
                let path = question.path.split('?').next().unwrap_or_default();
                Err(refusal(&self.name, format!("{repository}/{path}"), response, &authenticator))
            }
        }
    }

    fn authenticator(&self, repository: &str) -> Result<Arc<Authenticator>, ImageError> {
        let mut known = self.authenticators.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(authenticator) = known.get(repository) {
            return Ok(Arc::clone(authenticator));
        }
        let reference = ImageReference {
            registry: self.name.clone(),
            repository: repository.to_owned(),
            tag: None,
            digest: None,
        };
        let authenticator = Arc::new(Authenticator::new(&reference, &self.address, &self.credentials)?);
        if known.len() >= MAX_REPOSITORIES {
            known.clear();
        }
        known.insert(repository.to_owned(), Arc::clone(&authenticator));
        Ok(authenticator)
    }
}

/// `HOST[:PORT]` of an address.
fn host_of(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

/// Whether an address, as a response shows it, is at a server. A port that the scheme implies need not be written.
fn is_at(address: &str, server: &str) -> bool {
    let parts = |address: &str| {
        let (scheme, rest) = address.split_once("://").unwrap_or_default();
        let host = rest.split(['/', '?']).next().unwrap_or_default().to_ascii_lowercase();
        let implied = if scheme == "http" { ":80" } else { ":443" };
        (scheme.to_owned(), host.strip_suffix(implied).unwrap_or(&host).to_owned())
    };
    parts(address) == parts(server)
}

/// What a registry said when it refused, with a hint.
fn refusal(registry: &str, subject: String, response: Response, authenticator: &Authenticator) -> ImageError {
    #[derive(Deserialize)]
    struct Answer {
        errors: Vec<Error>,
    }
    #[derive(Deserialize)]
    struct Error {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let status = response.status();
    let body = response.read_limited(64 * 1024).unwrap_or_default();
    let said = serde_json::from_slice::<Answer>(&body)
        .map(|answer| {
            let errors = answer.errors.into_iter().take(3);
            errors.map(|error| format!("{} {}", error.code, error.message)).collect::<Vec<_>>().join("; ")
        })
        .unwrap_or_default();
    let said: String = said.chars().filter(|character| !character.is_control()).take(500).collect();
    let hint = match status {
        401 | 403 => authenticator.hint(),
        404 => "\nhint: check the repository and the tag; private repositories also answer so without credentials"
            .to_owned(),
        429 => "\nhint: the registry limits how often it is asked; log in, or try again later".to_owned(),
        _ => String::new(),
    };
    let separator = if said.is_empty() { "" } else { ": " };
    ImageError::Registry {
        registry: registry.to_owned(),
        subject,
        status,
        detail: format!("{separator}{said}{hint}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_apart_by_scheme_host_and_port() {
        assert!(is_at("https://r.example/v2/?ns=***", "https://R.example:443"));
        assert!(is_at("http://r.example:5000/v2/", "http://r.example:5000"));
        assert!(!is_at("https://r.example.evil/v2/", "https://r.example"));
        assert!(!is_at("http://r.example/v2/", "https://r.example"));
        assert!(!is_at("https://r.example:444/v2/", "https://r.example"));
    }
}
