//! The client of a whole registry, and images whose blobs are here already.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[expect(dead_code, clippy::panic, reason = "other tests use the rest")]
mod common;

use std::io::Read;

use common::{Files, builder, options};
use hullmark_image::{ImageError, NoProgress, RegistryAccess, RegistryClient, RegistryOptions, open_blobs};
use hullmark_testkit::{Answer, Asked, Server, registry};
use hullmark_types::Digest;

const ANY: &str = "*/*";

fn client(server: &Server) -> RegistryClient {
    RegistryClient::new(RegistryOptions {
        name: "registry.example".to_owned(),
        url: server.url(),
        client: options().client,
        access: RegistryAccess::default(),
        max_document: 4 << 20,
    })
    .unwrap()
}

fn answering(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> (Server, RegistryClient) {
    let server = Server::new(answer);
    let client = client(&server);
    (server, client)
}

#[test]
fn manifests_come_byte_for_byte_with_the_digest_of_the_bytes() {
    for (credentials, bearer) in [(None, false), (None, true)] {
        let server = registry(&builder(), credentials, bearer);
        let client = client(&server);
        let digest = Digest::sha256(&builder().manifest());
        for wanted in ["1.0".to_owned(), digest.to_string()] {
            let document = client.manifest("team/app", &wanted, ANY).unwrap();
            assert_eq!((document.bytes, &document.digest), (builder().manifest(), &digest));
            assert_eq!(document.media_type, "application/vnd.oci.image.manifest.v1+json");
        }
        let head = client.head("team/app", "1.0", ANY).unwrap();
        assert_eq!(head.size, Some(builder().manifest().len() as u64));
    }
}

#[test]
fn lies_about_digests_and_sizes_are_found() {
    let (_server, client) = answering(|asked| match asked.path.contains("/blobs/") {
        true => Answer::new(200, vec![0; 100]),
        false => Answer::new(200, "{}").header("Content-Type", "text/html <script>"),
    });
    let digest = Digest::sha256(b"other");
    let error = client.manifest("a", &digest.to_string(), ANY).unwrap_err();
    assert!(matches!(error, ImageError::DigestMismatch { .. }), "{error}");
    assert_eq!(client.manifest("a", "latest", ANY).unwrap().media_type, "");
    let mut blob = client.blob("a", &digest, 100).unwrap();
    assert_eq!(blob.size(), Some(100));
    let error = blob.read_to_end(&mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("is damaged or was changed"), "{error}");
    let error = client.blob("a", &digest, 99).unwrap_err();
    assert!(error.to_string().contains("100 bytes, the limit is 99"), "{error}");
    // The right bytes can be read to the end.
    let zeros = Digest::sha256(&[0; 100]);
    let mut bytes = Vec::new();
    client.blob("a", &zeros, 100).unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len(), 100);
}

#[test]
fn lists_have_pages_and_a_limit() {
    let (server, client) = answering(|asked| match asked.path.contains("huge") {
        true => Answer::new(200, vec![b' '; 9 << 20]),
        false => Answer::new(200, r#"{"tags":["a"]}"#)
            .header("Link", "</v2/a/tags/list?n=1&last=a>; rel=\"next\"")
            .header("OCI-Filters-Applied", "artifactType"),
    });
    let page = client.tags("team/app", Some(1), Some("a b&c")).unwrap();
    assert_eq!(page.bytes, br#"{"tags":["a"]}"#);
    assert_eq!(page.link.as_deref(), Some("</v2/a/tags/list?n=1&last=a>; rel=\"next\""));
    client.tags("team/app", None, None).unwrap();
    let digest = Digest::sha256(b"");
    let page = client.referrers("a", &digest, Some("application/x+y"), &[]).unwrap();
    assert_eq!(page.filters.as_deref(), Some("artifactType"));
    assert!(client.tags("huge", None, None).is_err());
    let paths: Vec<String> = server.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(paths[0], "/v2/team/app/tags/list?n=1&last=a%20b%26c");
    assert_eq!(paths[1], "/v2/team/app/tags/list");
    assert_eq!(paths[2], format!("/v2/a/referrers/{digest}?artifactType=application/x%2By"));
}

#[test]
fn a_refusal_keeps_its_status() {
    let (_server, client) = answering(|_| Answer::new(404, ""));
    let error = client.manifest("a", "b", ANY).unwrap_err();
    assert!(matches!(error, ImageError::Registry { status: 404, .. }), "{error}");
}

#[test]
fn an_image_is_opened_from_blobs_that_are_here() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = directory.path().join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| std::fs::write(blobs.join(Digest::sha256(bytes).hex()), bytes).unwrap();
    builder().blobs().iter().for_each(|blob| put(blob));
    let digest = Digest::sha256(&builder().manifest());
    let open = || open_blobs(directory.path(), &digest, "registry.example/team/app:1.0", &options());
    assert!(matches!(open().unwrap_err(), ImageError::Io { .. }));
    put(&builder().manifest());
    put(&builder().config());
    let mut image = open().unwrap();
    let mut files = Files::default();
    image.walk(&mut files, &NoProgress).unwrap();
    assert_eq!(files.layers[&1], ["app=2"]);
    let subject = image.subject();
    assert_eq!(
        (subject.name.as_str(), &subject.manifest),
        ("registry.example/team/app:1.0", &Some(digest.clone()))
    );
    std::fs::write(blobs.join(digest.hex()), "{}").unwrap();
    assert!(matches!(open().unwrap_err(), ImageError::DigestMismatch { .. }));
}
