//! What comes from outside: the clock, random names, signals.

use std::fs;
use std::io;

use jiff::Timestamp;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::getpid;

/// Now.
#[expect(clippy::disallowed_methods, reason = "the one place where the agent reads the clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// A name that nothing else has.
pub fn random_name() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim().to_owned())
}

/// The signals that end the agent.
pub struct Signals(SigSet);

impl Signals {
    /// From now on they wait for [`Self::wait`], in this thread and those that it makes.
    pub fn block() -> io::Result<Self> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGTERM);
        set.add(Signal::SIGINT);
        set.thread_block()?;
        Ok(Self(set))
    }

    /// Waits for one of them.
    pub fn wait(&self) -> io::Result<()> {
        self.0.wait()?;
        Ok(())
    }
}

/// Ends this process as SIGTERM from outside would.
pub fn end() {
    // A process may always send itself a signal.
    let _ = kill(getpid(), Signal::SIGTERM);
}
