//! Health, readiness and metrics: what supervisors and monitors ask.

use std::sync::OnceLock;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::json;

use crate::auth::{Permitted, Read};
use crate::error::chain;
use crate::state::Shared;

/// The routes.
pub fn router() -> Router<Shared> {
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

/// What does not work, in one word each.
pub async fn not_ready(shared: &Shared) -> Vec<String> {
    let mut found = Vec::new();
    if let Err(error) = shared.store.check().await {
        tracing::warn!(cause = %chain(&error), "not ready: the store cannot be used");
        found.push("store".to_owned());
    }
    if shared.trail.is_broken().await {
        found.push("ledger".to_owned());
    }
    if shared.judge.is_database_broken() {
        found.push("database".to_owned());
    }
    found
}

async fn ready(State(shared): State<Shared>) -> Response {
    let not_ready = not_ready(&shared).await;
    let status = match not_ready.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(json!({ "ready": not_ready.is_empty(), "not_ready": not_ready }))).into_response()
}

async fn metrics(_: Permitted<Read>, State(shared): State<Shared>) -> Response {
    metrics::gauge!("hullmark_ledger_entries").set(as_float(shared.trail.size()));
    let age = shared.now().as_second().saturating_sub(shared.judge.database_built_at().as_second());
    metrics::gauge!("hullmark_database_age_seconds").set(as_float(u64::try_from(age).unwrap_or(0)));
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, recorder().render()).into_response()
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float; nothing is computed with it")]
fn as_float(number: u64) -> f64 {
    number as f64
}

/// The collector of the process.
pub(crate) fn recorder() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let builder = PrometheusBuilder::new();
        let builder = builder
            .set_buckets(&[0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0])
            .unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        // Where another collector is installed, metrics go there.
        let _ = metrics::set_global_recorder(recorder);
        handle
    })
}
