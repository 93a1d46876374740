//! Images from registries: authentication, redirects, refusals, damage.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use hullmark_image::Target;
use hullmark_testkit::{Answer, Asked, ImageBuilder, Server, TarBuilder, registry};
use hullmark_types::Digest;

mod common;
use common::*;

#[test]
fn registries_with_and_without_authentication() {
    let directory = tempfile::tempdir().unwrap();
    let auth = "{\"auths\": {\"HOST\": {\"auth\": \"dXNlcjpwYXNz\"}}}";
    for (credentials, bearer) in
        [(None, false), (None, true), (Some(("user", "pass")), false), (Some(("user", "pass")), true)]
    {
        let server = registry(&builder(), credentials, bearer);
        let mut options = options();
        let text = auth.replace("HOST", &server.host());
        options.access.credentials.files = vec![put(directory.path(), "config.json", text.as_bytes()).into()];
        let image = check(&format!("registry:{}/team/app:1.0", server.host()), &options);
        let manifest = image.subject().manifest.clone().unwrap();
        check(&format!("{}/team/app@{manifest}", server.host()), &options);
    }
}

#[test]
fn what_a_registry_refuses_is_said() {
    let server = registry(&builder(), Some(("user", "pass")), true);
    fails(&format!("{}/team/app:1.0", server.host()), &options(), "answered 401 and gave no token");
    let server = registry(&builder(), Some(("user", "pass")), false);
    fails(&format!("{}/team/app:1.0", server.host()), &options(), "a user name and a password");
    let server = registry(&builder(), None, false);
    fails(&format!("{}/team/app:2.0", server.host()), &options(), "MANIFEST_UNKNOWN manifest unknown");
    fails("127.0.0.1:1/team/app:1.0", &options(), "cannot reach `127.0.0.1`");
    let other = format!("{}/team/app@sha256:{}", server.host(), "0".repeat(64));
    fails(&other, &options(), "answered 404");
}

#[test]
fn a_registry_that_is_busy_is_asked_again() {
    let image = builder();
    let real = registry(&image, None, false);
    let url = real.url();
    let count = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::new(move |asked| {
        if count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 2 {
            return Answer::new(503, "busy").header("Retry-After", "1");
        }
        Answer::new(307, "").header("Location", &format!("{url}{}", asked.path))
    });
    check(&format!("{}/team/app:1.0", server.host()), &options());
    assert!(server.asked().len() >= 4);
}

#[test]
fn credentials_do_not_follow_a_redirect_to_another_host() {
    let real = registry(&builder(), None, false);
    let url = real.url();
    let server = Server::new(move |asked| match asked.headers.contains_key("authorization") {
        false => Answer::new(401, "").header("WWW-Authenticate", "Basic realm=\"x\""),
        true => Answer::new(307, "").header("Location", &format!("{url}{}", asked.path)),
    });
    let directory = tempfile::tempdir().unwrap();
    let mut options = options();
    let auth = format!("{{\"auths\": {{\"{}\": {{\"auth\": \"dXNlcjpwYXNz\"}}}}}}", server.host());
    options.access.credentials.files = vec![put(directory.path(), "config.json", auth.as_bytes()).into()];
    check(&format!("{}/team/app:1.0", server.host()), &options);
    assert!(real.asked().iter().all(|asked| !asked.headers.contains_key("authorization")));
}

#[test]
fn a_blob_that_breaks_off_or_has_other_bytes_is_an_error() {
    for (cut, expected) in [(Some(10), "broke off"), (None, "is damaged or was changed")] {
        let image = builder();
        let (manifest, config) = (image.manifest(), image.config());
        let server = Server::new(move |asked| match asked.path.as_str() {
            path if path.contains("/manifests/") => Answer::new(200, manifest.clone()),
            path if path.contains(Digest::sha256(&config).hex()) => Answer::new(200, config.clone()),
            _ => Answer { cut, ..Answer::new(200, vec![0; 4096]) },
        });
        fails(&format!("{}/team/app:1.0", server.host()), &options(), expected);
    }
}

#[test]
fn offline_contacts_nobody_and_plain_http_needs_leave() {
    let mut offline = options();
    offline.client.offline = true;
    fails("registry.example/team/app:1.0", &offline, "`--offline` is set");
}

