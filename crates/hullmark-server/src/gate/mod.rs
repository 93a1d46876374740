//! The registry gate.

use axum::Router;

use crate::state::Shared;

/// The routes.
pub fn router() -> Router<Shared> {
    Router::new()
}
