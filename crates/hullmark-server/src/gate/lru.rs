//! A map that forgets what was not used for the longest time.

use std::collections::BTreeMap;

/// A map whose entries together weigh at most `limit`.
#[derive(Debug)]
pub(crate) struct Lru<K, V> {
    entries: BTreeMap<K, (V, u64, u64)>,
    /// By the time of the last use; a time is a number that grows.
    order: BTreeMap<u64, K>,
    time: u64,
    weight: u64,
    limit: u64,
}

impl<K: Ord + Clone, V: Clone> Lru<K, V> {
    pub(crate) fn new(limit: u64) -> Self {
        Self { entries: BTreeMap::new(), order: BTreeMap::new(), time: 0, weight: 0, limit }
    }

    /// A copy of a value, which counts as a use.
    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        let (value, _, used) = self.entries.get_mut(key)?;
        if let Some(key) = self.order.remove(used) {
            self.time += 1;
            *used = self.time;
            self.order.insert(self.time, key);
        }
        Some(value.clone())
    }

    /// Remembers a value, and forgets others when it gets too much. What weighs more than everything may is not remembered.
    pub(crate) fn insert(&mut self, key: K, value: V, weight: u64) {
        self.remove(&key);
        if weight > self.limit {
            return;
        }
        self.time += 1;
        self.weight += weight;
        self.order.insert(self.time, key.clone());
        self.entries.insert(key, (value, weight, self.time));
        while self.weight > self.limit {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.forget(&oldest);
        }
    }

    pub(crate) fn remove(&mut self, key: &K) {
        if let Some((_, _, used)) = self.entries.get(key) {
            let used = *used;
            self.order.remove(&used);
            self.forget(key);
        }
    }

    fn forget(&mut self, key: &K) {
        if let Some((_, weight, _)) = self.entries.remove(key) {
            self.weight = self.weight.saturating_sub(weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_used_goes_first() {
        let mut lru = Lru::new(3);
        for key in ["a", "b", "c"] {
            lru.insert(key, key.len(), 1);
        }
        assert_eq!(lru.get(&"a"), Some(1));
        lru.insert("d", 1, 1);
        assert_eq!((lru.get(&"a"), lru.get(&"b"), lru.get(&"c")), (Some(1), None, Some(1)));
        lru.insert("e", 1, 2);
        assert_eq!((lru.get(&"a"), lru.get(&"c"), lru.get(&"d"), lru.weight), (None, Some(1), None, 3));
        lru.insert("f", 1, 4);
        assert_eq!((lru.get(&"f"), lru.get(&"e")), (None, Some(1)));
        lru.insert("e", 2, 1);
        assert_eq!((lru.get(&"e"), lru.weight, lru.order.len()), (Some(2), 2, 2));
        lru.remove(&"e");
        assert_eq!((lru.get(&"e"), lru.weight, lru.order.len()), (None, 1, 1));
    }
}
