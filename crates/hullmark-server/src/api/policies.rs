//! Policies: every version is kept, with who stored and who activated it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hullmark_policy::{parse_policy, policy_digest};
use hullmark_store::{NewPolicy, PolicyRow};
use hullmark_types::{Actor, Answer, Point, TrailKind};
use serde::{Deserialize, Serialize};

use super::extract::{JsonBody, Parameters, PathPart};
use super::page;
use crate::auth::{Govern, Permitted, Read};
use crate::error::{ApiError, Problem};
use crate::state::Shared;
use crate::trail;

/// The longest comment, in characters.
const MAX_COMMENT: usize = 1000;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyQuery {
    /// Only versions before this one: the next page.
    before: Option<u64>,
    /// At most so many, up to 500; 100 by default.
    limit: Option<u32>,
}

/// Versions of the policy, newest first.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct PolicyList {
    /// The versions.
    #[schema(value_type = Vec<Object>)]
    policies: Vec<PolicyRow>,
}

/// The versions of the policy.
#[utoipa::path(get, path = "/policies", tag = "policies", params(PolicyQuery), security(("token" = ["security", "ci", "reader"])),
    responses((status = 200, description = "The versions", body = PolicyList)))]
pub(super) async fn list(
    _: Permitted<Read>,
    State(shared): State<Shared>,
    Parameters(query): Parameters<PolicyQuery>,
) -> Result<Json<PolicyList>, ApiError> {
    Ok(Json(PolicyList { policies: shared.store.policies(query.before, page(query.limit)).await? }))
}

/// A policy that is to become a version.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyRequest {
    /// The policy file (YAML).
    text: String,
    /// Why it is changed.
    #[serde(default)]
    comment: String,
    /// Whether it counts at once.
    #[serde(default)]
    activate: bool,
}

/// Stores a policy as a new version, and activates it if asked to.
#[utoipa::path(post, path = "/policies", tag = "policies", request_body = PolicyRequest, security(("token" = ["security"])), responses(
    (status = 201, description = "The version", body = Object), (status = 422, description = "The policy is not valid", body = Problem)))]
pub(super) async fn create(
    permitted: Permitted<Govern>,
    State(shared): State<Shared>,
    JsonBody(request): JsonBody<PolicyRequest>,
) -> Result<(StatusCode, Json<PolicyRow>), ApiError> {
    let invalid = |detail: String| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "policy-invalid", detail);
    let policy = parse_policy("policy", &request.text).map_err(|error| invalid(error.to_string()))?;
    if request.comment.chars().count() > MAX_COMMENT {
        return Err(invalid(format!("the comment is longer than {MAX_COMMENT} characters")));
    }
    let actor = permitted.caller.actor();
    let new = NewPolicy {
        name: policy.name().to_owned(),
        digest: policy_digest(&policy).map_err(ApiError::internal)?,
        text: request.text,
        comment: request.comment,
        created_by: actor.name.clone(),
        created_at: shared.now(),
    };
    super::to_the_end(async move {
        let _turn = shared.locks.govern.lock().await;
        // Stored before it is recorded, as the number is needed; it has no effect before it is activated.
        let mut row = shared.store.put_policy(&new).await?;
        record(&shared, &row, "was stored", &actor).await?;
        if request.activate {
            row = make_active(&shared, &row, &actor).await?;
        }
        Ok((StatusCode::CREATED, Json(row)))
    })
    .await
}

async fn find(shared: &Shared, version: u64) -> Result<PolicyRow, ApiError> {
    let row = shared.store.policy(version).await?;
    row.ok_or_else(|| ApiError::not_found("policy version", &version.to_string()))
}

/// A version of the policy.
#[utoipa::path(get, path = "/policies/{version}", tag = "policies", params(("version" = u64, Path, description = "Number of the version")),
    security(("token" = ["security", "ci", "reader"])), responses(
    (status = 200, description = "The version", body = Object), (status = 404, description = "There is none", body = Problem)))]
pub(super) async fn show(
    _: Permitted<Read>,
    State(shared): State<Shared>,
    PathPart(version): PathPart<u64>,
) -> Result<Json<PolicyRow>, ApiError> {
    find(&shared, version).await.map(Json)
}

/// Makes a version of the policy the one that counts. Every image is judged by it when it is asked for next.
#[utoipa::path(post, path = "/policies/{version}/activate", tag = "policies", params(("version" = u64, Path, description = "Number of the version")),
    security(("token" = ["security"])), responses(
    (status = 200, description = "The version", body = Object), (status = 404, description = "There is none", body = Problem)))]
pub(super) async fn activate(
    permitted: Permitted<Govern>,
    State(shared): State<Shared>,
    PathPart(version): PathPart<u64>,
) -> Result<Json<PolicyRow>, ApiError> {
    let actor = permitted.caller.actor();
    super::to_the_end(async move {
        let _turn = shared.locks.govern.lock().await;
        let row = find(&shared, version).await?;
        make_active(&shared, &row, &actor).await.map(Json)
    })
    .await
}

async fn make_active(shared: &Shared, row: &PolicyRow, actor: &Actor) -> Result<PolicyRow, ApiError> {
    // An older program may have stored what this one cannot read.
    parse_policy("policy", &row.text).map_err(|error| {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "policy-invalid", error.to_string())
    })?;
    record(shared, row, "was activated", actor).await?;
    let active = shared.store.activate_policy(row.version, &actor.name, shared.now()).await?;
    shared.judge.reload_rules().await?;
    active.ok_or_else(|| ApiError::internal("the version vanished"))
}

async fn record(shared: &Shared, row: &PolicyRow, what: &str, actor: &Actor) -> Result<(), ApiError> {
    let message = format!("version {} of the policy, `{}`, {what}", row.version, row.name);
    let mut record =
        trail::note(TrailKind::Policy, Point::Api, Answer::Noted, message, actor.clone(), shared.now());
    record.detail.insert("policy_version".to_owned(), row.version.to_string());
    record.detail.insert("policy_digest".to_owned(), row.digest.to_string());
    if !row.comment.is_empty() {
        record.detail.insert("comment".to_owned(), row.comment.clone());
    }
    shared.trail.record(&record).await?;
    Ok(())
}
