//! How long an admission takes: 50 containers with verdicts stored, beside the same request answered by a bare handler of
//! the same framework in the same process.
//!
//! `cargo bench -p hullmark-server --bench admission -- [REQUESTS]`
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program for developers")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::response::Json;
use axum::routing::post;
use common::Kit;
use hullmark_store::TagRow;
use hullmark_testkit::{ImageBuilder, TarBuilder};
use hullmark_types::Stage;
use serde_json::{Value, json};

const CONTAINERS: usize = 50;

const CONFIGURATION: &str = "
[admission]
enabled = true
[gate.upstreams.\"docker.io\"]
url = \"https://registry-1.docker.io\"
";

fn main() {
    // `cargo bench` passes `--bench`, and `cargo test` runs this with `--test`, where a few requests are enough.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given = arguments.iter().find_map(|argument| argument.parse().ok());
    let requests =
        given.unwrap_or(if arguments.iter().any(|argument| argument == "--bench") { 5000 } else { 20 });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (kit, digests) = runtime.block_on(prepare());
    let by_digest: Vec<String> =
        digests.iter().map(|digest| format!("docker.io/library/app@{digest}")).collect();
    let by_tag: Vec<String> = (0..CONTAINERS).map(|number| format!("app:{number}")).collect();
    let bare = runtime.block_on(bare());

    println!(
        "{requests} requests each, {CONTAINERS} containers with {CONTAINERS} different images, one connection"
    );
    println!("{:<44} {:>8} {:>8} {:>8} {:>8}", "", "p50", "p90", "p99", "max");
    // In turns, so that what else the machine does hits all alike.
    let cases = [
        ("bare handler", bare, review(&by_digest, false)),
        ("admission, by digest, dry run", kit.address, review(&by_digest, true)),
        ("admission, by digest, recorded", kit.address, review(&by_digest, false)),
        ("admission, by tag, recorded", kit.address, review(&by_tag, false)),
    ];
    let mut clients: Vec<Client> = cases.iter().map(|(_, address, _)| Client::new(*address)).collect();
    let mut times = vec![Vec::new(); cases.len()];
    for round in 0..=requests {
        for ((client, times), (name, _, body)) in clients.iter_mut().zip(&mut times).zip(&cases) {
            let start = Instant::now();
            let answer = client.post("/admission/validate", body);
            let elapsed = start.elapsed();
            assert!(answer.contains("\"allowed\":true"), "{name}: {answer}");
            // The first one opens files and fills caches.
            if round > 0 {
                times.push(elapsed);
            }
        }
    }
    for ((name, ..), times) in cases.iter().zip(&mut times) {
        times.sort_unstable();
        let at = |share: f64| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "small"
            )]
            let position = ((times.len() as f64 * share).ceil() as usize).saturating_sub(1);
            milliseconds(times.get(position).copied().unwrap_or_default())
        };
        println!("{name:<44} {:>8} {:>8} {:>8} {:>8}", at(0.5), at(0.9), at(0.99), at(1.0));
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

/// A server that knows [`CONTAINERS`] images by digest and by tag, and has their verdicts.
async fn prepare() -> (Kit, Vec<String>) {
    let kit = Kit::with(CONFIGURATION).await;
    let mut digests = Vec::new();
    for number in 0..CONTAINERS {
        let image = ImageBuilder::new()
            .layer(common::alpine("1.1.18-r4"), "ADD rootfs.tar in /")
            .layer(TarBuilder::new().file("etc/number", number.to_string()).finish(), "COPY number /etc");
        let report = kit.scan(&image, Stage::Deploy).await;
        let digest = report.inventory.subject.manifest.unwrap();
        let row = TagRow {
            upstream: "docker.io".to_owned(),
            repository: "library/app".to_owned(),
            tag: number.to_string(),
            digest: digest.clone(),
            seen_at: kit.clock.now(),
        };
        kit.shared.store.put_tag(&row).await.unwrap();
        digests.push(digest.to_string());
    }
    (kit, digests)
}

/// Reads the same request and gives an answer of the same form.
async fn bare() -> SocketAddr {
    let handler = |body: Bytes| async move {
        let review: Value = serde_json::from_slice(&body).unwrap();
        let uid = review.pointer("/request/uid").cloned().unwrap_or_default();
        Json(
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": uid, "allowed": true}}),
        )
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new().route("/admission/validate", post(handler));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

fn review(images: &[String], dry_run: bool) -> String {
    let containers: Vec<Value> = images
        .iter()
        .enumerate()
        .map(
            |(number, image)| json!({"name": format!("container-{number}"), "image": image, "resources": {}}),
        )
        .collect();
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "operation": "CREATE", "namespace": "shop", "name": "demo", "userInfo": {"username": "alice"},
        "object": {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "demo"}, "spec": {"containers": containers}},
        "oldObject": null, "dryRun": dry_run,
    }})
    .to_string()
}

/// One connection that stays open, as an API server keeps it.
struct Client {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
}

impl Client {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { address, stream: BufReader::new(stream) }
    }

    fn post(&mut self, path: &str, body: &str) -> String {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }
}
