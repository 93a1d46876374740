//! Each decision is in the ledger before it is told. The same decision again within ten minutes, as a pull of ten layers
//! makes it, is counted, and the count becomes one record at the end of that time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hullmark_types::{Answer, Digest, TrailRecord};

use super::{Gate, Pull};
use crate::trail::TrailError;

/// How long repeats are counted.
const WINDOW: Duration = Duration::from_secs(600);

/// How many decisions are counted at the same time; beyond, each is recorded by itself.
const MAX_COUNTED: usize = 10_000;

/// How many records wait for a ledger that cannot be written now.
const MAX_PENDING: usize = 1_000;

/// What makes a decision the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    repository: String,
    image: Option<Digest>,
    answer: Answer,
    verdict: Option<Digest>,
    caller: String,
    degraded: Vec<String>,
}

#[derive(Debug, Clone)]
struct Counted {
    entry: u64,
    since: Instant,
    record: TrailRecord,
    repeats: u64,
}

impl Counted {
    /// The record of the repeats, where there were any.
    fn into_record(self) -> Option<TrailRecord> {
        let mut record = self.record;
        record.repeats = self.repeats;
        record.detail.insert("first_entry".to_owned(), self.entry.to_string());
        (record.repeats > 0).then_some(record)
    }
}

/// The decisions of the last ten minutes.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    counted: Mutex<BTreeMap<Key, Counted>>,
    pending: Mutex<VecDeque<TrailRecord>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Repeats {
    /// The entry of the same decision, which is counted once more.
    fn count(&self, key: &Key) -> Option<u64> {
        let mut counted = lock(&self.counted);
        let known = counted.get_mut(key).filter(|known| known.since.elapsed() < WINDOW)?;
        known.repeats += 1;
        Some(known.entry)
    }

    /// The records of the counts that are complete, or of all.
    fn complete(&self, all: bool) -> Vec<TrailRecord> {
        let mut counted = lock(&self.counted);
        let mut records = Vec::new();
        counted.retain(|_, known| {
            let goes = all || known.since.elapsed() >= WINDOW;
            if goes {
                records.extend(known.clone().into_record());
            }
            !goes
        });
        records.extend(lock(&self.pending).drain(..));
        records
    }

    fn keep(&self, record: TrailRecord) {
        let mut pending = lock(&self.pending);
        if pending.len() >= MAX_PENDING {
            pending.pop_front();
            metrics::counter!("hullmark_gate_records_lost_total").increment(1);
        }
        pending.push_back(record);
    }
}

impl Pull {
    /// Records a decision, or counts it when the same was recorded already; gives its entry.
    ///
    /// # Errors
    /// When the ledger cannot be written. The record is kept, and written when it can be.
    pub(crate) async fn record(&self, record: TrailRecord) -> Result<u64, TrailError> {
        let key = Key {
            repository: record.detail.get("repository").cloned().unwrap_or_default(),
            image: record.image.as_ref().and_then(|image| image.manifest.clone()),
            answer: record.answer,
            verdict: record.verdict.as_ref().map(|link| link.verdict.clone()),
            caller: record.actor.name.clone(),
            degraded: record.degraded.clone(),
        };
        let repeats = &self.gate.repeats;
        if let Some(entry) = repeats.count(&key) {
            return Ok(entry);
        }
        // Those who come meanwhile wait for this one, so that a rush is one record.
        let (pull, first) = (self.clone(), key.clone());
        let work = move || async move { pull.record_first(first, record).await };
        self.gate.record_flights.join(key, work).await.unwrap_or(Err(TrailError::Closed))
    }

    async fn record_first(&self, key: Key, record: TrailRecord) -> Result<u64, TrailError> {
        let repeats = &self.gate.repeats;
        if let Some(entry) = repeats.count(&key) {
            return Ok(entry);
        }
        match self.shared.trail.record(&record).await {
            Ok(entry) => {
                let known = Counted { entry, since: Instant::now(), record, repeats: 0 };
                let old = {
                    let mut counted = lock(&repeats.counted);
                    match counted.len() < MAX_COUNTED {
                        true => counted.insert(key, known),
                        false => counted.remove(&key),
                    }
                };
                // A count that is complete and not written yet is not lost.
                if let Some(record) = old.and_then(Counted::into_record) {
                    repeats.keep(record);
                }
                Ok(entry)
            }
            Err(error) => {
                tracing::error!(%error, "a decision of the registry gate cannot be recorded");
                repeats.keep(record);
                Err(error)
            }
        }
    }
}

impl Gate {
    /// Writes the counts that are complete, or all of them when the server ends.
    pub(crate) async fn flush(&self, all: bool) {
        for mut record in self.repeats.complete(all) {
            record.time = (self.clock)();
            if self.trail.record(&record).await.is_err() {
                self.repeats.keep(record);
            }
        }
    }
}
