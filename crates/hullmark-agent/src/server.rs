//! The server, as the agent speaks with it: decisions, profiles, events. Nothing here is called while a process waits at the
//! gate.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
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
pub const UNREACHABLE: &str = "server-unreachable";

/// Names a refusal of the server in answers and records.
const REFUSED: &str = "server-refused";

/// How much of the body of an error is read.
const MAX_PROBLEM: u64 = 64 * 1024;

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
    #[error("the server answers {status} to `{address}`{words}")]
    Status {
        /// What was asked.
        address: String,
        /// The status code.
        status: u16,
        /// What it says of that, after a colon; empty when it says nothing.
        words: String,
    },
    /// No answer before the deadline of a question.
    #[error("no answer of the server within {} ms", limit.as_millis())]
    Late {
        /// The deadline.
        limit: Duration,
    },
    /// A question cannot be asked without keeping others waiting.
    #[error("cannot make a thread: {0}")]
    Thread(io::Error),
    /// An answer that is not one.
    #[error("the answer of the server to `{address}` is not valid: {source}")]
    Malformed {
        /// What was asked.
        address: String,
        /// Where and why.
        source: serde_json::Error,
    },
}

impl ServerError {
    /// Whether the server could not be asked. Whatever else went wrong (it refuses the token or the question, its answer is
    /// none, the address is wrong) does not pass by itself, so nothing may stand in for its answer.
    fn is_unreachable(&self) -> bool {
        match self {
            Self::Http(HttpError::Unreachable { .. } | HttpError::Body { .. })
            | Self::Late { .. }
            | Self::Thread(_) => true,
            Self::Status { status, .. } => *status >= 500,
            _ => false,
        }
    }
}

/// What the body of an error says (`application/problem+json`): after a colon, in one line of bounded length.
fn words_of(body: &[u8]) -> String {
    let Ok(problem) = serde_json::from_slice::<serde_json::Value>(body) else { return String::new() };
    let Some(text) = ["detail", "title"].iter().find_map(|key| problem.get(key)?.as_str()) else {
        return String::new();
    };
    let line = text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c });
    format!(": {}", line.collect::<String>())
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

/// Where the server is, and how to speak with it.
#[derive(Debug)]
struct Peer {
    /// For questions that a hook waits for.
    quick: Client,
    /// For everything else.
    patient: Client,
    url: String,
    token: Secret,
}

impl Peer {
    fn post(&self, client: &Client, path: &str, body: Vec<u8>) -> Result<Vec<u8>, ServerError> {
        let address = format!("{}{path}", self.url);
        let request = client.post(&address, "application/json", body);
        let response = request.authorization(&self.token).send()?;
        let status = response.status();
        if !response.is_success() {
            let words =
                response.read_limited(MAX_PROBLEM).map_or_else(|_| String::new(), |body| words_of(&body));
            return Err(ServerError::Status { address, status, words });
        }
        Ok(response.read_limited(MAX_DECISION_LINE as u64)?)
    }

    fn ask(&self, client: &Client, request: &DecisionRequest) -> Result<DecisionAnswer, ServerError> {
        let path = "/api/v1/decisions";
        let malformed = |source| ServerError::Malformed { address: format!("{}{path}", self.url), source };
        let body = serde_json::to_vec(request).map_err(malformed)?;
        serde_json::from_slice(&self.post(client, path, body)?).map_err(malformed)
    }
}

/// An answer that is not of the server.
fn own_answer(allow: bool, reason: String) -> DecisionAnswer {
    DecisionAnswer {
        schema: DECISION_SCHEMA,
        allow,
        mode: EnforcementMode::Enforce,
        reason,
        verdict: None,
        manifest: None,
        entry: None,
        runtime: BTreeMap::new(),
        degraded: Vec::new(),
    }
}

