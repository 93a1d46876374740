//! Work that many wait for and one does.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// Work that is under way, by what it is about.
#[derive(Debug)]
pub(crate) struct Flights<K: Ord, T> {
    running: Mutex<BTreeMap<K, watch::Receiver<Option<T>>>>,
    waiting: AtomicUsize,
    limit: usize,
}

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoResult {
    /// Too many wait already.
    Crowded,
    /// The work broke off.
    Broken,
}

impl<K: Ord + Clone + Send + 'static, T: Clone + Send + Sync + 'static> Flights<K, T> {
    /// `limit` is how many may wait at once, for whatever work.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { running: Mutex::default(), waiting: AtomicUsize::new(0), limit })
    }

    /// The result of the work about `key`, which is begun unless it is under way. It goes on when nobody waits any more.
    pub(crate) async fn join<F>(
        self: &Arc<Self>,
        key: K,
        work: impl FnOnce() -> F + Send,
    ) -> Result<T, NoResult>
    where
        F: Future<Output = T> + Send + 'static,
    {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(NoResult::Crowded);
        }
        let _waiting = Waiting(self);
        let mut result = self.begin(key, work);
        let found = result.wait_for(Option::is_some).await.map_err(|_| NoResult::Broken)?;
        found.clone().ok_or(NoResult::Broken)
    }

    fn begin<F>(self: &Arc<Self>, key: K, work: impl FnOnce() -> F) -> watch::Receiver<Option<T>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(result) = running.get(&key) {
            return result.clone();
        }
        let (sender, receiver) = watch::channel(None);
        running.insert(key.clone(), receiver.clone());
        drop(running);
        let landing = Landing { flights: Arc::clone(self), key };
        let work = work();
        tokio::spawn(async move {
            // Removed also when the work panics; whoever waits sees the sender go.
            let _landing = landing;
            let result = work.await;
            let _ = sender.send(Some(result));
        });
        receiver
    }
}

struct Waiting<'a, K: Ord, T>(&'a Flights<K, T>);

impl<K: Ord, T> Drop for Waiting<'_, K, T> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Landing<K: Ord, T> {
    flights: Arc<Flights<K, T>>,
    key: K,
}

impl<K: Ord, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        self.flights.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn many_wait_and_one_works() {
        let flights = Flights::<u8, usize>::new(100);
        let count = Arc::new(AtomicUsize::new(0));
        let work = || {
            let count = Arc::clone(&count);
            async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                count.fetch_add(1, Ordering::Relaxed)
            }
        };
        let mut joined = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (flights, work) = (Arc::clone(&flights), work());
            joined.spawn(async move { flights.join(1, || work).await });
        }
        while let Some(result) = joined.join_next().await {
            assert_eq!(result.unwrap(), Ok(0));
        }
        assert_eq!(flights.join(1, work).await, Ok(1));
        assert!(flights.running.lock().unwrap().is_empty());
        assert_eq!(flights.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn work_goes_on_without_those_who_wait_and_ends_when_it_breaks() {
        let flights = Flights::<u8, ()>::new(1);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let slow = flights.join(1, || async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let _ = sender.send(());
        });
        assert!(tokio::time::timeout(Duration::from_millis(1), slow).await.is_err());
        receiver.await.unwrap();
        let broken = flights.join(2, || async { panic!("a test") }).await;
        assert_eq!(broken, Err(NoResult::Broken));
        assert!(flights.running.lock().unwrap().is_empty());
        // One waits; another may not.
        let slow = flights.join(3, || tokio::time::sleep(Duration::from_millis(50)));
        let (first, second) = tokio::join!(slow, flights.join(4, || async {}));
        assert_eq!((first, second), (Ok(()), Err(NoResult::Crowded)));
    }
}
