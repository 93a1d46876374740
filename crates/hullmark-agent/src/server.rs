//! The server, as the agent speaks with it: decisions, profiles, events. Nothing here is called while a process waits at the
//! gate.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hullmark_http::{Client, ClientOptions, HttpError, Secret};
use hullmark_types::{
    DECISION_SCHEMA, DecisionAnswer, DecisionRequest, Digest, EnforcementMode, MAX_DECISION_LINE, SPOOL_FILE,
    SpooledDecision,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::config::{OnFailure, Server as ServerConfig};
use crate::files::write_atomically;
use crate::profiles::{MAX_PROFILE, digests_of};

/// Names `server-unreachable` in answers and records.
const UNREACHABLE: &str = "server-unreachable";

/// The most that is kept of decisions which were taken without the server.
const MAX_DECISIONS: u64 = 16 * 1024 * 1024;

/// The server cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The file with the token cannot be read.
    #[error("cannot read the token file `{}`: {source}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something on disk.
    #[error("`{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// An answer that says no.
    #[error("the server answers {status} to `{address}`")]
    Status {
        /// What was asked.
        address: String,
        /// The status code.
        status: u16,
    },
    /// An answer that is not one.
    #[error("the answer of the server to `{address}` is not valid: {source}")]
    Malformed {
        /// What was asked.
        address: String,
        /// Where and why.
        source: serde_json::Error,
    },
}

/// What became of a batch of events.
#[derive(Debug)]
pub enum Taken {
    /// The server has it.
    Yes,
    /// The server will never take it.
    Never {
        /// What it answered.
        status: u16,
    },
    /// It is to be tried again.
    NotNow {
        /// Why.
        problem: String,
    },
}

/// An answer that was given before.
#[derive(Debug, Serialize, Deserialize)]
struct Earlier {
    time: Timestamp,
    answer: DecisionAnswer,
}

/// The server.
#[derive(Debug)]
pub struct Server {
    client: Client,
    url: String,
    token: Secret,
    on_failure: OnFailure,
    answer_max_age: SignedDuration,
    answers: PathBuf,
    decisions: PathBuf,
    /// Held while decisions are appended or taken up.
    pending: Mutex<()>,
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> ServerError {
    let path = path.to_owned();
    move |source| ServerError::File { path, source }
}

impl Server {
    /// A server. Contacts nobody yet.
    ///
    /// # Errors
    /// When the token or certificate authorities cannot be read, or the directory cannot be used.
    pub fn new(config: &ServerConfig, data: &Path) -> Result<Self, ServerError> {
        let token = fs::read_to_string(&config.token_file)
            .map_err(|source| ServerError::Token { path: config.token_file.clone(), source })?;
        let timeout = Duration::from_secs(u64::from(config.timeout_seconds.max(1)));
        let options = ClientOptions {
            connect_timeout: timeout,
            read_timeout: timeout,
            retries: 0,
            max_redirects: 0,
            user_agent: concat!("hullmark-agent/", env!("CARGO_PKG_VERSION")).to_owned(),
            ca_file: config.ca_file.clone(),
            ..ClientOptions::default()
        };
        let answers = data.join("answers");
        fs::create_dir_all(&answers).map_err(file_error(&answers))?;
        Ok(Self {
            client: Client::new(options)?,
            url: config.url.trim_end_matches('/').to_owned(),
            token: Secret::new(format!("Bearer {}", token.trim())),
            on_failure: config.on_failure,
            answer_max_age: SignedDuration::from_secs(i64::from(config.answer_max_age_seconds)),
            answers,
            decisions: data.join(SPOOL_FILE),
            pending: Mutex::new(()),
        })
    }

    fn post(&self, path: &str, body: Vec<u8>) -> Result<Vec<u8>, ServerError> {
        let address = format!("{}{path}", self.url);
        let request = self.client.post(&address, "application/json", body);
        let response = request.authorization(&self.token).send()?;
        let status = response.status();
        if !response.is_success() {
            return Err(ServerError::Status { address, status });
        }
        Ok(response.read_limited(MAX_DECISION_LINE as u64)?)
    }

    fn ask(&self, request: &DecisionRequest) -> Result<DecisionAnswer, ServerError> {
        let path = "/api/v1/decisions";
        let malformed = |source| ServerError::Malformed { address: format!("{}{path}", self.url), source };
        let body = serde_json::to_vec(request).map_err(malformed)?;
        serde_json::from_slice(&self.post(path, body)?).map_err(malformed)
    }

