//! Images, their inventories, profiles and trails.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use hullmark_engine::{Trail, TrailLimits, trail_of};
use hullmark_ledger::Ledger;
use hullmark_store::{ImageRow, VerdictRow};
use hullmark_types::Digest;
use serde::{Deserialize, Serialize};

use super::extract::{Parameters, PathPart};
use super::page;
use crate::auth::{Permitted, Read, ReadProfiles};
use crate::error::{ApiError, Problem};
use crate::state::Shared;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ImageQuery {
    /// Only images of this name or reference.
    name: Option<String>,
    /// Only images after this digest: the next page.
    #[param(value_type = Option<String>)]
    after: Option<Digest>,
    /// At most so many, up to 500; 100 by default.
    limit: Option<u32>,
}

/// Images, sorted by digest.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct ImageList {
    /// The images.
    #[schema(value_type = Vec<Object>)]
    images: Vec<ImageRow>,
}

/// The images that were scanned.
#[utoipa::path(get, path = "/images", tag = "images", params(ImageQuery), security(("token" = ["security", "ci", "reader"])),
    responses((status = 200, description = "The images", body = ImageList)))]
pub(super) async fn list(
    _: Permitted<Read>,
    State(shared): State<Shared>,
    Parameters(query): Parameters<ImageQuery>,
) -> Result<Json<ImageList>, ApiError> {
    let images = shared.store.images(query.name.as_deref(), query.after.as_ref(), page(query.limit)).await?;
    Ok(Json(ImageList { images }))
}

/// Images that share a digest, and their verdicts.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct ImageAnswer {
    /// The images with the digest, last scanned first; more than one for an index of several platforms.
    #[schema(value_type = Vec<Object>)]
    images: Vec<ImageRow>,
    /// Their newest verdicts.
    #[schema(value_type = Vec<Object>)]
    verdicts: Vec<VerdictRow>,
}

async fn images(shared: &Shared, digest: &Digest) -> Result<Vec<ImageRow>, ApiError> {
    let images = shared.store.images_by_digest(digest).await?;
    match images.is_empty() {
        true => Err(ApiError::not_found("image", &digest.to_string())),
        false => Ok(images),
    }
}

/// An image by index, manifest or configuration digest, with its newest verdicts.
#[utoipa::path(get, path = "/images/{digest}", tag = "images", params(("digest" = String, Path, description = "A digest of the image")),
    security(("token" = ["security", "ci", "reader"])), responses(
    (status = 200, description = "The image", body = ImageAnswer), (status = 404, description = "It was not scanned", body = Problem)))]
pub(super) async fn show(
    _: Permitted<Read>,
    State(shared): State<Shared>,
    PathPart(digest): PathPart<Digest>,
) -> Result<Json<ImageAnswer>, ApiError> {
    let images = images(&shared, &digest).await?;
    let mut verdicts = Vec::new();
    for key in images.iter().filter_map(|image| image.subject.digest()) {
        verdicts.extend(shared.store.verdicts_of(key, None, 20).await?);
    }
    Ok(Json(ImageAnswer { images, verdicts }))
}

/// The runtime profile of an image.
#[utoipa::path(get, path = "/images/{digest}/profile", tag = "images", params(("digest" = String, Path, description = "A digest of the image")),
    security(("token" = ["security", "ci", "agent", "reader"])), responses(
    (status = 200, description = "The profile", body = Object), (status = 404, description = "There is none", body = Problem)))]
pub(super) async fn profile(
    _: Permitted<ReadProfiles>,
    State(shared): State<Shared>,
    PathPart(digest): PathPart<Digest>,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("profile of the image", &digest.to_string());
    let images = crate::judge::candidates(&digest, images(&shared, &digest).await?);
    let profile = images.into_iter().find_map(|image| image.profile).ok_or_else(missing)?;
    let bytes = shared.store.document(&profile).await?.ok_or_else(missing)?;
    Ok(document(&profile, bytes))
}

/// An inventory by its digest.
#[utoipa::path(get, path = "/inventories/{digest}", tag = "images", params(("digest" = String, Path, description = "Digest of the inventory")),
    security(("token" = ["security", "ci", "reader"])), responses(
    (status = 200, description = "The inventory", body = Object), (status = 404, description = "There is none", body = Problem)))]
pub(super) async fn inventory(
    _: Permitted<Read>,
    State(shared): State<Shared>,
    PathPart(digest): PathPart<Digest>,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("inventory", &digest.to_string());
    // Documents of other kinds have routes and rules of their own.
    if shared.store.document_kind(&digest).await?.as_deref() != Some("inventory") {
        return Err(missing());
    }
    Ok(document(&digest, shared.store.document(&digest).await?.ok_or_else(missing)?))
}

/// A stored document: its bytes have the digest in `ETag`.
fn document(digest: &Digest, bytes: Vec<u8>) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "application/json".to_owned()), (header::ETAG, format!("\"{digest}\""))];
    (headers, bytes).into_response()
}

/// The life of an image as the ledger has it: verdicts, decisions, starts and alerts about it, and what those rest on. Any
/// digest of the image leads to all.
#[utoipa::path(get, path = "/images/{digest}/trail", tag = "images", params(("digest" = String, Path, description = "A digest of the image")),
    security(("token" = ["security", "ci", "reader"])), responses(
    (status = 200, description = "The entries, whole, in their order, and the digests of the image; what is beyond the limits is counted", body = Object),
    (status = 404, description = "No entry is about it", body = Problem)))]
pub(super) async fn trail(
    _: Permitted<Read>,
    State(shared): State<Shared>,
    PathPart(digest): PathPart<Digest>,
) -> Result<Json<Trail>, ApiError> {
    let directory = shared.config.ledger_directory();
    let _place = shared.locks.ledger.acquire().await.map_err(ApiError::internal)?;
    shared.trail.published().await.map_err(ApiError::unpublished)?;
    let wanted = digest.clone();
    let read = move || trail_of(&Ledger::open_read_only(&directory)?, &wanted, TrailLimits::default());
    let trail = tokio::task::spawn_blocking(read).await.map_err(ApiError::internal)?;
    let trail = trail
        .map_err(|error| ApiError::unavailable("the ledger cannot be read", crate::error::chain(&error)))?;
    match trail.is_empty() {
        true => Err(ApiError::not_found("trail of the image", &digest.to_string())),
        false => Ok(Json(trail)),
    }
}
