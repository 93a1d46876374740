//! Exceptions: what is excused, by whom, until when.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hullmark_policy::{Exception, parse_exceptions};
use hullmark_store::{ExceptionRow, StoreError};
use hullmark_types::{Answer, Point, TrailKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::extract::{JsonBody, Parameters, PathPart};
use crate::auth::{Govern, Permitted, Read};
use crate::error::{ApiError, Problem};
use crate::state::Shared;
use crate::trail;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ExceptionQuery {
    /// Also those that were revoked.
    #[serde(default)]
    revoked: bool,
}

/// Exceptions, sorted by id.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct ExceptionList {
    /// The exceptions.
    #[schema(value_type = Vec<Object>)]
    exceptions: Vec<ExceptionRow>,
}

/// The exceptions that were not revoked, or all.
#[utoipa::path(get, path = "/exceptions", tag = "exceptions", params(ExceptionQuery), security(("token" = ["security", "ci", "reader"])),
    responses((status = 200, description = "The exceptions", body = ExceptionList)))]
pub(super) async fn list(
    _: Permitted<Read>,
    State(shared): State<Shared>,
    Parameters(query): Parameters<ExceptionQuery>,
) -> Result<Json<ExceptionList>, ApiError> {
    Ok(Json(ExceptionList { exceptions: shared.store.exceptions(query.revoked).await? }))
}

/// Exceptions that are to count.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExceptionRequest {
    /// The file of exceptions (YAML), of one or more.
    text: String,
}

/// Stores exceptions; they count at once. All or none are taken.
#[utoipa::path(post, path = "/exceptions", tag = "exceptions", request_body = ExceptionRequest, security(("token" = ["security"])), responses(
    (status = 201, description = "The exceptions", body = ExceptionList),
    (status = 409, description = "An id was used before", body = Problem),
    (status = 422, description = "The exceptions are not valid", body = Problem)))]
pub(super) async fn create(
    permitted: Permitted<Govern>,
    State(shared): State<Shared>,
    JsonBody(request): JsonBody<ExceptionRequest>,
) -> Result<(StatusCode, Json<ExceptionList>), ApiError> {
    let invalid =
        |detail: String| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "exceptions-invalid", detail);
    let parsed = parse_exceptions("exceptions", &request.text).map_err(|error| invalid(error.to_string()))?;
    let actor = permitted.caller.actor();
    let now = shared.now();
    let row = |exception: &Exception| {
        Ok(ExceptionRow {
            id: exception.id.clone(),
            body: body_of(exception).map_err(ApiError::internal)?,
            created_by: actor.name.clone(),
            created_at: now,
            revoked_by: None,
            revoked_at: None,
        })
    };
    let rows = parsed.list().iter().map(row).collect::<Result<Vec<_>, ApiError>>()?;
    // What is stored has to be read again when the server starts.
    crate::judge::exceptions_of(&rows)?;
    let records: Vec<_> = parsed
        .list()
        .iter()
        .map(|one| {
            let message = format!(
                "exception `{}` was stored: owner {}, approved by {}, until {}: {}",
                one.id, one.owner, one.approver, one.expires, one.reason
            );
            let mut record =
                trail::note(TrailKind::Exception, Point::Api, Answer::Noted, message, actor.clone(), now);
            record.detail.insert("exception".to_owned(), one.id.clone());
            record.detail.insert("expires".to_owned(), one.expires.to_string());
            record
        })
        .collect();
    super::to_the_end(async move {
        let _turn = shared.locks.govern.lock().await;
        let present = shared.store.exceptions(true).await?;
        if let Some(taken) = rows.iter().find(|row| present.iter().any(|other| other.id == row.id)) {
            return Err(StoreError::Taken { what: "an exception", name: taken.id.clone() }.into());
        }
        shared.trail.record_all(&records).await?;
        shared.store.put_exceptions(&rows).await?;
        shared.judge.reload_rules().await?;
        Ok((StatusCode::CREATED, Json(ExceptionList { exceptions: rows })))
    })
    .await
}

/// An exception as it stands in a file: without what was not given.
fn body_of(exception: &Exception) -> Result<Value, serde_json::Error> {
    let mut body = serde_json::to_value(exception)?;
    prune(&mut body);
    Ok(body)
}

fn prune(value: &mut Value) {
    if let Value::Object(members) = value {
        members
            .retain(|_, member| !member.is_null() && member.as_array().is_none_or(|list| !list.is_empty()));
        members.values_mut().for_each(prune);
    }
}

/// Revokes an exception: it excuses nothing any more.
#[utoipa::path(delete, path = "/exceptions/{id}", tag = "exceptions", params(("id" = String, Path, description = "Id of the exception")),
    security(("token" = ["security"])), responses(
    (status = 200, description = "The exception", body = Object), (status = 404, description = "There is none", body = Problem)))]
pub(super) async fn revoke(
    permitted: Permitted<Govern>,
    State(shared): State<Shared>,
    PathPart(id): PathPart<String>,
) -> Result<Json<ExceptionRow>, ApiError> {
    let actor = permitted.caller.actor();
    super::to_the_end(async move {
        let missing = || ApiError::not_found("exception", &id);
        let _turn = shared.locks.govern.lock().await;
        if !shared.store.exceptions(false).await?.iter().any(|row| row.id == id) {
            return Err(missing());
        }
        let message = format!("exception `{id}` was revoked");
        let mut record = trail::note(
            TrailKind::Exception,
            Point::Api,
            Answer::Noted,
            message,
            actor.clone(),
            shared.now(),
        );
        record.detail.insert("exception".to_owned(), id.clone());
        shared.trail.record(&record).await?;
        let row = shared.store.revoke_exception(&id, &actor.name, shared.now()).await?.ok_or_else(missing)?;
        shared.judge.reload_rules().await?;
        Ok(Json(row))
    })
    .await
}
