//! The containers that the agent tracks: what is known of each, and how a process is attributed to one.

pub mod cgroup;
pub mod mounts;
mod registry;
mod state;
mod track;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hullmark_bpf::{ConnectHooks, Gate};
use hullmark_types::{Action, DriftKind, ImageIdentity};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use registry::Registry;
pub use state::{StateDirectory, StateError};
pub use track::{TrackError, Tracker};

use crate::profiles::ProgramSet;

/// What must survive the agent about a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerRecord {
    /// Its id.
    pub id: String,
    /// Its image.
    pub image: ImageIdentity,
    /// The first process.
    pub pid: u32,
    /// Path of its control group in the cgroup2 hierarchy.
    pub cgroup: String,
    /// Id of that control group. Another id under the same path is another container.
    pub cgroup_id: u64,
    /// Its root file system as the host sees it.
    pub root: String,
    /// Mount namespace of the container runtime.
    pub runtime_mount_namespace: u32,
    /// When it was tracked, before its first execution.
    pub since: Timestamp,
    /// What is done about each kind of drift.
    pub actions: BTreeMap<DriftKind, Action>,
}

/// A container that is tracked now.
#[derive(Debug)]
pub struct Container {
    /// The number by which the kernel side knows it.
    pub number: u64,
    /// What is known of it.
    pub record: ContainerRecord,
    /// What its image contains; `None` when there is no profile.
    pub programs: Option<Arc<ProgramSet>>,
    /// Numbers of the mounts of its root file system.
    pub root_mounts: BTreeSet<u32>,
    /// Whether its root file system is of the type overlay, which no volume of it is.
    pub root_is_overlay: bool,
    /// Its gates, as told to the kernel side.
    pub gates: Vec<Gate>,
    /// Reports its connections.
    pub connect_hooks: Option<ConnectHooks>,
}

impl Container {
    /// What is done about a kind of drift, given what is known of the image: without a complete profile nothing is stopped.
    pub fn action(&self, kind: DriftKind) -> Action {
        let action = self.record.actions.get(&kind).copied().unwrap_or_default();
        match &self.programs {
            Some(programs) if programs.is_complete() => action,
            _ => action.min(Action::Warn),
        }
    }

    /// Why nothing is stopped in it, if so.
    pub fn weakness(&self) -> Option<&'static str> {
        match &self.programs {
            None => Some("no-profile"),
            Some(programs) if !programs.is_complete() => Some("incomplete-profile"),
            Some(_) => None,
        }
    }
}
