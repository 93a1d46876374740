//! Starting, serving, ending.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hullmark_ledger::{JournaledLedger, Ledger};
use hullmark_store::{Store, StoreError};
use hullmark_types::{Actor, Answer, Point, TrailKind, TrailRecord};
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::connections::Places;
use crate::judge::{Judge, JudgeError, JudgeSetup};
use crate::limits::{self, Limits};
use crate::state::{Environment, Locks, Shared};
use crate::trail::{self, Trail, TrailError};
use crate::{Config, admission, api, gate, health, local};

/// The name under which the ledger of a server signs.
pub const LEDGER_ORIGIN: &str = "hullmark.dev/ledger";

/// How long a client may take for the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the server says in the ledger that it is there.
const HEARTBEAT: Duration = Duration::from_secs(3600);

/// How often small chores are done.
const CHORES: Duration = Duration::from_secs(10);

/// How long a batch of events is remembered, so that it is taken once.
const BATCHES: Duration = Duration::from_secs(30 * 24 * 3600);

/// How many streams one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 64;

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
    #[error("cannot record that the server starts or ends")]
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

fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> ServerError {
    let what = what.into();
    move |source| ServerError::Io { what, source }
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
    // Before anything is counted.
    let _ = health::recorder();
    let entropy = Arc::clone(&environment.entropy);
    let ledger = Ledger::open(&config.ledger_directory(), LEDGER_ORIGIN, &mut |bytes| entropy(bytes))?;
    let ledger = JournaledLedger::open(ledger)?;
    let trail = Trail::start_journaled(ledger).map_err(io("start the writer of the ledger"))?;
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
        locks: Arc::new(Locks::new(config.limits.scans)),
        config: Arc::new(config),
        store,
        judge,
        trail,
        clock: environment.clock,
        entropy: environment.entropy,
    })
}

/// All routes. The gate, whose answers are long, has limits of its own.
pub fn router(shared: Shared) -> Router {
    let config = &shared.config.limits;
    let bytes = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
    // Each group has places of its own, so that a rush of scans does not keep pods from being admitted.
    let limited = |routes: Router<Shared>| {
        let limits = Limits::new(config.concurrency, config.request_timeout.0);
        routes
            .layer(DefaultBodyLimit::max(bytes(config.body_bytes)))
            .layer(from_fn_with_state(limits, limits::limit))
    };
    Router::new()
        .merge(limited(api::router(bytes(config.inventory_bytes))))
        .merge(limited(admission::router()))
        .merge(gate::router())
        .merge(health::router())
        .layer(CatchPanicLayer::custom(limits::broken))
        .layer(from_fn(limits::observe))
        .with_state(shared)
}

/// Serves on a listener through an acceptor. A macro, as the type of the connections cannot be named here.
macro_rules! run {
    ($listener:expr, $acceptor:expr, $handle:expr, $routes:expr) => {{
        let mut server = axum_server::from_tcp($listener)
            .map_err(io("listen"))?
            .acceptor($acceptor)
            .handle($handle)
            .first_request_timeout(HEADER_TIMEOUT);
        let builder = server.http_builder();
        builder.http1().header_read_timeout(HEADER_TIMEOUT).max_buf_size(64 * 1024);
        builder
            .http2()
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(64 * 1024)
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(HEADER_TIMEOUT);
        server.serve($routes.into_make_service()).await
    }};
}

/// Serves until the process is told to end (SIGTERM, SIGINT). SIGHUP reads certificate and key again.
///
/// # Errors
/// When the server cannot start.
pub async fn serve(config: Config, environment: Environment) -> Result<(), ServerError> {
    // Before anything else: a signal that comes early ends the server in order too.
    let handler = |kind| signal(kind).map_err(io("handle signals"));
    let ends = [handler(SignalKind::terminate())?, handler(SignalKind::interrupt())?];
    let hangup = handler(SignalKind::hangup())?;
    let shared = open(config, environment).await?;
    let listen = shared.config.server.listen;
    let listener = std::net::TcpListener::bind(listen).map_err(io(format!("listen on {listen}")))?;
    let address = listener.local_addr().map_err(io("listen"))?;
    let socket = local_socket(&shared)?;
    let tls = tls(&shared).await?;

    shared.trail.record(&lifecycle(&shared, "the server started")).await?;
    tracing::info!(%address, tls = tls.is_some(), "listening");
    let ending = CancellationToken::new();
    let chores = tokio::spawn(chores(shared.clone(), ending.clone()));
    let local = socket.map(|socket| tokio::spawn(local::serve(shared.clone(), socket, ending.clone())));
    let handle = Handle::new();
    tokio::spawn(wait_for_end(ends, handle.clone(), ending.clone(), shared.config.server.shutdown_grace.0));
    if let Some(tls) = &tls {
        tokio::spawn(renew(hangup, tls.clone(), shared.clone()));
    }

    let places = Places::new(shared.config.limits.connections);
    let routes = router(shared.clone());
    let served = match tls {
        Some(tls) => run!(listener, RustlsAcceptor::new(tls).acceptor(places), handle, routes),
        None => run!(listener, places, handle, routes),
    };
    served.map_err(io("serve"))?;
    ending.cancel();
    let _ = chores.await;
    if let Some(local) = local {
        let _ = local.await;
    }
    gate::finish(&shared).await;
    shared.trail.record(&lifecycle(&shared, "the server ended")).await?;
    shared.trail.published().await?;
    shared.store.close().await;
    tracing::info!("ended");
    Ok(())
}

