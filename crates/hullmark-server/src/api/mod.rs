//! The API under `/api/v1`.

use axum::Router;

use crate::state::Shared;

/// The routes.
pub fn router() -> Router<Shared> {
    Router::new()
}
