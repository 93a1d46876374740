//! The registry gate: a read-only, pull-through proxy of the OCI distribution protocol that lets only allowed images out.
//!
//! [`Gate`] holds what the gate keeps (upstreams, blob cache, what is in memory); a [`Pull`] is one request on it. A request
//! is understood by [`route`], a manifest is fetched by [`upstream`], judged by [`assess`] (and scanned by [`scan`] when it
//! was not), and the decision is written by [`record`] before [`answer`] or [`blob`] tell it. Nothing else lets a byte out.

mod answer;
mod assess;
mod blob;
mod cache;
pub mod client_config;
mod decision;
mod document;
mod error;
mod flight;
mod lists;
mod lru;
mod record;
mod route;
mod scan;
mod unambiguous;
mod upstream;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use hullmark_image::ImageError;
use hullmark_types::{Digest, Platform, PlatformError};
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::error::chain;
use crate::state::{Clock, Shared};
use crate::trail::{Trail, TrailError};
use cache::BlobCache;
use document::Document;
use error::{Code, OciError};
use flight::Flights;
use lru::Lru;
use record::{Key, Repeats};
use route::Place;
use upstream::{Failure, Tagged, Upstream};

/// How long it is remembered that an image cannot be scanned.
const FAILURE_REMEMBERED: Duration = Duration::from_secs(30);

/// Memory for manifests, in bytes.
const DOCUMENT_MEMORY: u64 = 64 << 20;

/// How many of each small fact are remembered.
const FACTS: u64 = 16_384;

/// How many images are taken apart at the same time.
const SCANS: usize = 4;

/// How many pulls may wait for work of one kind.
const WAITING: usize = 4096;

/// How often counts of decisions are looked at.
const FLUSH: Duration = Duration::from_secs(30);

