//! Tokens.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hullmark_store::TokenRow;
use hullmark_types::Point;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::extract::{JsonBody, PathPart};
use crate::auth::{Administer, Permitted, Role};
use crate::error::{ApiError, Problem, chain};
use crate::state::Shared;
use crate::tokens::{Desk, NewToken, TokenError};

/// Tokens, sorted by name; the secrets are not kept.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct TokenList {
    /// The tokens.
    #[schema(value_type = Vec<Object>)]
    tokens: Vec<TokenRow>,
}

/// The tokens, also those that do not count any more.
#[utoipa::path(get, path = "/tokens", tag = "tokens", security(("token" = ["admin"])),
    responses((status = 200, description = "The tokens", body = TokenList)))]
pub(super) async fn list(
    _: Permitted<Administer>,
    State(shared): State<Shared>,
) -> Result<Json<TokenList>, ApiError> {
    Ok(Json(TokenList { tokens: shared.store.tokens().await? }))
}

/// A token that is to be made.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenRequest {
    /// Its name, which records bear; used once.
    name: String,
    /// Its role.
    role: Role,
    /// From when on it is refused; never, when left out.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// A new token.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct TokenAnswer {
    /// The secret. It is shown this once.
    secret: String,
    /// The token.
    #[schema(value_type = Object)]
    token: TokenRow,
}

fn failed(error: TokenError) -> ApiError {
    match error {
        TokenError::Name(_) | TokenError::Expired(_) => {
            ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "token-invalid", error.to_string())
        }
        TokenError::Store(error) => error.into(),
        TokenError::Trail(error) => error.into(),
        TokenError::Ledger(_) | TokenError::Io { .. } => ApiError::internal(chain(&error)),
    }
}

fn desk<'a>(shared: &'a Shared, permitted: &Permitted<Administer>) -> Desk<'a> {
    Desk {
        store: &*shared.store,
        trail: &shared.trail,
        point: Point::Api,
        actor: permitted.caller.actor(),
        now: shared.now(),
    }
}

/// Makes a token.
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = TokenRequest, security(("token" = ["admin"])), responses(
    (status = 201, description = "The token with its secret", body = TokenAnswer),
    (status = 409, description = "The name was used before", body = Problem)))]
pub(super) async fn create(
    permitted: Permitted<Administer>,
    State(shared): State<Shared>,
    JsonBody(request): JsonBody<TokenRequest>,
) -> Result<(StatusCode, Json<TokenAnswer>), ApiError> {
    let new = NewToken { name: request.name, role: request.role, expires_at: request.expires_at };
    let _turn = shared.locks.govern.lock().await;
    let made = desk(&shared, &permitted).create(&new, &*shared.entropy).await;
    let (secret, token) = made.map_err(failed)?;
    Ok((StatusCode::CREATED, Json(TokenAnswer { secret: secret.expose().to_owned(), token })))
}

/// Revokes a token; it is refused from then on.
#[utoipa::path(delete, path = "/tokens/{name}", tag = "tokens", params(("name" = String, Path, description = "Name of the token")),
    security(("token" = ["admin"])), responses(
    (status = 200, description = "The token", body = Object), (status = 404, description = "There is none", body = Problem)))]
pub(super) async fn revoke(
    permitted: Permitted<Administer>,
    State(shared): State<Shared>,
    PathPart(name): PathPart<String>,
) -> Result<Json<TokenRow>, ApiError> {
    let _turn = shared.locks.govern.lock().await;
    let row = desk(&shared, &permitted).revoke(&name).await.map_err(failed)?;
    row.map(Json).ok_or_else(|| ApiError::not_found("token", &name))
}