    /// Answers a question: as the server does, or, while it cannot be asked, as it did before, or as it was configured.
    /// A decision without the server is kept until the server can be told.
    pub fn decide(&self, request: &DecisionRequest, now: Timestamp) -> DecisionAnswer {
        let error = match self.ask(request) {
            Ok(answer) => {
                self.remember(request, &answer, now);
                return answer;
            }
            Err(error) => error,
        };
        tracing::warn!(image = %request.image.name, %error, "the server cannot be asked");
        let earlier = digests_of(&request.image).iter().find_map(|digest| self.recall(digest, now));
        let mut answer = match earlier {
            Some(earlier) => DecisionAnswer {
                reason: format!(
                    "{} (as answered at {:.0}; the server cannot be asked)",
                    earlier.answer.reason, earlier.time
                ),
                entry: None,
                ..earlier.answer
            },
            None => DecisionAnswer {
                schema: DECISION_SCHEMA,
                allow: self.on_failure == OnFailure::Open,
                mode: EnforcementMode::Enforce,
                reason: match self.on_failure {
                    OnFailure::Open => "allowed although the server cannot be asked".to_owned(),
                    OnFailure::Closed => {
                        "denied: the server cannot be asked, and gave no answer before".to_owned()
                    }
                },
                verdict: None,
                manifest: None,
                entry: None,
                runtime: BTreeMap::new(),
                degraded: Vec::new(),
            },
        };
        answer.degraded.push(UNREACHABLE.to_owned());
        let decision = SpooledDecision {
            schema: DECISION_SCHEMA,
            time: now,
            request: request.clone(),
            allow: answer.allow,
            failure: UNREACHABLE.to_owned(),
            reason: answer.reason.clone(),
        };
        if let Err(error) = self.keep(&decision) {
            tracing::error!(%error, "a decision that was taken without the server cannot be kept");
            answer.degraded.push("unrecorded".to_owned());
        }
        answer
    }

    fn answer_file(&self, digest: &Digest) -> PathBuf {
        self.answers.join(format!("{}-{}.json", digest.algorithm().name(), digest.hex()))
    }

    fn remember(&self, request: &DecisionRequest, answer: &DecisionAnswer, now: Timestamp) {
        let earlier = Earlier { time: now, answer: answer.clone() };
        let Ok(bytes) = serde_json::to_vec(&earlier) else { return };
        for digest in digests_of(&request.image) {
            let path = self.answer_file(&digest);
            if let Err(error) = write_atomically(&path, &bytes) {
                tracing::warn!(path = %path.display(), %error, "an answer cannot be kept");
            }
        }
    }

    fn recall(&self, digest: &Digest, now: Timestamp) -> Option<Earlier> {
        let bytes = fs::read(self.answer_file(digest)).ok()?;
        let earlier: Earlier = serde_json::from_slice(&bytes).ok()?;
        (now.duration_since(earlier.time) <= self.answer_max_age).then_some(earlier)
    }

    fn keep(&self, decision: &SpooledDecision) -> io::Result<()> {
        let _pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if fs::metadata(&self.decisions).is_ok_and(|facts| facts.len() > MAX_DECISIONS) {
            return Err(io::Error::other("too many are kept already"));
        }
        let mut line = serde_json::to_vec(decision)?;
        line.push(b'\n');
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.decisions)?;
        file.write_all(&line)?;
        file.sync_all()
    }

    /// Tells the server what was decided without it, so that it is recorded.
    ///
    /// # Errors
    /// When the server cannot be told now.
    pub fn settle(&self) -> Result<(), String> {
        let _pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let text = match fs::read_to_string(&self.decisions) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(format!("cannot read `{}`: {error}", self.decisions.display())),
        };
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            // A line that was cut off by a crash was never acted upon: it is written before the answer is given.
            let Ok(decision) = serde_json::from_str::<SpooledDecision>(line) else { continue };
            let mut request = decision.request;
            let answer = if decision.allow { "allowed" } else { "denied" };
            request.detail.extend([
                ("decided-at".to_owned(), decision.time.to_string()),
                ("decided-without-server".to_owned(), answer.to_owned()),
                ("decided-because".to_owned(), decision.reason),
            ]);
            if let Err(error) = self.ask(&request) {
                if let ServerError::Status { status: 400 | 413 | 422, .. } = error {
                    tracing::error!(%error, "the server refuses a decision that was taken without it");
                    continue;
                }
                let rest: String = std::iter::once(line).chain(lines).flat_map(|line| [line, "\n"]).collect();
                if let Err(error) = write_atomically(&self.decisions, rest.as_bytes()) {
                    tracing::error!(%error, "decisions may be recorded twice");
                }
                return Err(error.to_string());
            }
        }
        fs::remove_file(&self.decisions).map_err(|error| error.to_string())
    }

    /// The profile of an image; `None` when the server has none.
    ///
    /// # Errors
    /// When the server cannot be asked, or the profile is too large.
    pub fn profile(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ServerError> {
        let address = format!("{}/api/v1/images/{digest}/profile", self.url);
        let response =
            self.client.get(&address).accept("application/json").authorization(&self.token).send()?;
        match response.status() {
            404 => Ok(None),
            _ if response.is_success() => Ok(Some(response.read_limited(MAX_PROFILE)?)),
            status => Err(ServerError::Status { address, status }),
        }
    }

    /// Hands over a batch of events.
    pub fn send_events(&self, batch: Vec<u8>) -> Taken {
        match self.post("/api/v1/events", batch) {
            Ok(_) => Taken::Yes,
            Err(ServerError::Status { status: status @ (400 | 413 | 422), .. }) => Taken::Never { status },
            Err(error) => Taken::NotNow { problem: error.to_string() },
        }
    }
}
