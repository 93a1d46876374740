//! Authentication at registries: credentials from Docker's `config.json`, Basic, and Bearer tokens
//! (<https://distribution.github.io/distribution/spec/auth/token/>).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hullmark_http::{Client, Secret};
use hullmark_types::ImageReference;
use serde::Deserialize;

use crate::ImageError;

/// The largest file of credentials, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The largest answer with a token, in bytes.
const MAX_TOKEN_ANSWER: u64 = 1 << 20;

/// Proves to one registry who we are, as it asks for it.
#[derive(Debug)]
pub(crate) struct Authenticator {
    registry: String,
    /// The address of the registry, which bounds where it may send us for tokens.
    address: String,
    scope: String,
    credentials: Option<Secret>,
    /// The program that keeps the credentials, where that is so; it is not run.
    helper: Option<String>,
    /// The value of the `Authorization` header that the registry accepts.
    granted: Mutex<Option<Secret>>,
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
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
}

impl Authenticator {
    pub(crate) fn new(
        reference: &ImageReference,
        address: &str,
        file: Option<&Path>,
    ) -> Result<Self, ImageError> {
        let Found { credentials, helper } = match file {
            Some(path) => credentials(path, reference)?,
            None => Found::default(),
        };
        Ok(Self {
            helper,
            registry: reference.registry.clone(),
            address: address.to_owned(),
            scope: format!("repository:{}:pull", reference.repository),
            credentials,
            granted: Mutex::new(None),
        })
    }

    /// What to send, once the registry has asked.
    pub(crate) fn authorization(&self) -> Option<Secret> {
        self.granted.lock().map_or(None, |granted| granted.clone())
    }

    /// What to try when the registry refuses.
    pub(crate) fn hint(&self) -> String {
        match &self.helper {
            Some(helper) => format!(
                "\nhint: the credentials are kept by `docker-credential-{helper}`, which is not run; give a file that has them with `--auth-file`"
            ),
            None => "\nhint: log in with `docker login` or `podman login`, or give `--auth-file`".to_owned(),
        }
    }

    /// Answers the challenges of a registry.
    pub(crate) fn answer(&self, client: &Client, challenges: &[String]) -> Result<(), ImageError> {
        let refused = |problem: &str| ImageError::Authentication {
            registry: self.registry.clone(),
            problem: problem.to_owned(),
        };
        let challenges: Vec<Challenge> =
            challenges.iter().flat_map(|header| parse_challenges(header)).collect();
        let of = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
        let bearer = of("bearer").map(|challenge| &challenge.parameters);
        let basic = of("basic").is_some();
        let authorization = match (bearer, basic) {
            (Some(parameters), _) => self.token(client, parameters)?,
            (None, true) => {
                let credentials = self
                    .credentials
                    .as_ref()
                    .ok_or_else(|| refused(&format!("it wants a user name and a password{}", self.hint())))?;
                Secret::new(format!("Basic {}", credentials.expose()))
            }
            (None, false) => return Err(refused("it names neither Bearer nor Basic")),
        };
        if let Ok(mut granted) = self.granted.lock() {
            *granted = Some(authorization);
        }
        Ok(())
    }

    fn token(&self, client: &Client, parameters: &BTreeMap<String, String>) -> Result<Secret, ImageError> {
        let refused =
            |problem: String| ImageError::Authentication { registry: self.registry.clone(), problem };
        let realm =
            parameters.get("realm").ok_or_else(|| refused("its Bearer challenge has no realm".to_owned()))?;
        let mut address =
            format!("{realm}{}scope={}", if realm.contains('?') { '&' } else { '?' }, encode(&self.scope));
        if let Some(service) = parameters.get("service") {
            address.push_str(&format!("&service={}", encode(service)));
        }
        let mut request = client.get(&address).named_by(&self.address);
        if let Some(credentials) = &self.credentials {
            request = request.authorization(&Secret::new(format!("Basic {}", credentials.expose())));
        }
        let response = request.send()?;
        if !response.is_success() {
            let (status, from) = (response.status(), response.address().to_owned());
            return Err(refused(format!("`{from}` answered {status} and gave no token{}", self.hint())));
        }
        let from = response.address().to_owned();
        let token: Token = serde_json::from_slice(&response.read_limited(MAX_TOKEN_ANSWER)?)
            .map_err(|error| refused(format!("the answer of `{from}` has no token: {error}")))?;
        let token = token.token.or(token.access_token).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| refused(format!("the answer of `{from}` has no token")))?;
        Ok(Secret::new(format!("Bearer {token}")))
    }
}