#[test]
fn schema_1_is_refused_clearly() {
    let server = Server::new(|_| Answer::new(200, r#"{"schemaVersion": 1, "name": "a", "fsLayers": []}"#));
    fails(&format!("{}/team/app:1.0", server.host()), &options(), "schema 1");
}

/// A registry of one image whose answers can be changed: `None` leaves them.
fn altered(
    image: &ImageBuilder,
    change: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static,
) -> Server {
    let mut answers = BTreeMap::new();
    answers.insert("/v2/team/app/manifests/1.0".to_owned(), image.manifest());
    answers.insert(format!("/v2/team/app/manifests/{}", Digest::sha256(&image.manifest())), image.manifest());
    for blob in image.blobs().into_iter().chain([image.config()]) {
        answers.insert(format!("/v2/team/app/blobs/{}", Digest::sha256(&blob)), blob);
    }
    Server::new(move |asked| {
        change(asked).unwrap_or_else(|| match answers.get(&asked.path) {
            Some(body) => Answer::new(200, body.clone()),
            None => Answer::new(404, r#"{"errors":[{"code":"BLOB_UNKNOWN","message":"not here"}]}"#),
        })
    })
}

#[test]
fn a_token_that_expires_during_the_pull_is_renewed() {
    let (granted, uses) = (AtomicUsize::new(0), std::sync::Mutex::new((0, 0)));
    let server = altered(&builder(), move |asked| {
        if asked.path.starts_with("/token") {
            let number = granted.fetch_add(1, Ordering::Relaxed) + 1;
            return Some(Answer::new(200, format!(r#"{{"access_token":"t{number}"}}"#)));
        }
        // Each token is good for two requests.
        let valid = granted.load(Ordering::Relaxed);
        let good = asked.headers.get("authorization") == Some(&format!("Bearer t{valid}"));
        let mut uses = uses.lock().unwrap();
        if uses.0 != valid {
            *uses = (valid, 0);
        }
        if good && uses.1 < 2 {
            uses.1 += 1;
            return None;
        }
        let realm = format!("Bearer realm=\"http://{}/token\",service=\"s\"", asked.headers["host"]);
        Some(Answer::new(401, "").header("WWW-Authenticate", &realm))
    });
    check(&format!("{}/team/app:1.0", server.host()), &options());
    let tokens = server.asked().into_iter().filter(|asked| asked.path.starts_with("/token")).count();
    assert!(tokens >= 2, "{tokens}");
    let first = server.asked().into_iter().find(|asked| asked.path.starts_with("/token")).unwrap();
    assert_eq!(first.path, "/token?scope=repository:team/app:pull&service=s");
}

#[test]
fn what_the_registry_says_is_shown_with_a_hint() {
    for (status, body, expected) in [
        (
            403,
            r#"{"errors":[{"code":"DENIED","message":"not yours"}]}"#,
            "answered 403 for `team/app/manifests/1.0`: DENIED not yours\nhint: log in",
        ),
        (
            404,
            r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#,
            "answered 404 for `team/app/manifests/1.0`: NAME_UNKNOWN \nhint: check the repository",
        ),
        (
            429,
            r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#,
            "TOOMANYREQUESTS slow down\nhint: the registry limits",
        ),
        (500, "<html>\u{1b}[31m", "answered 500 for `team/app/manifests/1.0`"),
        (403, r#"{"errors":[{"code":"X","message":"a\u001b[31mb\r\nc"}]}"#, "X a[31mbc\nhint"),
    ] {
        let server = altered(&builder(), move |_| Some(Answer::new(status, body)));
        fails(&format!("{}/team/app:1.0", server.host()), &options(), expected);
    }
}

#[test]
fn the_digest_that_the_registry_states_is_not_trusted() {
    let other = ImageBuilder::new().layer(TarBuilder::new().file("other", "1").finish(), "x");
    let (wanted, got) = (Digest::sha256(&builder().manifest()), other.manifest());
    let stated = wanted.to_string();
    let server = altered(&other, move |asked| {
        asked
            .path
            .contains("/manifests/")
            .then(|| Answer::new(200, got.clone()).header("Docker-Content-Digest", &stated))
    });
    fails(&format!("{}/team/app@{wanted}", server.host()), &options(), "is damaged or was changed");
    // By tag, the digest is that of what came.
    let target = Target::parse(&format!("{}/team/app:1.0", server.host())).unwrap();
    let (image, _) = read(&target, &options()).unwrap();
    assert_eq!(image.subject().manifest, Some(Digest::sha256(&other.manifest())));
}

#[test]
fn a_configuration_with_other_bytes_is_an_error() {
    let config = Digest::sha256(&builder().config());
    let server = altered(&builder(), move |asked| {
        asked.path.ends_with(config.hex()).then(|| Answer::new(200, r#"{"rootfs":{"diff_ids":[]}}"#))
    });
    fails(&format!("{}/team/app:1.0", server.host()), &options(), "is damaged or was changed");
}

#[test]
fn an_index_in_a_registry_leads_to_the_platform() {
    let arm = builder().architecture("arm64");
    let descriptor = |image: &ImageBuilder, architecture: &str| {
        serde_json::json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": Digest::sha256(&image.manifest()).to_string(),
            "platform": { "os": "linux", "architecture": architecture },
        })
    };
    let manifests = [descriptor(&arm, "arm64"), descriptor(&builder(), "amd64")];
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": manifests }).to_string();
    let digest = Digest::sha256(index.as_bytes());
    let server = altered(&builder(), move |asked| {
        asked.path.ends_with("/1.0").then(|| Answer::new(200, index.clone()))
    });
    let image = check(&format!("{}/team/app:1.0", server.host()), &options());
    assert_eq!(image.subject().index, Some(digest));
    assert_eq!(image.subject().manifest, Some(Digest::sha256(&builder().manifest())));
    let accept = server.asked()[0].headers["accept"].clone();
    assert!(
        accept.contains("oci.image.index.v1+json") && accept.contains("manifest.list.v2+json"),
        "{accept}"
    );
}

#[test]
fn a_foreign_layer_that_the_registry_lacks_is_a_gap() {
    let mut manifest: serde_json::Value = serde_json::from_slice(&builder().manifest()).unwrap();
    manifest["layers"][1]["urls"] = serde_json::json!(["https://elsewhere.example/layer"]);
    let manifest = manifest.to_string();
    let missing = Digest::sha256(&builder().blobs()[1]);
    let server = altered(&builder(), move |asked| match asked.path.as_str() {
        path if path.contains("/manifests/") => Some(Answer::new(200, manifest.clone())),
        path if path.ends_with(missing.hex()) => Some(Answer::new(404, "")),
        _ => None,
    });
    let target = Target::parse(&format!("{}/team/app:1.0", server.host())).unwrap();
    let (_, files) = read(&target, &options()).unwrap();
    assert_eq!((files.layers[&0].len(), files.layers[&1].len()), (1, 0));
    assert_eq!(files.codes, ["foreign-layer"]);
}

#[test]
fn a_document_of_any_size_is_bounded() {
    let server = altered(&builder(), |asked| {
        asked.path.contains("/manifests/").then(|| Answer::new(200, vec![b' '; 9 << 20]))
    });
    fails(&format!("{}/team/app:1.0", server.host()), &options(), "is larger than 8388608 bytes");
}

#[test]
fn skopeo_pulls_from_the_registry_of_the_testkit() {
    let directory = tempfile::tempdir().unwrap();
    for (credentials, bearer) in [(None, false), (None, true), (Some(("user", "pass")), true)] {
        let server = registry(&builder(), credentials, bearer);
        let layout = directory.path().join(server.host().replace(':', "-"));
        let mut skopeo = std::process::Command::new("skopeo");
        skopeo.args(["--insecure-policy", "copy", "--src-tls-verify=false"]);
        if credentials.is_some() {
            skopeo.arg("--src-creds=user:pass");
        }
        skopeo
            .arg(format!("docker://{}/team/app:1.0", server.host()))
            .arg(format!("oci:{}:1.0", layout.display()));
        match skopeo.output() {
            Err(error) => return eprintln!("skipped: skopeo cannot be run: {error}"),
            Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        }
        check(layout.to_str().unwrap(), &options());
    }
}
