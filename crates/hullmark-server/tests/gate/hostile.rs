//! Registries that lie, never end, or lead elsewhere. Each is refused clearly, and nothing of it is served.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use hullmark_testkit::{Answer, Asked, OCI_INDEX, OCI_MANIFEST, RegistryBuilder, Server};
use hullmark_types::Digest;
use serde_json::{Value, json};

use crate::common::{Kit, Reply, good_image};
use crate::{count, gate, get, kit, manifest_digest, refused};

const PATH: &str = "/v2/docker.io/app/manifests/1.0";

fn upstream(change: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) -> Server {
    RegistryBuilder::new().image("library/app", "1.0", &good_image()).serve(change)
}

fn layer() -> Digest {
    Digest::sha256(&good_image().blobs()[0])
}

async fn pull(change: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) -> Reply {
    let upstream = upstream(change);
    let kit = kit(&upstream, "").await;
    let reply = get(&kit, PATH).await;
    // Whatever it is, it does not come through by other ways.
    let blob = get(&kit, &format!("/v2/docker.io/app/blobs/{}", layer())).await;
    assert_ne!(blob.status, 200);
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_with_other_bytes_or_sizes_are_refused() {
    let real = good_image().blobs().remove(0);
    let size = real.len();
    let cases: [(Vec<u8>, &str); 4] = [
        (vec![0; size], "is damaged or was changed"),
        ([real.clone(), vec![0]].concat(), "the limit is"),
        (real[..size - 1].to_vec(), "bytes; its manifest states"),
        (Vec::new(), "bytes; its manifest states"),
    ];
    for (bytes, expected) in cases {
        let reply =
            pull(move |asked| asked.path.ends_with(layer().hex()).then(|| Answer::new(200, bytes.clone())))
                .await;
        let message = refused(&reply, 403, "DENIED");
        assert!(
            message.contains("cannot be assessed") && message.contains(expected)
                || message.contains("damaged"),
            "{message}"
        );
    }
    let reply = pull(|asked| {
        asked.path.ends_with(layer().hex()).then(|| Answer { cut: Some(5), ..Answer::new(200, "0123456789") })
    })
    .await;
    assert_eq!(reply.status, 503, "{}", reply.text());
    let reply = pull(|asked| asked.path.ends_with(layer().hex()).then(|| Answer::new(404, ""))).await;
    refused(&reply, 403, "DENIED");
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_with_other_bytes_types_or_sizes_are_refused() {
    let manifest = |change: fn(&mut Value)| {
        let mut manifest: Value = serde_json::from_slice(&good_image().manifest()).unwrap();
        change(&mut manifest);
        manifest.to_string()
    };
    let cases = [
        (manifest(|_| {}), OCI_INDEX, 502, "was sent as"),
        (manifest(|m| m["manifests"] = json!([])), OCI_MANIFEST, 502, "not what its type"),
        (manifest(|m| m["mediaType"] = json!("text/html")), OCI_MANIFEST, 502, "are not passed on"),
        (manifest(|m| m["schemaVersion"] = json!(1)), OCI_MANIFEST, 502, "schema version"),
        (manifest(|m| m["Layers"] = json!([])), OCI_MANIFEST, 502, "another case"),
        (manifest(|m| m["layers"][0]["size"] = json!(7)), OCI_MANIFEST, 403, "the limit is 7"),
        (manifest(|m| m["layers"][0]["size"] = json!(1_u64 << 62)), OCI_MANIFEST, 403, "gate.cache_bytes"),
        (manifest(|m| m["layers"][0]["digest"] = json!("sha256:..")), OCI_MANIFEST, 502, "is not a digest"),
        ("<html>".to_owned(), "text/html", 502, "not valid"),
        (" ".repeat(5 << 20), OCI_MANIFEST, 502, "is larger than 4194304 bytes"),
    ];
    for (body, media_type, status, expected) in cases {
        let reply = pull(move |asked| {
            asked
                .path
                .ends_with("/1.0")
                .then(|| Answer::new(200, body.clone()).header("Content-Type", media_type))
        })
        .await;
        assert_eq!(reply.status.as_u16(), status, "{expected}: {}", reply.text());
        assert!(reply.text().contains(expected), "{expected}: {}", reply.text());
    }
    // By digest, other bytes are not what was asked for.
    let other = good_image().architecture("arm64").manifest();
    let server = upstream(move |asked| {
        asked
            .path
            .contains("/manifests/sha256:")
            .then(|| Answer::new(200, other.clone()).header("Content-Type", OCI_MANIFEST))
    });
    let kit = kit(&server, "").await;
    let reply = get(&kit, &format!("/v2/docker.io/app/manifests/{}", manifest_digest(&good_image()))).await;
    assert!(refused(&reply, 502, "MANIFEST_INVALID").contains("is damaged or was changed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_states_another_digest_is_not_believed() {
    let stated = Digest::sha256(b"another").to_string();
    let server = upstream(move |asked| {
        asked.path.ends_with("/1.0").then(|| {
            Answer::new(200, good_image().manifest())
                .header("Content-Type", OCI_MANIFEST)
                .header("Docker-Content-Digest", &stated)
        })
    });
    let kit = kit(&server, "").await;
    let reply = get(&kit, PATH).await;
    assert_eq!(reply.headers["docker-content-digest"], manifest_digest(&good_image()).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_to_internal_addresses_are_not_followed() {
    // From this machine, other machines' metadata service is one; this machine itself is not.
    for target in [
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/",
        "http://0.0.0.0/",
        "file:///etc/passwd",
    ] {
        let reply = pull(move |asked| {
            asked.path.ends_with("/1.0").then(|| Answer::new(307, "").header("Location", target))
        })
        .await;
        assert_eq!(reply.status, 502, "{target}: {}", reply.text());
        assert!(!reply.text().contains("root:"), "{target}");
        let reply = pull(move |asked| {
            asked.path.contains("/blobs/").then(|| Answer::new(307, "").header("Location", target))
        })
        .await;
        assert_eq!(reply.status, 503, "{target}: {}", reply.text());
    }
}

/// A server that answers everything with these bytes, and then again and again with `more`.
fn endless(head: &'static str, more: &'static [u8], pause: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 8192]);
                let _ = stream.write_all(head.as_bytes());
                while stream.write_all(more).is_ok() {
                    std::thread::sleep(pause);
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_and_headers_without_an_end_are_cut() {
    for (head, more, expected) in [
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"8\r\n        \r\n".as_slice(),
            "is larger than 4194304 bytes",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            b"        ".as_slice(),
            "is larger than 4194304 bytes",
        ),
        ("HTTP/1.1 200 OK\r\n", b"X-More: 0123456789\r\n".as_slice(), "cannot reach"),
    ] {
        // Eight bytes at a time take a busy machine longer than the usual wait.
        let slow = gate(&endless(head, more, Duration::ZERO), "").replace("wait = \"20s\"", "wait = \"5m\"");
        let kit = Kit::with(&slow).await;
        let reply = get(&kit, PATH).await;
        assert_eq!(reply.status, 502, "{}", reply.text());
        assert!(reply.text().contains(expected), "{}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_drips_keeps_nobody_longer_than_the_wait() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n";
    let url = endless(head, b" ", Duration::from_millis(50));
    let kit = Kit::with(&gate(&url, "").replace("wait = \"20s\"", "wait = \"1s\"")).await;
    let begun = Instant::now();
    let reply = get(&kit, PATH).await;
    refused(&reply, 503, "MANIFEST_UNKNOWN");
    assert!(reply.headers.contains_key("retry-after"));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_registry_refuses_is_told_without_making_clients_log_in() {
    for (status, expected, code) in [
        (401, 403, "DENIED"),
        (403, 403, "DENIED"),
        (429, 429, "TOOMANYREQUESTS"),
        (500, 502, "MANIFEST_UNKNOWN"),
        (404, 404, "MANIFEST_UNKNOWN"),
    ] {
        let server = Server::new(move |_| {
            Answer::new(status, "")
                .header("WWW-Authenticate", "Basic realm=\"upstream\"")
                .header("Retry-After", "0")
        });
        let kit = kit(&server, "").await;
        let reply = get(&kit, PATH).await;
        refused(&reply, expected, code);
        assert!(!reply.headers.contains_key("www-authenticate"));
        assert_eq!(reply.headers.contains_key("retry-after"), status == 429);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_cannot_be_scanned_is_not_fetched_again_at_once() {
    let server =
        upstream(|asked| asked.path.ends_with(layer().hex()).then(|| Answer::new(200, "other bytes")));
    let kit = kit(&server, "").await;
    for _ in 0..5 {
        refused(&get(&kit, PATH).await, 403, "DENIED");
    }
    assert_eq!(count(&server, layer().hex()), 1);
}
