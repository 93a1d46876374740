//! The API under `/api/v1`. Routes and their OpenAPI description have one source: the annotation of each handler.

mod decisions;
mod events;
mod exceptions;
mod extract;
mod images;
mod ledger;
mod policies;
mod scans;
mod status;
mod tiles;
mod tokens;
mod verdicts;

use axum::extract::DefaultBodyLimit;
use axum::{Json, Router};
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Anyone, Permitted};
use crate::error::ApiError;
use crate::state::Shared;

/// Where the API begins.
const PREFIX: &str = "/api/v1";

/// The most rows of one answer.
const MAX_PAGE: u32 = 500;

#[derive(OpenApi)]
#[openapi(info(title = "Hullmark", description = "Judges container images and keeps the paper trail."))]
struct Document;

fn routes(inventory_bytes: usize) -> OpenApiRouter<Shared> {
    let large = DefaultBodyLimit::max(inventory_bytes);
    let routes = OpenApiRouter::new()
        .merge(OpenApiRouter::new().routes(routes!(scans::scan)).layer(large))
        .routes(routes!(images::list))
        .routes(routes!(images::show))
        .routes(routes!(images::profile))
        .routes(routes!(images::trail))
        .routes(routes!(images::inventory))
        .routes(routes!(verdicts::list))
        .routes(routes!(verdicts::show))
        .routes(routes!(policies::list, policies::create))
        .routes(routes!(policies::show))
        .routes(routes!(policies::activate))
        .routes(routes!(exceptions::list, exceptions::create))
        .routes(routes!(exceptions::revoke))
        .routes(routes!(events::list, events::take))
        .routes(routes!(decisions::decide))
        .routes(routes!(ledger::checkpoint))
        .routes(routes!(ledger::key))
        .routes(routes!(ledger::tile))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(status::status))
        .routes(routes!(openapi));
    OpenApiRouter::with_openapi(Document::openapi()).nest(PREFIX, routes)
}

/// The routes. Inventories may have so many bytes; other bodies are limited further out.
pub fn router(inventory_bytes: usize) -> Router<Shared> {
    routes(inventory_bytes).split_for_parts().0
}

/// The OpenAPI document.
pub fn document() -> Value {
    let (_, document) = routes(0).split_for_parts();
    let mut document = serde_json::to_value(&document).unwrap_or_default();
    let Some(root) = document.as_object_mut() else { return document };
    root.insert("openapi".to_owned(), json!("3.1.0"));
    if let Some(components) = root.entry("components").or_insert_with(|| json!({})).as_object_mut() {
        components.insert(
            "securitySchemes".to_owned(),
            json!({ "token": { "type": "http", "scheme": "bearer", "description": "A token of this server." } }),
        );
    }
    describe_reports(&mut document);
    document
}

/// Takes the published schema of reports over, so that the answer of a scan is described in full.
fn describe_reports(document: &mut Value) {
    let mut report = hullmark_report::json_schema();
    move_references(&mut report);
    let Some(members) = report.as_object_mut() else { return };
    let parts = members.remove("$defs");
    for name in ["$schema", "$id"] {
        members.remove(name);
    }
    // The number of the form is written by the command, not by the API.
    if let Some(required) = members.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| name != "schema");
    }
    let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) else {
        return;
    };
    for (name, part) in parts.iter().filter_map(Value::as_object).flatten() {
        schemas.insert(format!("report-{name}"), part.clone());
    }
    schemas.insert("ScanReport".to_owned(), report);
    let content = "/paths/~1api~1v1~1scans/post/responses/200/content/application~1json/schema";
    if let Some(schema) = document.pointer_mut(content) {
        *schema = json!({ "$ref": "#/components/schemas/ScanReport" });
    }
    let inventory = "/components/schemas/ScanRequest/properties/inventory";
    if let Some(schema) = document.pointer_mut(inventory) {
        *schema = json!({ "$ref": "#/components/schemas/report-inventory" });
    }
}

/// References to parts of the schema of reports become references to the components that the parts become.
fn move_references(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_str().and_then(|text| text.strip_prefix("#/$defs/")) {
                    Some(part) if name == "$ref" => {
                        *member = json!(format!("#/components/schemas/report-{part}"))
                    }
                    _ => move_references(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(move_references),
        _ => {}
    }
}

/// The OpenAPI document of this API.
#[utoipa::path(get, path = "/openapi.json", tag = "server", security(("token" = ["security", "ci", "agent", "reader"])),
    responses((status = 200, description = "This document", body = Object)))]
async fn openapi(_: Permitted<Anyone>) -> Json<Value> {
    Json(document())
}

/// How many rows are given when `limit` asks for so many.
fn page(limit: Option<u32>) -> u32 {
    limit.unwrap_or(100).clamp(1, MAX_PAGE)
}

/// Does work that is to be done whole once it is begun, whether or not somebody still waits for the answer.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::spawn(work).await.map_err(ApiError::internal)?
}
