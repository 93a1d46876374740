//! Verdicts in memory, and one maker at a time for each that is missing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hullmark_store::{ImageRow, VerdictRow};
use hullmark_types::{Digest, Stage, Subject};
use jiff::Timestamp;
use tokio::sync::OwnedMutexGuard;

use super::Generation;

/// How many verdicts each of the two halves of the cache holds.
const HALF: usize = 2048;

type Key = (Digest, Stage);

#[derive(Clone)]
struct Cached {
    generation: Generation,
    until: Timestamp,
    image: Arc<ImageRow>,
    verdict: Arc<VerdictRow>,
}

#[derive(Default)]
struct Halves {
    young: BTreeMap<Key, Cached>,
    old: BTreeMap<Key, Cached>,
}

/// Verdicts in memory. When the young half is full it becomes the old one, and what was not asked for meanwhile is gone.
#[derive(Default)]
pub(super) struct Cache {
    halves: Mutex<Halves>,
}

impl Cache {
    fn lock(&self) -> std::sync::MutexGuard<'_, Halves> {
        self.halves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(
        &self,
        image: &Digest,
        stage: Stage,
        generation: &Generation,
        now: Timestamp,
    ) -> Option<(Arc<ImageRow>, Arc<VerdictRow>)> {
        let key = (image.clone(), stage);
        let mut halves = self.lock();
        let young = halves.young.get(&key).cloned();
        let found = match young {
            Some(found) => found,
            None => {
                let found = halves.old.remove(&key)?;
                insert(&mut halves, key.clone(), found.clone());
                found
            }
        };
        if found.generation != *generation || now >= found.until || now < found.verdict.made_at {
            halves.young.remove(&key);
            return None;
        }
        Some((found.image, found.verdict))
    }

    pub(super) fn put(
        &self,
        image: &Digest,
        stage: Stage,
        generation: Generation,
        until: Timestamp,
        row: Arc<ImageRow>,
        verdict: Arc<VerdictRow>,
    ) {
        let cached = Cached { generation, until, image: row, verdict };
        insert(&mut self.lock(), (image.clone(), stage), cached);
    }

    /// Forgets what is known under any digest of an image: it was scanned again.
    pub(super) fn forget(&self, subject: &Subject) {
        let mut halves = self.lock();
        for digest in [&subject.index, &subject.manifest, &subject.config].into_iter().flatten() {
            for stage in Stage::ALL {
                let key = (digest.clone(), stage);
                halves.young.remove(&key);
                halves.old.remove(&key);
            }
        }
    }
}

fn insert(halves: &mut Halves, key: Key, cached: Cached) {
    if halves.young.len() >= HALF {
        halves.old = std::mem::take(&mut halves.young);
    }
    halves.young.insert(key, cached);
}

/// Who is making a verdict that others wait for.
#[derive(Default)]
pub(super) struct Flights {
    by_key: Mutex<BTreeMap<Key, Weak<tokio::sync::Mutex<()>>>>,
}

impl Flights {
    /// Waits until nobody else makes the verdict; until the guard is dropped, others wait.
    pub(super) async fn enter(&self, image: Digest, stage: Stage) -> OwnedMutexGuard<()> {
        let lock = {
            let mut flights = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
            flights.retain(|_, lock| lock.strong_count() > 0);
            let slot = flights.entry((image, stage)).or_default();
            slot.upgrade().unwrap_or_else(|| {
                let lock = Arc::new(tokio::sync::Mutex::new(()));
                *slot = Arc::downgrade(&lock);
                lock
            })
        };
        lock.lock_owned().await
    }
}
