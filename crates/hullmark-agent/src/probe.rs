//! What this kernel allows, and so which tier of enforcement the agent works at.

use std::fmt;
use std::fs;

use hullmark_bpf::features;
use serde::Serialize;

use crate::container::cgroup::Hierarchy;
use crate::container::mounts;
use crate::gate::Marker;

/// How strongly running containers can be held to their images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Tier {
    /// The kernel would deny executions by BPF LSM.
    A,
    /// Executions are denied by a fanotify gate; what has no gate is killed before its first instruction.
    B,
    /// Executions are only reported.
    C,
    /// Nothing can be seen.
    None,
}

impl fmt::Display for Tier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::None => "none",
        })
    }
}

/// One thing that the kernel was asked for.
#[derive(Debug, Clone, Serialize)]
pub struct Feature {
    /// What it is.
    pub name: String,
    /// What it is good for.
    pub purpose: String,
    /// Whether it is there.
    pub available: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What the kernel allows.
#[derive(Debug, Clone, Serialize)]
pub struct Probe {
    /// The highest tier that the kernel allows.
    pub kernel_allows: Tier,
    /// The tier that this agent works at.
    pub tier: Tier,
    /// Each thing that was asked for.
    pub features: Vec<Feature>,
}

fn feature(name: &str, purpose: &str, result: Result<(), String>) -> Feature {
    Feature {
        name: name.to_owned(),
        purpose: purpose.to_owned(),
        available: result.is_ok(),
        reason: result.err(),
    }
}

fn lsm_list() -> Result<(), String> {
    let path = "/sys/kernel/security/lsm";
    let list =
        fs::read_to_string(path).map_err(|error| format!("`{path}`: {error} (is securityfs mounted?)"))?;
    match list.trim().split(',').any(|name| name == "bpf") {
        true => Ok(()),
        false => Err(format!("`bpf` is not in `{}`", list.trim())),
    }
}

/// Asks the kernel. Loads programs, but attaches none; marks nothing.
pub fn probe() -> Probe {
    let mut all = vec![feature(
        "lsm list",
        "BPF LSM programs are called when `bpf` is in the list of LSMs",
        lsm_list(),
    )];
    let programs = features();
    for program in &programs {
        let result = program.refusal.clone().map_or(Ok(()), Err);
        all.push(feature(&format!("bpf program {}", program.program), program.purpose, result));
    }
    let hierarchy = mounts::of_process("self")
        .map_err(|error| error.to_string())
        .and_then(|list| Hierarchy::find(&list).ok_or_else(|| "no cgroup2 hierarchy is mounted".to_owned()));
    all.push(feature("cgroup2", "tell containers apart", hierarchy.map(|_| ())));
    let gate = Marker::new().map(|_| ()).map_err(|error| error.to_string());
    all.push(feature("fanotify permission events", "deny an execution by the content of the file", gate));
    let has = |name: &str| all.iter().any(|feature| feature.name == name && feature.available);
    let watches = has("bpf program on_exec") && has("cgroup2");
    let tier = match (watches, has("fanotify permission events")) {
        (true, true) => Tier::B,
        (true, false) | (false, true) => Tier::C,
        (false, false) => Tier::None,
    };
    let lsm = has("lsm list") && has("bpf program lsm_probe");
    let kernel_allows = if lsm && watches { Tier::A } else { tier };
    Probe { kernel_allows, tier, features: all }
}

impl Probe {
    /// What the probe says, for people.
    pub fn text(&self) -> String {
        use fmt::Write as _;
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "tier {}", self.tier);
        if self.kernel_allows != self.tier {
            let _ = writeln!(
                text,
                "this kernel would allow tier {}, which this agent does not use yet",
                self.kernel_allows
            );
        }
        for feature in &self.features {
            let mark = if feature.available { "yes" } else { "no " };
            let _ = write!(text, "  {mark}  {}: {}", feature.name, feature.purpose);
            if let Some(reason) = &feature.reason {
                let _ = write!(text, " ({reason})");
            }
            text.push('\n');
        }
        text
    }
}
