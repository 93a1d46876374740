//! Which control group a process is in. Only the cgroup2 hierarchy counts: its ids are what the kernel side knows.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::mounts::Mount;

/// The cgroup2 hierarchy of this machine.
#[derive(Debug, Clone)]
pub struct Hierarchy {
    root: PathBuf,
}

impl Hierarchy {
    /// Finds it among the mounts of the host: on hybrid systems it is `/sys/fs/cgroup/unified`.
    pub fn find(mounts: &[Mount]) -> Option<Self> {
        let mount = mounts.iter().find(|mount| mount.filesystem == "cgroup2" && mount.root == "/")?;
        Some(Self { root: PathBuf::from(&mount.place) })
    }

    /// The directory of a control group.
    pub fn directory(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The id of a control group: the inode number of its directory.
    ///
    /// # Errors
    /// When there is no such control group.
    pub fn id(&self, path: &str) -> io::Result<u64> {
        fs::metadata(self.directory(path)).map(|facts| facts.ino())
    }

    /// The ids of a control group and of all within it.
    pub fn ids(&self, path: &str) -> Vec<u64> {
        let mut ids = Vec::new();
        collect(&self.directory(path), &mut ids, 0);
        ids
    }
}

/// Control groups nest at most this deep within a container.
const MAX_DEPTH: usize = 16;

fn collect(directory: &Path, ids: &mut Vec<u64>, depth: usize) {
    let Ok(facts) = fs::metadata(directory) else { return };
    ids.push(facts.ino());
    if depth == MAX_DEPTH {
        return;
    }
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), ids, depth + 1);
        }
    }
}

/// The path of a process's control group within the cgroup2 hierarchy.
///
/// # Errors
/// When the process is gone, or not in that hierarchy.
pub fn of_process(pid: u32) -> io::Result<String> {
    look_up(pid)?.ok_or_else(|| io::Error::other("it is in no control group of cgroup2"))
}

/// The same; `None` when the process is not in that hierarchy.
///
/// # Errors
/// When `/proc` does not say it: the process is gone, or the agent may open no more files.
pub fn look_up(pid: u32) -> io::Result<Option<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    Ok(parse(&text).map(str::to_owned))
}

/// The path in the `0::` line of `/proc/PID/cgroup`.
fn parse(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_line_counts() {
        assert_eq!(
            parse("9:pids:/a\n1:name=systemd:/b\n0::/libpod_parent/libpod-1\n"),
            Some("/libpod_parent/libpod-1")
        );
        assert_eq!(parse("9:pids:/a\n"), None);
    }
}
