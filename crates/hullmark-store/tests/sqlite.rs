//! The store on SQLite: what goes in comes out, also after it was closed.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use hullmark_store::{
    Documents, ImageRow, Images, ManifestRow, Manifests, NewPolicy, Policies, SqliteStore, Store, StoreError,
    TagRow, TokenRow, Tokens,
};
use hullmark_types::{Digest, Subject, SubjectKind};
use jiff::Timestamp;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn digest(text: &str) -> Digest {
    Digest::sha256(text.as_bytes())
}

fn image(name: &str, manifest: &str, config: &str, inventory: &str, taken_here: bool, time: i64) -> ImageRow {
    ImageRow {
        subject: Subject {
            kind: SubjectKind::Image,
            name: name.to_owned(),
            references: vec![format!("{name}:latest")],
            index: Some(digest("index")),
            manifest: Some(digest(manifest)),
            config: Some(digest(config)),
            platform: None,
        },
        inventory: digest(inventory),
        profile: None,
        taken_here,
        first_scanned: at(time),
        last_scanned: at(time),
    }
}

async fn store() -> (tempfile::TempDir, SqliteStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&directory.path().join("store.db")).await.unwrap();
    (directory, store)
}

#[tokio::test]
async fn what_is_stored_survives_closing() {
    let (directory, store) = store().await;
    let bytes = vec![b'x'; 100_000];
    let document = store.put_document("inventory", bytes.clone()).await.unwrap();
    assert_eq!(store.put_document("verdict", bytes.clone()).await.unwrap(), document);
    store.put_image(&image("a", "m", "c", "i", false, 1)).await.unwrap();
    store.close().await;
    let path = directory.path().join("store.db");
    assert!(std::fs::metadata(&path).unwrap().len() < 200_000);
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.document(&document).await.unwrap(), Some(bytes));
    assert_eq!(store.document_kind(&document).await.unwrap().as_deref(), Some("inventory"));
    assert_eq!(store.document(&digest("other")).await.unwrap(), None);
    assert_eq!(store.images(None, None, 10).await.unwrap().len(), 1);
    store.check().await.unwrap();
}

#[tokio::test]
async fn images_are_found_by_digests_and_names_and_not_by_names_that_look_like_digests() {
    let (_directory, store) = store().await;
    store.put_image(&image("a", "m1", "c1", "i1", false, 1)).await.unwrap();
    store.put_image(&image("a", "m2", "c2", "i2", false, 2)).await.unwrap();
    let victim = digest("victim").to_string();
    store.put_image(&image(&victim, "m3", "c3", "i3", false, 3)).await.unwrap();
    let found = async |text: &str| store.images_by_digest(&digest(text)).await.unwrap().len();
    assert_eq!(
        (found("m1").await, found("c2").await, found("index").await, found("victim").await),
        (1, 1, 3, 0)
    );
    let named = async |name: &str| store.images(Some(name), None, 10).await.unwrap().len();
    assert_eq!(
        (named("a").await, named("a:latest").await, named("b").await, named(&victim).await),
        (2, 2, 0, 1)
    );
    let all = store.images(None, None, 2).await.unwrap();
    let rest = store.images(None, all[1].subject.digest(), 2).await.unwrap();
    assert_eq!((all.len(), rest.len()), (2, 1));
}

#[tokio::test]
async fn a_sent_inventory_gives_way_to_one_that_was_taken() {
    let (_directory, store) = store().await;
    store.put_image(&image("sent", "m", "c", "sent", false, 1)).await.unwrap();
    let taken = store.put_image(&image("taken", "m", "c", "taken", true, 2)).await.unwrap();
    assert_eq!((taken.inventory, taken.first_scanned), (digest("taken"), at(1)));
    let kept = store.put_image(&image("sent", "m", "c", "sent", false, 3)).await.unwrap();
    assert_eq!((&kept.inventory, kept.last_scanned, kept.taken_here), (&digest("taken"), at(3), true));
    assert_eq!(kept.subject.references, ["sent:latest", "taken:latest"]);
    assert_eq!(store.images_by_digest(&digest("m")).await.unwrap(), [kept]);
}

#[tokio::test]
async fn a_sent_row_ties_no_digest_to_an_image_that_was_taken() {
    let (_directory, store) = store().await;
    let mut sent = image("sent", "m", "victim config", "sent", false, 1);
    sent.subject.index = Some(digest("victim"));
    store.put_image(&sent).await.unwrap();
    let mut taken = image("taken", "m", "c", "taken", true, 2);
    taken.subject.index = None;
    store.put_image(&taken).await.unwrap();
    let found = async |text: &str| store.images_by_digest(&digest(text)).await.unwrap().len();
    assert_eq!(
        (found("victim").await, found("victim config").await, found("m").await, found("c").await),
        (0, 0, 1, 1)
    );
    // Nor does one that comes later.
    let kept = store.put_image(&sent).await.unwrap();
    assert_eq!((kept.subject.index, kept.subject.config), (None, Some(digest("c"))));
    assert_eq!((found("victim").await, found("victim config").await, found("c").await), (0, 0, 1));
    // Many sent rows do not hide the one that was taken.
    for number in 0..70 {
        store.put_image(&image("sent", &format!("m{number}"), "c", "sent", false, 9)).await.unwrap();
    }
    assert!(store.images_by_digest(&digest("c")).await.unwrap()[0].taken_here);
}