/// What a file says of the credentials for a registry.
#[derive(Debug, Default)]
struct Found {
    credentials: Option<Secret>,
    helper: Option<String>,
}

/// Finds the credentials for a registry: the most specific key that is the registry or a part of the repository's path. The
/// result is `user:password` in base64.
fn credentials(path: &Path, reference: &ImageReference) -> Result<Found, ImageError> {
    let failed = |problem: String| ImageError::Credentials { path: path.to_owned(), problem };
    let size = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if size > MAX_FILE {
        return Err(failed(format!("the file has {size} bytes, the limit is {MAX_FILE}")));
    }
    let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    // The message of the JSON parser names line and column and repeats no value.
    let file: ConfigFile = serde_json::from_slice(&bytes).map_err(|error| {
        failed(format!("expected Docker's config.json, line {} column {}", error.line(), error.column()))
    })?;
    let full = format!("{}/{}", reference.registry, reference.repository);
    let mut found: Option<(usize, Secret)> = None;
    for (key, entry) in &file.auths {
        let key = host_and_path(key);
        let fits = full == key || full.strip_prefix(&key).is_some_and(|rest| rest.starts_with('/'));
        if !fits || found.as_ref().is_some_and(|(length, _)| *length >= key.len()) {
            continue;
        }
        let auth = match (&entry.auth, &entry.username, &entry.password) {
            (Some(auth), _, _) if !auth.is_empty() => {
                STANDARD.decode(auth).map_err(|_| failed(format!("the `auth` of `{key}` is not base64")))?;
                auth.clone()
            }
            (_, Some(user), Some(password)) => STANDARD.encode(format!("{user}:{password}")),
            _ => continue,
        };
        found = Some((key.len(), Secret::new(auth)));
    }
    let credentials = found.map(|(_, secret)| secret);
    let own = file.cred_helpers.into_iter().find(|(key, _)| host_and_path(key) == reference.registry);
    let helper = own.map(|(_, helper)| helper).or(file.creds_store).filter(|_| credentials.is_none());
    Ok(Found { credentials, helper })
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

/// One way to authenticate that a server offers.
#[derive(Debug, Default, PartialEq, Eq)]
struct Challenge {
    /// In lower case.
    scheme: String,
    /// By names in lower case; the first value of each.
    parameters: BTreeMap<String, String>,
}

/// Reads a `WWW-Authenticate` header, which may hold several challenges (RFC 9110, section 11.6.1). What is malformed is
/// skipped.
fn parse_challenges(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let after_spaces = after.trim_start_matches([' ', '\t']);
        match after_spaces.strip_prefix('=') {
            // A parameter of the challenge before.
            Some(value) => {
                let (value, after) = parameter_value(value.trim_start_matches([' ', '\t']));
                if let Some(challenge) = challenges.last_mut() {
                    challenge.parameters.entry(word.to_ascii_lowercase()).or_insert(value);
                }
                rest = after;
            }
            None if word.is_empty() => return challenges,
            None => {
                challenges.push(Challenge { scheme: word.to_ascii_lowercase(), ..Challenge::default() });
                rest = after;
            }
        }
    }
}

/// Reads a token, or a string in quotation marks in which `\` keeps the next character; gives what is behind it.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find([' ', '\t', ',']).unwrap_or(text.len()));
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((position, character)) = characters.next() {
        match character {
            '"' => return (value, quoted.get(position + 1..).unwrap_or_default()),
            '\\' => value.extend(characters.next().map(|(_, kept)| kept)),
            _ => value.push(character),
        }
    }
    (value, "")
}

