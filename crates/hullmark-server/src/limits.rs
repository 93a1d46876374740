//! What a request may cost: time, and how many there are at once. Counts and logs each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use crate::error::ApiError;

/// The limits of a group of routes.
#[derive(Clone)]
pub struct Limits {
    places: Arc<Semaphore>,
    timeout: Duration,
}

impl Limits {
    /// So many requests at once, each for so long.
    pub fn new(concurrency: usize, timeout: Duration) -> Self {
        Self { places: Arc::new(Semaphore::new(concurrency.min(Semaphore::MAX_PERMITS))), timeout }
    }
}

/// Refuses a request when there are too many, and breaks off one that takes too long.
pub async fn limit(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let Ok(_place) = limits.places.try_acquire() else {
        let detail = "the server works on as many requests as it may; try again later";
        let mut response = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).into_response();
        response.headers_mut().insert("retry-after", axum::http::HeaderValue::from_static("1"));
        return response;
    };
    match tokio::time::timeout(limits.timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = "the request took longer than the server allows";
            ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail).into_response()
        }
    }
}

/// Counts a request and says in the log how it ended. Neither headers nor queries are logged: they may hold secrets.
pub async fn observe(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_else(|| "other".to_owned());
    let response = next.run(request).await;
    let (status, elapsed) = (response.status().as_u16(), began.elapsed());
    let labels = [("method", method.to_string()), ("route", route.clone()), ("status", status.to_string())];
    metrics::counter!("hullmark_requests_total", &labels).increment(1);
    metrics::histogram!("hullmark_request_seconds", "route" => route.clone()).record(elapsed.as_secs_f64());
    let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    match status {
        500.. => tracing::error!(%method, %route, status, milliseconds, "request"),
        _ => tracing::debug!(%method, %route, status, milliseconds, "request"),
    }
    response
}

/// The answer where a handler broke.
pub fn broken(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    ApiError::internal(format!("a handler broke: {}", text.unwrap_or_default())).into_response()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn too_many_and_too_slow_requests_are_refused() {
        let limits = Limits::new(2, Duration::from_millis(200));
        let routes = Router::new()
            .route("/slow", get(std::future::pending::<()>))
            .route("/quick", get(|| async { "done" }))
            .route("/broken", get(broken_handler))
            .layer(from_fn_with_state(limits, limit))
            .layer(tower_http::catch_panic::CatchPanicLayer::custom(broken));
        let ask = |path: &'static str| {
            let routes = routes.clone();
            async move {
                let request = Request::get(path).body(Body::empty()).unwrap();
                routes.oneshot(request).await.unwrap().status().as_u16()
            }
        };
        assert_eq!(ask("/quick").await, 200);
        let slow = [tokio::spawn(ask("/slow")), tokio::spawn(ask("/slow"))];
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(ask("/quick").await, 503);
        for slow in slow {
            assert_eq!(slow.await.unwrap(), 408);
        }
        assert_eq!(ask("/broken").await, 500);
        assert_eq!(ask("/quick").await, 200);
    }

    async fn broken_handler() {
        panic!("a test");
    }
}
