//! The gate: every program is judged by its content before it may be opened for execution (fanotify permission events).
//!
//! [`Marker`] puts marks on file systems, [`Gate`] answers the questions that the kernel then asks. While a question is open
//! the process that asked is stopped, so answering takes no lock for long, allocates nothing without bound, and speaks with
//! nobody. What is not from a tracked container is always allowed. When the agent dies the kernel allows everything.

mod answer;
mod cache;
mod content;

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;

use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};

pub use answer::{Asked, Gate, GateCounts};

use crate::container::mounts::Coverage;

/// A fanotify group.
#[derive(Debug)]
pub struct Marker {
    group: Fanotify,
}

impl Marker {
    /// Asks the kernel for a group with permission events.
    ///
    /// # Errors
    /// When the kernel has none, or this process may not have one.
    pub fn new() -> io::Result<Arc<Self>> {
        let flags = InitFlags::FAN_CLASS_CONTENT
            | InitFlags::FAN_CLOEXEC
            | InitFlags::FAN_NONBLOCK
            | InitFlags::FAN_UNLIMITED_QUEUE
            | InitFlags::FAN_UNLIMITED_MARKS;
        let events = EventFFlags::O_RDONLY | EventFFlags::O_LARGEFILE | EventFFlags::O_CLOEXEC;
        Ok(Arc::new(Self { group: Fanotify::init(flags, events)? }))
    }

    /// Puts a mark on the file system, or only the mount, that an open place is on.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn mark(&self, place: &File, coverage: Coverage) -> io::Result<()> {
        let scope = match coverage {
            Coverage::Filesystem => MarkFlags::FAN_MARK_FILESYSTEM,
            Coverage::MountOnly => MarkFlags::FAN_MARK_MOUNT,
        };
        // Through the descriptor: a path could lead elsewhere meanwhile.
        let path = format!("/proc/self/fd/{}", place.as_raw_fd());
        let mask = MaskFlags::FAN_OPEN_EXEC_PERM;
        self.group.mark(MarkFlags::FAN_MARK_ADD | scope, mask, place.as_fd(), Some(path.as_str()))?;
        Ok(())
    }
}

/// The number of the mount through which a file was opened.
///
/// # Errors
/// When `/proc` does not say it.
pub fn mount_of(file: &impl AsRawFd) -> io::Result<u32> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()))?;
    let number = text.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    number.ok_or_else(|| io::Error::other("it has no `mnt_id`"))
}

/// The path of an open file, as its own mount namespace has it.
fn path_of(file: BorrowedFd<'_>) -> Option<String> {
    let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    Some(path.to_string_lossy().into_owned())
}
