//! From the arguments to allowed or denied, with a deadline over everything.
//!
//! One thread does the work; the other waits for it as long as the configuration says. So nothing that hangs (standard
//! input, a file on a dead network share, a socket with a full queue) keeps the caller longer than that, and a fault in the
//! work is a failure and no answer. What follows from a failure is in [`without_answer`], and nowhere else.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use hullmark_types::{
    ContainerFacts, DECISION_SCHEMA, DecisionAnswer, DecisionRequest, Digest, ImageIdentity, Point,
    SpooledDecision,
};
use jiff::Timestamp;
use serde::Deserialize;

use crate::arguments::{Arguments, Mode};
use crate::configuration::{OnFailure, Unidentified};
use crate::oci::{BundleConfiguration, STDIN_LIMIT, State};
use crate::{Configuration, ask, bounded, identity, spool};

/// Most characters of a reason: containerd takes 32 KiB, a person much less.
const REASON_LIMIT: usize = 2000;

const DESCRIPTOR: &str = "application/vnd.oci.descriptor.v1+json";
const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];

/// What the program takes from its surroundings.
pub struct Surroundings {
    /// Standard input.
    pub stdin: Box<dyn Read + Send>,
    /// The current time.
    pub now: fn() -> Timestamp,
    /// The configuration file that the environment names.
    pub configuration: Option<PathBuf>,
    /// Name of the machine.
    pub host_name: String,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Whether the container may start, the image may be stored.
    pub allowed: bool,
    /// Why, in one line.
    pub reason: String,
}

/// What the work reports as it goes on.
enum Step {
    /// This is what would be asked, as far as it is known.
    Known(Box<DecisionRequest>),
    /// This was answered.
    Answered(Box<DecisionAnswer>),
    /// It failed.
    Failed(Failure),
}

/// Why there is no answer.
struct Failure {
    word: &'static str,
    text: String,
}

impl Failure {
    fn new(word: &'static str, error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        Self { word, text }
    }
}

/// Decides. Never fails: whatever goes wrong ends in allowed or denied, as the configuration says.
pub fn run(arguments: Arguments, surroundings: Surroundings) -> Ending {
    let start = Instant::now();
    let path = arguments.configuration.or(surroundings.configuration);
    let configuration = match Configuration::load(path.as_deref()) {
        Ok(configuration) => configuration,
        // What should happen then is written in the file that cannot be read: deny.
        Err(error) => return denied(&Failure::new("configuration", &error).text),
    };
    let node = configuration.node.clone().unwrap_or(surroundings.host_name);
    let mut request = empty_request(&arguments.mode, node);
    let timeout = Duration::from_millis(configuration.timeout_ms);

    let (sender, receiver) = mpsc::channel();
    let work = Work {
        mode: arguments.mode,
        stdin: surroundings.stdin,
        request: request.clone(),
        socket: configuration.socket.clone(),
    };
    let spawned = thread::Builder::new().spawn(move || work.run(&sender));
    let failure = match spawned {
        Err(error) => Failure::new("internal-error", &error),
        // Not joined: when it hangs it ends with the process.
        Ok(_) => loop {
            match receiver.recv_timeout(timeout.saturating_sub(start.elapsed())) {
                Ok(Step::Known(known)) => request = *known,
                Ok(Step::Answered(answer)) => {
                    return Ending { allowed: answer.allow, reason: one_line(&answer.reason) };
                }
                Ok(Step::Failed(failure)) => break failure,
                Err(RecvTimeoutError::Timeout) => {
                    let text = format!("no answer within {} ms", timeout.as_millis());
                    break Failure { word: "deadline-exceeded", text };
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let text = "the hook failed internally".to_owned();
                    break Failure { word: "internal-error", text };
                }
            }
        },
    };
    without_answer(&configuration, request, &failure, (surroundings.now)())
}

/// What follows when there is no answer: what the configuration says, and nothing before it is on the disk.
///
/// Input that makes no sense and faults of the hook itself are always denied: they do not happen by themselves when a server
/// is away.
fn without_answer(
    configuration: &Configuration,
    request: DecisionRequest,
    failure: &Failure,
    now: Timestamp,
) -> Ending {
    let allow = match failure.word {
        "server-unreachable" | "deadline-exceeded" | "answer-malformed" => {
            configuration.on_failure == OnFailure::Open
        }
        "image-unidentified" => configuration.unidentified == Unidentified::Allow,
        _ => false,
    };
    let word = if allow { "allowed" } else { "denied" };
    let reason = one_line(&format!("{word} without a decision: {}", failure.text));
    let decision = SpooledDecision {
        schema: DECISION_SCHEMA,
        time: now,
        request,
        allow,
        failure: failure.word.to_owned(),
        reason: reason.clone(),
    };
    match spool::keep(&configuration.record_directory, &decision) {
        Ok(()) => Ending { allowed: allow, reason },
        Err(error) => {
            let problem = Failure::new("spool", &error).text;
            denied(&format!("denied because it cannot be recorded: {problem}; {}", failure.text))
        }
    }
}

