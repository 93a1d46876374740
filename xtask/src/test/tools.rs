//! The programs that tests compare Hullmark with: installed where that is possible, named where it is not.

use super::Outcome;
use crate::{process, system};

/// A program that a test needs, how to see that it is there, and the Debian packages that bring it.
struct Tool {
    name: &'static str,
    probe: &'static [&'static str],
    packages: &'static [&'static str],
}

/// Every program that tests call.
const TOOLS: &[Tool] = &[
    Tool { name: "git", probe: &["git", "--version"], packages: &["git"] },
    Tool { name: "Python 3", probe: &["python3", "--version"], packages: &["python3"] },
    Tool {
        name: "Python's venv",
        probe: &["python3", "-c", "import venv, ensurepip"],
        packages: &["python3-venv", "python3-pip"],
    },
    Tool { name: "Node.js", probe: &["node", "--version"], packages: &["nodejs"] },
    Tool { name: "npm", probe: &["npm", "--version"], packages: &["npm"] },
    Tool { name: "dpkg", probe: &["dpkg", "--version"], packages: &["dpkg"] },
    Tool { name: "rpm", probe: &["rpmbuild", "--version"], packages: &["rpm"] },
    Tool { name: "RubyGems", probe: &["gem", "--version"], packages: &["ruby"] },
    // Registries, clients and runtimes that the gates are tested with.
    Tool { name: "Skopeo", probe: &["skopeo", "--version"], packages: &["skopeo"] },
    Tool { name: "Podman", probe: &["podman", "--version"], packages: &["podman", "conmon"] },
    Tool { name: "runc", probe: &["runc", "--version"], packages: &["runc"] },
    Tool {
        name: "Docker's registry",
        probe: &["docker-registry", "--version"],
        packages: &["docker-registry"],
    },
    Tool { name: "Docker", probe: &["dockerd", "--version"], packages: &["docker.io"] },
    Tool { name: "containerd", probe: &["containerd", "--version"], packages: &["containerd"] },
    Tool { name: "busybox", probe: &["busybox", "true"], packages: &["busybox-static"] },
    // What the agent is built with, and what compiles its kernel side again to compare.
    Tool {
        name: "libelf and zlib",
        probe: &["pkg-config", "--exists", "libelf", "zlib"],
        packages: &["pkg-config", "libelf-dev", "zlib1g-dev"],
    },
    Tool { name: "clang", probe: &["clang", "--version"], packages: &["clang"] },
    Tool { name: "llvm-strip", probe: &["llvm-strip", "--version"], packages: &["llvm"] },
];

/// Install what is missing if this is root on a machine with apt; otherwise say what to type.
pub(super) fn ensure() -> Outcome {
    let absent = missing();
    if absent.is_empty() {
        println!("all at hand: {}", TOOLS.iter().map(|tool| tool.name).collect::<Vec<&str>>().join(", "));
        return Outcome::Passed;
    }
    let packages: Vec<&str> = absent.iter().flat_map(|tool| tool.packages).copied().collect();
    system::install(&packages);
    let absent = missing();
    if absent.is_empty() {
        return Outcome::Passed;
    }
    let names = absent.iter().map(|tool| tool.name).collect::<Vec<&str>>().join(", ");
    let advice = system::advice(&packages);
    Outcome::missing(format!("not at hand, so tests that compare with them are skipped: {names}; {advice}"))
}

fn missing() -> Vec<&'static Tool> {
    TOOLS.iter().filter(|tool| !process::succeeds(tool.probe[0], &tool.probe[1..])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_can_be_looked_for_and_installed() {
        for tool in TOOLS {
            assert!(!tool.probe.is_empty(), "{}", tool.name);
            assert!(!tool.packages.is_empty(), "{}", tool.name);
        }
    }
}