/// The server.
#[derive(Debug)]
pub struct Server {
    peer: Arc<Peer>,
    /// How long a question may take in all.
    decision_timeout: Duration,
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
        let decision_timeout = Duration::from_millis(u64::from(config.decision_timeout_ms.max(1)));
        let options = |timeout| ClientOptions {
            connect_timeout: timeout,
            read_timeout: timeout,
            retries: 0,
            max_redirects: 0,
            user_agent: concat!("hullmark-agent/", env!("CARGO_PKG_VERSION")).to_owned(),
            ca_files: config.ca_file.iter().cloned().collect(),
            ..ClientOptions::default()
        };
        let answers = data.join("answers");
        fs::create_dir_all(&answers).map_err(file_error(&answers))?;
        Ok(Self {
            peer: Arc::new(Peer {
                quick: Client::new(options(decision_timeout))?,
                patient: Client::new(options(timeout))?,
                url: config.url.trim_end_matches('/').to_owned(),
                token: Secret::new(format!("Bearer {}", token.trim())),
            }),
            decision_timeout,
            on_failure: config.on_failure,
            answer_max_age: SignedDuration::from_secs(i64::from(config.answer_max_age_seconds)),
            answers,
            decisions: data.join(SPOOL_FILE),
            pending: Mutex::new(()),
        })
    }

    /// Asks, for at most as long as a question may take, whatever keeps it: the name, the connection, or a slow answer.
    fn ask_in_time(&self, request: &DecisionRequest) -> Result<DecisionAnswer, ServerError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let (peer, request) = (Arc::clone(&self.peer), request.clone());
        // Not joined: the client's own limits end it soon after.
        thread::Builder::new()
            .name("question".to_owned())
            .spawn(move || {
                // Nobody takes an answer that comes too late.
                let _ = sender.send(peer.ask(&peer.quick, &request));
            })
            .map_err(ServerError::Thread)?;
        let limit = self.decision_timeout;
        receiver.recv_timeout(limit).unwrap_or(Err(ServerError::Late { limit }))
    }

    /// Answers a question: as the server does; while it cannot be asked, as it did before, or as it was configured; with no
    /// when the server refuses to answer. What is not an answer of the server is kept until the server can be told, and
    /// allows nothing, unless failures are to be open, when it cannot be kept.
    pub fn decide(&self, request: &DecisionRequest, now: Timestamp) -> DecisionAnswer {
        let error = match self.ask_in_time(request) {
            Ok(answer) => {
                self.remember(request, &answer, now);
                return answer;
            }
            Err(error) => error,
        };
        let (mut answer, failure) = if error.is_unreachable() {
            tracing::warn!(image = %request.image.name, %error, "the server cannot be asked");
            (self.answer_without_server(request, now), UNREACHABLE)
        } else {
            tracing::error!(image = %request.image.name, %error, "the server refuses to answer a question");
            (own_answer(false, format!("denied: {error}")), REFUSED)
        };
        answer.degraded.push(failure.to_owned());
        let decision = SpooledDecision {
            schema: DECISION_SCHEMA,
            time: now,
            request: request.clone(),
            allow: answer.allow,
            failure: failure.to_owned(),
            reason: answer.reason.clone(),
        };
        if let Err(error) = self.keep(&decision) {
            tracing::error!(%error, "a decision that was taken without the server cannot be kept");
            answer.degraded.push("unrecorded".to_owned());
            if answer.allow && self.on_failure == OnFailure::Closed {
                answer.allow = false;
                answer.reason = format!(
                    "denied: the server cannot be asked, and the decision cannot be kept for it: {error}"
                );
            }
        }
        answer
    }

    /// What is answered while the server cannot be asked.
    fn answer_without_server(&self, request: &DecisionRequest, now: Timestamp) -> DecisionAnswer {
        let earlier = digests_of(&request.image).iter().find_map(|digest| self.recall(digest, now));
        match (earlier, self.on_failure) {
            (Some(earlier), _) => DecisionAnswer {
                reason: format!(
                    "{} (as answered at {:.0}; the server cannot be asked)",
                    earlier.answer.reason, earlier.time
                ),
                entry: None,
                ..earlier.answer
            },
            (None, OnFailure::Open) => {
                own_answer(true, "allowed although the server cannot be asked".to_owned())
            }
            (None, OnFailure::Closed) => {
                own_answer(false, "denied: the server cannot be asked, and gave no answer before".to_owned())
            }
        }
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
            if let Err(error) = self.peer.ask(&self.peer.patient, &request) {
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
        let peer = &self.peer;
        let address = format!("{}/api/v1/images/{digest}/profile", peer.url);
        let response =
            peer.patient.get(&address).accept("application/json").authorization(&peer.token).send()?;
        match response.status() {
            404 => Ok(None),
            _ if response.is_success() => Ok(Some(response.read_limited(MAX_PROFILE)?)),
            status => Err(ServerError::Status { address, status, words: String::new() }),
        }
    }

    /// Hands over a batch of events.
    pub fn send_events(&self, batch: Vec<u8>) -> Taken {
        match self.peer.post(&self.peer.patient, "/api/v1/events", batch) {
            Ok(_) => Taken::Yes,
            Err(ServerError::Status { status: status @ (400 | 413 | 422), .. }) => Taken::Never { status },
            Err(error) => Taken::NotNow { problem: error.to_string() },
        }
    }
}
