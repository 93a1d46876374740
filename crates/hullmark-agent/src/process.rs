//! What `/proc` says of a process.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use hullmark_types::ProcessFacts;
use nix::fcntl::OFlag;

/// How many generations an ancestry has at most.
const MAX_ANCESTORS: usize = 8;

/// The mount namespace of a process, by its inode number.
///
/// # Errors
/// When the process is gone.
pub fn mount_namespace(process: &str) -> io::Result<u32> {
    let inode = fs::metadata(format!("/proc/{process}/ns/mnt"))?.ino();
    u32::try_from(inode).map_err(io::Error::other)
}

/// Opens a place to refer to it, neither to read nor to write.
///
/// # Errors
/// When there is no such place.
pub fn open_path(path: impl AsRef<Path>) -> io::Result<File> {
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)
}

/// A process, then its parents, as far as they can be looked at.
pub fn ancestry(pid: u32) -> Vec<ProcessFacts> {
    let mut processes = Vec::new();
    let mut pid = pid;
    while pid > 0 && processes.len() < MAX_ANCESTORS {
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/stat")) else { break };
        let Some((name, parent)) = parse_status(&status) else { break };
        let program = fs::read_link(format!("/proc/{pid}/exe")).ok();
        processes.push(ProcessFacts {
            pid,
            name: name.to_owned(),
            program: program.map(|path| path.to_string_lossy().into_owned()),
        });
        pid = parent;
    }
    processes
}

/// Name and parent from `/proc/PID/stat`; the name is in parentheses and may contain any of them.
fn parse_status(text: &str) -> Option<(&str, u32)> {
    let (before, after) = text.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    Some((name, after.split_ascii_whitespace().nth(1)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_contain_parentheses() {
        assert_eq!(parse_status("7 (a) b (c)) S 3 7 7 0"), Some(("a) b (c)", 3)));
        assert_eq!(parse_status("7"), None);
    }

    #[test]
    fn this_process_has_parents() {
        let processes = ancestry(std::process::id());
        assert!(processes.len() > 1, "{processes:?}");
        assert_eq!(processes.first().map(|process| process.pid), Some(std::process::id()));
    }
}
