//! Signals end the command at once, wherever it is, and leave nothing half made.
//!
//! One thread waits for them. It takes the bars away, removes files that are not whole, and ends the process by the same
//! signal, so that whoever started it sees what happened: a shell shows the exit code 130 for SIGINT and 143 for SIGTERM.
//! What is in the cache and in the ledger is whole at any time.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hullmark_cache::Unfinished;
use hullmark_report::ProgressEvent;
use indicatif::MultiProgress;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::getpid;

use crate::output::{Manner, write_event};

/// The signals that end the command.
const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// How long the end may wait for a terminal or a pipe that takes nothing.
const LAST_WORDS: Duration = Duration::from_millis(70);

/// The bars that are on the screen.
static BARS: Mutex<Option<MultiProgress>> = Mutex::new(None);

/// Directories in which a file may be left whose name begins like this.
static LEFT: Mutex<Vec<(PathBuf, String)>> = Mutex::new(Vec::new());

/// Waits for signals from now on. Signals that are ignored, as under `nohup`, stay ignored.
///
/// # Errors
/// When the system refuses.
pub fn watch(manner: Manner) -> io::Result<()> {
    let ignored = ignored();
    let mut set = SigSet::empty();
    let heeded = SIGNALS.into_iter().filter(|signal| ignored & (1 << (*signal as i32 - 1)) == 0);
    heeded.for_each(|signal| set.add(signal));
    // In this thread and those that it makes; processes that are started get an empty set.
    set.thread_block()?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        while let Err(nix::Error::EINTR) = set.wait().map(|signal| end(signal, &set, manner)) {}
    })?;
    Ok(())
}

/// The bars that are taken from the screen at the end.
pub fn show(bars: &MultiProgress) {
    *BARS.lock().unwrap_or_else(PoisonError::into_inner) = Some(bars.clone());
}

/// Files in `directory` whose names begin with `prefix` are not whole, and are removed at the end.
pub fn may_leave(directory: PathBuf, prefix: String) {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner).push((directory, prefix));
}

/// Ends the process as the signal would have.
fn end(signal: Signal, set: &SigSet, manner: Manner) {
    // Nobody may be there to take what is written; the end does not wait for that.
    let (said, is_said) = channel();
    std::thread::spawn(move || {
        match manner {
            Manner::Json => {
                write_event(&ProgressEvent::Interrupted { signal: signal.as_str().to_owned() });
            }
            Manner::Bars => {
                let bars = BARS.lock().unwrap_or_else(PoisonError::into_inner).take();
                let _ = bars.map(|bars| bars.clear());
            }
            Manner::Lines | Manner::Silent => {}
        }
        let _ = said.send(());
    });
    let _ = is_said.recv_timeout(LAST_WORDS);
    Unfinished::abandon_all();
    for (directory, prefix) in LEFT.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let here = directory.as_os_str().is_empty();
        let directory = if here { Path::new(".") } else { directory };
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(prefix.as_str()) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
    let _ = set.thread_unblock();
    let _ = kill(getpid(), signal);
}

/// The signals that are ignored, a bit for each.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}
