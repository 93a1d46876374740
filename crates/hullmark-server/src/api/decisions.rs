//! Decisions: may this image be used here?

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hullmark_types::{DecisionAnswer, DecisionRequest};

use super::extract::JsonBody;
use crate::auth::{Operate, Permitted};
use crate::error::{ApiError, Problem};
use crate::state::Shared;

/// Says whether an image may be used; the answer is recorded.
#[utoipa::path(post, path = "/decisions", tag = "decisions", request_body = Object, security(("token" = ["agent"])), responses(
    (status = 200, description = "The answer", body = Object),
    (status = 422, description = "The question cannot be used", body = Problem)))]
pub(super) async fn decide(
    permitted: Permitted<Operate>,
    State(shared): State<Shared>,
    JsonBody(request): JsonBody<DecisionRequest>,
) -> Result<Json<DecisionAnswer>, ApiError> {
    if let Some(problem) = crate::local::problem(&request) {
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "decision-invalid", problem));
    }
    let mut actor = permitted.caller.actor();
    actor.claims = request.node.as_ref().map(|node| format!("node {node}"));
    Ok(Json(crate::decide::decide(&shared, &request, actor).await))
}
