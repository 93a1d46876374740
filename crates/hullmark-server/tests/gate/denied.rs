//! What is denied stays inside: no byte of it leaves by any route.

use hullmark_testkit::{Answer, ImageBuilder, OCI_INDEX, OCI_MANIFEST, RegistryBuilder, TarBuilder};
use hullmark_types::Digest;
use serde_json::{Value, json};

use crate::common::{alpine, bad_image, good_image};
use crate::{ask, count, get, header, kit, manifest_digest, refused};

/// A denied image with a layer that no other image has.
fn bad() -> ImageBuilder {
    bad_image().layer(TarBuilder::new().file("secret", "s3cr3t content ".repeat(100)).finish(), "COPY secret")
}

fn index(images: &[(&ImageBuilder, &str)]) -> String {
    let manifests: Vec<Value> = images
        .iter()
        .map(|(image, architecture)| {
            json!({ "mediaType": OCI_MANIFEST, "digest": manifest_digest(image).to_string(), "size": image.manifest().len(),
                "platform": { "os": "linux", "architecture": architecture } })
        })
        .collect();
    json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_of_a_denied_image_leaves_by_any_route() {
    let image = bad();
    let index = index(&[(&image, "amd64")]);
    let artifact = json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "application/x",
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest::sha256(b"{}").to_string(), "size": 2 },
        "layers": [], "subject": { "digest": manifest_digest(&image).to_string() } })
    .to_string();
    let fill = |registry: RegistryBuilder, repository: &str| {
        registry
            .image(repository, "bad", &image)
            .manifest(repository, Some("multi"), OCI_INDEX, index.as_bytes())
            .blob(repository, b"{}")
            .manifest(repository, None, OCI_MANIFEST, artifact.as_bytes())
    };
    let registry =
        ["library/app", "other/name"].iter().fold(RegistryBuilder::new(), |all, name| fill(all, name));
    let upstream = registry.image("library/app", "good", &good_image()).serve(|_| None);
    let kit = kit(&upstream, "").await;
    let blobs: Vec<Vec<u8>> = image.blobs().into_iter().chain([image.config()]).collect();
    let manifest = manifest_digest(&image);
    let mut secrets = vec![image.manifest(), index.clone().into_bytes(), artifact.clone().into_bytes()];
    secrets.extend(blobs.clone());
    let secrets: Vec<&[u8]> =
        secrets.iter().flat_map(|bytes| bytes.chunks(24)).filter(|chunk| chunk.len() == 24).collect();
    let mut checked = 0;
    // Twice: before anything is known of the image, and after its scan.
    for round in 0..2 {
        for name in ["docker.io/library/app", "docker.io/other/name"] {
            let mut paths = vec![
                "manifests/bad".to_owned(),
                "manifests/multi".to_owned(),
                format!("manifests/{manifest}"),
                format!("manifests/{}", Digest::sha256(index.as_bytes())),
                format!("manifests/{}", Digest::sha256(artifact.as_bytes())),
                format!("referrers/{manifest}"),
            ];
            paths.extend(blobs.iter().map(|blob| format!("blobs/{}", Digest::sha256(blob))));
            if round == 0 && name.ends_with("app") {
                paths.reverse();
            }
            for path in paths {
                for (method, range) in
                    [("GET", None), ("HEAD", None), ("GET", Some("bytes=0-40")), ("GET", Some("bytes=-40"))]
                {
                    let headers: Vec<(&str, &str)> =
                        range.map(|range| ("range", range)).into_iter().collect();
                    let reply = ask(&kit, method, &format!("/v2/{name}/{path}"), &headers).await;
                    let is_unknown_yet = round == 0 && path.starts_with("blobs/");
                    let expected = if is_unknown_yet && reply.status == 404 { 404 } else { 403 };
                    assert_eq!(reply.status.as_u16(), expected, "{method} {path}: {}", reply.text());
                    let found =
                        secrets.iter().find(|secret| reply.body.windows(24).any(|window| window == **secret));
                    assert_eq!(found, None, "{method} {path}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 100);
    // The good one beside it is there.
    assert_eq!(get(&kit, "/v2/docker.io/app/manifests/good").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_denial_says_why_and_where_it_is_recorded() {
    let upstream = RegistryBuilder::new().image("library/app", "1.0", &bad_image()).serve(|_| None);
    let kit = kit(&upstream, "").await;
    let reply = get(&kit, "/v2/docker.io/app/manifests/1.0").await;
    let message = refused(&reply, 403, "DENIED");
    for part in ["denied by rule `", "CVE-2019-14697 in musl 1.1.18-r3, fixed in 1.1.18-r4; verdict sha256:"]
    {
        assert!(message.contains(part), "{message}");
    }
    let detail = reply.json()["errors"][0]["detail"].as_str().unwrap().to_owned();
    let (verdict, entry) = detail.strip_prefix("verdict ").unwrap().split_once(", ledger entry ").unwrap();
    let ledger = kit.ledger();
    let record = &ledger[entry.parse::<usize>().unwrap()];
    assert_eq!(
        (&record["kind"], &record["point"], &record["answer"]),
        (&json!("decision"), &json!("registry-gate"), &json!("denied"))
    );
    assert_eq!(record["verdict"]["verdict"], verdict);
    assert_eq!(record["image"]["name"], "docker.io/library/app:1.0");
    assert_eq!(record["image"]["manifest"], manifest_digest(&bad_image()).to_string());
    assert_eq!(record["image"]["config"], Digest::sha256(&bad_image().config()).to_string());
    assert_eq!(record["reasons"][0]["finding"], "CVE-2019-14697");
    assert_eq!(record["actor"]["name"], "anonymous");
    // The verdict is recorded before, and the same decision again is only counted.
    assert_eq!(ledger[record["verdict"]["entry"].as_u64().unwrap() as usize]["kind"], "verdict");
    for _ in 0..5 {
        assert_eq!(get(&kit, "/v2/docker.io/app/manifests/1.0").await.json()["errors"][0]["detail"], detail);
    }
    assert_eq!(kit.ledger().len(), ledger.len());
    hullmark_server::gate::finish(&kit.shared).await;
    let last = kit.ledger().pop().unwrap();
    assert_eq!((&last["repeats"], &last["detail"]["first_entry"]), (&json!(5), &json!(entry)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_is_served_by_an_allowed_manifest_of_the_same_repository() {
    // Both have the same second layer.
    let shared = TarBuilder::new().file("shared", "shared by both").finish();
    let (good, bad) = (good_image().layer(shared.clone(), "COPY"), bad_image().layer(shared, "COPY"));
    let upstream = RegistryBuilder::new()
        .image("library/app", "good", &good)
        .image("library/app", "bad", &bad)
        .image("team/bad", "1.0", &bad)
        .serve(|_| None);
    let kit = kit(&upstream, "").await;
    let layer = Digest::sha256(&good.blobs()[1]);
    let blob = |name: &str, digest: &Digest| format!("/v2/docker.io/{name}/blobs/{digest}");
    refused(&get(&kit, &blob("app", &layer)).await, 404, "BLOB_UNKNOWN");
    refused(&get(&kit, "/v2/docker.io/app/manifests/bad").await, 403, "DENIED");
    refused(&get(&kit, &blob("app", &layer)).await, 403, "DENIED");
    assert_eq!(get(&kit, "/v2/docker.io/app/manifests/good").await.status, 200);
    assert_eq!(get(&kit, &blob("app", &layer)).await.status, 200);
    refused(&get(&kit, &blob("app", &Digest::sha256(&bad.blobs()[0]))).await, 403, "DENIED");
    // Nor does it open the repository of the other.
    refused(&get(&kit, &blob("team/bad", &layer)).await, 404, "BLOB_UNKNOWN");
    refused(&get(&kit, "/v2/docker.io/team/bad/manifests/1.0").await, 403, "DENIED");
    refused(&get(&kit, &blob("team/bad", &layer)).await, 403, "DENIED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_policy_closes_manifests_and_blobs() {
    let upstream = RegistryBuilder::new().image("library/app", "1.0", &good_image()).serve(|_| None);
    let kit = kit(&upstream, "").await;
    let blob = format!("/v2/docker.io/app/blobs/{}", Digest::sha256(&good_image().blobs()[0]));
    assert_eq!(get(&kit, "/v2/docker.io/app/manifests/1.0").await.status, 200);
    assert_eq!(get(&kit, &blob).await.status, 200);
    // From now on musl 1.1.18-r4 is vulnerable too.
    crate::common::build_database(kit.directory.path(), &[("musl", "1.1.18-r5", &["CVE-2019-14697"])]);
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    refused(&get(&kit, &blob).await, 403, "DENIED");
    refused(&get(&kit, "/v2/docker.io/app/manifests/1.0").await, 403, "DENIED");
    assert_eq!(count(&upstream, "/blobs/"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_as_good_as_its_worst_configured_platform() {
    let arm = good_image().architecture("arm64");
    let bad_arm = bad_image().architecture("arm64");
    let registry = RegistryBuilder::new()
        .image("library/app", "good", &good_image())
        .image("library/app", "bad", &bad_image())
        .image("library/app", "arm", &arm)
        .image("library/app", "bad-arm", &bad_arm)
        .manifest(
            "library/app",
            Some("a"),
            OCI_INDEX,
            index(&[(&good_image(), "amd64"), (&bad_arm, "arm64")]).as_bytes(),
        )
        .manifest(
            "library/app",
            Some("b"),
            OCI_INDEX,
            index(&[(&bad_image(), "amd64"), (&arm, "arm64")]).as_bytes(),
        )
        .manifest(
            "library/app",
            Some("c"),
            OCI_INDEX,
            index(&[(&arm, "arm64"), (&bad_arm, "arm64")]).as_bytes(),
        )
        .manifest("library/app", Some("d"), OCI_INDEX, index(&[(&arm, "arm64")]).as_bytes())
        .manifest("library/app", Some("e"), OCI_INDEX, index(&[]).as_bytes());
    let upstream = registry.serve(|_| None);
    let kit = kit(&upstream, "").await;
    let status =
        async |name: &str| get(&kit, &format!("/v2/docker.io/app/manifests/{name}")).await.status.as_u16();
    for (tag, expected) in [("a", 200), ("b", 403), ("c", 403), ("d", 200), ("e", 403)] {
        assert_eq!(status(tag).await, expected, "{tag}");
    }
    // Each image is judged on its own, whatever index names it.
    assert_eq!(status(&manifest_digest(&bad_arm).to_string()).await, 403);
    assert_eq!(status(&manifest_digest(&arm).to_string()).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_of_indexes_do_not_multiply_the_work() {
    // Five small documents that lead to 64^4 images for whoever follows every mention.
    let mut registry = RegistryBuilder::new().image("library/app", "good", &good_image());
    let mut inner = index(&[(&good_image(), "amd64")]);
    for level in 0..4 {
        registry = registry.manifest("library/app", Some(&format!("l{level}")), OCI_INDEX, inner.as_bytes());
        let named = |copy: usize| {
            json!({ "mediaType": OCI_INDEX, "digest": Digest::sha256(inner.as_bytes()), "size": inner.len(),
                "annotations": { "copy": copy.to_string() }, "platform": { "os": "linux", "architecture": "amd64" } })
        };
        let named: Vec<Value> = (0..64).map(named).collect();
        inner = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": named }).to_string();
    }
    let upstream =
        registry.manifest("library/app", Some("outer"), OCI_INDEX, inner.as_bytes()).serve(|_| None);
    let kit = kit(&upstream, "").await;
    let begun = std::time::Instant::now();
    let answer = get(&kit, "/v2/docker.io/app/manifests/outer").await;
    assert!(matches!(answer.status.as_u16(), 200 | 403), "{}", answer.status);
    assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
    assert!(count(&upstream, "/manifests/") < 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_clients_read_differently_is_denied() {
    let good = good_image();
    let mut config: Value = serde_json::from_slice(&good.config()).unwrap();
    config["Config"] = json!({ "User": "" });
    let config = config.to_string();
    let mut manifest: Value = serde_json::from_slice(&good.manifest()).unwrap();
    manifest["config"]["digest"] = json!(Digest::sha256(config.as_bytes()));
    manifest["config"]["size"] = json!(config.len());
    let upstream = RegistryBuilder::new()
        .image("library/app", "good", &good)
        .blob("library/app", config.as_bytes())
        .manifest("library/app", Some("twofold"), OCI_MANIFEST, manifest.to_string().as_bytes())
        .serve(|_| None);
    let kit = kit(&upstream, "").await;
    refused(&get(&kit, "/v2/docker.io/app/manifests/twofold").await, 403, "DENIED");
    assert_eq!(get(&kit, "/v2/docker.io/app/manifests/good").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_at_other_addresses_are_denied() {
    let mut manifest: Value = serde_json::from_slice(&good_image().manifest()).unwrap();
    manifest["layers"][0]["urls"] = json!(["https://elsewhere.example/layer"]);
    let manifest = manifest.to_string();
    let mut named: Value = serde_json::from_str(&index(&[(&good_image(), "amd64")])).unwrap();
    named["manifests"][0]["urls"] = json!(["https://elsewhere.example/manifest"]);
    let upstream = RegistryBuilder::new()
        .image("library/app", "good", &good_image())
        .manifest("library/app", Some("layer"), OCI_MANIFEST, manifest.as_bytes())
        .manifest("library/app", Some("index"), OCI_INDEX, named.to_string().as_bytes())
        .serve(|_| None);
    let kit = kit(&upstream, "").await;
    let message = refused(&get(&kit, "/v2/docker.io/app/manifests/layer").await, 403, "DENIED");
    assert!(message.contains("(`urls`), which clients would fetch past this gate"), "{message}");
    let message = refused(&get(&kit, "/v2/docker.io/app/manifests/index").await, 403, "DENIED");
    assert!(message.contains("at other addresses"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_are_as_good_as_what_they_are_about() {
    let layer = alpine("1.1.18-r3");
    let artifact = |subject: Option<&ImageBuilder>, config: &str, content: &[u8], kind: &str| {
        let mut artifact = json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": { "mediaType": config, "digest": Digest::sha256(b"{}").to_string(), "size": 2 },
            "layers": [{ "mediaType": kind, "digest": Digest::sha256(content).to_string(), "size": content.len() }] });
        if let Some(subject) = subject {
            artifact["subject"] = json!({ "digest": manifest_digest(subject).to_string() });
        }
        artifact.to_string()
    };
    let (good, bad) = (good_image(), bad_image());
    let (empty, sbom) = ("application/vnd.oci.empty.v1+json", "application/spdx+json");
    let signature = artifact(
        None,
        "application/vnd.oci.image.config.v1+json",
        b"text",
        "application/vnd.dev.cosign.simplesigning.v1+json",
    );
    let attestation =
        artifact(None, "application/vnd.oci.image.config.v1+json", b"text", "application/vnd.in-toto+json");
    let mut with_attestation: Value = serde_json::from_str(&index(&[(&good, "amd64")])).unwrap();
    with_attestation["manifests"].as_array_mut().unwrap().push(json!({
        "mediaType": OCI_MANIFEST, "digest": Digest::sha256(attestation.as_bytes()).to_string(), "size": attestation.len(),
        "platform": { "os": "unknown", "architecture": "unknown" },
        "annotations": { "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": manifest_digest(&good).to_string() },
    }));
    let signature_tag = format!("sha256-{}.sig", manifest_digest(&good).hex());
    let mut registry = RegistryBuilder::new()
        .image("library/app", "good", &good)
        .image("library/app", "bad", &bad)
        .blob("library/app", b"{}")
        .blob("library/app", b"text")
        .blob("library/app", &layer)
        .manifest("library/app", Some(&signature_tag), OCI_MANIFEST, signature.as_bytes())
        .manifest("library/app", None, OCI_MANIFEST, attestation.as_bytes())
        .manifest("library/app", Some("attested"), OCI_INDEX, with_attestation.to_string().as_bytes());
    let cases = [
        ("about-good", artifact(Some(&good), empty, b"text", sbom), 200, ""),
        ("about-bad", artifact(Some(&bad), empty, b"text", sbom), 403, "denied by rule"),
        ("about-nothing", artifact(None, empty, b"text", sbom), 403, "no image and names none"),
        (
            "about-missing",
            artifact(Some(&good.clone().architecture("s390x")), empty, b"text", sbom),
            403,
            "not in this repository",
        ),
        // A file system under another name.
        ("disguised", artifact(Some(&good), empty, &layer, sbom), 403, "not text"),
        (
            "disguised-image",
            artifact(Some(&good), "application/vnd.oci.image.config.v1+json", &layer, sbom),
            403,
            "not text",
        ),
    ];
    for (tag, document, _, _) in &cases {
        registry = registry.manifest("library/app", Some(tag), OCI_MANIFEST, document.as_bytes());
    }
    let upstream = registry.serve(|_| None);
    let kit = kit(&upstream, "").await;
    for (tag, _, status, text) in &cases {
        let reply = get(&kit, &format!("/v2/docker.io/app/manifests/{tag}")).await;
        assert_eq!(reply.status.as_u16(), *status, "{tag}: {}", reply.text());
        assert!(reply.text().contains(text), "{tag}: {}", reply.text());
    }
    refused(&get(&kit, &format!("/v2/docker.io/app/blobs/{}", Digest::sha256(&layer))).await, 403, "DENIED");
    // The tag of a signature, and the annotation of an index, say what is signed and attested.
    assert_eq!(get(&kit, &format!("/v2/docker.io/app/manifests/{signature_tag}")).await.status, 200);
    assert_eq!(get(&kit, "/v2/docker.io/app/manifests/attested").await.status, 200);
    let digest = Digest::sha256(attestation.as_bytes());
    assert_eq!(get(&kit, &format!("/v2/docker.io/app/manifests/{digest}")).await.status, 200);
    assert_eq!(get(&kit, &format!("/v2/docker.io/app/blobs/{}", Digest::sha256(b"text"))).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_sent_about_an_image_does_not_open_the_gate() {
    let upstream = RegistryBuilder::new().image("library/app", "1.0", &bad_image()).serve(|_| None);
    let kit = kit(&upstream, "").await;
    // An inventory that is that of another image, and says that it is of this one.
    let (mut inventory, _) = kit.inventory(&good_image());
    inventory.subject.manifest = Some(manifest_digest(&bad_image()));
    let asker = hullmark_engine::Asker::default();
    kit.shared.judge.scan_sent(inventory, None, hullmark_types::Stage::Ship, asker).await.unwrap();
    refused(&get(&kit, "/v2/docker.io/app/manifests/1.0").await, 403, "DENIED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_is_moved_is_judged_by_what_it_leads_to() {
    use std::sync::atomic::{AtomicBool, Ordering};
    static MOVED: AtomicBool = AtomicBool::new(false);
    let (good, bad) = (good_image(), bad_image());
    let moved = bad.manifest();
    let upstream = RegistryBuilder::new()
        .image("library/app", "1.0", &good)
        .image("library/app", "x", &bad)
        .serve(move |asked| {
            let is_tag = asked.path.ends_with("/manifests/1.0") && MOVED.load(Ordering::SeqCst);
            is_tag.then(|| {
                Answer::new(200, moved.clone())
                    .header("Content-Type", OCI_MANIFEST)
                    .header("Docker-Content-Digest", &Digest::sha256(&moved).to_string())
            })
        });
    let config = crate::gate(&upstream.url(), "").replace("tag_ttl = \"1h\"", "tag_ttl = \"0ms\"");
    let kit = crate::common::Kit::with(&config).await;
    assert_eq!(get(&kit, "/v2/docker.io/app/manifests/1.0").await.status, 200);
    MOVED.store(true, Ordering::SeqCst);
    let reply = get(&kit, "/v2/docker.io/app/manifests/1.0").await;
    refused(&reply, 403, "DENIED");
    assert_eq!(header(&reply, "docker-content-digest"), "");
}