fn denied(reason: &str) -> Ending {
    Ending { allowed: false, reason: one_line(reason) }
}

/// Without line ends and control characters, which could forge lines in a log, and not too long.
fn one_line(text: &str) -> String {
    let clean = text.chars().map(|character| if character.is_control() { ' ' } else { character });
    clean.take(REASON_LIMIT).collect()
}

fn empty_request(mode: &Mode, node: String) -> DecisionRequest {
    let (point, image) = match mode {
        Mode::ImageVerifier { name, .. } => {
            (Point::ImageVerifier, ImageIdentity { name: name.clone(), ..ImageIdentity::default() })
        }
        Mode::OciHook | Mode::Help | Mode::Version => (Point::OciHook, ImageIdentity::default()),
    };
    DecisionRequest {
        schema: DECISION_SCHEMA,
        point,
        image,
        container: None,
        node: Some(node),
        detail: BTreeMap::new(),
    }
}

/// The work of the second thread.
struct Work {
    mode: Mode,
    stdin: Box<dyn Read + Send>,
    request: DecisionRequest,
    socket: PathBuf,
}

impl Work {
    fn run(mut self, sender: &Sender<Step>) {
        let step = match self.identify(sender) {
            Err(failure) => Step::Failed(failure),
            Ok(()) => {
                // Nobody receives after the deadline, and then nothing is to be done.
                let _ = sender.send(Step::Known(Box::new(self.request.clone())));
                match ask::ask(&self.socket, &self.request) {
                    Ok(answer) => Step::Answered(Box::new(answer)),
                    Err(error) => Step::Failed(Failure::new(error.failure(), &error)),
                }
            }
        };
        let _ = sender.send(step);
    }

    fn identify(&mut self, sender: &Sender<Step>) -> Result<(), Failure> {
        let input = bounded::read(&mut self.stdin, STDIN_LIMIT).map_err(|error| {
            let text = format!("cannot read standard input: {error}");
            Failure { word: "input-malformed", text }
        })?;
        match &self.mode {
            Mode::ImageVerifier { name, digest, stdin_media_type } => {
                self.request.image = verified(name, digest, stdin_media_type.as_deref(), &input)?;
                Ok(())
            }
            Mode::OciHook | Mode::Help | Mode::Version => self.identify_container(&input, sender),
        }
    }

    fn identify_container(&mut self, input: &[u8], sender: &Sender<Step>) -> Result<(), Failure> {
        let malformed = |error| Failure::new("input-malformed", &error);
        let state = State::parse(input).map_err(malformed)?;
        let mut container = ContainerFacts {
            id: state.id.clone(),
            pid: state.pid,
            root: None,
            bundle: Some(state.bundle.to_string_lossy().into_owned()),
        };
        self.request.container = Some(container.clone());
        let _ = sender.send(Step::Known(Box::new(self.request.clone())));

        let configuration = BundleConfiguration::read(&state.bundle).map_err(malformed)?;
        container.root = configuration.root.as_ref().map(|root| root.to_string_lossy().into_owned());
        self.request.container = Some(container);
        let _ = sender.send(Step::Known(Box::new(self.request.clone())));

        let (image, source) = identity::identify(&state, &configuration)
            .map_err(|error| Failure::new("image-unidentified", &error))?;
        self.request.image = image;
        self.request.detail.insert("identified-by".to_owned(), source.name().to_owned());
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: Digest,
}

/// The image that a verifier is asked about. The digest is the argument's; the descriptor must have the same, and says
/// whether it is that of an index.
fn verified(
    name: &str,
    digest: &Digest,
    media_type: Option<&str>,
    input: &[u8],
) -> Result<ImageIdentity, Failure> {
    let mut image = ImageIdentity { name: name.chars().take(1024).collect(), ..ImageIdentity::default() };
    if media_type.is_some_and(|media_type| media_type != DESCRIPTOR) || input.is_empty() {
        image.manifest = Some(digest.clone());
        return Ok(image);
    }
    let malformed = |text: String| Failure { word: "input-malformed", text };
    let descriptor: Descriptor = serde_json::from_slice(input)
        .map_err(|error| malformed(format!("the descriptor is malformed: {error}")))?;
    if descriptor.digest != *digest {
        return Err(malformed(format!("the descriptor is of {} and not of {digest}", descriptor.digest)));
    }
    match INDEXES.contains(&descriptor.media_type.as_str()) {
        true => image.index = Some(digest.clone()),
        false => image.manifest = Some(digest.clone()),
    }
    Ok(image)
}
