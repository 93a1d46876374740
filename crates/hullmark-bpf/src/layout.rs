//! The layout of what the two sides share, and the check that they agree.

use crate::BpfError;
use crate::record::{EVENT_SIZE, SHORT_EVENT_SIZE};

/// Must grow with every change of a shared record.
const LAYOUT_VERSION: u32 = 2;

/// How many counters there are.
pub(crate) const COUNTERS: usize = 4;

/// Size of the value in the map of containers.
const CONTAINER_SIZE: usize = 16;

/// Size of the key in the map of gates.
const GATE_SIZE: usize = 16;

/// A tracked container, as the kernel side knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContainerEntry {
    /// A number that the agent gives; events carry it.
    pub number: u64,
    /// Whether programs from outside the gates are killed.
    pub kill_outside: bool,
    /// Whether programs that live in memory only are killed.
    pub kill_memory: bool,
    /// The mount namespace of the runtime that set the container up: what happens there is not the container's doing.
    pub runtime_mount_namespace: u32,
}

impl ContainerEntry {
    pub(crate) fn bytes(self) -> [u8; CONTAINER_SIZE] {
        let flags = u32::from(self.kill_outside) | u32::from(self.kill_memory) << 1;
        let mut bytes = [0; CONTAINER_SIZE];
        bytes[..8].copy_from_slice(&self.number.to_le_bytes());
        bytes[8..12].copy_from_slice(&flags.to_le_bytes());
        bytes[12..].copy_from_slice(&self.runtime_mount_namespace.to_le_bytes());
        bytes
    }
}

/// What a gate covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GateKind {
    /// A whole file system, by its device number in the kernel's form: `major << 20 | minor`.
    Superblock(u32),
    /// One mount, by the number in the first column of `/proc/PID/mountinfo`.
    Mount(u32),
}

/// A place of a container whose programs are judged when they are opened for execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gate {
    /// The number of the container.
    pub container: u64,
    /// What it covers.
    pub kind: GateKind,
}

impl Gate {
    pub(crate) fn bytes(self) -> [u8; GATE_SIZE] {
        let (kind, id) = match self.kind {
            GateKind::Superblock(device) => (0_u32, device),
            GateKind::Mount(id) => (1, id),
        };
        let mut bytes = [0; GATE_SIZE];
        bytes[..8].copy_from_slice(&self.container.to_le_bytes());
        bytes[8..12].copy_from_slice(&kind.to_le_bytes());
        bytes[12..].copy_from_slice(&id.to_le_bytes());
        bytes
    }
}

/// Compares the object's own description of its records with what this program was built with.
pub(crate) fn check(layout: &[u8]) -> Result<(), BpfError> {
    let expected = [
        ("layout version", LAYOUT_VERSION),
        ("event size", size(EVENT_SIZE)),
        ("short event size", size(SHORT_EVENT_SIZE)),
        ("container size", size(CONTAINER_SIZE)),
        ("gate size", size(GATE_SIZE)),
        ("counters", size(COUNTERS)),
    ];
    let mut words = layout.chunks_exact(4);
    for (field, expected) in expected {
        let word = words.next().and_then(|word| word.try_into().ok());
        let found = word.map(u32::from_le_bytes).unwrap_or_default();
        if found != expected {
            return Err(BpfError::Layout { field, expected, found });
        }
    }
    Ok(())
}

fn size(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_of_another_version_is_refused() {
        let good: Vec<u8> = [2_u32, 480, 224, 16, 16, 4].iter().flat_map(|word| word.to_le_bytes()).collect();
        check(&good).unwrap();
        let mut bad = good.clone();
        bad[4] ^= 1;
        assert!(matches!(check(&bad), Err(BpfError::Layout { field: "event size", .. })));
        assert!(matches!(check(&[]), Err(BpfError::Layout { field: "layout version", .. })));
    }
}
