//! What runs inside the kernel for the agent: a BPF object, its loader, and the records that both sides share.
//!
//! The C source is `bpf/runtime.bpf.c`; the object compiled from it is checked in beside it, so that building needs no
//! clang, and a test compiles it again and compares. [`Kernel::load`] loads and attaches it, [`Kernel::track`] and
//! [`Kernel::gate`] tell it which containers and file systems it is about, and [`Kernel::drain`] hands out what it saw as
//! [`KernelEvent`]s. [`features`] tells which program types this kernel accepts at all.

mod error;
mod feature;
mod kernel;
mod layout;
mod record;

pub use error::BpfError;
pub use feature::{KernelFeature, features};
pub use kernel::{ConnectHooks, Counters, Kernel, KernelOptions};
pub use layout::{ContainerEntry, Gate, GateKind};
pub use record::{
    KernelConnect, KernelEvent, KernelEventKind, KernelExec, KernelExit, KernelProcess, ProgramOrigin,
    RecordError,
};

/// The compiled object for this machine's architecture; empty where there is none.
pub const OBJECT: &[u8] = {
    #[cfg(target_arch = "x86_64")]
    {
        include_bytes!("../bpf/runtime.bpf.x86_64.o")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        &[]
    }
};
