//! Events on their way to the spool.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use hullmark_types::{Digest, DriftKind, ImageIdentity, ProcessFacts, RuntimeEvent, RuntimeEventKind};
use jiff::Timestamp;

use crate::container::Container;

/// Tells the time.
pub type Clock = fn() -> Timestamp;

/// How many events wait at most. Drift may take as many places again.
const CAPACITY: usize = 8192;

/// A program was executed, or was about to be, that the image does not contain.
#[derive(Debug)]
pub struct Drift {
    /// How.
    pub kind: DriftKind,
    /// Where the program is, as the container sees it.
    pub path: Option<String>,
    /// Its content.
    pub digest: Option<Digest>,
    /// Its size.
    pub size: Option<u64>,
    /// Whether it was stopped.
    pub blocked: bool,
    /// Who executed it.
    pub ancestry: Vec<ProcessFacts>,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<RuntimeEvent>,
    urgent: bool,
    closed: bool,
}

/// Events on their way to the spool.
#[derive(Debug)]
pub struct Outbox {
    node: String,
    clock: Clock,
    queue: Mutex<Queue>,
    changed: Condvar,
    lost: AtomicU64,
}

fn is_important(event: &RuntimeEvent) -> bool {
    matches!(event.kind, RuntimeEventKind::Drift | RuntimeEventKind::Lost)
}

impl Outbox {
    /// An empty one.
    pub fn new(node: String, clock: Clock) -> Self {
        Self { node, clock, queue: Mutex::default(), changed: Condvar::new(), lost: AtomicU64::new(0) }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Reports drift.
    pub fn drift(&self, container: &Container, drift: Drift) {
        let mut detail = BTreeMap::from([("how".to_owned(), drift.kind.name().to_owned())]);
        detail.extend(drift.path.map(|path| ("path".to_owned(), path)));
        detail.extend(drift.digest.map(|digest| ("digest".to_owned(), digest.to_string())));
        detail.extend(drift.size.map(|size| ("size".to_owned(), size.to_string())));
        detail.extend(container.weakness().map(|weakness| ("degraded".to_owned(), weakness.to_owned())));
        tracing::debug!(container = %container.record.id, blocked = drift.blocked, ?detail, "drift");
        let mut event = self.event(container, RuntimeEventKind::Drift, self.now());
        event.ancestry = drift.ancestry;
        event.blocked = drift.blocked;
        event.detail = detail;
        self.push(event);
    }

    /// The beginning of an event in a container.
    pub fn event(&self, container: &Container, kind: RuntimeEventKind, time: Timestamp) -> RuntimeEvent {
        RuntimeEvent {
            time,
            kind,
            container: container.record.id.clone(),
            image: container.record.image.clone(),
            node: self.node.clone(),
            ancestry: Vec::new(),
            blocked: false,
            detail: BTreeMap::new(),
        }
    }

    /// An event that counts lost ones.
    pub fn lost_event(&self, count: u64, whence: &str) -> RuntimeEvent {
        RuntimeEvent {
            time: self.now(),
            kind: RuntimeEventKind::Lost,
            container: String::new(),
            image: ImageIdentity::default(),
            node: self.node.clone(),
            ancestry: Vec::new(),
            blocked: false,
            detail: BTreeMap::from([
                ("count".to_owned(), count.to_string()),
                ("where".to_owned(), whence.to_owned()),
            ]),
        }
    }

    /// Puts an event in. Never waits: when there is no space the event is counted instead.
    pub fn push(&self, event: RuntimeEvent) {
        let important = is_important(&event);
        let limit = if important { 2 * CAPACITY } else { CAPACITY };
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.events.len() >= limit {
            drop(queue);
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.events.push_back(event);
        queue.urgent |= important;
        let wake = queue.urgent || queue.events.len() >= CAPACITY / 4;
        drop(queue);
        if wake {
            self.changed.notify_all();
        }
    }

    /// How many events found no space since this was last asked.
    pub fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }

    /// Takes out up to `limit` events after `patience`, or earlier when drift is among them. `None` when it is closed and
    /// empty.
    pub fn take(&self, limit: usize, patience: Duration) -> Option<Vec<RuntimeEvent>> {
        let idle = |queue: &mut Queue| !queue.closed && !queue.urgent && queue.events.len() < CAPACITY / 4;
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(queue, patience, idle);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if queue.closed && queue.events.is_empty() {
            return None;
        }
        let count = queue.events.len().min(limit);
        let events = queue.events.drain(..count).collect();
        queue.urgent = queue.events.iter().any(is_important);
        if queue.events.is_empty() {
            // A burst does not keep its memory.
            queue.events.shrink_to(64);
        }
        Some(events)
    }

    /// Nothing more will come.
    pub fn close(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.changed.notify_all();
    }
}
