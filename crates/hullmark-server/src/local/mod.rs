//! Decisions over a local socket, for hooks and agents of this machine: one line of JSON there, one line back.
//!
//! Who may connect is a matter of the socket's file mode, 0600: root, or the user that the server runs as. What hooks decided
//! while nobody answered is taken up by [`spool`].

pub mod spool;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hullmark_types::{
    Actor, DECISION_SCHEMA, DecisionAnswer, DecisionRequest, EnforcementMode, MAX_DECISION_LINE, Point,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::decide::decide;
use crate::state::Shared;

/// How many connections are served at the same time; more wait in the queue of the socket.
const CONCURRENCY: usize = 64;

/// How long a connection may take to send its question, and to take its answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long the wait is after the socket itself failed, as when there are no file descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// The most characters of a text in a question.
const MAX_TEXT: usize = 4096;

/// The most details in a question.
const MAX_DETAILS: usize = 32;

/// Makes the socket, mode 0600 from the first moment. One that a server left behind is replaced; one on which a server
/// answers is not.
///
/// # Errors
/// When it cannot be made, or a server answers there already.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another server answers there"));
    }
    let parent = path.parent().unwrap_or_else(|| Path::new("/"));
    std::fs::create_dir_all(parent)?;
    // Made in a directory that nobody else can enter: between its making and the change of its mode it would be open to
    // whomever the umask allows.
    let private = tempfile::tempdir_in(parent)?;
    let made = private.path().join("socket");
    let listener = UnixListener::bind(&made)?;
    std::fs::set_permissions(&made, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&made, path)?;
    Ok(listener)
}

/// Answers until `shutdown` is cancelled, then finishes what was asked before. Takes up what hooks decided alone, at once
/// and from time to time, when the configuration names their directory.
pub async fn serve(shared: Shared, listener: UnixListener, shutdown: CancellationToken) {
    let tasks = TaskTracker::new();
    if let Some(directory) = shared.config.server.hook_records.clone() {
        tasks.spawn(spool::collect_always(shared.clone(), directory, shutdown.clone()));
    }
    let permits = Arc::new(Semaphore::new(CONCURRENCY));
    loop {
        let permit = tokio::select! {
            () = shutdown.cancelled() => break,
            permit = Arc::clone(&permits).acquire_owned() => permit,
        };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let shared = shared.clone();
                tasks.spawn(async move {
                    if let Err(error) = connection(&shared, stream).await {
                        tracing::debug!(%error, "a connection on the local socket broke");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the local socket does not accept");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    tasks.close();
    tasks.wait().await;
}

async fn connection(shared: &Shared, mut stream: UnixStream) -> io::Result<()> {
    let user = stream.peer_cred()?.uid();
    let (reader, mut writer) = stream.split();
    let limit = u64::try_from(MAX_DECISION_LINE).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    let mut reader = BufReader::new(reader.take(limit));
    tokio::time::timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await??;
    let answer = match question(&line) {
        Ok(request) => {
            let node = request.node.as_deref().unwrap_or("unknown");
            let claims = Some(format!("node {node}, user id {user}"));
            let actor = Actor { name: "local".to_owned(), role: None, claims };
            decide(shared, &request, actor).await
        }
        Err(problem) => {
            tracing::warn!(problem, user, "a question on the local socket was refused");
            refusal(&problem)
        }
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    tokio::time::timeout(PATIENCE, writer.write_all(&line)).await??;
    tokio::time::timeout(PATIENCE, writer.shutdown()).await?
}

/// Understands a question.
fn question(line: &[u8]) -> Result<DecisionRequest, String> {
    if line.last() != Some(&b'\n') {
        return Err(format!("the question has no end, or more than {MAX_DECISION_LINE} bytes"));
    }
    let request: DecisionRequest = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    match problem(&request) {
        Some(problem) => Err(problem.to_owned()),
        None => Ok(request),
    }
}

/// Why a question cannot be answered, wherever it was asked.
pub(crate) fn problem(request: &DecisionRequest) -> Option<&'static str> {
    let image = &request.image;
    let long = |text: &str| text.len() > MAX_TEXT;
    let container = request.container.iter().flat_map(|container| {
        [Some(&container.id), container.root.as_ref(), container.bundle.as_ref()].into_iter().flatten()
    });
    let details = request.detail.iter().flat_map(|(name, value)| [name, value]);
    if request.schema != DECISION_SCHEMA {
        Some("`schema` is of another version")
    } else if !matches!(request.point, Point::OciHook | Point::ImageVerifier | Point::Agent) {
        Some("`point` must be `oci-hook`, `image-verifier` or `agent`")
    } else if image.index.is_none() && image.manifest.is_none() && image.config.is_none() {
        Some("`image` has no digest")
    } else if request.detail.len() > MAX_DETAILS {
        Some("`detail` has too many members")
    } else if container.chain(details).chain([&image.name]).chain(&request.node).any(|text| long(text)) {
        Some("a text is too long")
    } else {
        None
    }
}

/// The answer to a question that makes no sense. It is not recorded: nothing was decided about an image.
fn refusal(problem: &str) -> DecisionAnswer {
    let problem: String = problem.chars().take(200).collect();
    DecisionAnswer {
        schema: DECISION_SCHEMA,
        allow: false,
        mode: EnforcementMode::Enforce,
        reason: format!("denied: the question cannot be understood: {problem}"),
        verdict: None,
        manifest: None,
        entry: None,
        runtime: std::collections::BTreeMap::new(),
        degraded: vec!["question-malformed".to_owned()],
    }
}
