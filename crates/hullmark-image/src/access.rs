//! What is needed to get into registries, beside the options of the HTTP client.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

/// How registries are got into. The default is to know nothing: no credentials, the system's certificate authorities, no
/// mirrors.
#[derive(Debug, Clone, Default)]
pub struct RegistryAccess {
    /// Where credentials are looked up.
    pub credentials: CredentialSources,
    /// Directories with one directory for each server, `HOST` or `HOST:PORT`, that holds `*.crt` (certificate authorities),
    /// `*.cert` and `*.key` (client certificates), as `/etc/docker/certs.d` and `/etc/containers/certs.d` do. The first that
    /// has a directory for the server counts.
    pub certificates: Vec<PathBuf>,
    /// The certificate by which registries know us, before those of `certificates`. Mirrors are not shown it.
    pub client_certificate: Option<ClientCertificate>,
    /// What is asked before a registry.
    pub mirrors: Vec<Mirror>,
}

/// Where credentials are looked up.
#[derive(Debug, Clone, Default)]
pub struct CredentialSources {
    /// Files in the form of Docker's `config.json` and of `containers-auth.json(5)`. The first that knows the registry counts.
    pub files: Vec<PathBuf>,
    /// The directories in which the programs are that keep credentials (`docker-credential-NAME`), as `PATH` lists them.
    /// Without it such programs are not run.
    pub search_path: Option<OsString>,
}

/// A client certificate and its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// File with the certificate (PEM).
    pub certificate: PathBuf,
    /// File with its private key (PEM).
    pub key: PathBuf,
}

/// A server that may have what a registry has. It is asked first; what it does not have, or when it cannot be reached, is
/// asked of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The registry, as references name it: `docker.io`.
    pub registry: String,
    /// Its address: `https://mirror.example`. A path is put before the names of repositories.
    pub url: String,
}

/// A text that names no mirror.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a mirror: expected `HOST=https://MIRROR[/PATH]`, such as `docker.io=https://mirror.example`"
)]
pub struct MirrorError {
    /// The text, unless it might hold a password.
    pub text: String,
}

impl FromStr for Mirror {
    type Err = MirrorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shown = if text.contains('@') { "..." } else { text };
        let error = || MirrorError { text: shown.chars().take(300).collect() };
        let (registry, url) = text.split_once('=').ok_or_else(error)?;
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).ok_or_else(error)?;
        let host = rest.split('/').next().unwrap_or_default();
        let odd = |part: &str| {
            part.contains(|character: char| "@?#\\".contains(character) || character.is_whitespace())
        };
        if registry.is_empty() || registry.contains('/') || odd(registry) || host.is_empty() || odd(rest) {
            return Err(error());
        }
        let registry = match registry {
            "index.docker.io" | "registry-1.docker.io" => "docker.io",
            other => other,
        };
        Ok(Self { registry: registry.to_owned(), url: url.trim_end_matches('/').to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_read() {
        let mirror: Mirror = "index.docker.io=https://mirror.example:5000/hub/".parse().unwrap();
        assert_eq!(mirror.registry, "docker.io");
        assert_eq!(mirror.url, "https://mirror.example:5000/hub");
        for text in [
            "",
            "docker.io",
            "=https://mirror.example",
            "docker.io=mirror.example",
            "docker.io=ftp://mirror.example",
            "docker.io=https://",
            "docker.io/library=https://mirror.example",
            "docker.io=https://mirror.example?x=1",
        ] {
            assert!(text.parse::<Mirror>().is_err(), "{text}");
        }
        let error = "docker.io=https://user:s3cr3t@mirror.example".parse::<Mirror>().unwrap_err();
        assert!(!error.to_string().contains("s3cr3t"), "{error}");
    }
}
