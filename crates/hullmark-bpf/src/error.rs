//! What can go wrong between the agent and the kernel.

/// The kernel, or the object, did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BpfError {
    /// No object for this architecture.
    #[error("there is no BPF object for the architecture `{architecture}`")]
    Architecture {
        /// The architecture.
        architecture: &'static str,
    },
    /// Object and program disagree about a record.
    #[error("the BPF object has {field} {found}, this program expects {expected}")]
    Layout {
        /// Which size or number.
        field: &'static str,
        /// What this program was built with.
        expected: u32,
        /// What the object says.
        found: u32,
    },
    /// A part of the object is not there.
    #[error("the BPF object has no {kind} `{name}`")]
    Missing {
        /// `map` or `program`.
        kind: &'static str,
        /// Its name.
        name: &'static str,
    },
    /// The kernel refused.
    #[error("cannot {action}: {reason}")]
    Refused {
        /// What was tried.
        action: String,
        /// What libbpf says.
        reason: libbpf_rs::Error,
    },
}

impl BpfError {
    pub(crate) fn refused(action: impl Into<String>) -> impl FnOnce(libbpf_rs::Error) -> Self {
        move |reason| Self::Refused { action: action.into(), reason }
    }
}
