//! Many at once, slow ones, and ones that stall.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hullmark_testkit::{Compression, ImageBuilder, RegistryBuilder, TarBuilder};
use hullmark_types::Digest;

use crate::common::{Kit, bad_image, good_image};
use crate::{ask, count, gate, get, kit, manifest_digest, refused};

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_first_pulls_are_one_fetch_and_one_scan() {
    for (image, status) in [(good_image(), 200), (bad_image(), 403)] {
        let upstream = RegistryBuilder::new().image("library/app", "1.0", &image).serve(|_| {
            std::thread::sleep(Duration::from_millis(50));
            None
        });
        let kit = Arc::new(kit(&upstream, "").await);
        let mut pulls = tokio::task::JoinSet::new();
        for number in 0..200 {
            let kit = Arc::clone(&kit);
            let name = if number % 2 == 0 { "1.0".to_owned() } else { manifest_digest(&image).to_string() };
            pulls.spawn(async move { get(&kit, &format!("/v2/docker.io/app/manifests/{name}")).await });
        }
        while let Some(reply) = pulls.join_next().await {
            assert_eq!(reply.unwrap().status, status);
        }
        for blob in image.blobs().into_iter().chain([image.config()]) {
            assert_eq!(count(&upstream, Digest::sha256(&blob).hex()), 1);
        }
        // Once by tag and once by digest, as nobody knew that they are the same.
        assert_eq!(count(&upstream, "/manifests/1.0"), 1);
        assert!(count(&upstream, "/manifests/sha256:") <= 1);
        let ledger = kit.ledger();
        let of = |kind: &str| ledger.iter().filter(|entry| entry["kind"] == kind).count();
        assert_eq!((of("verdict"), of("decision")), (1, 1));
        // All the blobs afterwards come from here.
        let before = upstream.asked().len();
        for blob in image.blobs() {
            let reply = get(&kit, &format!("/v2/docker.io/app/blobs/{}", Digest::sha256(&blob))).await;
            assert_eq!(reply.status, status);
        }
        assert_eq!(upstream.asked().len(), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scan_goes_on_when_the_first_pull_has_waited_long_enough() {
    let held = Arc::new(AtomicBool::new(true));
    let hold = Arc::clone(&held);
    let upstream = RegistryBuilder::new().image("library/app", "1.0", &good_image()).serve(move |asked| {
        while asked.path.contains("/blobs/") && hold.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    });
    let kit = Kit::with(&gate(&upstream.url(), "").replace("wait = \"20s\"", "wait = \"2s\"")).await;
    let begun = Instant::now();
    let reply = get(&kit, "/v2/docker.io/app/manifests/1.0").await;
    let message = refused(&reply, 503, "DENIED");
    assert!(message.contains("is being scanned") && reply.headers.contains_key("retry-after"), "{message}");
    assert!(begun.elapsed() < Duration::from_secs(15));
    assert_eq!(kit.ledger().pop().unwrap()["degraded"], serde_json::json!(["scan-pending"]));
    held.store(false, Ordering::SeqCst);
    let mut status = 503;
    while status == 503 && begun.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        status = get(&kit, "/v2/docker.io/app/manifests/1.0").await.status.as_u16();
    }
    assert_eq!(status, 200);
    for blob in [good_image().config(), good_image().blobs().remove(0)] {
        assert_eq!(count(&upstream, Digest::sha256(&blob).hex()), 1);
    }
}

/// An image with a layer of so many bytes that do not compress.
pub fn large(bytes: usize) -> ImageBuilder {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let content: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take(bytes / 8)
    .flatten()
    .collect();
    good_image()
        .layer(TarBuilder::new().file("large", content).finish(), "COPY large")
        .compression(Compression::None)
}

fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_pulls_that_stall_take_bounded_memory_and_stop_nobody() {
    let image = large(64 << 20);
    let layer = Digest::sha256(&image.blobs()[1]);
    let upstream = RegistryBuilder::new().image("library/app", "1.0", &image).serve(|_| None);
    let kit = kit(&upstream, "").await;
    assert_eq!(get(&kit, "/v2/docker.io/app/manifests/1.0").await.status, 200);
    // As `hullmark serve` serves: with small buffers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = axum_server::from_tcp(listener).unwrap();
    server.http_builder().http1().max_buf_size(64 * 1024);
    let routes = hullmark_server::router(kit.shared.clone()).into_make_service();
    let served = tokio::spawn(async move { server.serve(routes).await });
    let before = resident();
    let path = format!("GET /v2/docker.io/app/blobs/{layer} HTTP/1.1\r\nHost: x\r\n\r\n");
    let stalled = tokio::task::spawn_blocking(move || {
        let mut streams = Vec::new();
        for _ in 0..1000 {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(path.as_bytes()).unwrap();
            streams.push(stream);
        }
        // Each has an answer that goes on; none reads it.
        for stream in &mut streams {
            let mut head = [0; 15];
            stream.read_exact(&mut head).unwrap();
            assert_eq!(&head, b"HTTP/1.1 200 OK");
        }
        streams
    });
    let stalled = stalled.await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let grown = resident().saturating_sub(before);
    eprintln!("{} MiB for {} stalled pulls", grown >> 20, stalled.len());
    assert!(grown < 384 << 20, "{} MiB for {} stalled pulls", grown >> 20, stalled.len());
    let begun = Instant::now();
    let part =
        ask(&kit, "GET", &format!("/v2/docker.io/app/blobs/{layer}"), &[("range", "bytes=1000-1999")]).await;
    assert_eq!((part.status.as_u16(), part.body.len()), (206, 1000));
    assert_eq!(get(&kit, "/v2/docker.io/app/manifests/1.0").await.status, 200);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    served.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_images_share_is_read_once() {
    let shared = good_image();
    let added = good_image().layer(TarBuilder::new().file("x", vec![1; 1000]).finish(), "COPY");
    let upstream = RegistryBuilder::new()
        .image("library/app", "1", &shared)
        .image("library/app", "2", &added)
        .serve(|_| None);
    let kit = kit(&upstream, "").await;
    let layers = || {
        let groups = std::fs::read_dir(kit.path("data/gate/results/layer")).unwrap();
        groups.map(|group| std::fs::read_dir(group.unwrap().path()).unwrap().count()).sum::<usize>()
    };
    for (tag, expected) in [("1", shared.blobs().len()), ("2", shared.blobs().len() + 1)] {
        assert_eq!(get(&kit, &format!("/v2/docker.io/app/manifests/{tag}")).await.status, 200);
        assert_eq!(layers(), expected, "{tag}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_is_bounded_and_what_made_room_is_fetched_again() {
    let images = [1, 2, 3].map(|number| {
        good_image()
            .layer(TarBuilder::new().file("x", vec![number; 40_000]).finish(), "COPY")
            .compression(Compression::None)
    });
    let upstream = images
        .iter()
        .zip(["1", "2", "3"])
        .fold(RegistryBuilder::new(), |registry, (image, tag)| registry.image("library/app", tag, image))
        .serve(|_| None);
    let config = gate(&upstream.url(), "").replace("[gate]\n", "[gate]\ncache_bytes = 110000\n");
    let kit = Kit::with(&config).await;
    let size = || {
        let files = std::fs::read_dir(kit.path("data/gate/blobs/sha256")).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>()
    };
    for tag in ["1", "2", "3"] {
        assert_eq!(get(&kit, &format!("/v2/docker.io/app/manifests/{tag}")).await.status, 200);
        assert!(size() <= 110_000, "{}", size());
    }
    let first = &images[0].blobs()[1];
    let path = format!("/v2/docker.io/app/blobs/{}", Digest::sha256(first));
    assert_eq!(count(&upstream, Digest::sha256(first).hex()), 1);
    assert_eq!(ask(&kit, "HEAD", &path, &[]).await.headers["content-length"], first.len().to_string());
    assert_eq!(count(&upstream, Digest::sha256(first).hex()), 1);
    assert_eq!(&get(&kit, &path).await.body, first);
    assert_eq!(count(&upstream, Digest::sha256(first).hex()), 2);
    // An image that is larger than everything is refused with the reason.
    let big = gate(&upstream.url(), "").replace("[gate]\n", "[gate]\ncache_bytes = 1000\n");
    let kit = Kit::with(&big).await;
    let message = refused(&get(&kit, "/v2/docker.io/app/manifests/1").await, 403, "DENIED");
    assert!(message.contains("`gate.cache_bytes` is 1000"), "{message}");
}
