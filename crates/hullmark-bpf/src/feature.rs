//! Which program types this kernel accepts: asked by loading them, because configuration, lockdown and privileges all have
//! a say.

use crate::kernel::open;

/// One thing that the kernel was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelFeature {
    /// Name of the program in the object.
    pub program: &'static str,
    /// What it is good for.
    pub purpose: &'static str,
    /// `None` when the kernel accepts it; else what it said.
    pub refusal: Option<String>,
}

/// Every program of the object, and what it is good for.
const PROGRAMS: &[(&str, &str)] = &[
    ("lsm_probe", "BPF LSM: deny an execution with an error"),
    ("on_exec", "kill a program before its first instruction, report executions"),
    ("on_exit", "report ends of processes"),
    ("on_cgroup_mkdir", "track control groups within containers"),
    ("on_cgroup_rmdir", "forget control groups"),
    ("on_connect4", "report connections over IPv4"),
    ("on_connect6", "report connections over IPv6"),
];

/// Loads every program by itself, attaches none, and tells which ones the kernel accepts.
pub fn features() -> Vec<KernelFeature> {
    let probe = |(program, purpose): &(&'static str, &'static str)| KernelFeature {
        program,
        purpose,
        refusal: refusal(program),
    };
    PROGRAMS.iter().map(probe).collect()
}

fn refusal(name: &str) -> Option<String> {
    let mut object = match open() {
        Ok(object) => object,
        Err(error) => return Some(error.to_string()),
    };
    for mut program in object.progs_mut() {
        let wanted = program.name() == name;
        program.set_autoload(wanted);
    }
    object.load().err().map(|error| error.to_string())
}
