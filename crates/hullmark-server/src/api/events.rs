//! Events of running containers, as agents send them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hullmark_store::{EventFilter, EventRow, NewEvent};
use hullmark_types::{
    Actor, Answer, Digest, ImageIdentity, MAX_BATCH_EVENTS, Point, RuntimeEvent, RuntimeEventBatch,
    RuntimeEventKind, TrailKind, TrailRecord, VerdictLink,
};
use serde::{Deserialize, Serialize};

use super::extract::{JsonBody, Parameters};
use super::page;
use crate::auth::{Operate, Permitted, Read};
use crate::decide::assess;
use crate::error::{ApiError, Problem};
use crate::state::Shared;
use crate::trail;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EventQuery {
    /// A digest of the image.
    #[param(value_type = Option<String>)]
    image: Option<Digest>,
    /// Id of the container.
    container: Option<String>,
    /// Kind: exec, exit, connect, drift or lost.
    #[param(value_type = Option<String>)]
    kind: Option<RuntimeEventKind>,
    /// Only events before this one: the next page.
    before: Option<u64>,
    /// At most so many, up to 500; 100 by default.
    limit: Option<u32>,
}

/// Events, newest first.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct EventList {
    /// The events.
    #[schema(value_type = Vec<Object>)]
    events: Vec<EventRow>,
}

/// The events of running containers.
#[utoipa::path(get, path = "/events", tag = "events", params(EventQuery), security(("token" = ["security", "ci", "reader"])),
    responses((status = 200, description = "The events", body = EventList)))]
pub(super) async fn list(
    _: Permitted<Read>,
    State(shared): State<Shared>,
    Parameters(query): Parameters<EventQuery>,
) -> Result<Json<EventList>, ApiError> {
    let filter = EventFilter {
        image: query.image,
        container: query.container,
        kind: query.kind,
        before: query.before,
        limit: page(query.limit),
    };
    Ok(Json(EventList { events: shared.store.events(&filter).await? }))
}

/// What became of a batch.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct BatchAnswer {
    /// Whether it was taken before.
    repeated: bool,
    /// How many of its events were put into the ledger.
    recorded: usize,
}

/// Takes a batch of events; the same batch sent again changes nothing. Drift and losses go into the ledger.
#[utoipa::path(post, path = "/events", tag = "events", request_body = Object, security(("token" = ["agent"])), responses(
    (status = 200, description = "What became of it", body = BatchAnswer),
    (status = 422, description = "The batch cannot be used", body = Problem)))]
pub(super) async fn take(
    permitted: Permitted<Operate>,
    State(shared): State<Shared>,
    JsonBody(batch): JsonBody<RuntimeEventBatch>,
) -> Result<Json<BatchAnswer>, ApiError> {
    let invalid = |detail: String| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "batch-invalid", detail);
    if batch.events.len() > MAX_BATCH_EVENTS {
        return Err(invalid(format!("a batch has at most {MAX_BATCH_EVENTS} events")));
    }
    if batch.events.iter().any(|event| event.node != batch.node) {
        return Err(invalid("an event is of another node than its batch".to_owned()));
    }
    let _turn = shared.locks.events.lock().await;
    if shared.store.has_batch(&batch.node, &batch.spool, batch.sequence).await? {
        return Ok(Json(BatchAnswer { repeated: true, recorded: 0 }));
    }
    let mut actor = permitted.caller.actor();
    actor.claims = Some(format!("node {}", batch.node));
    let mut alerts: Vec<TrailRecord> = Vec::new();
    let mut verdicts: BTreeMap<&ImageIdentity, Option<VerdictLink>> = BTreeMap::new();
    for event in batch.events.iter().filter(|event| is_alert(event)) {
        let mut record = alert(event, &batch, &actor, &shared);
        record.verdict = match verdicts.get(&event.image) {
            Some(known) => known.clone(),
            None => {
                let standing = assess(&shared, &event.image, Point::Agent).await;
                let link = standing.verdict.map(|verdict| verdict.link.clone());
                verdicts.entry(&event.image).or_insert(link).clone()
            }
        };
        alerts.push(record);
    }
    let mut entries = shared.trail.record_all(&alerts).await?.into_iter();
    let recorded = alerts.len();
    let events: Vec<NewEvent> = batch
        .events
        .into_iter()
        .map(|event| NewEvent { entry: is_alert(&event).then(|| entries.next()).flatten(), event })
        .collect();
    let now = shared.now();
    shared.store.put_batch(&batch.node, &batch.spool, batch.sequence, now, &events).await?;
    metrics::counter!("hullmark_events_total").increment(events.len() as u64);
    Ok(Json(BatchAnswer { repeated: false, recorded }))
}

fn is_alert(event: &RuntimeEvent) -> bool {
    matches!(event.kind, RuntimeEventKind::Drift | RuntimeEventKind::Lost)
}

/// How many facts of an event its record carries, and how long their names and values are at most, in characters. Names in
/// a container are its own choice; a record must fit into a ledger entry whatever they are.
const MAX_DETAILS: usize = 16;
const MAX_DETAIL_NAME: usize = 64;
const MAX_DETAIL: usize = 512;

fn shorten(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

/// The record of an alert.
fn alert(event: &RuntimeEvent, batch: &RuntimeEventBatch, actor: &Actor, shared: &Shared) -> TrailRecord {
    let path = shorten(event.detail.get("path").map_or("", String::as_str), MAX_DETAIL);
    let message = match event.kind {
        RuntimeEventKind::Lost => format!("events of node `{}` were lost", event.node),
        _ if event.blocked => {
            format!(
                "container {} was stopped from executing `{path}`, which its image does not contain",
                event.container
            )
        }
        _ => format!("container {} executed `{path}`, which its image does not contain", event.container),
    };
    let answer = if event.blocked { Answer::Denied } else { Answer::Noted };
    let mut record = trail::note(TrailKind::Alert, Point::Agent, answer, message, actor.clone(), event.time);
    record.mode = shared.config.enforcement.modes.agent;
    let name = shorten(&event.image.name, MAX_DETAIL);
    record.image = Some(ImageIdentity { name, ..event.image.clone() });
    for (name, value) in event.detail.iter().take(MAX_DETAILS) {
        record.detail.insert(shorten(name, MAX_DETAIL_NAME), shorten(value, MAX_DETAIL));
    }
    let ancestry: Vec<String> = event
        .ancestry
        .iter()
        .take(16)
        .map(|process| format!("{} ({})", shorten(&process.name, MAX_DETAIL_NAME), process.pid))
        .collect();
    for (name, value) in [
        ("container", shorten(&event.container, MAX_DETAIL)),
        ("node", shorten(&event.node, MAX_DETAIL)),
        ("ancestry", ancestry.join(" < ")),
        ("batch", format!("{}/{}", shorten(&batch.spool, MAX_DETAIL_NAME), batch.sequence)),
    ] {
        record.detail.insert(name.to_owned(), value);
    }
    record
}
