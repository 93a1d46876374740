//! Loads the object, and speaks with it.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use libbpf_rs::{Link, MapCore, MapFlags, MapHandle, Object, ObjectBuilder, OpenObject, RingBufferBuilder};

use crate::layout::{COUNTERS, check};
use crate::{BpfError, ContainerEntry, Gate, KernelEvent, OBJECT};

/// Programs that are loaded only to see whether the kernel takes them.
pub(crate) const PROBES: &[&str] = &["lsm_probe"];

/// Attached to control groups one by one, when a container is tracked.
const PER_CONTAINER: &[&str] = &["on_connect4", "on_connect6"];

/// How the kernel side behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelOptions {
    /// The mount namespace of the host, by its inode number.
    pub host_mount_namespace: u32,
}

/// What the kernel side has counted since it was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events in tracked containers.
    pub seen: u64,
    /// Events for which the ring buffer had no space.
    pub dropped: u64,
    /// Programs killed before their first instruction.
    pub killed: u64,
    /// Control groups made within tracked containers that found no space in the map, and so are not tracked.
    pub untracked: u64,
}

/// Reports connections of one control group for as long as it lives.
#[derive(Debug)]
pub struct ConnectHooks {
    _links: Vec<Link>,
}

/// The loaded and attached object.
#[derive(Debug)]
pub struct Kernel {
    object: Object,
    containers: MapHandle,
    gated: MapHandle,
    counters: MapHandle,
    events: MapHandle,
    _links: Vec<Link>,
}

/// Opens the object without loading anything, and compares its layout with this program's.
pub(crate) fn open() -> Result<OpenObject, BpfError> {
    if OBJECT.is_empty() {
        return Err(BpfError::Architecture { architecture: std::env::consts::ARCH });
    }
    libbpf_rs::set_print(Some((libbpf_rs::PrintLevel::Debug, |_, text| {
        tracing::debug!(target: "hullmark_bpf::libbpf", "{}", text.trim_end());
    })));
    let object =
        ObjectBuilder::default().open_memory(OBJECT).map_err(BpfError::refused("read the BPF object"))?;
    let layout = object.maps().find(|map| map.name() == ".rodata.layout");
    let layout = layout.ok_or(BpfError::Missing { kind: "map", name: ".rodata.layout" })?;
    check(layout.initial_value().unwrap_or_default())?;
    Ok(object)
}

impl Kernel {
    /// Loads the object and attaches what watches the whole machine. Nothing is tracked yet.
    ///
    /// # Errors
    /// When the kernel refuses a program.
    pub fn load(options: KernelOptions) -> Result<Self, BpfError> {
        let mut object = open()?;
        for mut program in object.progs_mut() {
            let wanted = !PROBES.iter().any(|probe| program.name() == *probe);
            program.set_autoload(wanted);
        }
        let mut host = object.maps_mut().find(|map| map.name() == ".rodata.host");
        let host = host.as_mut().ok_or(BpfError::Missing { kind: "map", name: ".rodata.host" })?;
        host.set_initial_value(&options.host_mount_namespace.to_le_bytes())
            .map_err(BpfError::refused("set the mount namespace of the host"))?;
        let object = object.load().map_err(BpfError::refused("load the BPF programs"))?;
        let mut links = Vec::new();
        for program in object.progs_mut() {
            let name = program.name().to_string_lossy().into_owned();
            if PROBES.contains(&name.as_str()) || PER_CONTAINER.contains(&name.as_str()) {
                continue;
            }
            let link =
                program.attach().map_err(BpfError::refused(format!("attach the BPF program `{name}`")))?;
            links.push(link);
        }
        Ok(Self {
            containers: map(&object, "containers")?,
            gated: map(&object, "gated")?,
            counters: map(&object, "counters")?,
            events: map(&object, "events")?,
            object,
            _links: links,
        })
    }

