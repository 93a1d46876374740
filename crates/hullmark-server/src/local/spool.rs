//! Takes up what hooks of this machine decided while nobody answered.
//!
//! A hook appends lines to [`SPOOL_FILE`] under an exclusive lock. [`Collector`] takes the file by renaming it under the same
//! lock, so no line is written after it was taken, records each line, and removes the file when all are in the ledger. After
//! a crash in between the file is still there and is recorded again from its beginning: a decision may then be in the ledger
//! twice, and `spool-line`, the digest of its line, says so. None is lost.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hullmark_types::{
    Actor, Answer, DECISION_SCHEMA, Digest, EnforcementMode, Point, SPOOL_FILE, SpooledDecision, TrailKind,
    TrailRecord,
};
use tokio_util::sync::CancellationToken;

use crate::decide::assess;
use crate::state::Shared;
use crate::trail::{self, TrailError};

/// How often it is looked for new decisions.
const INTERVAL: Duration = Duration::from_secs(5);

/// The most bytes of a file: what hooks keep, and one line more.
const MAX_FILE: u64 = 65 * 1024 * 1024;

/// The most characters of one text in a record.
const MAX_TEXT: usize = 500;

/// Decisions of hooks could not be taken up; they are still where they were.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The file cannot be used.
    #[error("cannot take up the decisions in `{path}`")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The ledger refuses.
    #[error("the decisions in `{path}` cannot be recorded")]
    Trail {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TrailError,
    },
}

/// Takes up decisions from one directory.
#[derive(Debug)]
pub struct Collector {
    directory: PathBuf,
    /// How many lines of the file that was taken last are recorded.
    recorded: usize,
}

/// Takes up decisions now and from time to time, until `shutdown` is cancelled.
pub(super) async fn collect_always(shared: Shared, directory: PathBuf, shutdown: CancellationToken) {
    let mut collector = Collector::new(directory);
    let mut failing = false;
    loop {
        match collector.collect(&shared).await {
            Ok(0) => failing = false,
            Ok(count) => {
                failing = false;
                tracing::info!(count, "decisions that hooks took alone were recorded");
            }
            // Said once, not every few seconds.
            Err(error) if !failing => {
                failing = true;
                tracing::error!(cause = %crate::error::chain(&error), "decisions of hooks cannot be recorded");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

impl Collector {
    /// Takes up from this directory, which need not exist.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, recorded: 0 }
    }

    /// Records every decision that is there; gives how many.
    ///
    /// # Errors
    /// When the files or the ledger cannot be used. What was not recorded is taken up the next time.
    pub async fn collect(&mut self, shared: &Shared) -> Result<usize, SpoolError> {
        let mut count = 0;
        // One that was taken and not finished comes first; then the one that is there now.
        for _ in 0..2 {
            let directory = self.directory.clone();
            let path = directory.join(taken_name());
            let failed = |source| SpoolError::Io { path: path.clone(), source };
            let read = tokio::task::spawn_blocking(move || take(&directory)).await;
            let Some(text) = read.map_err(|error| failed(error.into()))?.map_err(failed)? else { break };
            for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).skip(self.recorded)
            {
                let record = record(shared, line).await;
                let recorded = match shared.trail.record(&record).await {
                    // Else one such line would keep all behind it from the ledger.
                    Err(TrailError::TooLarge { .. }) => {
                        let stub = malformed(shared, Digest::sha256(line).to_string());
                        shared.trail.record(&stub).await
                    }
                    recorded => recorded,
                };
                recorded.map_err(|source| SpoolError::Trail { path: path.clone(), source })?;
                self.recorded += 1;
                count += 1;
            }
            std::fs::remove_file(&path).map_err(failed)?;
            self.recorded = 0;
        }
        Ok(count)
    }
}

fn taken_name() -> String {
    format!("{SPOOL_FILE}.taken")
}

/// The content of the file that was taken before, else of the one that is there now, which is taken; `None` when there is
/// neither.
fn take(directory: &Path) -> io::Result<Option<Vec<u8>>> {
    let (current, taken) = (directory.join(SPOOL_FILE), directory.join(taken_name()));
    match read(&taken) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read.map(Some),
    }
    let file = match File::open(&current) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    file.lock()?;
    let (own, named) = (file.metadata()?, std::fs::metadata(&current)?);
    if (own.dev(), own.ino()) != (named.dev(), named.ino()) {
        return Ok(None);
    }
    std::fs::rename(&current, &taken)?;
    drop(file);
    read(&taken).map(Some)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Not followed: nothing but a hook has a reason to put something here.
    if !std::fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The record of one line.
async fn record(shared: &Shared, line: &[u8]) -> TrailRecord {
    let digest = Digest::sha256(line).to_string();
    let Ok(decision) = serde_json::from_slice::<SpooledDecision>(line) else {
        return malformed(shared, digest);
    };
    if decision.schema != DECISION_SCHEMA {
        return malformed(shared, digest);
    }
    let cut = |text: &str| text.chars().take(MAX_TEXT).collect::<String>();
    let request = decision.request;
    let node = request.node.as_deref().map_or_else(|| "unknown".to_owned(), cut);
    let starts = matches!(request.point, Point::OciHook | Point::Agent);
    let kind = if starts { TrailKind::Start } else { TrailKind::Decision };
    let answer = if decision.allow { Answer::Allowed } else { Answer::Denied };
    let claims = Some(format!("node {node}"));
    let actor = Actor { name: "local".to_owned(), role: None, claims };
    let mut record = trail::note(kind, request.point, answer, decision.reason, actor, decision.time);
    let identified = [&request.image.index, &request.image.manifest, &request.image.config]
        .iter()
        .any(|digest| digest.is_some());
    if identified {
        // What would have been answered, had it been asked now.
        let made = assess(shared, &request.image, request.point).await;
        record.detail.insert("standing-now".to_owned(), made.reason.clone());
        if let Some(verdict) = &made.verdict {
            record.verdict = Some(verdict.link.clone());
        }
        record.image = Some(made.image);
    } else if !request.image.name.is_empty() {
        record.image = Some(request.image);
    }
    if let Some(image) = &mut record.image {
        image.name = cut(&image.name);
    }
    for (name, value) in request.detail.iter().take(16) {
        record.detail.insert(cut(name), cut(value));
    }
    let container = request.container.map(|container| cut(&container.id));
    let members = [
        ("container", container),
        ("node", Some(node)),
        ("failure", Some(cut(&decision.failure))),
        ("recorded", Some(shared.now().to_string())),
        ("spool-line", Some(digest)),
    ];
    for (name, value) in members {
        if let Some(value) = value {
            record.detail.insert(name.to_owned(), value);
        }
    }
    record.degraded.push(cut(&decision.failure));
    record
}

/// The record of a line that was cut off by a full disk or a crash: that there was one is known, and no more.
fn malformed(shared: &Shared, digest: String) -> TrailRecord {
    let message = "a decision that a hook took alone cannot be read";
    let actor = Actor { name: "local".to_owned(), ..Actor::default() };
    let mut record =
        trail::note(TrailKind::Start, Point::OciHook, Answer::Noted, message, actor, shared.now());
    record.mode = EnforcementMode::Enforce;
    record.detail.insert("spool-line".to_owned(), digest);
    record.degraded.push("spool-malformed".to_owned());
    record
}
