//! Finds the container of a process, or the one that a number stands for.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::{Container, cgroup};

/// All tracked containers.
#[derive(Debug, Default)]
pub struct Registry {
    next: AtomicU64,
    containers: RwLock<Containers>,
}

#[derive(Debug, Default)]
struct Containers {
    by_cgroup: BTreeMap<String, Arc<Container>>,
    by_number: BTreeMap<u64, Arc<Container>>,
}

impl Registry {
    /// A number that no other container has or had.
    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Adds a container; gives back the one that had its control group before.
    pub fn insert(&self, container: Arc<Container>) -> Option<Arc<Container>> {
        let mut containers = self.containers.write().unwrap_or_else(PoisonError::into_inner);
        let old = containers.by_cgroup.insert(container.record.cgroup.clone(), Arc::clone(&container));
        if let Some(old) = &old {
            containers.by_number.remove(&old.number);
        }
        containers.by_number.insert(container.number, container);
        old
    }

    /// Removes a container.
    pub fn remove(&self, number: u64) -> Option<Arc<Container>> {
        let mut containers = self.containers.write().unwrap_or_else(PoisonError::into_inner);
        let container = containers.by_number.remove(&number)?;
        containers.by_cgroup.remove(&container.record.cgroup);
        Some(container)
    }

    /// The container that a number stands for.
    pub fn get(&self, number: u64) -> Option<Arc<Container>> {
        self.containers.read().unwrap_or_else(PoisonError::into_inner).by_number.get(&number).cloned()
    }

    /// The container whose control group, or one within it, a process is in; `None` when it is in none that is tracked.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn of_process(&self, pid: u32) -> io::Result<Option<Arc<Container>>> {
        Ok(cgroup::look_up(pid)?.and_then(|path| self.of_cgroup(&path)))
    }

    fn of_cgroup(&self, path: &str) -> Option<Arc<Container>> {
        let containers = self.containers.read().unwrap_or_else(PoisonError::into_inner);
        let mut path = path;
        loop {
            if let Some(container) = containers.by_cgroup.get(path) {
                return Some(Arc::clone(container));
            }
            path = path.rsplit_once('/').map(|(parent, _)| parent).filter(|parent| !parent.is_empty())?;
        }
    }

    /// All containers.
    pub fn all(&self) -> Vec<Arc<Container>> {
        self.containers.read().unwrap_or_else(PoisonError::into_inner).by_number.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use hullmark_types::ImageIdentity;
    use jiff::Timestamp;

    use super::*;
    use crate::container::ContainerRecord;

    fn container(number: u64, cgroup: &str) -> Arc<Container> {
        let record = ContainerRecord {
            id: format!("c{number}"),
            image: ImageIdentity::default(),
            pid: 1,
            cgroup: cgroup.to_owned(),
            cgroup_id: 1,
            root: "/r".to_owned(),
            runtime_mount_namespace: 0,
            since: Timestamp::UNIX_EPOCH,
            actions: BTreeMap::new(),
        };
        Arc::new(Container {
            number,
            record,
            programs: None,
            root_mounts: BTreeSet::new(),
            root_is_overlay: true,
            gates: Vec::new(),
            connect_hooks: None,
        })
    }

    #[test]
    fn processes_belong_to_the_nearest_tracked_control_group() {
        let registry = Registry::default();
        registry.insert(container(1, "/pod/a"));
        registry.insert(container(2, "/pod/a/inner"));
        let check = |path, expected: Option<u64>| {
            assert_eq!(registry.of_cgroup(path).map(|found| found.number), expected, "{path}");
        };
        check("/pod/a", Some(1));
        check("/pod/a/x/y", Some(1));
        check("/pod/a/inner/x", Some(2));
        check("/pod", None);
        check("/pod/ab", None);
        check("/", None);
        check("", None);
        assert_eq!(registry.insert(container(3, "/pod/a")).map(|old| old.number), Some(1));
        assert!(registry.get(1).is_none());
        registry.remove(3);
        check("/pod/a/x", None);
    }

    #[test]
    fn a_process_that_cannot_be_looked_at_is_not_taken_for_one_of_the_host() {
        let registry = Registry::default();
        assert!(registry.of_process(std::process::id()).unwrap().is_none());
        // No process has this number.
        assert!(registry.of_process(u32::MAX).is_err());
    }
}