    /// Tracks the processes of a control group, given by its id: the inode number of its directory.
    ///
    /// # Errors
    /// When the map is full.
    pub fn track(&self, cgroup: u64, entry: ContainerEntry) -> Result<(), BpfError> {
        self.containers
            .update(&cgroup.to_le_bytes(), &entry.bytes(), MapFlags::ANY)
            .map_err(BpfError::refused(format!("track the control group {cgroup}")))
    }

    /// Tracks a control group no longer.
    pub fn forget(&self, cgroup: u64) {
        // It may be gone: the kernel side removes control groups that are deleted.
        let _ = self.containers.delete(&cgroup.to_le_bytes());
    }

    /// Tells that programs from a place are judged when they are opened, so they need not be killed.
    ///
    /// # Errors
    /// When the map is full.
    pub fn gate(&self, gate: Gate) -> Result<(), BpfError> {
        self.gated
            .update(&gate.bytes(), &[1], MapFlags::ANY)
            .map_err(BpfError::refused(format!("register the gate {gate:?}")))
    }

    /// Takes [`Self::gate`] back.
    pub fn ungate(&self, gate: Gate) {
        // It may never have been there.
        let _ = self.gated.delete(&gate.bytes());
    }

    /// Reports connections of a control group, given by its directory, and of those within it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn watch_connections(&self, directory: &Path) -> Result<ConnectHooks, BpfError> {
        let refused = |error: io::Error| BpfError::Refused {
            action: format!("open the control group `{}`", directory.display()),
            reason: error.into(),
        };
        let group = File::open(directory).map_err(refused)?;
        let mut links = Vec::new();
        for name in PER_CONTAINER {
            let mut programs = self.object.progs_mut();
            let program = programs
                .find(|program| program.name() == *name)
                .ok_or(BpfError::Missing { kind: "program", name })?;
            let link = program
                .attach_cgroup(group.as_raw_fd())
                .map_err(BpfError::refused(format!("attach `{name}` to `{}`", directory.display())))?;
            links.push(link);
        }
        Ok(ConnectHooks { _links: links })
    }

    /// What the kernel side has counted.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn counters(&self) -> Result<Counters, BpfError> {
        let mut sums = [0_u64; COUNTERS];
        for (which, sum) in (0_u32..).zip(sums.iter_mut()) {
            let values = self
                .counters
                .lookup_percpu(&which.to_le_bytes(), MapFlags::ANY)
                .map_err(BpfError::refused("read the counters"))?;
            *sum = values
                .unwrap_or_default()
                .iter()
                .filter_map(|value| value.first_chunk().copied().map(u64::from_le_bytes))
                .sum();
        }
        let [seen, dropped, killed, untracked] = sums;
        Ok(Counters { seen, dropped, killed, untracked })
    }

    /// Hands out the events, oldest first, again and again with `pause` between, until `sink` is told to stop by `go_on`.
    ///
    /// # Errors
    /// When the ring buffer cannot be read.
    pub fn drain(
        &self,
        pause: Duration,
        mut sink: impl FnMut(KernelEvent),
        mut go_on: impl FnMut() -> bool,
    ) -> Result<(), BpfError> {
        let mut builder = RingBufferBuilder::new();
        let receive = |bytes: &[u8]| {
            match KernelEvent::parse(bytes) {
                Ok(event) => sink(event),
                Err(error) => tracing::error!(%error, "a record from the kernel was not understood"),
            }
            0
        };
        builder.add(&self.events, receive).map_err(BpfError::refused("open the ring buffer"))?;
        let ring = builder.build().map_err(BpfError::refused("open the ring buffer"))?;
        loop {
            let last = !go_on();
            ring.consume().map_err(BpfError::refused("read the ring buffer"))?;
            if last {
                return Ok(());
            }
            std::thread::sleep(pause);
        }
    }
}

fn map(object: &Object, name: &'static str) -> Result<MapHandle, BpfError> {
    let map = object.maps().find(|map| map.name() == name);
    let map = map.ok_or(BpfError::Missing { kind: "map", name })?;
    MapHandle::try_from(&map).map_err(BpfError::refused(format!("use the map `{name}`")))
}