/// What stands in the ledger about the server itself.
fn lifecycle(shared: &Shared, what: &str) -> TrailRecord {
    let actor = Actor { name: "server".to_owned(), ..Actor::default() };
    let mut record = trail::note(TrailKind::Server, Point::Server, Answer::Noted, what, actor, shared.now());
    let rules = shared.judge.rules();
    for (name, value) in [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("policy_version", rules.row.version.to_string()),
        ("policy_digest", rules.policy_digest.to_string()),
        ("exceptions_digest", rules.exceptions_digest.to_string()),
        ("database", shared.judge.database_digest().to_string()),
        ("entries", shared.trail.size().to_string()),
    ] {
        record.detail.insert(name.to_owned(), value);
    }
    record
}

/// Binds the local socket, when there is to be one.
fn local_socket(shared: &Shared) -> Result<Option<UnixListener>, ServerError> {
    let Some(path) = &shared.config.server.local_socket else { return Ok(None) };
    local::bind(path).map(Some).map_err(io(format!("listen on `{}`", path.display())))
}

async fn tls(shared: &Shared) -> Result<Option<RustlsConfig>, ServerError> {
    let Some(tls) = &shared.config.server.tls else { return Ok(None) };
    // Fails when one is installed already, which does as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = RustlsConfig::from_pem_file(&tls.certificate, &tls.key).await;
    let what = format!("use the certificate `{}` and its key", tls.certificate.display());
    config.map(Some).map_err(io(what))
}

/// Reads certificate and key again on each hang-up signal.
async fn renew(mut hangup: Signal, config: RustlsConfig, shared: Shared) {
    let Some(tls) = &shared.config.server.tls else { return };
    while hangup.recv().await.is_some() {
        match config.reload_from_pem_file(&tls.certificate, &tls.key).await {
            Ok(()) => tracing::info!("certificate and key were read again"),
            Err(error) => {
                tracing::error!(%error, "certificate and key cannot be read; the ones before are kept")
            }
        }
    }
}

async fn wait_for_end(
    ends: [Signal; 2],
    handle: Handle<std::net::SocketAddr>,
    ending: CancellationToken,
    grace: Duration,
) {
    let [mut terminate, mut interrupt] = ends;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("told to end");
    ending.cancel();
    handle.graceful_shutdown(Some(grace));
}

/// The heartbeat, and what has to be done now and then.
async fn chores(shared: Shared, ending: CancellationToken) {
    let mut small = tokio::time::interval(CHORES);
    let mut heartbeat = tokio::time::interval_at(tokio::time::Instant::now() + HEARTBEAT, HEARTBEAT);
    loop {
        tokio::select! {
            () = ending.cancelled() => return,
            _ = heartbeat.tick() => {
                if let Err(error) = shared.trail.record(&lifecycle(&shared, "the server is running")).await {
                    tracing::error!(%error, "the heartbeat cannot be recorded");
                }
            }
            _ = small.tick() => {
                health::recorder().run_upkeep();
                if let Err(error) = shared.judge.refresh_database().await {
                    tracing::error!(cause = %crate::error::chain(&error), "the advisory database cannot be taken over");
                }
                if let Err(error) = shared.judge.reload_rules().await {
                    tracing::error!(cause = %crate::error::chain(&error), "policy and exceptions cannot be read again");
                }
                let before = shared.now().checked_sub(BATCHES).unwrap_or(jiff::Timestamp::MIN);
                if let Err(error) = shared.store.prune_events(shared.config.limits.events, before).await {
                    tracing::error!(cause = %crate::error::chain(&error), "old events cannot be removed");
                }
            }
        }
    }
}
