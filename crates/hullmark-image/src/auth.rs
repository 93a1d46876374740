//! Authentication at registries: Basic, and Bearer tokens
//! (<https://distribution.github.io/distribution/spec/auth/token/>,
//! <https://distribution.github.io/distribution/spec/auth/oauth/>).

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use hullmark_http::{Client, Response, Secret};
use hullmark_types::ImageReference;
use serde::Deserialize;

use crate::challenge::parse_challenges;
use crate::credentials::{Credential, Found, find};
use crate::{CredentialSources, ImageError};

/// The largest answer with a token, in bytes.
const MAX_TOKEN_ANSWER: u64 = 1 << 20;

/// How many rights are asked for beside ours.
const MAX_SCOPES: usize = 8;

/// How many offers of tokens are tried.
const MAX_OFFERS: usize = 3;

/// How long a token is good for at least, and when nothing is said of it, in seconds.
const SHORTEST: u64 = 60;

/// How long a token is taken to be good for at most, in seconds.
const LONGEST: u64 = 24 * 60 * 60;

/// How long before its end a token is renewed.
const MARGIN: Duration = Duration::from_secs(10);

/// What a client that asks for tokens calls itself.
const CLIENT: &str = "hullmark";

/// Proves to one registry who we are, as it asks for it. Shared by those who ask for the same repository at the same time.
#[derive(Debug)]
pub(crate) struct Authenticator {
    registry: String,
    /// The address of the registry, which bounds where it may send us for tokens.
    address: String,
    repository: String,
    found: Found,
    /// What the program that keeps the credentials said, once it was asked, or what the file says.
    known: OnceLock<Known>,
    /// What the registry accepts.
    granted: Mutex<Option<Granted>>,
    /// Held while a token is asked for, so that those who wait for one get the same.
    renewal: Mutex<()>,
}

/// The credentials that there are.
#[derive(Debug, Default)]
struct Known {
    credential: Option<Credential>,
    /// Why there may be others that cannot be had.
    problem: Option<String>,
}

/// What the registry accepts.
#[derive(Debug, Clone)]
struct Granted {
    /// The value of the `Authorization` header.
    authorization: Secret,
    /// From when on another is needed, and from where it comes.
    renewed: Option<(Instant, Offer)>,
}

