//! Starting, serving, ending.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use hullmark_ledger::Ledger;
use hullmark_store::{Store, StoreError};

use crate::judge::{Judge, JudgeError, JudgeSetup};
use crate::state::{Environment, Shared};
use crate::trail::{Trail, TrailError};
use crate::{Config, admission, api, gate};

/// The name under which the ledger of a server signs.
pub const LEDGER_ORIGIN: &str = "hullmark.dev/ledger";

/// The server cannot start, or ended by an error.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The data directory was not set up.
    #[error("`{}` is not a data directory; `hullmark server init` makes one", path.display())]
    NotInitialised {
        /// The directory.
        path: PathBuf,
    },
    /// The ledger cannot be opened.
    #[error("cannot open the ledger")]
    Ledger(#[from] hullmark_ledger::LedgerError),
    /// The store cannot be used.
    #[error("cannot use the store")]
    Store(#[from] StoreError),
    /// A record cannot be written.
    #[error("cannot record that the server starts")]
    Trail(#[from] TrailError),
    /// Database or policy cannot be used.
    #[error("cannot judge images")]
    Judge(#[from] JudgeError),
    /// The registry gate cannot be set up.
    #[error("cannot set the registry gate up")]
    Gate(#[from] gate::GateError),
    /// An input or output error.
    #[error("cannot {what}")]
    Io {
        /// What was to be done.
        what: String,
        /// Why it was not.
        source: std::io::Error,
    },
}

/// Opens store, ledger, database and policy.
///
/// # Errors
/// When one of them cannot be used.
pub async fn open(config: Config, environment: Environment) -> Result<Shared, ServerError> {
    let directory = &config.server.data_directory;
    if !config.ledger_directory().is_dir() || !config.store_file().is_file() {
        return Err(ServerError::NotInitialised { path: directory.clone() });
    }
    let entropy = Arc::clone(&environment.entropy);
    let ledger = Ledger::open(&config.ledger_directory(), LEDGER_ORIGIN, &mut |bytes| entropy(bytes))?;
    let trail = Trail::start(ledger)
        .map_err(|source| ServerError::Io { what: "start the writer of the ledger".to_owned(), source })?;
    let store: Arc<dyn Store> = Arc::new(hullmark_store::SqliteStore::open(&config.store_file()).await?);
    let judge = Judge::open(JudgeSetup {
        store: Arc::clone(&store),
        trail: trail.clone(),
        clock: Arc::clone(&environment.clock),
        tool: environment.tool.clone(),
        binary: environment.binary.clone(),
        database: config.database.file.clone(),
        first_policy: config.policy.file.clone(),
        verdict_max_age: config.enforcement.verdict_max_age.0,
        modes: config.enforcement.modes,
    })
    .await?;
    let gate = gate::Gate::open(&config, trail.clone(), Arc::clone(&environment.clock)).await?;
    Ok(Shared {
        gate,
        config: Arc::new(config),
        store,
        judge,
        trail,
        clock: environment.clock,
        entropy: environment.entropy,
    })
}

/// All routes.
pub fn router(shared: Shared) -> Router {
    Router::new().merge(api::router()).merge(gate::router()).merge(admission::router()).with_state(shared)
}

/// Serves until the process is told to end.
///
/// # Errors
/// When the server cannot start.
pub async fn serve(config: Config, environment: Environment) -> Result<(), ServerError> {
    let io = |what: &str| {
        let what = what.to_owned();
        move |source| ServerError::Io { what, source }
    };
    let listen = config.server.listen;
    let shared = open(config, environment).await?;
    let listener = tokio::net::TcpListener::bind(listen).await.map_err(io("listen"))?;
    axum::serve(listener, router(shared)).await.map_err(io("serve"))
}
