//! A server for tests: on a loopback port, in a directory of its own, with a small database and a clock that stands.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::allow_attributes,
    reason = "each test file uses a part of this"
)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use hullmark_advisory::{LocalFetcher, NoProgress, UpdateOptions, config, update};
use hullmark_engine::Asker;
use hullmark_report::{ScanReport, Tool};
use hullmark_server::auth::Role;
use hullmark_server::tokens::{Desk, NewToken, initialise};
use hullmark_server::{Config, Environment, Shared, open, router};
use hullmark_testkit::{FeedBuilder, ImageBuilder, TarBuilder};
use hullmark_types::{Actor, ImageProfile, Inventory, Point, Stage};
use jiff::Timestamp;
use serde_json::Value;
use tower::ServiceExt;

/// The time at which tests run.
pub const NOW: &str = "2026-01-02T00:00:00Z";

/// A clock that stands until it is moved.
#[derive(Clone)]
pub struct StandingClock(Arc<AtomicI64>);

impl StandingClock {
    pub fn new() -> Self {
        let now: Timestamp = NOW.parse().unwrap();
        Self(Arc::new(AtomicI64::new(now.as_second())))
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
    }

    pub fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

/// A running server.
pub struct Kit {
    pub directory: Arc<tempfile::TempDir>,
    pub shared: Shared,
    pub address: SocketAddr,
    pub clock: StandingClock,
    /// The first admin token.
    pub admin: String,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Kit {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The surroundings of a test: the clock, and random bytes that differ from call to call.
pub fn environment(clock: &StandingClock) -> Environment {
    let clock = clock.clone();
    Environment {
        clock: Arc::new(move || clock.now()),
        entropy: Arc::new(|bytes| getrandom::fill(bytes).map_err(std::io::Error::other)),
        tool: Tool { name: "hullmark".to_owned(), version: "0.0.0".to_owned() },
        binary: None,
    }
}

impl Kit {
    /// A server with the smallest configuration.
    pub async fn start() -> Self {
        Self::with("").await
    }

    /// A server with further configuration (TOML tables after `[server]` and `[database]`).
    pub async fn with(more: &str) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let clock = StandingClock::new();
        build_database(directory.path(), &[("musl", "1.1.18-r4", &["CVE-2019-14697"])]);
        let data = directory.path().join("data");
        let admin = initialise(&data, "root", &environment(&clock)).await.unwrap();
        Self::run(directory, clock, admin.expose().to_owned(), more).await
    }

    /// Starts a server on a directory that was set up.
    pub async fn run(
        directory: Arc<tempfile::TempDir>,
        clock: StandingClock,
        admin: String,
        more: &str,
    ) -> Self {
        let config = Config::parse("test.toml", &configuration(directory.path(), more)).unwrap();
        let shared = open(config, environment(&clock)).await.unwrap();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = router(shared.clone());
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { directory, shared, address, clock, admin, task }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The address of the server, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes a token with a role.
    pub async fn token(&self, role: Role) -> String {
        static NUMBER: Mutex<u32> = Mutex::new(0);
        let number = {
            let mut number = NUMBER.lock().unwrap();
            *number += 1;
            *number
        };
        let desk = Desk {
            store: &*self.shared.store,
            trail: &self.shared.trail,
            point: Point::Api,
            actor: Actor { name: "test".to_owned(), ..Actor::default() },
            now: self.clock.now(),
        };
        let new = NewToken { name: format!("{}-{number}", role.name()), role, expires_at: None };
        let (secret, _) = desk.create(&new, &*self.shared.entropy).await.unwrap();
        secret.expose().to_owned()
    }

    /// Asks the router, without a connection.
    pub async fn ask(&self, request: Request<Body>) -> Reply {
        let response = router(self.shared.clone()).oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.into_body().collect().await.unwrap().to_bytes().to_vec();
        Reply { status, headers, body }
    }

    pub async fn get(&self, path: &str, token: &str) -> Reply {
        self.send("GET", path, token, None).await
    }

    pub async fn post(&self, path: &str, token: &str, body: &Value) -> Reply {
        self.send("POST", path, token, Some(body)).await
    }

    pub async fn send(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(serde_json::to_vec(body).unwrap())
            }
            None => Body::empty(),
        };
        self.ask(request.body(body).unwrap()).await
    }

