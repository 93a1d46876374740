//! Takes a container under watch before it executes anything, and lets it go when it is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::{fs, io};

use hullmark_bpf::{BpfError, ContainerEntry, Gate as KernelGate, GateKind, Kernel};
use hullmark_types::{Action, ContainerFacts, DriftKind, ImageIdentity};
use jiff::Timestamp;

use super::cgroup::{self, Hierarchy};
use super::mounts::{self, Coverage, Place};
use super::{Container, ContainerRecord, Registry, StateDirectory, StateError};
use crate::gate::{Marker, mount_of};
use crate::process;
use crate::profiles::ProgramSet;

/// A container that cannot be tracked.
#[derive(Debug, thiserror::Error)]
pub enum TrackError {
    /// The question does not say enough.
    #[error("container `{id}`: its {missing} is not known")]
    Unknown {
        /// The container.
        id: String,
        /// What is missing.
        missing: &'static str,
    },
    /// Its first process cannot be looked at.
    #[error("container `{id}`: cannot look at process {pid}: {source}")]
    Process {
        /// The container.
        id: String,
        /// The process.
        pid: u32,
        /// Why.
        source: io::Error,
    },
    /// It shares the control group of the host, so its processes cannot be told from others.
    #[error("container `{id}`: it has no control group of its own in cgroup2")]
    NoControlGroup {
        /// The container.
        id: String,
    },
    /// The kernel side refused.
    #[error("container `{id}`: {source}")]
    Kernel {
        /// The container.
        id: String,
        /// Why.
        source: BpfError,
    },
    /// The record cannot be kept.
    #[error(transparent)]
    State(#[from] StateError),
}

/// What is found out about a container's mounts.
#[derive(Default)]
struct Gated {
    gates: Vec<KernelGate>,
    root_mounts: BTreeSet<u32>,
    root_is_overlay: bool,
    root_gated: bool,
    problems: Vec<String>,
}

/// Tracks containers.
#[derive(Debug)]
pub struct Tracker {
    /// The kernel side, where it could be loaded.
    pub kernel: Option<Arc<Kernel>>,
    /// Puts gates on file systems, where the kernel lets us.
    pub marker: Option<Arc<Marker>>,
    /// The tracked containers.
    pub registry: Arc<Registry>,
    /// The same on disk.
    pub state: StateDirectory,
    /// The control groups of this machine.
    pub hierarchy: Hierarchy,
}

impl Tracker {
    /// Tracks a container that was created and has not executed anything yet. Gives back what is not as it should be.
    ///
    /// # Errors
    /// When it cannot be tracked at all.
    pub fn track(
        &self,
        facts: &ContainerFacts,
        image: ImageIdentity,
        programs: Option<Arc<ProgramSet>>,
        actions: BTreeMap<DriftKind, Action>,
        runtime_mount_namespace: u32,
        now: Timestamp,
    ) -> Result<Vec<String>, TrackError> {
        let id = facts.id.clone();
        let unknown = |missing| TrackError::Unknown { id: id.clone(), missing };
        let pid = facts.pid.filter(|pid| *pid > 1).ok_or_else(|| unknown("first process"))?;
        let root = facts.root.clone().ok_or_else(|| unknown("root file system"))?;
        // mountinfo has it without symbolic links.
        let root = fs::canonicalize(&root).map_or(root, |path| path.to_string_lossy().into_owned());
        let of_process = |source| TrackError::Process { id: id.clone(), pid, source };
        let cgroup = cgroup::of_process(pid).map_err(of_process)?;
        let own = cgroup::of_process(std::process::id()).unwrap_or_default();
        if cgroup == "/" || cgroup == own {
            return Err(TrackError::NoControlGroup { id: id.clone() });
        }
        let cgroup_id = self.hierarchy.id(&cgroup).map_err(of_process)?;
        let record = ContainerRecord {
            id: id.clone(),
            image,
            pid,
            cgroup,
            cgroup_id,
            root,
            runtime_mount_namespace,
            since: now,
            actions,
        };
        // Kept first: killed in between, the next agent finds a record of a container that it can look at and judge.
        self.state.keep(&record)?;
        self.begin(record, programs)
    }

    /// Takes up the containers that an earlier agent tracked and that still run.
    pub fn resume(&self, mut programs_of: impl FnMut(&ImageIdentity) -> Option<Arc<ProgramSet>>) {
        for mut record in self.state.all() {
            let alive = self.hierarchy.id(&record.cgroup).is_ok_and(|id| id == record.cgroup_id);
            let pid = alive.then(|| self.living_process(&record)).flatten();
            let Some(pid) = pid else {
                tracing::info!(container = %record.id, "a container of an earlier agent is gone");
                self.state.forget(&record.id);
                continue;
            };
            record.pid = pid;
            let (id, programs) = (record.id.clone(), programs_of(&record.image));
            match self.begin(record, programs) {
                Ok(degraded) => {
                    tracing::info!(container = %id, ?degraded, "tracks a container of an earlier agent again")
                }
                Err(error) => {
                    tracing::error!(container = %id, %error, "cannot track a container of an earlier agent")
                }
            }
        }
    }

    /// The first process of a container if it lives, else any other.
    fn living_process(&self, record: &ContainerRecord) -> Option<u32> {
        if cgroup::of_process(record.pid).is_ok_and(|cgroup| cgroup == record.cgroup) {
            return Some(record.pid);
        }
        let list = self.hierarchy.directory(&record.cgroup).join("cgroup.procs");
        fs::read_to_string(list).ok()?.lines().find_map(|line| line.parse().ok())
    }

