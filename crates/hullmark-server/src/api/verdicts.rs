//! Verdicts.

use axum::Json;
use axum::extract::State;
use hullmark_store::VerdictRow;
use hullmark_types::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::extract::{Parameters, PathPart};
use super::page;
use crate::auth::{Permitted, Read};
use crate::error::{ApiError, Problem};
use crate::state::Shared;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct VerdictQuery {
    /// A digest of the image.
    #[param(value_type = String)]
    image: Digest,
    /// Only verdicts before this ledger entry: the next page.
    before: Option<u64>,
    /// At most so many, up to 500; 100 by default.
    limit: Option<u32>,
}

/// Verdicts, newest first.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct VerdictList {
    /// The verdicts in short.
    #[schema(value_type = Vec<Object>)]
    verdicts: Vec<VerdictRow>,
}

/// The verdicts of an image.
#[utoipa::path(get, path = "/verdicts", tag = "verdicts", params(VerdictQuery), security(("token" = ["security", "ci", "reader"])),
    responses((status = 200, description = "The verdicts", body = VerdictList)))]
pub(super) async fn list(
    _: Permitted<Read>,
    State(shared): State<Shared>,
    Parameters(query): Parameters<VerdictQuery>,
) -> Result<Json<VerdictList>, ApiError> {
    let images = shared.store.images_by_digest(&query.image).await?;
    let images = crate::judge::candidates(&query.image, images);
    let mut keys: Vec<Digest> = images.iter().filter_map(|image| image.subject.digest().cloned()).collect();
    if keys.is_empty() {
        keys.push(query.image);
    }
    let limit = page(query.limit);
    let mut verdicts = Vec::new();
    for key in keys {
        verdicts.extend(shared.store.verdicts_of(&key, query.before, limit).await?);
    }
    verdicts.sort_by_key(|row| std::cmp::Reverse(row.link.entry));
    verdicts.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(Json(VerdictList { verdicts }))
}

/// A verdict, in short and in full.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct VerdictAnswer {
    /// In short, with its place in the ledger.
    #[schema(value_type = Object)]
    row: VerdictRow,
    /// In full.
    verdict: Value,
}

/// A verdict by its digest.
#[utoipa::path(get, path = "/verdicts/{digest}", tag = "verdicts", params(("digest" = String, Path, description = "Digest of the verdict")),
    security(("token" = ["security", "ci", "reader"])), responses(
    (status = 200, description = "The verdict", body = VerdictAnswer), (status = 404, description = "There is none", body = Problem)))]
pub(super) async fn show(
    _: Permitted<Read>,
    State(shared): State<Shared>,
    PathPart(digest): PathPart<Digest>,
) -> Result<Json<VerdictAnswer>, ApiError> {
    let missing = || ApiError::not_found("verdict", &digest.to_string());
    let row = shared.store.verdict_by_digest(&digest).await?.ok_or_else(missing)?;
    let bytes = shared.store.document(&digest).await?.ok_or_else(missing)?;
    let verdict = serde_json::from_slice(&bytes).map_err(ApiError::internal)?;
    Ok(Json(VerdictAnswer { row, verdict }))
}
