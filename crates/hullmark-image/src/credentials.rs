//! Credentials from files: Docker's `config.json` and `containers-auth.json(5)`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hullmark_http::Secret;
use hullmark_types::ImageReference;
use serde::Deserialize;

use crate::helper::Helper;
use crate::{CredentialSources, ImageError};

/// The largest file of credentials, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// What proves to a registry who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    /// `user:password` in base64.
    Password(Secret),
    /// A token for which the server that gives tokens gives others.
    Identity {
        /// Empty where it is not known.
        user: String,
        token: Secret,
    },
    /// A token that the registry itself takes.
    Registry(Secret),
}

/// What the files say of the credentials for a registry.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// What is in the file itself.
    pub(crate) written: Option<Credential>,
    /// The program that keeps them; it is asked first.
    pub(crate) helper: Option<Helper>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigFile {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    /// The program that keeps the credentials of all registries, and those of single ones.
    #[serde(default)]
    creds_store: Option<String>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    identitytoken: Option<String>,
    #[serde(default)]
    registrytoken: Option<String>,
}

/// Looks the credentials for a repository up: the first file that knows them counts.
pub(crate) fn find(sources: &CredentialSources, reference: &ImageReference) -> Result<Found, ImageError> {
    for path in &sources.files {
        let found = find_in(path, sources.search_path.as_ref(), reference)?;
        if found.written.is_some() || found.helper.is_some() {
            return Ok(found);
        }
    }
    Ok(Found::default())
}

/// Of the entries of a file the one with the most specific key counts, which is the registry or the registry and a part of
/// the repository's path. The program for the registry goes before the program for all.
fn find_in(
    path: &Path,
    search_path: Option<&OsString>,
    reference: &ImageReference,
) -> Result<Found, ImageError> {
    let failed = |problem: String| ImageError::Credentials { path: path.to_owned(), problem };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| failed(error.to_string()))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(failed(format!("the file has more than {MAX_FILE} bytes")));
    }
    // The message of the JSON parser names line and column and repeats no value.
    let file: ConfigFile = serde_json::from_slice(&bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        failed(format!("expected Docker's config.json, line {line} column {column}"))
    })?;
    let full = format!("{}/{}", reference.registry, reference.repository);
    let mut found: Option<(usize, Credential)> = None;
    for (key, entry) in &file.auths {
        let key = host_and_path(key);
        let fits = full == key || full.strip_prefix(&key).is_some_and(|rest| rest.starts_with('/'));
        if !fits || found.as_ref().is_some_and(|(length, _)| *length >= key.len()) {
            continue;
        }
        let credential = credential(entry).map_err(|problem| failed(format!("{problem} of `{key}`")))?;
        found = credential.map(|credential| (key.len(), credential)).or(found);
    }
    let own = file.cred_helpers.into_iter().find(|(key, _)| host_and_path(key) == reference.registry);
    let name = own.map(|(_, name)| name).or(file.creds_store).filter(|name| !name.is_empty());
    Ok(Found {
        written: found.map(|(_, credential)| credential),
        helper: name.map(|name| Helper::new(name, servers(&reference.registry), search_path.cloned())),
    })
}

fn credential(entry: &Entry) -> Result<Option<Credential>, &'static str> {
    let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    let auth = given(&entry.auth);
    let decoded = auth.as_ref().map(|auth| STANDARD.decode(auth)).transpose();
    let decoded = decoded.map_err(|_| "expected base64 in the `auth`")?;
    if let Some(token) = given(&entry.registrytoken) {
        return Ok(Some(Credential::Registry(Secret::new(token))));
    }
    if let Some(token) = given(&entry.identitytoken) {
        let decoded = decoded.unwrap_or_default();
        let user = decoded.split(|byte| *byte == b':').next().unwrap_or_default();
        let user = given(&entry.username).unwrap_or_else(|| String::from_utf8_lossy(user).into_owned());
        return Ok(Some(Credential::Identity { user, token: Secret::new(token) }));
    }
    Ok(match (auth, given(&entry.username), given(&entry.password)) {
        (Some(auth), _, _) => Some(Credential::Password(Secret::new(auth))),
        (None, Some(user), Some(password)) => Some(Credential::password(&user, &password)),
        _ => None,
    })
}

impl Credential {
    /// A user name and a password.
    pub(crate) fn password(user: &str, password: &str) -> Self {
        Self::Password(Secret::new(STANDARD.encode(format!("{user}:{password}"))))
    }

    /// What is sent for Basic authentication.
    pub(crate) fn basic(&self) -> Option<Secret> {
        match self {
            Self::Password(secret) => Some(Secret::new(format!("Basic {}", secret.expose()))),
            Self::Identity { user, token } if !user.is_empty() => {
                let pair = STANDARD.encode(format!("{user}:{}", token.expose()));
                Some(Secret::new(format!("Basic {pair}")))
            }
            Self::Identity { .. } | Self::Registry(_) => None,
        }
    }

    /// User name and password, where they are that.
    pub(crate) fn pair(&self) -> Option<(String, Secret)> {
        let Self::Password(secret) = self else { return None };
        let decoded = STANDARD.decode(secret.expose()).ok()?;
        let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
        Some((user.to_owned(), Secret::new(password)))
    }
}