    /// Takes an image in as if the server had scanned it.
    pub async fn scan(&self, image: &ImageBuilder, stage: Stage) -> ScanReport {
        let (inventory, profile) = self.inventory(image);
        self.shared.judge.scan(inventory, Some(profile), stage, Asker::default()).await.unwrap()
    }

    /// The inventory and profile of an image.
    pub fn inventory(&self, image: &ImageBuilder) -> (Inventory, ImageProfile) {
        let layout = tempfile::tempdir_in(self.directory.path()).unwrap();
        image.oci_layout(layout.path());
        let target =
            hullmark_engine::Target::parse(&format!("oci-layout:{}", layout.path().display())).unwrap();
        let options = hullmark_image::AcquireOptions::new(hullmark_http::ClientOptions::default());
        let acquire = hullmark_engine::Acquire {
            target: &target,
            options: &options,
            progress: &hullmark_image::NoProgress,
            cache: None,
            bases: None,
        };
        let (inventory, profile) = hullmark_engine::take_inventory_with_profile(&acquire).unwrap();
        (inventory, profile.unwrap())
    }

    /// All entries of the ledger, as JSON.
    pub fn ledger(&self) -> Vec<Value> {
        self.shared.trail.publication().unwrap().wait().unwrap();
        let ledger = hullmark_ledger::Ledger::open_read_only(&self.shared.config.ledger_directory()).unwrap();
        ledger.entries().map(|entry| serde_json::from_slice(&entry.unwrap().1).unwrap()).collect()
    }
}

/// What was answered.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Checks the status and gives the body.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert!(self.status.is_success(), "{}: {}", self.status, self.text());
        if self.body.is_empty() { Value::Null } else { self.json() }
    }
}

/// A configuration for a directory that [`Kit`] set up.
pub fn configuration(directory: &Path, more: &str) -> String {
    let directory = directory.display();
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ndata_directory = \"{directory}/data\"\nplain_http = true\n\
         [database]\nfile = \"{directory}/a.db\"\n{more}"
    )
}

/// Builds `a.db` in a directory, from a feed of Alpine 3.7 with these fixes. CVE-2019-14697 is known to be exploited.
pub fn build_database(directory: &Path, fixes: &[(&str, &str, &[&str])]) {
    let feeds = tempfile::tempdir_in(directory).unwrap();
    let _ = FeedBuilder::new(feeds.path()).alpine("v3.7", "main", fixes).kev(&["CVE-2019-14697"]);
    let configs = config::layout(&feeds.path().display().to_string()).unwrap();
    let options = UpdateOptions {
        fetcher: &LocalFetcher,
        previous: None,
        now: NOW.parse().unwrap(),
        threads: 1,
        cache: None,
        progress: &NoProgress,
    };
    let (builder, report) = update(&configs, &options).unwrap();
    assert!(report.is_any_updated(), "{report:?}");
    builder.write_atomically(&directory.join("a.db")).unwrap();
}

/// An Alpine image with the vulnerable musl 1.1.18-r3; the default policy fails it at build, ship and deploy.
pub fn bad_image() -> ImageBuilder {
    ImageBuilder::new().layer(alpine("1.1.18-r3"), "ADD rootfs.tar in /")
}

/// The same with the fixed musl 1.1.18-r4.
pub fn good_image() -> ImageBuilder {
    ImageBuilder::new().layer(alpine("1.1.18-r4"), "ADD rootfs.tar in /")
}

/// The layer of a small Alpine.
pub fn alpine(musl: &str) -> Vec<u8> {
    TarBuilder::new()
        .file("etc/os-release", "ID=alpine\nVERSION_ID=3.7.3\nPRETTY_NAME=\"Alpine Linux\"\n")
        .file("etc/alpine-release", "3.7.3\n")
        .executable("bin/tool", "#!/bin/sh\necho tool\n")
        .file(
            "lib/apk/db/installed",
            format!("P:musl\nV:{musl}\nA:x86_64\no:musl\nL:MIT\nF:lib\nR:ld-musl-x86_64.so.1\n\n"),
        )
        .finish()
}
