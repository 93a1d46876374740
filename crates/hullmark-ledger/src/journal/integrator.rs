//! Publishing what was recorded, behind the back of those who record.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::LedgerError;
use crate::files::FileOperations;
use crate::journal::replay::is_root_at;
use crate::journal::segments::remove_segment;
use crate::journal::writer::{Closed, Recorded};
use crate::ledger::{Ledger, lock, read_verified_checkpoint};

/// How long entries wait for more, so that many are published by one round of writes.
const DELAY: Duration = Duration::from_millis(200);

/// So many entries do not wait.
const ENOUGH: usize = 2048;

/// How long to wait before what failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// At so many bytes that wait, whoever records waits too.
const MAX_WAITING: usize = 64 * 1024 * 1024;

/// What recorder and integrator share.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Recorded>,
    entries: usize,
    bytes: usize,
    closed: Vec<Closed>,
    /// Size of the ledger as recorded, as far as this process did it.
    recorded: u64,
    /// Size of the ledger as published, as far as known.
    published: u64,
    /// Somebody waits until this size is published.
    wanted: u64,
    /// Why the last round failed.
    failure: Option<String>,
    /// How many rounds failed.
    failures: u64,
    /// No more will be recorded.
    ended: bool,
    /// The integrator is gone.
    stopped: bool,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// There is something to do.
    work: Condvar,
    /// A round is done.
    done: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells how far publishing is. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Publication {
    shared: Arc<Shared>,
}

impl Publication {
    /// Waits until all that is recorded by now is published: readers of the directory see it then. Blocks the thread.
    ///
    /// # Errors
    /// It cannot be published now. It stays recorded, and is published when that works again.
    pub fn wait(&self) -> Result<(), LedgerError> {
        let mut queue = self.shared.lock();
        let target = queue.recorded;
        let failures = queue.failures;
        if queue.published < target {
            queue.wanted = queue.wanted.max(target);
            self.shared.work.notify_one();
        }
        loop {
            if queue.published >= target {
                return Ok(());
            }
            if queue.stopped || queue.failures > failures {
                let reason = queue.failure.clone().unwrap_or_else(|| "the integrator has ended".to_owned());
                return Err(LedgerError::NotPublished { reason });
            }
            queue = self.shared.done.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether all that is recorded is published.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let queue = self.shared.lock();
        queue.published >= queue.recorded
    }

    /// Why publishing fails now, if it does.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.shared.lock().failure.clone()
    }

    /// Waits while too much is recorded and not published.
    pub(crate) fn make_room(&self) -> Result<(), LedgerError> {
        if self.shared.lock().bytes < MAX_WAITING { Ok(()) } else { self.wait() }
    }

    pub(crate) fn push(&self, recorded: Recorded, closed: Option<Closed>) {
        let mut queue = self.shared.lock();
        queue.recorded = recorded.checkpoint.size();
        queue.entries += recorded.entries.len();
        queue.bytes += recorded.entries.iter().map(Vec::len).sum::<usize>();
        queue.waiting.push_back(recorded);
        queue.closed.extend(closed);
        self.shared.work.notify_one();
    }

    pub(crate) fn end(&self) {
        self.shared.lock().ended = true;
        self.shared.work.notify_one();
    }
}

/// Says that nobody publishes any more, also after a panic.
struct Stop<'a>(&'a Shared);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.done.notify_all();
    }
}

/// The thread: ends when no more will be recorded and all is published, or cannot be.
pub(crate) fn integrate(
    mut ledger: Ledger,
    mut operations: Box<dyn FileOperations + Send>,
    publication: &Publication,
) {
    let shared = &*publication.shared;
    let _stop = Stop(shared);
    loop {
        let mut queue = shared.lock();
        while queue.waiting.is_empty() && !queue.ended {
            queue = shared.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        if queue.waiting.is_empty() {
            return;
        }
        let in_haste = |queue: &Queue| {
            queue.ended
                || queue.entries >= ENOUGH
                || queue.bytes >= MAX_WAITING / 4
                || queue.wanted > queue.published
        };
        let (mut queue, _) = shared
            .work
            .wait_timeout_while(queue, DELAY, |queue| !in_haste(queue))
            .unwrap_or_else(PoisonError::into_inner);
        let batch = std::mem::take(&mut queue.waiting);
        let (entries, bytes) = (std::mem::take(&mut queue.entries), queue.bytes);
        let end = batch.back().map_or(0, |recorded| recorded.checkpoint.size());
        drop(queue);

        let outcome = publish(&mut *operations, &mut ledger, &batch);
        let mut queue = shared.lock();
        match outcome {
            Ok(()) => {
                queue.failure = None;
                queue.bytes = queue.bytes.saturating_sub(bytes);
                queue.published = queue.published.max(end);
                let published = queue.published;
                let (covered, closed) = std::mem::take(&mut queue.closed)
                    .into_iter()
                    .partition::<Vec<Closed>, _>(|closed| closed.end <= published);
                queue.closed = closed;
                drop(queue);
                shared.done.notify_all();
                for closed in covered {
                    // What cannot be removed is passed over by every reader, and removed by the next who takes over.
                    let _stays = remove_segment(&mut *operations, &closed.path);
                }
            }
            Err(error) => {
                queue.failure = Some(chain(&error));
                queue.failures += 1;
                queue.entries += entries;
                for recorded in batch.into_iter().rev() {
                    queue.waiting.push_front(recorded);
                }
                queue.wanted = 0;
                shared.done.notify_all();
                if queue.ended {
                    return;
                }
                let (queue, _) = shared
                    .work
                    .wait_timeout_while(queue, RETRY, |queue| !queue.ended && queue.wanted <= queue.published)
                    .unwrap_or_else(PoisonError::into_inner);
                drop(queue);
            }
        }
    }
}

/// Publishes what continues the ledger on the disk; what another process published already is passed over.
pub(crate) fn publish<'a>(
    operations: &mut dyn FileOperations,
    ledger: &mut Ledger,
    batch: impl IntoIterator<Item = &'a Recorded>,
) -> Result<(), LedgerError> {
    let root: PathBuf = ledger.root.clone();
    let _lock = lock(&root)?;
    ledger.accept(read_verified_checkpoint(&root, &ledger.verifier)?)?;
    let published = ledger.size();
    let mut entries: Vec<&[u8]> = Vec::new();
    let mut last = None;
    let mut covered = None;
    for recorded in batch {
        let end = recorded.checkpoint.size();
        if end <= published {
            covered = Some(&recorded.checkpoint);
            continue;
        }
        if recorded.first() != published + entries.len() as u64 {
            return Err(went_on_without(ledger, &root, recorded.first()));
        }
        entries.extend(recorded.entries.iter().map(Vec::as_slice));
        last = Some(&recorded.checkpoint);
    }
    if let Some(covered) = covered
        && !is_root_at(&root, published, covered.size(), covered.root())?
    {
        return Err(went_on_without(ledger, &root, covered.size()));
    }
    match last {
        Some(checkpoint) => ledger.publish(operations, &entries, Some(checkpoint.clone())).map(|_| ()),
        None => Ok(()),
    }
}

fn went_on_without(ledger: &Ledger, root: &Path, at: u64) -> LedgerError {
    LedgerError::NotPublished {
        reason: format!(
            "the ledger `{}` has {} entries, but not those that were recorded by entry {at}: something that does not \
             know its journal appended to it",
            root.display(),
            ledger.size()
        ),
    }
}

/// An error with its causes.
fn chain(error: &LedgerError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