/// What a program that keeps credentials may know a registry by.
fn servers(registry: &str) -> Vec<String> {
    match registry {
        "docker.io" => vec!["https://index.docker.io/v1/".to_owned(), registry.to_owned()],
        other => vec![other.to_owned()],
    }
}

/// The form `host[:port][/path]` of a key, which may be an address with scheme and `/v1/` or `/v2/` behind it.
fn host_and_path(key: &str) -> String {
    let key = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let key = key.trim_end_matches("/v1").trim_end_matches("/v2");
    match key {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_up(texts: &[&str], reference: &str) -> Result<Found, ImageError> {
        let directory = tempfile::tempdir().unwrap();
        let mut files = Vec::new();
        for (number, text) in texts.iter().enumerate() {
            let path = directory.path().join(format!("{number}-config.json"));
            std::fs::write(&path, text).unwrap();
            files.push(path);
        }
        find(&CredentialSources { files, search_path: None }, &reference.parse().unwrap())
    }

    fn written(texts: &[&str], reference: &str) -> Option<String> {
        look_up(texts, reference).unwrap().written.map(|credential| match credential {
            Credential::Password(secret) => secret.expose().to_owned(),
            Credential::Identity { user, token } => format!("{user} identity {}", token.expose()),
            Credential::Registry(token) => format!("registry {}", token.expose()),
        })
    }

    #[test]
    fn the_most_specific_credentials_are_taken() {
        let text = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "aHVi"}, "r.example": {"auth": "aG9zdA=="},
            "r.example/team": {"username": "u", "password": "p"}, "r.example.evil": {"auth": "ZXZpbA=="},
            "r.example/team/empty": {}}}"#;
        let find = |reference: &str| written(&[text], reference);
        assert_eq!(find("alpine").as_deref(), Some("aHVi"));
        assert_eq!(find("r.example/a").as_deref(), Some("aG9zdA=="));
        assert_eq!(find("r.example/teams").as_deref(), Some("aG9zdA=="));
        assert_eq!(find("r.example/team/a"), Some(STANDARD.encode("u:p")));
        assert_eq!(find("r.example/team/empty"), Some(STANDARD.encode("u:p")));
        assert_eq!(find("r.example:5000/a"), None);
        assert_eq!(find("other.example/a"), None);
    }

    #[test]
    fn the_first_file_that_knows_the_registry_counts() {
        let first = r#"{"auths": {"r.example": {}, "a.example": {"auth": "YTpi"}}}"#;
        let second = r#"{"auths": {"r.example": {"auth": "Yzpk"}, "a.example": {"auth": "Yzpk"}}}"#;
        assert_eq!(written(&[first, second], "r.example/x").as_deref(), Some("Yzpk"));
        assert_eq!(written(&[first, second], "a.example/x").as_deref(), Some("YTpi"));
        assert_eq!(written(&[], "a.example/x"), None);
    }

    #[test]
    fn tokens_are_told_apart_from_passwords() {
        let text = r#"{"auths": {
            "a.example": {"auth": "dXNlcjo=", "identitytoken": "T"}, "b.example": {"identitytoken": "T"},
            "c.example": {"registrytoken": "R"}, "d.example": {"username": "u", "identitytoken": "T"}}}"#;
        assert_eq!(written(&[text], "a.example/x").as_deref(), Some("user identity T"));
        assert_eq!(written(&[text], "b.example/x").as_deref(), Some(" identity T"));
        assert_eq!(written(&[text], "c.example/x").as_deref(), Some("registry R"));
        assert_eq!(written(&[text], "d.example/x").as_deref(), Some("u identity T"));
    }

    #[test]
    fn the_program_that_keeps_credentials_is_that_of_the_registry_or_of_all() {
        let text = r#"{"auths": {"r.example": {}, "known.example": {"auth": "aG9zdA=="}}, "credsStore": "desktop",
            "credHelpers": {"cloud.example": "cloud", "https://index.docker.io/v1/": "hub"}}"#;
        let helper = |reference: &str| look_up(&[text], reference).unwrap().helper.unwrap().to_string();
        assert_eq!(helper("r.example/a"), "docker-credential-desktop");
        assert_eq!(helper("cloud.example/a"), "docker-credential-cloud");
        assert_eq!(helper("alpine"), "docker-credential-hub");
        // Docker asks the program first, and so do we; what the file has is for when it has nothing.
        assert_eq!(helper("known.example/a"), "docker-credential-desktop");
        assert!(look_up(&[text], "known.example/a").unwrap().written.is_some());
    }

    #[test]
    fn malformed_credentials_are_an_error_that_shows_none() {
        for text in [
            "",
            r#"{"auths": []}"#,
            r#"{"auths": {"r.example": {"auth": "s3cr3t!"}}}"#,
            r#"{"auths": {"r.example": "s3cr3t"}}"#,
        ] {
            let error = look_up(&[text], "r.example/a").unwrap_err().to_string();
            assert!(error.contains("config.json` cannot be used") && !error.contains("s3cr3t"), "{error}");
        }
    }
}
