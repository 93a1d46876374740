//! Makes events of the kernel's records.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hullmark_bpf::{KernelEvent, KernelEventKind, KernelExec, KernelProcess, ProgramOrigin};
use hullmark_types::{Action, DriftKind, ProcessFacts, RuntimeEventKind};
use jiff::{SignedDuration, Timestamp};
use nix::time::{ClockId, clock_gettime};

use super::{Drift, Outbox};
use crate::container::{Container, Registry};

/// How many processes' programs are remembered.
const MAX_PROGRAMS: usize = 32 * 1024;

/// Makes events of the kernel's records, and remembers which program each process executed last.
#[derive(Debug)]
pub struct Translator {
    registry: Arc<Registry>,
    outbox: Arc<Outbox>,
    programs: BTreeMap<u32, Arc<str>>,
}

impl Translator {
    /// One that has seen nothing yet.
    pub fn new(registry: Arc<Registry>, outbox: Arc<Outbox>) -> Self {
        Self { registry, outbox, programs: BTreeMap::new() }
    }

    /// Takes in a record.
    pub fn take(&mut self, event: &KernelEvent) {
        let pid = event.ancestry.first().map(|process| process.pid).unwrap_or_default();
        if let KernelEventKind::Exec(exec) = &event.kind {
            if self.programs.len() >= MAX_PROGRAMS {
                self.programs.clear();
            }
            self.programs.insert(pid, exec.path.as_str().into());
        }
        if let Some(container) = self.registry.get(event.container) {
            self.report(&container, event);
        }
        if matches!(event.kind, KernelEventKind::Exit(_)) {
            self.programs.remove(&pid);
        }
    }

    fn ancestry(&self, event: &KernelEvent) -> Vec<ProcessFacts> {
        let process = |process: &KernelProcess| ProcessFacts {
            pid: process.pid,
            name: process.name.clone(),
            program: self.programs.get(&process.pid).map(|path| path.as_ref().to_owned()),
        };
        event.ancestry.iter().map(process).collect()
    }

    fn report(&self, container: &Container, event: &KernelEvent) {
        let kind = match &event.kind {
            KernelEventKind::Exec(exec) => {
                self.report_origin(container, event, exec);
                if exec.killed {
                    return;
                }
                RuntimeEventKind::Exec
            }
            KernelEventKind::Exit(_) => RuntimeEventKind::Exit,
            KernelEventKind::Connect(_) => RuntimeEventKind::Connect,
        };
        let mut reported = self.outbox.event(container, kind, wall_time(self.outbox.now(), event.time));
        reported.ancestry = self.ancestry(event);
        reported.detail = detail_of(event);
        self.outbox.push(reported);
    }

    fn report_origin(&self, container: &Container, event: &KernelEvent, exec: &KernelExec) {
        let kind = match exec.origin {
            ProgramOrigin::Gated => return,
            ProgramOrigin::Outside => DriftKind::OutsideImage,
            ProgramOrigin::Memory => DriftKind::Memfd,
        };
        if container.action(kind) == Action::None && !exec.killed {
            return;
        }
        tracing::debug!(container = %container.record.id, ?exec, gates = ?container.gates, "from outside the gates");
        let ancestry = self.ancestry(event);
        let path = Some(exec.path.clone());
        let drift = Drift { kind, path, digest: None, size: None, blocked: exec.killed, ancestry };
        self.outbox.drift(container, drift);
    }
}

fn detail_of(event: &KernelEvent) -> BTreeMap<String, String> {
    let mut detail = BTreeMap::from([("user".to_owned(), event.user.to_string())]);
    let mut add = |key: &str, value: String| {
        detail.insert(key.to_owned(), value);
    };
    match &event.kind {
        KernelEventKind::Exec(exec) => {
            add("path", exec.path.clone());
            if exec.script {
                add("script", "true".to_owned());
            }
        }
        KernelEventKind::Exit(exit) => {
            if let Some(code) = exit.code {
                add("code", code.to_string());
            }
            if let Some(signal) = exit.signal {
                add("signal", signal.to_string());
            }
        }
        KernelEventKind::Connect(connect) => {
            add("address", connect.address.to_string());
            add("port", connect.port.to_string());
            let protocol = match connect.protocol {
                6 => "tcp".to_owned(),
                17 => "udp".to_owned(),
                other => other.to_string(),
            };
            add("protocol", protocol);
        }
    }
    detail
}

/// When something happened, by the clock on the wall: as long ago as the kernel's own clock says.
fn wall_time(now: Timestamp, monotonic: u64) -> Timestamp {
    let Ok(clock) = clock_gettime(ClockId::CLOCK_MONOTONIC) else { return now };
    let ago = Duration::from(clock).saturating_sub(Duration::from_nanos(monotonic));
    let ago = SignedDuration::try_from(ago).unwrap_or_default();
    now.checked_sub(ago).unwrap_or(now)
}