/// Percent-encodes a value for a query.
pub(crate) fn encode(value: &str) -> String {
    value.bytes().fold(String::new(), |mut text, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b':' | b'/' => {
                text.push(char::from(byte))
            }
            other => text.push_str(&format!("%{other:02X}")),
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, expected: &str) {
        let parsed: Vec<String> = parse_challenges(header)
            .into_iter()
            .map(|challenge| {
                let parameters = challenge.parameters.iter().map(|(key, value)| format!(" {key}={value}"));
                challenge.scheme + &parameters.collect::<String>()
            })
            .collect();
        assert_eq!(parsed.join(" | "), expected, "{header}");
    }

    #[test]
    fn challenges_are_taken_apart() {
        check(
            r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a:pull,push""#,
            "bearer realm=https://auth.example/token scope=repository:a:pull,push service=registry.example",
        );
        check(
            r#"Basic realm="a, b", Bearer realm=c ,service = "d""#,
            "basic realm=a, b | bearer realm=c service=d",
        );
        check("Negotiate, Basic realm=x", "negotiate | basic realm=x");
        check("basic", "basic");
        check(r#"Bearer REALM="a\"b\\",realm="evil""#, "bearer realm=a\"b\\");
        check(r#"Bearer realm="never ends"#, "bearer realm=never ends");
        check("", "");
        check(", ,=,", "");
    }

    #[test]
    fn the_most_specific_credentials_are_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        let text = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "aHVi"}, "r.example": {"auth": "aG9zdA=="},
            "r.example/team": {"username": "u", "password": "p"}, "r.example.evil": {"auth": "ZXZpbA=="}}}"#;
        std::fs::write(&path, text).unwrap();
        let find = |reference: &str| {
            let found = credentials(&path, &reference.parse().unwrap()).unwrap();
            found.credentials.map(|secret| secret.expose().to_owned())
        };
        assert_eq!(find("alpine").as_deref(), Some("aHVi"));
        assert_eq!(find("r.example/a").as_deref(), Some("aG9zdA=="));
        assert_eq!(find("r.example/team/a").as_deref(), Some(STANDARD.encode("u:p").as_str()));
        assert_eq!(find("other.example/a"), None);
    }

    #[test]
    fn a_program_that_keeps_credentials_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        let text = r#"{"auths": {"r.example": {}, "known.example": {"auth": "aG9zdA=="}}, "credsStore": "desktop",
            "credHelpers": {"cloud.example": "cloud"}}"#;
        std::fs::write(&path, text).unwrap();
        let helper = |reference: &str| {
            credentials(&path, &reference.parse().unwrap()).unwrap().helper.unwrap_or_default()
        };
        assert_eq!(helper("r.example/a"), "desktop");
        assert_eq!(helper("cloud.example/a"), "cloud");
        assert_eq!(helper("known.example/a"), "");
    }

    #[test]
    fn malformed_credentials_are_an_error_that_shows_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        for text in [
            "",
            r#"{"auths": []}"#,
            r#"{"auths": {"r.example": {"auth": "s3cr3t!"}}}"#,
            r#"{"auths": {"r.example": "s3cr3t"}}"#,
        ] {
            std::fs::write(&path, text).unwrap();
            let error = credentials(&path, &"r.example/a".parse().unwrap()).unwrap_err().to_string();
            assert!(error.contains("config.json` cannot be used") && !error.contains("s3cr3t"), "{error}");
        }
    }

    #[test]
    fn a_registry_cannot_send_us_anywhere_for_a_token() {
        let reference = "registry.example/a".parse().unwrap();
        let authenticator = Authenticator::new(&reference, "https://1.1.1.1", None).unwrap();
        let client = Client::new(hullmark_http::ClientOptions::default()).unwrap();
        for (challenge, expected) in [
            ("Bearer realm=\"http://127.0.0.1:1/token\"", "which is not a public address"),
            ("Bearer realm=\"https://169.254.169.254/token\"", "which is not a public address"),
            ("Bearer realm=\"https://[::1]/token\"", "which is not a public address"),
            ("Bearer realm=\"http://auth.example/token\"", "is plain HTTP"),
            ("Bearer realm=\"file:///etc/passwd\"", "is not an address that can be used"),
            ("Bearer service=x", "has no realm"),
            ("Negotiate", "neither Bearer nor Basic"),
            ("Basic realm=x", "a user name and a password"),
        ] {
            let error = authenticator.answer(&client, &[challenge.to_owned()]).unwrap_err().to_string();
            assert!(error.contains(expected), "{challenge}: {error}");
        }
    }
}
