//! Batches of events on disk, until the server has them.
//!
//! A batch is a file named after its sequence number, written whole or not at all. The spool has an identity of its own, made
//! anew whenever it is found empty, so that sequence numbers never repeat under one identity.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, io};

use hullmark_types::{RuntimeEvent, RuntimeEventBatch, RuntimeEventKind};

use super::Outbox;
use crate::files::write_atomically;

/// How many events a batch has at most. The server takes more; this keeps a batch well below its limit in bytes.
const BATCH: usize = 500;

/// How long events wait for others, unless they are urgent.
const PATIENCE: Duration = Duration::from_secs(1);

/// The spool cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the spool of events, `{}`: {source}", path.display())]
pub struct SpoolError {
    /// The file or directory.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// What the spool holds and has lost.
#[derive(Debug, Default)]
pub struct SpoolCounts {
    /// Batches on disk.
    pub batches: AtomicU64,
    /// Their size.
    pub bytes: AtomicU64,
    /// Events ever written to it by this process.
    pub events: AtomicU64,
    /// Events that this process lost, wherever.
    pub lost: AtomicU64,
}

/// A batch on disk.
#[derive(Debug, Clone, Copy)]
struct BatchFile {
    size: u64,
    /// Only drift and a count of what was dropped is left in it.
    reduced: bool,
}

#[derive(Debug)]
struct Files {
    batches: BTreeMap<u64, BatchFile>,
    next: u64,
    closed: bool,
}

impl Files {
    fn bytes(&self) -> u64 {
        self.batches.values().map(|batch| batch.size).sum()
    }
}

/// Batches of events on disk.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    name: String,
    node: String,
    limit: u64,
    files: Mutex<Files>,
    changed: Condvar,
    counts: Arc<SpoolCounts>,
}

