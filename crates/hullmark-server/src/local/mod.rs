//! Decisions over a local socket.

use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use crate::state::Shared;

/// Answers until `shutdown` is cancelled.
pub async fn serve(shared: Shared, listener: UnixListener, shutdown: CancellationToken) {
    let _ = (shared, listener);
    shutdown.cancelled().await;
}
