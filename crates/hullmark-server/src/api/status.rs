//! The state of the server, for people and monitors.

use axum::Json;
use axum::extract::State;
use hullmark_types::Digest;
use jiff::Timestamp;
use serde::Serialize;

use crate::auth::{Permitted, Read};
use crate::error::ApiError;
use crate::health;
use crate::state::Shared;

/// The state of the server.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Status {
    /// Version of the program.
    version: String,
    /// The time of the server.
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
    /// Number of the policy that counts.
    policy_version: u64,
    /// Its name.
    policy: String,
    /// How many exceptions count.
    exceptions: usize,
    /// Digest of the advisory database.
    #[schema(value_type = String)]
    database: Digest,
    /// When it was built.
    #[schema(value_type = String, format = DateTime)]
    database_built_at: Timestamp,
    /// Name of the ledger.
    ledger: String,
    /// How many entries it has.
    ledger_entries: u64,
    /// What does not work; empty when the server is ready.
    not_ready: Vec<String>,
}

/// The state of the server.
#[utoipa::path(get, path = "/status", tag = "server", security(("token" = ["security", "ci", "reader"])),
    responses((status = 200, description = "The state", body = Status)))]
pub(super) async fn status(
    _: Permitted<Read>,
    State(shared): State<Shared>,
) -> Result<Json<Status>, ApiError> {
    let rules = shared.judge.rules();
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time: shared.now(),
        policy_version: rules.row.version,
        policy: rules.row.name.clone(),
        exceptions: rules.exceptions.list().len(),
        database: shared.judge.database_digest(),
        database_built_at: shared.judge.database_built_at(),
        ledger: shared.trail.origin().to_owned(),
        ledger_entries: shared.trail.size(),
        not_ready: health::not_ready(&shared).await,
    }))
}