#[tokio::test]
async fn an_index_gives_its_children_in_whatever_repository() {
    let (_directory, store) = store().await;
    store.put_image(&image("a", "z", "c", "i", true, 1)).await.unwrap();
    for repository in ["a", "b"] {
        let index = ManifestRow {
            upstream: "u".to_owned(),
            repository: repository.to_owned(),
            digest: digest("d"),
            media_type: "application/vnd.oci.image.index.v1+json".to_owned(),
            size: 1,
            config: None,
            children: vec![digest("x"), digest("y"), digest("z")],
            blobs: vec![digest("b")],
            seen_at: at(1),
        };
        store.put_manifest(&index).await.unwrap();
    }
    let children = store.children(&digest("d")).await.unwrap();
    assert_eq!((children.len(), &children[0]), (3, &digest("z")));
    assert!(store.children(&digest("x")).await.unwrap().is_empty());
}

#[tokio::test]
async fn one_version_of_the_policy_is_active() {
    let (_directory, store) = store().await;
    assert_eq!(store.active_policy().await.unwrap(), None);
    for number in 1..=3 {
        let new = NewPolicy {
            name: "p".to_owned(),
            digest: digest("p"),
            text: "text".to_owned(),
            comment: String::new(),
            created_by: "a".to_owned(),
            created_at: at(number),
        };
        assert_eq!(store.put_policy(&new).await.unwrap().version, u64::try_from(number).unwrap());
    }
    assert_eq!(store.activate_policy(9, "b", at(9)).await.unwrap(), None);
    for version in [2, 1] {
        assert!(store.activate_policy(version, "b", at(9)).await.unwrap().unwrap().active);
    }
    assert_eq!(store.active_policy().await.unwrap().unwrap().version, 1);
    let active: Vec<bool> = store.policies(None, 10).await.unwrap().iter().map(|row| row.active).collect();
    assert_eq!(active, [false, false, true]);
}

#[tokio::test]
async fn names_of_tokens_are_used_once() {
    let (_directory, store) = store().await;
    let token = |name: &str, secret: &str| TokenRow {
        name: name.to_owned(),
        hash: digest(secret),
        role: "ci".to_owned(),
        created_by: "a".to_owned(),
        created_at: at(1),
        expires_at: None,
        revoked_by: None,
        revoked_at: None,
    };
    store.put_token(&token("one", "s1")).await.unwrap();
    assert!(store.revoke_token("one", "b", at(2)).await.unwrap().is_some());
    assert!(store.revoke_token("one", "b", at(2)).await.unwrap().is_none());
    let again = store.put_token(&token("one", "s2")).await;
    assert!(matches!(again, Err(StoreError::Taken { .. })), "{again:?}");
    assert_eq!(store.token_by_hash(&digest("s1")).await.unwrap().unwrap().revoked_at, Some(at(2)));
    assert_eq!(store.token_by_hash(&digest("s2")).await.unwrap(), None);
}

#[tokio::test]
async fn blobs_are_reached_within_their_repository_only() {
    let (_directory, store) = store().await;
    let manifest = |repository: &str| ManifestRow {
        upstream: "docker.io".to_owned(),
        repository: repository.to_owned(),
        digest: digest("m"),
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        size: 7,
        config: Some(digest("c")),
        children: vec![digest("child")],
        blobs: vec![digest("c"), digest("l"), digest("l")],
        seen_at: at(1),
    };
    store.put_manifest(&manifest("a")).await.unwrap();
    store.put_manifest(&manifest("a")).await.unwrap();
    assert_eq!(store.manifest("docker.io", "a", &digest("m")).await.unwrap(), Some(manifest("a")));
    assert_eq!(store.manifest("docker.io", "b", &digest("m")).await.unwrap(), None);
    assert_eq!(store.manifests_with_blob("docker.io", "a", &digest("l")).await.unwrap(), [digest("m")]);
    assert_eq!(store.manifests_with_blob("docker.io", "b", &digest("l")).await.unwrap(), []);
    assert_eq!(store.manifests_with_blob("quay.io", "a", &digest("l")).await.unwrap(), []);
    assert_eq!(store.indexes_with_child("docker.io", "a", &digest("child")).await.unwrap(), [digest("m")]);
    assert_eq!(store.indexes_with_child("docker.io", "a", &digest("l")).await.unwrap(), []);
    let tag = |text: &str| TagRow {
        upstream: "docker.io".to_owned(),
        repository: "a".to_owned(),
        tag: "1".to_owned(),
        digest: digest(text),
        seen_at: at(1),
    };
    store.put_tag(&tag("m")).await.unwrap();
    store.put_tag(&tag("n")).await.unwrap();
    assert_eq!(store.tag("docker.io", "a", "1").await.unwrap(), Some(tag("n")));
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    std::fs::write(
        &path,
        "this is not a database, and longer than a header of one would be......................",
    )
    .unwrap();
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert!(error.to_string().contains("store.db"), "{error}");
}

#[tokio::test]
async fn a_damaged_document_is_not_given() {
    let (directory, store) = store().await;
    let document = store.put_document("inventory", b"something".repeat(100)).await.unwrap();
    store.close().await;
    let path = directory.path().join("store.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let other = zstd::bulk::compress(&b"different".repeat(100), 3).unwrap();
    sqlx::query("UPDATE documents SET content = ?").bind(other).execute(&pool).await.unwrap();
    pool.close().await;
    let store = SqliteStore::open(&path).await.unwrap();
    let error = store.document(&document).await.unwrap_err();
    assert!(matches!(error, StoreError::Document { .. }), "{error}");
}