/// Where tokens are given.
#[derive(Debug, Clone)]
struct Offer {
    realm: String,
    service: Option<String>,
    scopes: Vec<String>,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Authenticator {
    pub(crate) fn new(
        reference: &ImageReference,
        address: &str,
        sources: &CredentialSources,
    ) -> Result<Self, ImageError> {
        Ok(Self {
            registry: reference.registry.clone(),
            address: address.to_owned(),
            repository: reference.repository.clone(),
            found: find(sources, reference)?,
            known: OnceLock::new(),
            granted: Mutex::new(None),
            renewal: Mutex::new(()),
        })
    }

    /// What to send, once the registry has asked. A token that is about to end is renewed.
    pub(crate) fn authorization(&self, client: &Client) -> Option<Secret> {
        self.authorization_at(client, Instant::now())
    }

    fn authorization_at(&self, client: &Client, now: Instant) -> Option<Secret> {
        let is_good = |granted: &Granted| granted.renewed.as_ref().is_none_or(|(from, _)| now < *from);
        let granted = self.granted()?;
        if is_good(&granted) {
            return Some(granted.authorization);
        }
        let _one = self.renewal.lock().unwrap_or_else(PoisonError::into_inner);
        let granted = self.granted()?;
        let Some((_, offer)) = granted.renewed.as_ref().filter(|_| !is_good(&granted)) else {
            return Some(granted.authorization);
        };
        // Without another one the registry refuses, and says again what it wants.
        let token = self.token(client, offer, now).ok();
        self.grant(token.clone());
        token.map(|token| token.authorization)
    }

    fn granted(&self) -> Option<Granted> {
        self.granted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn grant(&self, granted: Option<Granted>) {
        *self.granted.lock().unwrap_or_else(PoisonError::into_inner) = granted;
    }

    /// What to try when the registry refuses.
    pub(crate) fn hint(&self) -> String {
        let known = self.known.get();
        match known.and_then(|known| known.problem.as_ref()) {
            Some(problem) => format!(
                "\nhint: {problem}; it keeps the credentials for `{}`; give a file that has them with `--auth-file`",
                self.registry
            ),
            None => "\nhint: log in with `docker login` or `podman login`, or give `--auth-file`".to_owned(),
        }
    }

    /// The credentials; the program that keeps them is asked the first time.
    fn known(&self) -> &Known {
        self.known.get_or_init(|| {
            let written = self.found.written.clone();
            let Some(helper) = &self.found.helper else {
                return Known { credential: written, problem: None };
            };
            match helper.ask() {
                Ok(kept) => Known { credential: kept.or(written), problem: None },
                Err(error) => {
                    let problem =
                        written.is_none().then(|| format!("`{helper}` gives no credentials: {error}"));
                    Known { credential: written, problem }
                }
            }
        })
    }

    fn refused(&self, problem: String) -> ImageError {
        ImageError::Authentication { registry: self.registry.clone(), problem }
    }

    /// Answers the challenges of a registry, which did not accept `sent`.
    pub(crate) fn answer(
        &self,
        client: &Client,
        challenges: &[String],
        sent: Option<&Secret>,
    ) -> Result<(), ImageError> {
        let _one = self.renewal.lock().unwrap_or_else(PoisonError::into_inner);
        // Another one who asks has got it meanwhile.
        if self.granted().is_some_and(|granted| Some(&granted.authorization) != sent) {
            return Ok(());
        }
        let granted = self.grantable(client, challenges)?;
        self.grant(Some(granted));
        Ok(())
    }

    fn grantable(&self, client: &Client, challenges: &[String]) -> Result<Granted, ImageError> {
        let challenges: Vec<_> = challenges.iter().flat_map(|header| parse_challenges(header)).collect();
        let of = |scheme: &'static str| challenges.iter().filter(move |challenge| challenge.scheme == scheme);
        let is_basic = of("basic").next().is_some();
        let lasting = |authorization| Granted { authorization, renewed: None };
        if let Some(Credential::Registry(token)) = &self.known().credential
            && of("bearer").next().is_some()
        {
            return Ok(lasting(Secret::new(format!("Bearer {}", token.expose()))));
        }
        let mut problem = None;
        for challenge in of("bearer").take(MAX_OFFERS) {
            match self
                .offer(&challenge.parameters)
                .and_then(|offer| self.token(client, &offer, Instant::now()))
            {
                Ok(granted) => return Ok(granted),
                Err(error) => problem = problem.or(Some(error)),
            }
        }
        let basic = self.known().credential.as_ref().and_then(Credential::basic).filter(|_| is_basic);
        match (basic, problem) {
            (Some(basic), _) => Ok(lasting(basic)),
            (None, Some(problem)) => Err(problem),
            (None, None) if is_basic => {
                Err(self.refused(format!("it wants a user name and a password{}", self.hint())))
            }
            (None, None) => Err(self.refused("it names neither Bearer nor Basic".to_owned())),
        }
    }

    fn offer(&self, parameters: &BTreeMap<String, String>) -> Result<Offer, ImageError> {
        let realm = parameters.get("realm");
        let realm = realm.ok_or_else(|| self.refused("its Bearer challenge has no realm".to_owned()))?;
        let own = format!("repository:{}:pull", self.repository);
        let mut scopes = vec![own];
        for scope in parameters.get("scope").map(String::as_str).unwrap_or_default().split_whitespace() {
            let scope = right_to_pull(scope).filter(|scope| !scopes.contains(scope));
            scopes.extend(scope.filter(|_| scopes.len() < MAX_SCOPES));
        }
        Ok(Offer { realm: realm.clone(), service: parameters.get("service").cloned(), scopes })
    }

    /// Asks for a token, in the way that fits the credentials, and in the other where the server does not know that one.
    fn token(&self, client: &Client, offer: &Offer, now: Instant) -> Result<Granted, ImageError> {
        let credential = self.known().credential.as_ref();
        let basic = credential.and_then(Credential::basic);
        let response = match credential {
            Some(Credential::Identity { token, .. }) => {
                let grant = [("grant_type", "refresh_token"), ("refresh_token", token.expose())];
                let response = self.post(client, offer, &grant)?;
                match basic.filter(|_| is_unknown(&response)) {
                    Some(basic) => self.get(client, offer, Some(&basic))?,
                    None => response,
                }
            }
            _ => {
                let response = self.get(client, offer, basic.as_ref())?;
                match credential.and_then(Credential::pair).filter(|_| is_unknown(&response)) {
                    Some((user, password)) => {
                        let pair = [("username", user.as_str()), ("password", password.expose())];
                        let [user, password] = pair;
                        self.post(client, offer, &[("grant_type", "password"), user, password])?
                    }
                    None => response,
                }
            }
        };
        if !response.is_success() {
            let (status, from) = (response.status(), response.address().to_owned());
            return Err(self.refused(format!("`{from}` answered {status} and gave no token{}", self.hint())));
        }
        let from = response.address().to_owned();
        let answer = response.read_limited(MAX_TOKEN_ANSWER)?;
        // Nothing of the answer is shown; the parser names line and column.
        let answer: Token = serde_json::from_slice(&answer).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            self.refused(format!("the answer of `{from}` has no token: line {line} column {column}"))
        })?;
        let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| self.refused(format!("the answer of `{from}` has no token")))?;
        let lasts = Duration::from_secs(answer.expires_in.unwrap_or(SHORTEST).clamp(SHORTEST, LONGEST));
        Ok(Granted {
            authorization: Secret::new(format!("Bearer {token}")),
            renewed: now.checked_add(lasts.saturating_sub(MARGIN)).map(|from| (from, offer.clone())),
        })
    }

    fn get(&self, client: &Client, offer: &Offer, basic: Option<&Secret>) -> Result<Response, ImageError> {
        let realm = &offer.realm;
        let scopes = offer.scopes.iter().map(|scope| ("scope", scope.as_str()));
        let service = offer.service.iter().map(|service| ("service", service.as_str()));
        let separator = if realm.contains('?') { '&' } else { '?' };
        let address = format!("{realm}{separator}{}", form(scopes.chain(service)));
        let mut request = client.get(&address).named_by(&self.address);
        if let Some(basic) = basic {
            request = request.authorization(basic);
        }
        Ok(request.send()?)
    }

    fn post(&self, client: &Client, offer: &Offer, grant: &[(&str, &str)]) -> Result<Response, ImageError> {
        let scope = offer.scopes.join(" ");
        let service = offer.service.iter().map(|service| ("service", service.as_str()));
        let further = [("client_id", CLIENT), ("scope", scope.as_str())];
        let body = form(grant.iter().copied().chain(further).chain(service));
        let request = client.post(&offer.realm, "application/x-www-form-urlencoded", body.into_bytes());
        Ok(request.named_by(&self.address).send()?)
    }
}