impl Spool {
    /// Opens the spool in a directory; makes one where there is none. `name` is used when it is new or empty.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn open(
        directory: PathBuf,
        name: String,
        node: String,
        limit: u64,
        counts: Arc<SpoolCounts>,
    ) -> Result<Self, SpoolError> {
        let error = |source| SpoolError { path: directory.clone(), source };
        fs::create_dir_all(&directory).map_err(error)?;
        let mut batches = BTreeMap::new();
        for entry in fs::read_dir(&directory).map_err(error)? {
            let entry = entry.map_err(error)?;
            let file_name = entry.file_name();
            let sequence =
                file_name.to_str().and_then(|name| name.strip_suffix(".json")?.parse::<u64>().ok());
            if let Some(sequence) = sequence {
                let size = entry.metadata().map_err(error)?.len();
                batches.insert(sequence, BatchFile { size, reduced: false });
            }
        }
        let label = directory.join("spool");
        let kept = fs::read_to_string(&label).ok().filter(|name| !batches.is_empty() && !name.is_empty());
        let name = match kept {
            Some(name) => name,
            None => {
                write_atomically(&label, name.as_bytes()).map_err(error)?;
                name
            }
        };
        let next = batches.keys().next_back().map_or(1, |last| last + 1);
        let files = Mutex::new(Files { batches, next, closed: false });
        let spool = Self { directory, name, node, limit, files, changed: Condvar::new(), counts };
        spool.count(&spool.lock());
        Ok(spool)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, sequence: u64) -> PathBuf {
        self.directory.join(format!("{sequence:020}.json"))
    }

    fn count(&self, files: &Files) {
        self.counts.batches.store(files.batches.len() as u64, Ordering::Relaxed);
        self.counts.bytes.store(files.bytes(), Ordering::Relaxed);
    }

    /// Writes what comes into the outbox until that is closed.
    pub fn run(&self, outbox: &Outbox) {
        while let Some(mut events) = outbox.take(BATCH, PATIENCE) {
            let lost = outbox.take_lost();
            if lost > 0 {
                self.counts.lost.fetch_add(lost, Ordering::Relaxed);
                events.push(outbox.lost_event(lost, "memory"));
            }
            if events.is_empty() {
                continue;
            }
            let count = events.len() as u64;
            if let Err(error) = self.write(events, outbox) {
                self.counts.lost.fetch_add(count, Ordering::Relaxed);
                tracing::error!(%error, count, "events are lost");
            }
        }
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Writes one batch, and makes space for it.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write(&self, events: Vec<RuntimeEvent>, outbox: &Outbox) -> Result<(), SpoolError> {
        let mut files = self.lock();
        let sequence = files.next;
        self.counts.events.fetch_add(events.len() as u64, Ordering::Relaxed);
        let size = self.put(sequence, events)?;
        files.next = sequence + 1;
        files.batches.insert(sequence, BatchFile { size, reduced: false });
        self.make_space(&mut files, outbox)?;
        self.count(&files);
        drop(files);
        self.changed.notify_all();
        Ok(())
    }

    fn put(&self, sequence: u64, events: Vec<RuntimeEvent>) -> Result<u64, SpoolError> {
        let path = self.path(sequence);
        let batch = RuntimeEventBatch { node: self.node.clone(), sequence, spool: self.name.clone(), events };
        let written = serde_json::to_vec(&batch).map_err(io::Error::from).and_then(|bytes| {
            write_atomically(&path, &bytes)?;
            Ok(bytes.len() as u64)
        });
        written.map_err(|source| SpoolError { path, source })
    }

    /// While there is too much: drops the oldest events other than drift and counts them; when only drift is left, the oldest
    /// of that.
    fn make_space(&self, files: &mut Files, outbox: &Outbox) -> Result<(), SpoolError> {
        while files.bytes() > self.limit {
            let reducible =
                files.batches.iter().find(|(_, batch)| !batch.reduced).map(|(sequence, _)| *sequence);
            let Some(sequence) = reducible.or_else(|| files.batches.keys().next().copied()) else { break };
            let events = self.read(sequence).map(|batch| batch.events).unwrap_or_else(|error| {
                tracing::error!(%error, "a batch of events cannot be read and is dropped");
                Vec::new()
            });
            let keeps = |event: &RuntimeEvent| reducible.is_some() && event.kind == RuntimeEventKind::Drift;
            let (mut kept, dropped): (Vec<_>, Vec<_>) = events.into_iter().partition(keeps);
            let fresh = dropped.iter().filter(|event| event.kind != RuntimeEventKind::Lost).count();
            self.counts.lost.fetch_add(fresh as u64, Ordering::Relaxed);
            let lost: u64 = dropped.iter().map(counted).sum();
            let next = files.batches.range(sequence + 1..).next().map(|(next, batch)| (*next, batch.reduced));
            match next {
                // The count of a batch that goes whole is carried by the next one.
                Some((next, reduced)) if kept.is_empty() => {
                    let mut events = self.read(next)?.events;
                    let earlier = events.iter().position(|event| event.kind == RuntimeEventKind::Lost);
                    let earlier: u64 =
                        earlier.map(|place| counted(&events.remove(place))).unwrap_or_default();
                    events.insert(0, outbox.lost_event(lost + earlier, "spool"));
                    let size = self.put(next, events)?;
                    files.batches.insert(next, BatchFile { size, reduced });
                    self.remove(files, sequence);
                }
                _ => {
                    kept.insert(0, outbox.lost_event(lost, "spool"));
                    let size = self.put(sequence, kept)?;
                    files.batches.insert(sequence, BatchFile { size, reduced: true });
                    if reducible.is_none() {
                        // It was the last one, and nothing smaller can be made of it.
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn read(&self, sequence: u64) -> Result<RuntimeEventBatch, SpoolError> {
        let path = self.path(sequence);
        let read = fs::read(&path).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
        read.map_err(|source| SpoolError { path, source })
    }

    fn remove(&self, files: &mut Files, sequence: u64) {
        files.batches.remove(&sequence);
        let path = self.path(sequence);
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "cannot remove a batch of events");
        }
    }

    /// The oldest batch, as soon as there is one. `None` when there is none for as long as `patience`.
    pub fn oldest(&self, patience: Duration) -> Option<(u64, io::Result<Vec<u8>>)> {
        let empty = |files: &mut Files| files.batches.is_empty() && !files.closed;
        let waited = self.changed.wait_timeout_while(self.lock(), patience, empty);
        let (files, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let sequence = *files.batches.keys().next()?;
        Some((sequence, fs::read(self.path(sequence))))
    }

    /// The server has a batch.
    pub fn acknowledge(&self, sequence: u64) {
        let mut files = self.lock();
        if files.batches.contains_key(&sequence) {
            self.remove(&mut files, sequence);
        }
        self.count(&files);
    }

    /// The server will never take a batch. The first one of those is set aside, for people to look at.
    pub fn set_aside(&self, sequence: u64) {
        let (from, to) = (self.path(sequence), self.directory.join("refused"));
        if !to.exists()
            && let Err(error) = fs::copy(&from, &to)
        {
            tracing::warn!(path = %to.display(), %error, "cannot set a refused batch aside");
        }
        self.acknowledge(sequence);
    }
}

/// How many events an event stands for.
fn counted(event: &RuntimeEvent) -> u64 {
    match event.kind {
        RuntimeEventKind::Lost => event.detail.get("count").and_then(|count| count.parse().ok()).unwrap_or(1),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use jiff::Timestamp;

    use super::*;

    fn outbox() -> Outbox {
        Outbox::new("n".to_owned(), || Timestamp::UNIX_EPOCH)
    }

    fn open(directory: &Path, name: &str, limit: u64) -> Spool {
        let counts = Arc::default();
        Spool::open(directory.to_owned(), name.to_owned(), "n".to_owned(), limit, counts).unwrap()
    }

    fn events(count: usize, kind: RuntimeEventKind) -> Vec<RuntimeEvent> {
        vec![RuntimeEvent { kind, container: "c".repeat(64), ..outbox().lost_event(1, "") }; count]
    }

    /// How many events of a kind the spool stands for.
    fn count(spool: &Spool, kind: RuntimeEventKind) -> u64 {
        let sequences: Vec<u64> = spool.lock().batches.keys().copied().collect();
        let all = sequences.into_iter().flat_map(|sequence| spool.read(sequence).unwrap().events);
        all.filter(|event| event.kind == kind).map(|event| counted(&event)).sum()
    }

    #[test]
    fn a_spool_goes_on_where_it_was_and_an_empty_one_begins_anew() {
        let directory = tempfile::tempdir().unwrap();
        let spool = open(directory.path(), "first", 1 << 20);
        spool.write(events(1, RuntimeEventKind::Exec), &outbox()).unwrap();
        spool.write(events(1, RuntimeEventKind::Exec), &outbox()).unwrap();
        spool.acknowledge(1);
        let spool = open(directory.path(), "second", 1 << 20);
        assert_eq!((spool.name.as_str(), spool.lock().next), ("first", 3));
        let (sequence, bytes) = spool.oldest(Duration::ZERO).unwrap();
        let batch: RuntimeEventBatch = serde_json::from_slice(&bytes.unwrap()).unwrap();
        assert_eq!((sequence, batch.sequence, batch.spool.as_str()), (2, 2, "first"));
        spool.acknowledge(2);
        assert!(spool.oldest(Duration::ZERO).is_none());
        let spool = open(directory.path(), "third", 1 << 20);
        assert_eq!((spool.name.as_str(), spool.lock().next), ("third", 1));
    }

    #[test]
    fn a_full_spool_keeps_drift_and_counts_the_rest() {
        let directory = tempfile::tempdir().unwrap();
        let spool = open(directory.path(), "s", 20_000);
        for _ in 0..20 {
            spool.write(events(20, RuntimeEventKind::Exec), &outbox()).unwrap();
            spool.write(events(1, RuntimeEventKind::Drift), &outbox()).unwrap();
        }
        let of = |kind| count(&spool, kind);
        assert_eq!(of(RuntimeEventKind::Drift), 20);
        assert_eq!(of(RuntimeEventKind::Lost) + of(RuntimeEventKind::Exec), 400);
        assert_eq!(of(RuntimeEventKind::Lost), spool.counts.lost.load(Ordering::Relaxed));
        assert!(spool.counts.bytes.load(Ordering::Relaxed) <= 20_000);
    }

    #[test]
    fn when_only_drift_is_left_the_oldest_goes_and_is_counted() {
        let directory = tempfile::tempdir().unwrap();
        let spool = open(directory.path(), "s", 5_000);
        for _ in 0..100 {
            spool.write(events(1, RuntimeEventKind::Drift), &outbox()).unwrap();
        }
        let (drift, lost) = (count(&spool, RuntimeEventKind::Drift), count(&spool, RuntimeEventKind::Lost));
        assert_eq!(drift + lost, 100);
        assert!(drift > 3, "{drift}");
    }
}
