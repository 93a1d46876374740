//! Pulling by the OCI distribution specification.

use hullmark_server::auth::Role;
use hullmark_testkit::{OCI_INDEX, OCI_MANIFEST, RegistryBuilder, Server};
use hullmark_types::Digest;
use serde_json::json;

use crate::common::{Kit, good_image};
use crate::{ask, count, get, header, kit, manifest_digest, refused};

fn upstream() -> Server {
    let image = good_image();
    let artifact = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "application/spdx+json",
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest::sha256(b"{}").to_string(), "size": 2 },
        "layers": [{ "mediaType": "application/spdx+json", "digest": Digest::sha256(b"{ }").to_string(), "size": 3 }],
        "subject": { "mediaType": OCI_MANIFEST, "digest": manifest_digest(&image).to_string(), "size": image.manifest().len() },
    });
    let other = artifact.to_string().replace("application/spdx+json", "application/vnd.example");
    ["1.0", "2.0", "3.0", "latest"]
        .iter()
        .fold(RegistryBuilder::new(), |registry, tag| registry.image("library/app", tag, &image))
        .image("team/app", "1.0", &image)
        .blob("library/app", b"{}")
        .blob("library/app", b"{ }")
        .manifest("library/app", None, OCI_MANIFEST, artifact.to_string().as_bytes())
        .manifest("library/app", None, OCI_MANIFEST, other.as_bytes())
        .serve(|_| None)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_base_says_that_the_protocol_is_spoken() {
    let upstream = upstream();
    let kit = kit(&upstream, "").await;
    for path in ["/v2/", "/v2"] {
        let reply = get(&kit, path).await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "{}"));
        assert_eq!(header(&reply, "docker-distribution-api-version"), "registry/2.0");
    }
    assert_eq!(ask(&kit, "HEAD", "/v2/", &[]).await.body, b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_comes_byte_for_byte_with_its_headers() {
    let upstream = upstream();
    let kit = kit(&upstream, "").await;
    let (bytes, digest) = (good_image().manifest(), manifest_digest(&good_image()));
    for path in [
        "/v2/docker.io/library/app/manifests/1.0".to_owned(),
        "/v2/docker.io/app/manifests/1.0".to_owned(),
        "/v2/library/app/manifests/1.0?ns=docker.io".to_owned(),
        format!("/v2/docker.io/library/app/manifests/{digest}"),
        format!("/v2/docker.io/library/app/manifests/{}", digest.to_string().replace(':', "%3A")),
    ] {
        for method in ["HEAD", "GET"] {
            let reply = ask(&kit, method, &path, &[]).await;
            assert_eq!(reply.status, 200, "{path}: {}", reply.text());
            assert_eq!(header(&reply, "docker-content-digest"), digest.to_string());
            assert_eq!(header(&reply, "content-type"), OCI_MANIFEST);
            assert_eq!(header(&reply, "content-length"), bytes.len().to_string());
            assert_eq!(reply.body, if method == "GET" { bytes.clone() } else { Vec::new() });
            let expected = if path.contains("ns=") { "docker.io" } else { "" };
            assert_eq!(header(&reply, "oci-namespace"), expected);
            assert!(!reply.headers.contains_key("warning"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_client_takes_is_passed_on_for_tags() {
    let upstream = upstream();
    let kit = kit(&upstream, "").await;
    let accept = [("accept", OCI_MANIFEST), ("accept", "text/plain")];
    assert_eq!(ask(&kit, "GET", "/v2/docker.io/app/manifests/1.0", &accept).await.status, 200);
    assert_eq!(get(&kit, "/v2/docker.io/app/manifests/1.0").await.status, 200);
    let sent: Vec<String> = upstream
        .asked()
        .iter()
        .filter(|asked| asked.path.ends_with("/1.0"))
        .map(|asked| asked.headers["accept"].clone())
        .collect();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], format!("{OCI_MANIFEST}, text/plain"));
    assert!(sent[1].contains(OCI_INDEX) && sent[1].contains("manifest.list.v2+json"), "{}", sent[1]);
    let long = "a".repeat(5000);
    refused(
        &ask(&kit, "GET", "/v2/docker.io/app/manifests/1.0", &[("accept", &long)]).await,
        400,
        "UNSUPPORTED",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_come_whole_and_in_parts() {
    let upstream = upstream();
    let kit = kit(&upstream, "").await;
    let blob = good_image().blobs().remove(0);
    let path = format!("/v2/docker.io/app/blobs/{}", Digest::sha256(&blob));
    assert_eq!(get(&kit, "/v2/docker.io/app/manifests/1.0").await.status, 200);
    let whole = get(&kit, &path).await;
    assert_eq!((whole.status.as_u16(), &whole.body), (200, &blob));
    for reply in [&whole, &ask(&kit, "HEAD", &path, &[("range", "bytes=0-1")]).await] {
        assert_eq!(reply.status, 200);
        assert_eq!(header(reply, "docker-content-digest"), Digest::sha256(&blob).to_string());
        assert_eq!(header(reply, "content-length"), blob.len().to_string());
        assert_eq!(header(reply, "accept-ranges"), "bytes");
        assert_eq!(header(reply, "content-type"), "application/octet-stream");
    }
    let size = blob.len();
    for (range, first, last) in
        [("bytes=0-9", 0, 9), ("bytes=5-", 5, size - 1), ("bytes=-4", size - 4, size - 1)]
    {
        let reply = ask(&kit, "GET", &path, &[("range", range)]).await;
        assert_eq!((reply.status.as_u16(), reply.body.as_slice()), (206, &blob[first..=last]), "{range}");
        assert_eq!(header(&reply, "content-range"), format!("bytes {first}-{last}/{size}"));
        assert_eq!(header(&reply, "content-length"), (last - first + 1).to_string());
    }
    let reply = ask(&kit, "GET", &path, &[("range", &format!("bytes={size}-"))]).await;
    refused(&reply, 416, "SIZE_INVALID");
    assert_eq!(header(&reply, "content-range"), format!("bytes */{size}"));
    let config = good_image().config();
    assert_eq!(get(&kit, &format!("/v2/docker.io/app/blobs/{}", Digest::sha256(&config))).await.body, config);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_404_with_the_code_of_its_kind() {
    let upstream = upstream();
    let kit = kit(&upstream, "").await;
    let digest = Digest::sha256(b"nothing has this");
    refused(&get(&kit, "/v2/docker.io/app/manifests/9.9").await, 404, "MANIFEST_UNKNOWN");
    refused(&get(&kit, &format!("/v2/docker.io/app/manifests/{digest}")).await, 404, "MANIFEST_UNKNOWN");
    refused(&get(&kit, &format!("/v2/docker.io/app/blobs/{digest}")).await, 404, "BLOB_UNKNOWN");
    refused(&get(&kit, "/v2/docker.io/nobody/nothing/tags/list").await, 404, "NAME_UNKNOWN");
    refused(&get(&kit, "/v2/other.example/app/manifests/1.0").await, 404, "NAME_UNKNOWN");
    refused(&get(&kit, "/v2/_catalog").await, 404, "UNSUPPORTED");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_no_grammar_is_refused_before_anyone_is_asked() {
    let upstream = upstream();
    let kit = kit(&upstream, "").await;
    for kind in ["manifests", "blobs", "referrers"] {
        for digest in ["sha256:abc", "sha256:..%2F..%2Fetc%2Fpasswd", "md5:x"] {
            refused(&get(&kit, &format!("/v2/docker.io/app/{kind}/{digest}")).await, 400, "DIGEST_INVALID");
        }
    }
    refused(&get(&kit, "/v2/docker.io/APP/manifests/1.0").await, 400, "NAME_INVALID");
    refused(&get(&kit, "/v2/docker.io/..%2f..%2fsecret/manifests/1.0").await, 400, "NAME_INVALID");
    refused(&get(&kit, "/v2/docker.io/app/manifests/.hidden").await, 400, "MANIFEST_INVALID");
    assert!(upstream.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_can_be_changed() {
    let upstream = upstream();
    let kit = kit(&upstream, "").await;
    for (method, path) in [
        ("POST", "/v2/docker.io/app/blobs/uploads/"),
        ("GET", "/v2/docker.io/app/blobs/uploads/1"),
        ("PUT", "/v2/docker.io/app/manifests/1.0"),
        ("DELETE", "/v2/docker.io/app/manifests/1.0"),
        ("PATCH", "/v2/"),
    ] {
        let reply = ask(&kit, method, path, &[]).await;
        refused(&reply, 405, "UNSUPPORTED");
        assert_eq!(header(&reply, "allow"), "GET, HEAD");
    }
    assert!(upstream.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_listed_in_pages() {
    let upstream = upstream();
    let kit = kit(&upstream, "").await;
    let all = json!(["1.0", "2.0", "3.0", "latest"]);
    let reply = get(&kit, "/v2/docker.io/library/app/tags/list").await;
    assert_eq!(reply.ok(), json!({ "name": "docker.io/library/app", "tags": all }));
    assert_eq!(header(&reply, "link"), "");
    let mut path = "/v2/docker.io/library/app/tags/list?n=3".to_owned();
    let mut found = Vec::new();
    loop {
        let reply = get(&kit, &path).await;
        found.extend(reply.ok()["tags"].as_array().unwrap().clone());
        let link = header(&reply, "link").to_owned();
        let Some(next) = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")) else {
            break;
        };
        path = next.to_owned();
    }
    assert_eq!(path, "/v2/docker.io/library/app/tags/list?n=3&last=3.0");
    assert_eq!(json!(found), all);
    let reply = get(&kit, "/v2/library/app/tags/list?n=1&last=1.0&ns=docker.io").await;
    assert_eq!(reply.ok(), json!({ "name": "library/app", "tags": ["2.0"] }));
    assert_eq!(header(&reply, "link"), "</v2/library/app/tags/list?n=1&last=2.0&ns=docker.io>; rel=\"next\"");
    let reply = get(&kit, "/v2/docker.io/library/app/tags/list?n=0").await;
    assert_eq!((reply.ok()["tags"].clone(), header(&reply, "link")), (json!([]), ""));
    refused(&get(&kit, "/v2/docker.io/library/app/tags/list?n=-1").await, 400, "UNSUPPORTED");
}

#[tokio::test(flavor = "multi_thread")]
async fn referrers_are_an_index_that_can_be_filtered() {
    let upstream = upstream();
    let kit = kit(&upstream, "").await;
    let path = format!("/v2/docker.io/library/app/referrers/{}", manifest_digest(&good_image()));
    let reply = get(&kit, &path).await;
    assert_eq!(reply.ok()["manifests"].as_array().unwrap().len(), 2);
    assert_eq!(header(&reply, "content-type"), OCI_INDEX);
    assert_eq!(header(&reply, "oci-filters-applied"), "");
    let reply = get(&kit, &format!("{path}?artifactType=application%2Fspdx%2Bjson")).await;
    let manifests = reply.ok()["manifests"].clone();
    assert_eq!(
        (manifests.as_array().unwrap().len(), &manifests[0]["artifactType"]),
        (1, &json!("application/spdx+json"))
    );
    assert_eq!(header(&reply, "oci-filters-applied"), "artifactType");
    // The artifact and its blobs are passed on, as the image that it is about is allowed.
    let digest = manifests[0]["digest"].as_str().unwrap();
    assert_eq!(get(&kit, &format!("/v2/docker.io/library/app/manifests/{digest}")).await.status, 200);
    assert_eq!(
        get(&kit, &format!("/v2/docker.io/library/app/blobs/{}", Digest::sha256(b"{ }"))).await.body,
        b"{ }"
    );
    // Nothing refers to what is not there.
    let nothing = format!("/v2/docker.io/library/app/referrers/{}", Digest::sha256(b"nothing has this"));
    let reply = get(&kit, &nothing).await;
    assert_eq!((reply.ok()["manifests"].clone(), header(&reply, "content-type")), (json!([]), OCI_INDEX));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_without_referrers_has_them_under_a_tag() {
    let image = good_image();
    let artifact = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "application/x",
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest::sha256(b"{}").to_string(), "size": 2 },
        "layers": [], "subject": { "digest": manifest_digest(&image).to_string() },
    })
    .to_string();
    let descriptor = |kind: &str| json!({ "mediaType": OCI_MANIFEST, "digest": Digest::sha256(artifact.as_bytes()).to_string(), "size": artifact.len(), "artifactType": kind });
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor("application/x"), descriptor("application/y")] });
    let tag = manifest_digest(&image).to_string().replace(':', "-");
    let upstream = RegistryBuilder::new()
        .image("library/app", "1.0", &image)
        .blob("library/app", b"{}")
        .manifest("library/app", None, OCI_MANIFEST, artifact.as_bytes())
        .manifest("library/app", Some(&tag), OCI_INDEX, index.to_string().as_bytes())
        .serve(|asked| asked.path.contains("/referrers/").then(|| hullmark_testkit::Answer::new(404, "")));
    let kit = kit(&upstream, "").await;
    let reply = get(
        &kit,
        &format!("/v2/docker.io/app/referrers/{}?artifactType=application/y", manifest_digest(&image)),
    )
    .await;
    assert_eq!(reply.ok()["manifests"], json!([descriptor("application/y")]));
    assert_eq!(header(&reply, "oci-filters-applied"), "artifactType");
    assert_eq!(get(&kit, &format!("/v2/docker.io/app/manifests/{tag}")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn pullers_show_a_token_unless_anyone_may_pull() {
    let upstream = upstream();
    let config = crate::gate(&upstream.url(), "").replace("anonymous = true", "anonymous = false");
    let kit = Kit::with(&config).await;
    let path = "/v2/docker.io/app/manifests/1.0";
    let basic = |token: &str| {
        use base64::Engine as _;
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("anyone:{token}")))
    };
    for authorization in ["", "Bearer x", "Basic eDp5"] {
        for path in ["/v2/", path] {
            let headers: &[(&str, &str)] =
                if authorization.is_empty() { &[] } else { &[("authorization", authorization)] };
            let reply = ask(&kit, "GET", path, headers).await;
            refused(&reply, 401, "UNAUTHORIZED");
            assert_eq!(header(&reply, "www-authenticate"), "Basic realm=\"hullmark\"");
        }
    }
    assert!(upstream.asked().is_empty());
    for role in [Role::Reader, Role::Ci, Role::Agent, Role::Admin] {
        let token = kit.token(role).await;
        for authorization in [basic(&token), format!("Bearer {token}")] {
            assert_eq!(ask(&kit, "GET", path, &[("authorization", &authorization)]).await.status, 200);
        }
    }
    let token = kit.token(Role::Security).await;
    refused(&ask(&kit, "GET", path, &[("authorization", &basic(&token))]).await, 403, "DENIED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_is_looked_up_again_when_it_is_old() {
    let upstream = upstream();
    let kit =
        Kit::with(&crate::gate(&upstream.url(), "").replace("tag_ttl = \"1h\"", "tag_ttl = \"0ms\"")).await;
    for _ in 0..3 {
        assert_eq!(get(&kit, "/v2/docker.io/app/manifests/1.0").await.status, 200);
        // Whoever asks at the very moment of an answer shares it.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let methods: Vec<String> = upstream
        .asked()
        .iter()
        .filter(|asked| asked.path.ends_with("/manifests/1.0"))
        .map(|asked| asked.method.clone())
        .collect();
    assert_eq!(methods, ["GET", "HEAD", "HEAD"]);
    assert_eq!(count(&upstream, "/blobs/"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_go_to_the_upstream_only() {
    let image = good_image();
    let upstream = hullmark_testkit::registry(&image, Some(("user", "s3cr3t")), true);
    let directory = tempfile::tempdir().unwrap();
    let auth = directory.path().join("auth.json");
    std::fs::write(&auth, r#"{"auths":{"docker.io":{"username":"user","password":"s3cr3t"}}}"#).unwrap();
    let kit =
        Kit::with(&format!("{}auth_file = \"{}\"\n", crate::gate(&upstream.url(), ""), auth.display())).await;
    let token = kit.token(Role::Reader).await;
    let reply = ask(
        &kit,
        "GET",
        "/v2/docker.io/team/app/manifests/1.0",
        &[("authorization", &format!("Bearer {token}"))],
    )
    .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(upstream.asked().iter().all(|asked| !format!("{asked:?}").contains(&token)));
    assert!(!format!("{:?}", kit.ledger()).contains("s3cr3t"));
}