/// Whether the server does not know the way in which it was asked; it would answer 401 to credentials that it refuses. What
/// servers answer differs: containerd keeps a list of them.
fn is_unknown(response: &Response) -> bool {
    matches!(response.status(), 400 | 404 | 405 | 501)
}

/// The right to pull from the repository that a scope names, and no other right.
fn right_to_pull(scope: &str) -> Option<String> {
    let (rest, actions) = scope.rsplit_once(':')?;
    let name = rest.strip_prefix("repository:")?;
    let pulls = actions.split(',').any(|action| matches!(action, "pull" | "*"));
    (pulls && !name.is_empty() && name.len() <= 255).then(|| format!("repository:{name}:pull"))
}

fn form<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", encode(value))).collect();
    pairs.join("&")
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
    use hullmark_http::ClientOptions;
    use hullmark_testkit::{Answer, Asked, Server};

    use super::*;

    fn client() -> Client {
        Client::new(ClientOptions { retries: 0, sleep: |_| {}, ..ClientOptions::default() }).unwrap()
    }

    fn authenticator(address: &str, credential: Option<Credential>) -> Authenticator {
        let reference = "registry.example/team/app".parse().unwrap();
        let none = CredentialSources::default();
        let mut authenticator = Authenticator::new(&reference, address, &none).unwrap();
        authenticator.found.written = credential;
        authenticator
    }

    /// Asks a server that gives tokens for one; gives what was sent then, and what was asked.
    fn ask(
        credential: Option<Credential>,
        scope: &str,
        answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> (Result<String, String>, Vec<String>) {
        let server = Server::new(answer);
        let authenticator = authenticator(&server.url(), credential);
        let challenge = format!("Bearer realm=\"{}/token\",service=\"s\"{scope}", server.url());
        let result = authenticator.answer(&client(), &[challenge], None).map_err(|error| error.to_string());
        let asked = server.asked().into_iter().map(|asked| {
            let authorization = asked.headers.get("authorization").map(|value| format!(" [{value}]"));
            let body = String::from_utf8(asked.body).unwrap();
            format!("{} {} {body}{}", asked.method, asked.path, authorization.unwrap_or_default())
        });
        let sent = authenticator.authorization(&client()).map(|sent| sent.expose().to_owned());
        (result.map(|()| sent.unwrap_or_default()), asked.collect())
    }

    fn token(_: &Asked) -> Answer {
        Answer::new(200, r#"{"token":"T","expires_in":300}"#)
    }

    const SCOPE: &str = "scope=repository:team/app:pull&service=s";

    #[test]
    fn a_password_is_sent_by_get_and_by_post_where_the_server_wants_that() {
        let password = || Some(Credential::password("u", "p&q"));
        let (sent, asked) = ask(password(), "", token);
        assert_eq!(sent.unwrap(), "Bearer T");
        assert_eq!(asked, [format!("GET /token?{SCOPE}  [Basic dTpwJnE=]")]);
        for status in [404, 405] {
            let (sent, asked) = ask(password(), "", move |asked| match asked.method.as_str() {
                "GET" => Answer::new(status, ""),
                _ => Answer::new(200, r#"{"access_token":"A"}"#),
            });
            assert_eq!(sent.unwrap(), "Bearer A");
            let form = "grant_type=password&username=u&password=p%26q&client_id=hullmark";
            assert_eq!(asked[1], format!("POST /token {form}&{SCOPE}"));
        }
        // Refused is refused.
        let (sent, asked) = ask(password(), "", |_| Answer::new(401, "p&q"));
        assert_eq!(asked.len(), 1);
        let error = sent.unwrap_err();
        assert!(error.contains("answered 401 and gave no token") && !error.contains("p&q"), "{error}");
        // Without a password nothing is posted.
        assert_eq!(ask(None, "", |_| Answer::new(405, "")).1.len(), 1);
    }

    #[test]
    fn an_identity_token_is_sent_by_post_and_by_get_where_the_server_does_not_know_that() {
        let identity =
            |user: &str| Some(Credential::Identity { user: user.to_owned(), token: Secret::new("I+1") });
        let (sent, asked) = ask(identity(""), "", token);
        assert_eq!(sent.unwrap(), "Bearer T");
        let form = "grant_type=refresh_token&refresh_token=I%2B1&client_id=hullmark";
        assert_eq!(asked, [format!("POST /token {form}&{SCOPE}")]);
        let get_only = |asked: &Asked| match asked.method.as_str() {
            "POST" => Answer::new(405, ""),
            _ => token(asked),
        };
        let (sent, asked) = ask(identity("u"), "", get_only);
        assert_eq!(sent.unwrap(), "Bearer T");
        assert_eq!(asked[1], format!("GET /token?{SCOPE}  [Basic dTpJKzE=]"));
        assert!(ask(identity(""), "", get_only).0.unwrap_err().contains("answered 405"));
        let (sent, _) = ask(identity("u"), "", |_| Answer::new(307, "").header("Location", "/elsewhere"));
        assert!(sent.unwrap_err().contains("answered 307"));
    }

    #[test]
    fn a_token_of_the_registry_is_sent_as_it_is() {
        let (sent, asked) = ask(Some(Credential::Registry(Secret::new("R"))), "", token);
        assert_eq!((sent.unwrap().as_str(), asked.len()), ("Bearer R", 0));
    }

    #[test]
    fn rights_are_those_to_pull_what_we_and_the_registry_name() {
        let scope = ",scope=\"repository:other/base:pull,push repository:team/app:pull registry:catalog:* repository:x:push\"";
        let (_, asked) = ask(None, scope, token);
        let expected =
            "GET /token?scope=repository:team/app:pull&scope=repository:other/base:pull&service=s ";
        assert_eq!(asked, [expected]);
        assert_eq!(right_to_pull("repository:h:5000/a:pull").as_deref(), Some("repository:h:5000/a:pull"));
        let many: String = (0..50).map(|number| format!("repository:r{number}:pull ")).collect();
        let (_, asked) = ask(None, &format!(",scope=\"{many}\""), token);
        assert_eq!(asked[0].matches("scope=").count(), MAX_SCOPES);
    }

    #[test]
    fn of_several_challenges_the_one_that_can_be_answered_is() {
        let server = Server::new(|asked| match asked.path.starts_with("/good") {
            true => token(asked),
            false => Answer::new(500, ""),
        });
        let challenge = |path: &str| format!("Bearer realm=\"{}/{path}\"", server.url());
        let ask = |challenges: &[String]| {
            let authenticator = authenticator(&server.url(), Some(Credential::password("u", "p")));
            authenticator.answer(&client(), challenges, None).map_err(|error| error.to_string())?;
            Ok::<_, String>(authenticator.authorization(&client()).unwrap().expose().to_owned())
        };
        let basic = "Basic realm=\"x\"".to_owned();
        assert_eq!(ask(&[challenge("bad"), challenge("good")]).unwrap(), "Bearer T");
        assert_eq!(ask(&[format!("{basic}, {}", challenge("good"))]).unwrap(), "Bearer T");
        assert_eq!(ask(&[challenge("bad"), basic]).unwrap(), "Basic dTpw");
        assert!(ask(&[challenge("bad")]).unwrap_err().contains("answered 500"));
    }

    #[test]
    fn a_token_is_renewed_before_it_ends() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let count = AtomicUsize::new(0);
        let server = Server::new(move |_| match count.fetch_add(1, Ordering::Relaxed) {
            0 => Answer::new(200, r#"{"token":"T0","expires_in":300}"#),
            1 => Answer::new(200, r#"{"token":"T1","expires_in":1}"#),
            _ => Answer::new(500, ""),
        });
        let authenticator = authenticator(&server.url(), None);
        let client = client();
        let challenge = format!("Bearer realm=\"{}/token\"", server.url());
        authenticator.answer(&client, &[challenge], None).unwrap();
        let begun = Instant::now();
        let at = |seconds| {
            let sent = authenticator.authorization_at(&client, begun + Duration::from_secs(seconds));
            sent.map(|sent| sent.expose().to_owned())
        };
        assert_eq!(at(280).as_deref(), Some("Bearer T0"));
        assert_eq!(at(295).as_deref(), Some("Bearer T1"));
        // No token is good for less than 60 seconds.
        assert_eq!(at(340).as_deref(), Some("Bearer T1"));
        assert_eq!(server.asked().len(), 2);
        // One that cannot be renewed is not sent any more: the registry will say what it wants.
        assert_eq!(at(350), None);
        assert_eq!(at(351), None);
        assert_eq!(server.asked().len(), 3);
    }

    #[test]
    fn those_who_wait_for_a_token_get_the_same() {
        let server = Server::new(token);
        let authenticator = authenticator(&server.url(), None);
        let challenge = [format!("Bearer realm=\"{}/token\"", server.url())];
        let client = client();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| authenticator.answer(&client, &challenge, None).unwrap());
            }
        });
        assert_eq!(server.asked().len(), 1);
        authenticator.answer(&client, &challenge, Some(&Secret::new("Bearer T"))).unwrap();
        assert_eq!(server.asked().len(), 2);
    }

    #[test]
    fn a_registry_cannot_send_us_anywhere_for_a_token() {
        let identity = Credential::Identity { user: String::new(), token: Secret::new("I") };
        for credential in [None, Some(identity)] {
            let authenticator = authenticator("https://1.1.1.1", credential);
            let client = Client::new(ClientOptions::default()).unwrap();
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
                let error =
                    authenticator.answer(&client, &[challenge.to_owned()], None).unwrap_err().to_string();
                assert!(error.contains(expected), "{challenge}: {error}");
            }
        }
    }
}