/// The gate cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// An upstream cannot be used.
    #[error("the upstream registry `{name}` cannot be used")]
    Upstream {
        /// Its name.
        name: String,
        /// Why.
        source: Box<ImageError>,
    },
    /// The cache of blobs cannot be opened.
    #[error("the blob cache cannot be opened")]
    Cache(#[from] std::io::Error),
    /// A configured platform is none.
    #[error("`gate.platforms` cannot be used")]
    Platform(#[from] PlatformError),
    /// There is no upstream.
    #[error("`gate.enabled` is true, and `gate.upstreams` names no registry")]
    NoUpstreams,
    /// The work was broken off.
    #[error("the work was broken off")]
    Task(#[from] tokio::task::JoinError),
}

type TagKey = (Place, String, String);

type Found = Result<Arc<Document>, OciError>;

/// A blob as one upstream has it: name of the upstream, digest, size.
type BlobKey = (String, Digest, u64);

type Done = Result<(), Failure>;

/// What the gate keeps.
pub struct Gate {
    upstreams: BTreeMap<String, Arc<Upstream>>,
    platforms: Vec<Platform>,
    cache: Arc<BlobCache>,
    results_bytes: u64,
    documents: Mutex<Lru<Digest, Arc<Document>>>,
    /// Which manifests are in which repository.
    present: Mutex<Lru<(Place, Digest), ()>>,
    tags: Mutex<Lru<TagKey, (Digest, Instant)>>,
    failures: Mutex<Lru<(Place, Digest), (Failure, Instant)>>,
    /// The manifest by which a blob was served last.
    reached: Mutex<Lru<(Place, Digest), Digest>>,
    /// What artifacts are about by the tag under which they were fetched.
    subjects: Mutex<Lru<(Place, Digest), Digest>>,
    /// Whether all blobs of an artifact are text.
    texts: Mutex<Lru<Digest, bool>>,
    document_flights: Arc<Flights<(Place, Digest), Found>>,
    tag_flights: Arc<Flights<TagKey, Result<Tagged, OciError>>>,
    blob_flights: Arc<Flights<BlobKey, Done>>,
    scan_flights: Arc<Flights<(Place, Digest), Done>>,
    record_flights: Arc<Flights<Key, Result<u64, TrailError>>>,
    scan_permits: Semaphore,
    streams: Arc<AtomicUsize>,
    repeats: Repeats,
    trail: Trail,
    clock: Clock,
}

impl Gate {
    /// Opens the gate; nothing when it is not enabled.
    ///
    /// # Errors
    /// When an upstream or the cache cannot be used.
    pub async fn open(config: &Config, trail: Trail, clock: Clock) -> Result<Option<Arc<Self>>, GateError> {
        if !config.gate.enabled {
            return Ok(None);
        }
        if config.gate.upstreams.is_empty() {
            return Err(GateError::NoUpstreams);
        }
        let platforms = config.gate.platforms.iter().map(|text| text.parse());
        let platforms = platforms.collect::<Result<Vec<Platform>, _>>()?;
        let (upstreams, limit) = (config.gate.upstreams.clone(), config.gate.cache_bytes);
        let directory = config.server.data_directory.join("gate");
        let opened = tokio::task::spawn_blocking(move || {
            let mut clients = BTreeMap::new();
            for (name, config) in upstreams {
                let client = upstream::client(&name, &config)
                    .map_err(|source| GateError::Upstream { name: name.clone(), source: Box::new(source) })?;
                clients.insert(name, Arc::new(Upstream::new(client)));
            }
            Ok::<_, GateError>((clients, BlobCache::open(&directory, limit)?))
        });
        let (upstreams, cache) = opened.await??;
        let gate = Arc::new(Self {
            upstreams,
            platforms,
            cache: Arc::new(cache),
            results_bytes: config.gate.results_bytes,
            documents: Mutex::new(Lru::new(DOCUMENT_MEMORY)),
            present: Mutex::new(Lru::new(FACTS)),
            tags: Mutex::new(Lru::new(FACTS)),
            failures: Mutex::new(Lru::new(FACTS)),
            reached: Mutex::new(Lru::new(FACTS)),
            subjects: Mutex::new(Lru::new(FACTS)),
            texts: Mutex::new(Lru::new(FACTS)),
            document_flights: Flights::new(WAITING),
            tag_flights: Flights::new(WAITING),
            blob_flights: Flights::new(WAITING),
            scan_flights: Flights::new(WAITING),
            record_flights: Flights::new(WAITING),
            scan_permits: Semaphore::new(SCANS),
            streams: Arc::default(),
            repeats: Repeats::default(),
            trail,
            clock,
        });
        let weak = Arc::downgrade(&gate);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(FLUSH).await;
                // Ends with the gate.
                let Some(gate) = weak.upgrade() else { return };
                gate.flush(false).await;
            }
        });
        Ok(Some(gate))
    }

    fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of base images, beside the blobs.
    fn bases(&self) -> hullmark_inventory::BaseIndex {
        hullmark_inventory::BaseIndex::at(self.cache.root().join("bases"))
    }

    /// What was found in layers before, in the store of blobs. Without it everything is read again.
    fn results(&self, now: jiff::Timestamp) -> Option<hullmark_cache::Cache> {
        match hullmark_cache::Cache::open(&self.cache.root().join("results"), now) {
            Ok(cache) => Some(cache.bounded(self.results_bytes)),
            Err(error) => {
                tracing::warn!(error = chain(&error), "results of layers are not kept");
                None
            }
        }
    }

    /// How many bodies are being sent.
    fn streaming(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.upstreams.keys().collect();
        write!(formatter, "Gate({names:?}, {} bytes cached)", self.cache.total())
    }
}

/// One request. Cheap to clone, so that work goes on when its client has gone.
#[derive(Clone)]
pub(crate) struct Pull {
    shared: Shared,
    gate: Arc<Gate>,
}

impl Pull {
    fn new(shared: &Shared) -> Option<Self> {
        Some(Self { gate: Arc::clone(shared.gate.as_ref()?), shared: shared.clone() })
    }
}

/// The routes. Without a gate they answer 404.
pub fn router() -> Router<Shared> {
    Router::new().route("/v2", any(serve)).route("/v2/", any(serve)).route("/v2/{*path}", any(serve))
}

/// Writes what was counted and not recorded yet; for the end of the server.
pub async fn finish(shared: &Shared) {
    if let Some(gate) = &shared.gate {
        gate.flush(true).await;
    }
}

async fn serve(State(shared): State<Shared>, request: Request) -> Response {
    let Some(pull) = Pull::new(&shared) else {
        return OciError::new(404, Code::Unsupported, "this server has no registry gate").into_response();
    };
    let mut response = pull.answer(request).await.unwrap_or_else(IntoResponse::into_response);
    let version = axum::http::HeaderValue::from_static("registry/2.0");
    response.headers_mut().insert("docker-distribution-api-version", version);
    let status = response.status().as_u16().to_string();
    metrics::counter!("hullmark_gate_requests_total", "status" => status).increment(1);
    response
}
