//! The one writer of the ledger. Records of all routes are appended in groups, so that many cost one flush. A server
//! appends to the journal of the ledger; [`Trail::published`] waits until readers of the ledger see what was recorded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hullmark_ledger::{JournaledLedger, Ledger, LedgerError, MAX_ENTRY_SIZE, Publication, Receipt};
use hullmark_types::{
    Actor, Answer, CanonicalError, EnforcementMode, Point, TRAIL_SCHEMA, TrailKind, TrailRecord,
    canonical_json,
};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

/// The most entries that are appended at once.
const MAX_GROUP: usize = 512;

/// How many records wait for the writer; whoever comes then waits before.
const QUEUE: usize = 1024;

/// The most characters of each text of a record that has to be shortened.
const MAX_SHORT: usize = 256;

/// The most details of a record that has to be shortened.
const MAX_DETAIL: usize = 24;

/// The most characters of the message of a record.
const MAX_MESSAGE: usize = 2000;

/// A record could not be put into the ledger. Nothing that needs it may be told.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TrailError {
    /// The record has no canonical form.
    #[error("the record cannot be written: {0}")]
    Record(String),
    /// The record is too large.
    #[error("the record has {length} bytes; a ledger entry has at most {MAX_ENTRY_SIZE}")]
    TooLarge {
        /// Its length.
        length: usize,
    },
    /// The ledger refuses.
    #[error("the ledger cannot be written: {0}")]
    Ledger(String),
    /// The writer has ended: the server is shutting down, or the writer broke.
    #[error("the ledger is not written to any more")]
    Closed,
}

impl From<CanonicalError> for TrailError {
    fn from(error: CanonicalError) -> Self {
        Self::Record(error.to_string())
    }
}

struct Wanted {
    entry: Vec<u8>,
    reply: oneshot::Sender<Result<u64, TrailError>>,
}

/// What the writer writes to.
enum Writer {
    /// The ledger itself: for a command that records one thing.
    Plain(Box<Ledger>),
    /// Its journal: for a server.
    Journaled(Box<JournaledLedger>),
}

impl Writer {
    fn append(&mut self, entries: Vec<Vec<u8>>) -> Result<Vec<Receipt>, LedgerError> {
        match self {
            Self::Plain(ledger) => ledger.append(&entries),
            Self::Journaled(ledger) => ledger.append(entries),
        }
    }

    fn size(&self) -> u64 {
        match self {
            Self::Plain(ledger) => ledger.size(),
            Self::Journaled(ledger) => ledger.size(),
        }
    }
}

struct State {
    origin: String,
    broken: AtomicBool,
    size: AtomicU64,
    /// Where there is a journal: how far it is published.
    publication: Option<Publication>,
}

/// Records. Cheap to clone; all clones feed one thread, which owns the ledger and ends when the last clone is dropped.
#[derive(Clone)]
pub struct Trail {
    sender: mpsc::Sender<Wanted>,
    state: Arc<State>,
}

impl Trail {
    /// Starts the writer of a command, beside a server or alone: each record is published before it counts.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(ledger: Ledger) -> std::io::Result<Self> {
        let origin = ledger.origin().to_owned();
        Self::start_writer(Writer::Plain(Box::new(ledger)), origin, None)
    }

    /// Starts the writer of a server: a record is in the journal before it counts, and is published later.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start_journaled(ledger: JournaledLedger) -> std::io::Result<Self> {
        let (origin, publication) = (ledger.origin().to_owned(), ledger.publication());
        Self::start_writer(Writer::Journaled(Box::new(ledger)), origin, Some(publication))
    }

    fn start_writer(
        writer: Writer,
        origin: String,
        publication: Option<Publication>,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let state = Arc::new(State {
            origin,
            broken: AtomicBool::new(false),
            size: AtomicU64::new(writer.size()),
            publication,
        });
        let shared = Arc::clone(&state);
        std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || write_all(writer, receiver, &shared))?;
        Ok(Self { sender, state })
    }

    /// Waits until whoever reads the ledger sees all that was recorded.
    ///
    /// # Errors
    /// When it cannot be published now. It is recorded all the same.
    pub async fn published(&self) -> Result<(), TrailError> {
        match &self.state.publication {
            Some(publication) if !publication.is_complete() => {
                let publication = publication.clone();
                tokio::task::spawn_blocking(move || publication.wait())
                    .await
                    .map_err(|_| TrailError::Closed)?
                    .map_err(|error| failure(&error))
            }
            _ => Ok(()),
        }
    }

    /// Appends the record and returns the number of its entry once it is on the disk under a signed checkpoint.
    ///
    /// # Errors
    /// When the ledger cannot be written. Nothing that needs the record may be told then.
    pub async fn record(&self, record: &TrailRecord) -> Result<u64, TrailError> {
        self.append(entry_of(record)?).await
    }

    /// The same for an entry that is made elsewhere (a verdict record), as canonical JSON.
    ///
    /// # Errors
    /// As [`Trail::record`].
    pub async fn append(&self, entry: Vec<u8>) -> Result<u64, TrailError> {
        if entry.len() > MAX_ENTRY_SIZE {
            return Err(TrailError::TooLarge { length: entry.len() });
        }
        let (reply, answer) = oneshot::channel();
        self.sender.send(Wanted { entry, reply }).await.map_err(|_| TrailError::Closed)?;
        answer.await.map_err(|_| TrailError::Closed)?
    }

    /// The same for several records, next to each other unless others come between.
    ///
    /// # Errors
    /// As [`Trail::record`]; some may be recorded then.
    pub async fn record_all(&self, records: &[TrailRecord]) -> Result<Vec<u64>, TrailError> {
        let mut answers = Vec::with_capacity(records.len());
        for record in records {
            let entry = entry_of(record)?;
            let (reply, answer) = oneshot::channel();
            self.sender.send(Wanted { entry, reply }).await.map_err(|_| TrailError::Closed)?;
            answers.push(answer);
        }
        let mut entries = Vec::with_capacity(answers.len());
        for answer in answers {
            entries.push(answer.await.map_err(|_| TrailError::Closed)??);
        }
        Ok(entries)
    }

    /// The name of the ledger.
    pub fn origin(&self) -> &str {
        &self.state.origin
    }

    /// Whether the last append failed, or what is recorded cannot be published.
    pub async fn is_broken(&self) -> bool {
        let is_failing = |publication: &Publication| publication.failure().is_some();
        if self.state.broken.load(Ordering::Relaxed) {
            return true;
        }
        // It may work again: then it is published now.
        self.state.publication.as_ref().is_some_and(is_failing)
            && self.published().await.inspect_err(|error| tracing::error!(%error)).is_err()
    }

    /// Where there is a journal, how far it is published.
    pub fn publication(&self) -> Option<&Publication> {
        self.state.publication.as_ref()
    }

    /// How many entries the ledger had after the last append.
    pub fn size(&self) -> u64 {
        self.state.size.load(Ordering::Relaxed)
    }
}

