//! The ledger as C2SP tlog-tiles: <https://c2sp.org/tlog-tiles>.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::extract::PathPart;
use super::tiles;
use crate::auth::{Anyone, Permitted};
use crate::error::{ApiError, Problem};
use crate::state::Shared;

async fn read(
    shared: &Shared,
    kind: &'static str,
    work: impl FnOnce(&std::path::Path) -> std::io::Result<Option<Vec<u8>>> + Send + 'static,
    name: &str,
) -> Result<Response, ApiError> {
    let directory = shared.config.ledger_directory();
    let read = tokio::task::spawn_blocking(move || work(&directory)).await.map_err(ApiError::internal)?;
    let bytes = read.map_err(|error| ApiError::unavailable("the ledger cannot be read", error))?;
    let bytes = bytes.ok_or_else(|| ApiError::not_found("resource of the ledger", name))?;
    Ok(([(header::CONTENT_TYPE, kind)], bytes).into_response())
}

/// The checkpoint: a signed note.
#[utoipa::path(get, path = "/ledger/checkpoint", tag = "ledger", security(("token" = ["security", "ci", "agent", "reader"])),
    responses((status = 200, description = "The checkpoint", body = String, content_type = "text/plain")))]
pub(super) async fn checkpoint(
    _: Permitted<Anyone>,
    State(shared): State<Shared>,
) -> Result<Response, ApiError> {
    // Whoever reads the ledger sees what was answered before; tiles follow from the checkpoint.
    shared.trail.published().await.map_err(ApiError::unpublished)?;
    let work = |directory: &std::path::Path| std::fs::read(directory.join("checkpoint")).map(Some);
    read(&shared, "text/plain; charset=utf-8", work, "checkpoint").await
}

/// The public key of the ledger.
#[utoipa::path(get, path = "/ledger/key", tag = "ledger", security(("token" = ["security", "ci", "agent", "reader"])),
    responses((status = 200, description = "The key, as a line `name+id+base64`", body = String, content_type = "text/plain")))]
pub(super) async fn key(_: Permitted<Anyone>, State(shared): State<Shared>) -> Result<Response, ApiError> {
    let work = |directory: &std::path::Path| std::fs::read(directory.join("ledger.pub")).map(Some);
    read(&shared, "text/plain; charset=utf-8", work, "key").await
}

/// A tile of hashes (`0/000`), or a bundle of entries (`entries/000`); partial ones end in `.p/` and their width.
#[utoipa::path(get, path = "/ledger/tile/{*path}", tag = "ledger", params(("path" = String, Path, description = "Level or `entries`, and number")),
    security(("token" = ["security", "ci", "agent", "reader"])), responses(
    (status = 200, description = "The tile", body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 404, description = "There is none", body = Problem)))]
pub(super) async fn tile(
    _: Permitted<Anyone>,
    State(shared): State<Shared>,
    PathPart(path): PathPart<String>,
) -> Result<Response, ApiError> {
    let wanted = tiles::parse(&path).ok_or_else(|| ApiError::not_found("resource of the ledger", &path))?;
    read(&shared, "application/octet-stream", move |directory| tiles::read(directory, &wanted), &path).await
}
