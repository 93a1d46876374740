//! Scans: an inventory comes in, a verdict goes out.

use axum::Json;
use axum::extract::State;
use hullmark_engine::Asker;
use hullmark_report::ScanReport;
use hullmark_types::{ImageProfile, Inventory, Stage};
use serde::Deserialize;

use super::extract::JsonBody;
use crate::auth::{Permitted, Submit};
use crate::error::{ApiError, Problem};
use crate::state::Shared;

/// The most characters of what a caller says of itself.
const MAX_SAID: usize = 512;

/// What is sent to be judged.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScanRequest {
    /// What is in the image, as `hullmark scan` takes it.
    #[schema(value_type = Object)]
    inventory: Inventory,
    /// The runtime profile of the image.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    profile: Option<ImageProfile>,
    /// Whose actions of the policy count.
    #[schema(value_type = String, example = "build")]
    stage: Stage,
    /// Who asks, as the environment of the caller says it.
    #[serde(default)]
    #[schema(value_type = Object)]
    asker: Asker,
}

/// Judges an inventory, records the verdict, and gives the report: 200 whatever the outcome.
#[utoipa::path(post, path = "/scans", tag = "scans", request_body = ScanRequest, security(("token" = ["ci"])), responses(
    (status = 200, description = "The report, as `hullmark scan` writes it; its verdict is recorded", body = Object),
    (status = 422, description = "The inventory cannot be used", body = Problem),
    (status = 503, description = "The verdict cannot be made or recorded", body = Problem)))]
pub(super) async fn scan(
    permitted: Permitted<Submit>,
    State(shared): State<Shared>,
    request: axum::extract::Request,
) -> Result<Json<ScanReport>, ApiError> {
    use axum::extract::FromRequest;

    // Inventories are large: only a few are in memory at the same time.
    let _place = shared.locks.scans.acquire().await.map_err(ApiError::internal)?;
    let JsonBody(request) = JsonBody::<ScanRequest>::from_request(request, &shared).await?;
    let mut asker = request.asker;
    // What authenticates is the token; what the caller says of itself stands beside it.
    for said in [&mut asker.user, &mut asker.host, &mut asker.job].into_iter().flatten() {
        *said = said.chars().take(MAX_SAID).collect();
    }
    asker.token = Some(permitted.caller.name);
    Ok(Json(shared.judge.scan_sent(request.inventory, request.profile, request.stage, asker).await?))
}
