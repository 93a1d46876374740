//! The registry gate, against registries on the loopback interface that are well-behaved, hostile, slow or away.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "tests fail by panicking"
)]

mod clients;
#[path = "../common/mod.rs"]
mod common;
mod crowd;
mod denied;
mod hostile;
mod modes;
mod pull;

use axum::body::Body;
use axum::http::Request;
use common::{Kit, Reply};
use hullmark_testkit::{ImageBuilder, Server};
use hullmark_types::Digest;

/// The configuration of a gate before one registry, which it calls `docker.io`.
fn gate(upstream: &str, more: &str) -> String {
    format!(
        "{more}\n[gate]\nenabled = true\nanonymous = true\nwait = \"20s\"\ntag_ttl = \"1h\"\n\
         [gate.upstreams.\"docker.io\"]\nurl = \"{upstream}\"\n"
    )
}

/// A server with a gate before a registry.
async fn kit(upstream: &Server, more: &str) -> Kit {
    Kit::with(&gate(&upstream.url(), more)).await
}

async fn ask(kit: &Kit, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    kit.ask(request.body(Body::empty()).unwrap()).await
}

async fn get(kit: &Kit, path: &str) -> Reply {
    ask(kit, "GET", path, &[]).await
}

/// A header as text; empty when it is not there.
fn header<'a>(reply: &'a Reply, name: &str) -> &'a str {
    reply.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// Checks that an answer is an error of the specification with this status and code; gives its message.
#[track_caller]
fn refused(reply: &Reply, status: u16, code: &str) -> String {
    assert_eq!(reply.status.as_u16(), status, "{}", reply.text());
    let error = &reply.json()["errors"][0];
    assert_eq!(error["code"], code, "{}", reply.text());
    error["message"].as_str().unwrap().to_owned()
}

fn manifest_digest(image: &ImageBuilder) -> Digest {
    Digest::sha256(&image.manifest())
}

/// How many requests an upstream got for a path that contains `part`.
fn count(upstream: &Server, part: &str) -> usize {
    upstream.asked().iter().filter(|asked| asked.path.contains(part)).count()
}
