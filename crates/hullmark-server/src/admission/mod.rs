//! The admission webhook of Kubernetes: `POST /admission/validate`.
//!
//! The order is in [`answer`]: which images are new ([`images`]), what they stand for ([`resolve`]), what is said of each
//! ([`crate::decide`]), one record, one answer ([`judged`]). There is no scan and no registry in a request: an image without
//! a verdict is a matter of `enforcement.unscanned`.
//!
//! An API server presents credentials to a webhook only when its administrator gave it some, so without
//! `admission.require_token` everybody who reaches the port may ask. A caller learns the verdict of images that it can name,
//! and nothing else; nothing is changed but the ledger, by one entry.

pub mod images;
mod judged;
pub mod manifests;
mod resolve;
pub mod review;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Json;
use axum::routing::post;
use hullmark_types::{Actor, Answer, EnforcementMode, ImageIdentity, Point};

use self::images::{NamedImage, Nothing, ToJudge};
use self::judged::Judged;
use self::resolve::Resolved;
use self::review::{Request, Response, Review, ReviewAnswer};
use crate::auth::{self, Role};
use crate::decide::{Assessment, assess};
use crate::error::ApiError;
use crate::state::Shared;

/// The routes.
pub fn router() -> Router<Shared> {
    Router::new().route("/admission/validate", post(validate))
}

async fn validate(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<ReviewAnswer>, ApiError> {
    if !shared.config.admission.enabled {
        let detail = "there is no admission webhook here: `admission.enabled` is not set";
        return Err(ApiError::new(StatusCode::NOT_FOUND, "not-found", detail));
    }
    // A token that is presented must count, also where none is demanded.
    let mut actor = Actor { name: "anonymous".to_owned(), ..Actor::default() };
    if shared.config.admission.require_token || headers.contains_key(header::AUTHORIZATION) {
        let caller = auth::authenticate(&shared, &headers).await?;
        caller.require(&[Role::Agent])?;
        actor = caller.actor();
    }
    let review = Review::parse(&body).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let user: String = review.request.user_info.username.chars().take(400).collect();
    actor.claims = Some(format!("user {user}"));
    Ok(Json(answer(&shared, &review.request, &actor).await.into()))
}

/// Answers one question. The answer is in the ledger before it is given, unless nothing was judged or the request is a
/// dry run.
pub async fn answer(shared: &Shared, request: &Request, actor: &Actor) -> Response {
    let stored = request.dry_run != Some(true);
    let images = match images::to_judge(request) {
        Ok(ToJudge::Images(images)) => images,
        Ok(ToJudge::Nothing(why)) => {
            let mut response = Response::allowed(&request.uid);
            if why == Nothing::OtherKind {
                response.warn("hullmark: objects of this kind are not judged; the webhook configuration should not send them");
            }
            return response;
        }
        Err(malformed) => {
            let message = format!("the object cannot be judged: {malformed}");
            let record = judged::malformed_record(shared, request, actor, &message);
            if stored && let Err(error) = shared.trail.record(&record).await {
                tracing::error!(%error, "an admission cannot be recorded");
            }
            if record.mode == EnforcementMode::Enforce {
                return Response::denied(&request.uid, &message);
            }
            let mut response = Response::allowed(&request.uid);
            response.warn(&format!("audit only: {message}"));
            return response;
        }
    };
    let mut all = Vec::new();
    for (named, others) in images::distinct(&images) {
        let assessment = judge(shared, named).await;
        all.push(Judged { named: named.clone(), others, assessment });
    }
    if stored {
        record(shared, request, actor, &mut all).await;
    }
    judged::response(&request.uid, &all)
}

async fn judge(shared: &Shared, named: &NamedImage) -> Assessment {
    let unnamed = || ImageIdentity { name: named.reference.clone(), ..ImageIdentity::default() };
    match resolve::resolve(shared, &named.reference).await {
        Resolved::Image(image) => assess(shared, &image, Point::Admission).await,
        Resolved::UnknownTag(image) => {
            let mut made = assess(shared, &image, Point::Admission).await;
            let fix = "; what its tag points to is not known: pull it through the registry gate, or name it by digest";
            made.reason.push_str(fix);
            made.degraded.push("tag-unresolved".to_owned());
            made
        }
        // No matter of `on_failure`: nothing failed here, and such a name starts nothing.
        Resolved::Malformed(error) => {
            let mut made = Assessment::failure(shared, Point::Admission, unnamed(), "", "name-malformed");
            made.answer = Answer::Denied;
            made.allow = made.mode == EnforcementMode::Audit;
            made.reason = format!("denied: {error}");
            made
        }
        Resolved::Failed(error) => {
            tracing::error!(cause = %crate::error::chain(&error), "a tag cannot be looked up");
            let what = "what the tag points to cannot be looked up now";
            Assessment::failure(shared, Point::Admission, unnamed(), what, "store-unreachable")
        }
    }
}

/// Records the answer; where that fails, what was allowed is a matter of `enforcement.on_failure`.
async fn record(shared: &Shared, request: &Request, actor: &Actor, all: &mut [Judged]) {
    let records = judged::records(shared, request, actor, all);
    let Err(error) = shared.trail.record_all(&records).await else { return };
    tracing::error!(%error, "an admission cannot be recorded");
    let what = "the decision cannot be recorded in the ledger";
    for judged in all.iter_mut().filter(|judged| judged.assessment.answer != Answer::Denied) {
        let image = judged.assessment.image.clone();
        let verdict = judged.assessment.verdict.take();
        judged.assessment = Assessment::failure(shared, Point::Admission, image, what, "ledger-unwritable");
        judged.assessment.verdict = verdict;
    }
}
