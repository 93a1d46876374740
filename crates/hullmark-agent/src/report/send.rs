//! Hands the batches to the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Spool;
use crate::server::{Server, Taken};

/// The longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// How long to sleep before looking whether to stop.
const STEP: Duration = Duration::from_millis(250);

/// Hands the batches to the server, oldest first.
#[derive(Debug)]
pub struct Sender {
    /// Where they come from.
    pub spool: Arc<Spool>,
    /// Where they go.
    pub server: Arc<Server>,
}

impl Sender {
    /// Hands batches over until `stop`. What the server has not acknowledged by then stays in the spool.
    pub fn run(&self, stop: &AtomicBool) {
        let mut failures = 0;
        let mut pause = Duration::ZERO;
        while !stop.load(Ordering::Relaxed) {
            if !pause.is_zero() {
                std::thread::sleep(STEP);
                pause = pause.saturating_sub(STEP);
                continue;
            }
            match self.step() {
                Ok(()) => failures = 0,
                Err(problem) => {
                    if failures == 0 {
                        tracing::warn!(%problem, "the server takes no events now; they stay in the spool");
                    }
                    pause = Duration::from_millis(500).saturating_mul(1 << failures.min(6)).min(MAX_PAUSE);
                    failures += 1;
                }
            }
        }
    }

    /// Hands over what was decided without the server, then one batch. An error says why it is to be tried again later.
    fn step(&self) -> Result<(), String> {
        self.server.settle()?;
        let Some((sequence, bytes)) = self.spool.oldest(Duration::from_millis(500)) else { return Ok(()) };
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(sequence, %error, "a batch of events cannot be read and is left out");
                self.spool.acknowledge(sequence);
                return Ok(());
            }
        };
        match self.server.send_events(bytes) {
            Taken::Yes => self.spool.acknowledge(sequence),
            Taken::Never { status } => {
                tracing::error!(
                    sequence,
                    status,
                    "the server refuses a batch of events for good; it is set aside"
                );
                self.spool.set_aside(sequence);
            }
            Taken::NotNow { problem } => return Err(problem),
        }
        Ok(())
    }
}
