//! Audit mode, and what is answered when something fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hullmark_testkit::{Answer, RegistryBuilder, Server};
use hullmark_types::Digest;
use serde_json::json;

use crate::common::{Kit, bad_image, good_image};
use crate::{ask, gate, get, header, kit, manifest_digest, refused};

const PATH: &str = "/v2/docker.io/app/manifests/1.0";

fn upstream() -> Server {
    RegistryBuilder::new()
        .image("library/app", "1.0", &bad_image())
        .image("library/app", "good", &good_image())
        .serve(|_| None)
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_mode_passes_and_warns() {
    let upstream = upstream();
    let kit = kit(&upstream, "[enforcement]\nmodes = { registry_gate = \"audit\" }\n").await;
    let blob = bad_image().blobs().remove(0);
    for (path, body) in [
        (PATH.to_owned(), bad_image().manifest()),
        (format!("/v2/docker.io/app/blobs/{}", Digest::sha256(&blob)), blob),
    ] {
        let reply = get(&kit, &path).await;
        assert_eq!((reply.status.as_u16(), &reply.body), (200, &body));
        let warning = header(&reply, "warning");
        assert!(
            warning.starts_with("299 - \"not enforced: denied by rule `")
                && warning.contains("CVE-2019-14697"),
            "{warning}"
        );
    }
    let referrers =
        get(&kit, &format!("/v2/docker.io/app/referrers/{}", manifest_digest(&bad_image()))).await;
    assert!(header(&referrers, "warning").starts_with("299 - "));
    let record = kit.ledger().pop().unwrap();
    assert_eq!((&record["answer"], &record["mode"]), (&json!("denied"), &json!("audit")));
    assert_eq!(header(&get(&kit, "/v2/docker.io/app/manifests/good").await, "warning"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_cannot_be_scanned_is_denied_or_passed_as_configured() {
    for (open, status) in [(false, 403), (true, 200)] {
        // A layer that is there, and whose bytes are not what the configuration says.
        let mut manifest: serde_json::Value = serde_json::from_slice(&good_image().manifest()).unwrap();
        let wrong = String::from_utf8(good_image().config()).unwrap().replace("\"rootfs\"", "\"rootfs_\"");
        manifest["config"]["digest"] = json!(Digest::sha256(wrong.as_bytes()).to_string());
        manifest["config"]["size"] = json!(wrong.len());
        let upstream = RegistryBuilder::new()
            .image("library/app", "good", &good_image())
            .blob("library/app", wrong.as_bytes())
            .manifest(
                "library/app",
                Some("1.0"),
                hullmark_testkit::OCI_MANIFEST,
                manifest.to_string().as_bytes(),
            )
            .serve(|_| None);
        let mode = if open { "[enforcement]\non_failure = \"open\"\n" } else { "" };
        let kit = kit(&upstream, mode).await;
        let reply = get(&kit, PATH).await;
        assert_eq!(reply.status.as_u16(), status, "{}", reply.text());
        let record = kit.ledger().pop().unwrap();
        assert_eq!(record["degraded"], json!(["scan-failed"]));
        assert_eq!(record["answer"], if open { "allowed" } else { "denied" });
        let told = if open { header(&reply, "warning").to_owned() } else { reply.text() };
        assert!(told.contains("diff_ids"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_cannot_be_written_closes_the_gate() {
    let upstream = upstream();
    let kit = kit(&upstream, "").await;
    // Blobs cannot be put where they belong.
    let directory = kit.path("data/gate/temporary");
    std::fs::remove_dir_all(&directory).unwrap();
    std::fs::write(&directory, "").unwrap();
    let message = refused(&get(&kit, "/v2/docker.io/app/manifests/good").await, 503, "DENIED");
    assert!(message.contains("the blob cache cannot be written"), "{message}");
    assert_eq!(kit.ledger().pop().unwrap()["degraded"], json!(["disk-failed"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_away_is_answered_from_what_is_here() {
    let away = Arc::new(AtomicBool::new(false));
    let is_away = Arc::clone(&away);
    let upstream = RegistryBuilder::new()
        .image("library/app", "1.0", &good_image())
        .serve(move |_| is_away.load(Ordering::SeqCst).then(|| Answer::new(503, "")));
    let kit = Kit::with(&gate(&upstream.url(), "").replace("tag_ttl = \"1h\"", "tag_ttl = \"0ms\"")).await;
    assert_eq!(get(&kit, PATH).await.status, 200);
    away.store(true, Ordering::SeqCst);
    let reply = get(&kit, PATH).await;
    assert_eq!((reply.status.as_u16(), reply.body), (200, good_image().manifest()));
    assert_eq!(kit.ledger().pop().unwrap()["degraded"], json!(["upstream-unreachable"]));
    refused(&get(&kit, "/v2/docker.io/app/manifests/2.0").await, 502, "MANIFEST_UNKNOWN");
    // A server that starts again knows what was judged, and where blobs are.
    let (directory, clock, admin) = (Arc::clone(&kit.directory), kit.clock.clone(), kit.admin.clone());
    drop(kit);
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let kit = Kit::run(directory, clock, admin, &gate(&upstream.url(), "")).await;
    let blob = good_image().blobs().remove(0);
    assert_eq!(get(&kit, &format!("/v2/docker.io/app/blobs/{}", Digest::sha256(&blob))).await.body, blob);
    assert_eq!(get(&kit, PATH).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_failing_closes_the_gate() {
    let upstream = upstream();
    let kit = kit(&upstream, "").await;
    assert_eq!(get(&kit, "/v2/docker.io/app/manifests/good").await.status, 200);
    kit.shared.store.close().await;
    let reply = get(&kit, PATH).await;
    assert_eq!(reply.status, 503, "{}", reply.text());
    // What was judged before is known without the store; anything else is not.
    let blob = format!("/v2/docker.io/app/blobs/{}", Digest::sha256(&bad_image().config()));
    assert_eq!(ask(&kit, "GET", &blob, &[]).await.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_gate_there_is_nothing() {
    let kit = Kit::start().await;
    refused(&get(&kit, "/v2/").await, 404, "UNSUPPORTED");
}