    fn begin(
        &self,
        record: ContainerRecord,
        programs: Option<Arc<ProgramSet>>,
    ) -> Result<Vec<String>, TrackError> {
        let number = self.registry.number();
        let id = record.id.clone();
        let kernel_error = |source| TrackError::Kernel { id: id.clone(), source };
        let mut gated = self.gate(number, &record)?;
        let mut connect_hooks = None;
        if let Some(kernel) = &self.kernel {
            match kernel.watch_connections(&self.hierarchy.directory(&record.cgroup)) {
                Ok(hooks) => connect_hooks = Some(hooks),
                Err(error) => gated.problems.push(format!("connections are not seen: {error}")),
            }
        } else {
            gated.problems.push("no events from the kernel".to_owned());
        }
        let mut container = Container {
            number,
            record,
            programs,
            root_mounts: gated.root_mounts,
            root_is_overlay: gated.root_is_overlay,
            gates: gated.gates,
            connect_hooks,
        };
        if !gated.root_gated {
            // Its own programs could not be told from dropped ones.
            container.programs = None;
        }
        gated.problems.extend(container.weakness().map(str::to_owned));
        let container = Arc::new(container);
        let entry = ContainerEntry {
            number,
            kill_outside: container.action(DriftKind::OutsideImage) == Action::Fail,
            kill_memory: container.action(DriftKind::Memfd) == Action::Fail,
            runtime_mount_namespace: container.record.runtime_mount_namespace,
        };
        let old = self.registry.insert(Arc::clone(&container));
        if let Some(kernel) = &self.kernel {
            for gate in &container.gates {
                kernel.gate(*gate).map_err(kernel_error)?;
            }
            for cgroup in self.hierarchy.ids(&container.record.cgroup) {
                kernel.track(cgroup, entry).map_err(kernel_error)?;
            }
        }
        old.iter().for_each(|old| self.ungate(old));
        tracing::info!(
            container = %container.record.id,
            image = %container.record.image.name,
            programs = container.programs.as_ref().map_or(0, |programs| programs.len()),
            gates = container.gates.len(),
            actions = ?container.record.actions,
            degraded = ?gated.problems,
            "tracks a container"
        );
        Ok(gated.problems)
    }

    fn gate(&self, number: u64, record: &ContainerRecord) -> Result<Gated, TrackError> {
        let of_process = |source| TrackError::Process { id: record.id.clone(), pid: record.pid, source };
        let seen = mounts::of_process(&record.pid.to_string()).map_err(of_process)?;
        let host = mounts::of_process("self").map_err(of_process)?;
        let mut gated = Gated::default();
        for place in mounts::places(&seen, &host, &record.root) {
            let marked = match &self.marker {
                Some(marker) => mark(marker, record.pid, &place),
                None => Err(io::Error::other("this kernel offers no fanotify permission events")),
            };
            if place.is_root {
                gated.root_mounts.insert(place.mount.id);
                gated.root_is_overlay = place.mount.filesystem == "overlay";
                gated.root_gated = marked.is_ok();
            }
            if let Err(error) = &marked {
                gated.problems.push(format!("`{}` has no gate: {error}", place.mount.place));
            }
            // The root file system counts as gated even when it is not, or each of its programs would be drift.
            if marked.is_ok() || place.is_root {
                let kind = match place.coverage {
                    Coverage::Filesystem => GateKind::Superblock(place.mount.device),
                    Coverage::MountOnly => GateKind::Mount(place.mount.id),
                };
                gated.gates.push(KernelGate { container: number, kind });
            }
        }
        if !gated.root_gated && gated.root_mounts.is_empty() {
            gated
                .problems
                .push(format!("the root file system `{}` is not of a kind that gets a gate", record.root));
            let base = seen.iter().rfind(|mount| mount.place == record.root || mount.place == "/");
            let kind = base.map(|mount| GateKind::Superblock(mount.device));
            gated.gates.extend(kind.map(|kind| KernelGate { container: number, kind }));
        }
        Ok(gated)
    }

    fn ungate(&self, container: &Container) {
        if let Some(kernel) = &self.kernel {
            container.gates.iter().for_each(|gate| kernel.ungate(*gate));
        }
    }

    /// Lets go of the containers that are gone.
    pub fn sweep(&self) {
        for container in self.registry.all() {
            let record = &container.record;
            if self.hierarchy.id(&record.cgroup).is_ok_and(|id| id == record.cgroup_id) {
                continue;
            }
            self.registry.remove(container.number);
            if let Some(kernel) = &self.kernel {
                kernel.forget(record.cgroup_id);
            }
            self.ungate(&container);
            // A container that took the same id meanwhile has a record of its own under it.
            if !self.registry.all().iter().any(|other| other.record.id == record.id) {
                self.state.forget(&record.id);
            }
            tracing::info!(container = %record.id, "a tracked container is gone");
        }
    }
}

/// Puts a gate on a place, after making sure that the path still leads there.
fn mark(marker: &Marker, pid: u32, place: &Place) -> io::Result<()> {
    let path = format!("/proc/{pid}/root{}", place.mount.place);
    let file = process::open_path(&path)?;
    if mount_of(&file)? != place.mount.id {
        return Err(io::Error::other("another mount is there now"));
    }
    marker.mark(&file, place.coverage)
}