/// The bytes of a record. One that is too long for the ledger is shortened, and says so: what callers say at length must
/// not keep what they did out of the ledger.
fn entry_of(record: &TrailRecord) -> Result<Vec<u8>, TrailError> {
    let bytes = canonical_json(record)?;
    if bytes.len() <= MAX_ENTRY_SIZE {
        return Ok(bytes);
    }
    let mut record = record.clone();
    record.degraded.push("record-shortened".to_owned());
    let cut = |text: &mut String, limit| {
        if let Some((end, _)) = text.char_indices().nth(limit) {
            text.truncate(end);
        }
    };
    cut(&mut record.message, MAX_SHORT);
    if let Some(image) = &mut record.image {
        cut(&mut image.name, MAX_SHORT);
    }
    record.reasons.truncate(1);
    record.reasons.iter_mut().for_each(|reason| cut(&mut reason.message, MAX_SHORT));
    let detail = std::mem::take(&mut record.detail).into_iter().take(MAX_DETAIL);
    record.detail = detail
        .map(|(mut name, mut value)| {
            cut(&mut name, MAX_SHORT);
            cut(&mut value, MAX_SHORT);
            (name, value)
        })
        .collect();
    record.actor.claims.iter_mut().for_each(|claims| cut(claims, MAX_SHORT));
    let bytes = canonical_json(&record)?;
    match bytes.len() <= MAX_ENTRY_SIZE {
        true => Ok(bytes),
        false => Err(TrailError::TooLarge { length: bytes.len() }),
    }
}

/// A record of what happened at `time`; the caller fills in what else is known.
pub fn note(
    kind: TrailKind,
    point: Point,
    answer: Answer,
    message: impl Into<String>,
    actor: Actor,
    time: Timestamp,
) -> TrailRecord {
    let mut message: String = message.into();
    if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE) {
        message.truncate(end);
    }
    TrailRecord {
        schema: TRAIL_SCHEMA,
        kind,
        point,
        mode: EnforcementMode::Enforce,
        answer,
        image: None,
        verdict: None,
        reasons: Vec::new(),
        message,
        actor,
        detail: std::collections::BTreeMap::new(),
        repeats: 0,
        degraded: Vec::new(),
        time,
    }
}

/// The thread: takes what waits, appends it at once, answers everyone.
fn write_all(mut writer: Writer, mut receiver: mpsc::Receiver<Wanted>, state: &State) {
    let mut group = Vec::new();
    while let Some(first) = receiver.blocking_recv() {
        group.push(first);
        while group.len() < MAX_GROUP {
            match receiver.try_recv() {
                Ok(next) => group.push(next),
                Err(_) => break,
            }
        }
        let entries: Vec<Vec<u8>> =
            group.iter_mut().map(|wanted| std::mem::take(&mut wanted.entry)).collect();
        let result = writer.append(entries);
        state.broken.store(result.is_err(), Ordering::Relaxed);
        state.size.store(writer.size(), Ordering::Relaxed);
        match result {
            Ok(receipts) => {
                for (wanted, receipt) in group.drain(..).zip(receipts) {
                    // Whoever asked may have given up; the record stays all the same.
                    let _ = wanted.reply.send(Ok(receipt.index));
                }
            }
            Err(error) => {
                let error = failure(&error);
                tracing::error!(%error, records = group.len(), "the ledger cannot be written");
                for wanted in group.drain(..) {
                    let _ = wanted.reply.send(Err(error.clone()));
                }
            }
        }
    }
}

fn failure(error: &LedgerError) -> TrailError {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    TrailError::Ledger(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_is_too_long_is_shortened_and_says_so() {
        let actor = Actor { claims: Some("é".repeat(70_000)), ..Actor::default() };
        let time = Timestamp::UNIX_EPOCH;
        let mut record = note(TrailKind::Alert, Point::Agent, Answer::Noted, "x".repeat(5000), actor, time);
        for number in 0..500 {
            record.detail.insert(format!("{number:03}{}", "n".repeat(1000)), "\u{1}".repeat(5000));
        }
        let bytes = entry_of(&record).unwrap();
        assert!(bytes.len() <= MAX_ENTRY_SIZE);
        let read: TrailRecord = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(
            (read.degraded.as_slice(), read.detail.len()),
            (["record-shortened".to_owned()].as_slice(), 24)
        );
        let small = note(TrailKind::Alert, Point::Agent, Answer::Noted, "x", Actor::default(), time);
        assert_eq!(entry_of(&small).unwrap(), canonical_json(&small).unwrap());
    }
}
