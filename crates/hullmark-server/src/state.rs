//! What every route works with.

use std::sync::Arc;

use hullmark_report::Tool;
use hullmark_store::Store;
use hullmark_types::Digest;
use jiff::Timestamp;

use crate::config::Config;
use crate::judge::Judge;
use crate::trail::Trail;

/// Gives the current time; passed in.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Fills bytes from a random source; passed in.
pub type Entropy = Arc<dyn Fn(&mut [u8]) -> std::io::Result<()> + Send + Sync>;

/// What the server takes from its surroundings.
#[derive(Clone)]
pub struct Environment {
    /// The time.
    pub clock: Clock,
    /// The random source.
    pub entropy: Entropy,
    /// This program.
    pub tool: Tool,
    /// Digest of this program's file, where it can be read.
    pub binary: Option<Digest>,
}

/// What every route works with. Cheap to clone.
#[derive(Clone)]
pub struct Shared {
    /// The configuration.
    pub config: Arc<Config>,
    /// What is remembered.
    pub store: Arc<dyn Store>,
    /// Gives verdicts.
    pub judge: Judge,
    /// Records.
    pub trail: Trail,
    /// The time.
    pub clock: Clock,
    /// The random source.
    pub entropy: Entropy,
    /// The registry gate, where there is one.
    pub gate: Option<Arc<crate::gate::Gate>>,
    /// What is done one at a time.
    pub locks: Arc<Locks>,
}

/// What is done one at a time, or by a few at a time.
pub struct Locks {
    /// Changes of policy, exceptions and tokens: the record and the change belong together.
    pub govern: tokio::sync::Mutex<()>,
    /// Batches of events: each is recorded once.
    pub events: tokio::sync::Mutex<()>,
    /// Reading the ledger from end to end.
    pub ledger: tokio::sync::Semaphore,
    /// Taking in inventories, which are large.
    pub scans: tokio::sync::Semaphore,
}

impl Locks {
    pub(crate) fn new(scans: usize) -> Self {
        Self {
            govern: tokio::sync::Mutex::new(()),
            events: tokio::sync::Mutex::new(()),
            ledger: tokio::sync::Semaphore::new(2),
            scans: tokio::sync::Semaphore::new(scans),
        }
    }
}

impl Shared {
    /// The current time.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }
}
