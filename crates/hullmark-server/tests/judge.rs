//! Judging: scans, standings, and when a verdict is made again.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{Kit, bad_image, good_image};
use hullmark_server::auth::Role;
use hullmark_server::judge::Standing;
use hullmark_store::ManifestRow;
use hullmark_types::{Digest, Inventory, Outcome, Stage, Subject};
use serde_json::json;

#[tokio::test]
async fn a_scanned_image_has_the_same_standing_by_every_digest() {
    let kit = Kit::start().await;
    let report = kit.scan(&bad_image(), Stage::Ship).await;
    assert_eq!(report.verdict.outcome, Outcome::Failed);
    let subject = &report.inventory.subject;
    for digest in [&subject.manifest, &subject.config].into_iter().flatten() {
        let Standing::Judged { verdict, .. } = kit.shared.judge.standing(digest, Stage::Ship).await.unwrap()
        else {
            panic!("{digest} is unscanned");
        };
        assert_eq!(verdict.outcome, Outcome::Failed);
        assert_eq!(verdict.link.entry, report.ledger.as_ref().unwrap().index);
    }
    let other = good_image().manifest();
    let digest = hullmark_types::Digest::sha256(&other);
    let standing = kit.shared.judge.standing(&digest, Stage::Ship).await.unwrap();
    assert!(matches!(standing, Standing::Unscanned));
    let report = kit.scan(&good_image(), Stage::Ship).await;
    assert_ne!(report.verdict.outcome, Outcome::Failed);
}

/// The outcome by a digest; nothing where it is unscanned.
async fn outcome(kit: &Kit, digest: &Digest) -> Option<Outcome> {
    match kit.shared.judge.standing(digest, Stage::Deploy).await.unwrap() {
        Standing::Judged { verdict, .. } => Some(verdict.outcome),
        Standing::Unscanned => None,
    }
}

/// Sends an inventory as `ci`.
async fn send(kit: &Kit, inventory: &Inventory) -> u16 {
    let ci = kit.token(Role::Ci).await;
    let scan = json!({ "inventory": inventory, "stage": "build" });
    kit.post("/api/v1/scans", &ci, &scan).await.status.as_u16()
}

#[tokio::test]
async fn a_sent_inventory_gives_no_other_image_its_verdict() {
    let kit = Kit::start().await;
    let (mut good, _) = kit.inventory(&good_image());
    let (bad, _) = kit.inventory(&bad_image());
    // The manifest digest of a bad image is sent as the index digest of a good one, and both are scanned then.
    good.subject.index = bad.subject.manifest.clone();
    assert_eq!(send(&kit, &good).await, 200);
    kit.scan(&good_image(), Stage::Ship).await;
    let bad_manifest = bad.subject.manifest.clone().unwrap();
    assert_eq!(outcome(&kit, &bad_manifest).await, None);
    kit.scan(&bad_image(), Stage::Ship).await;
    for digest in [&bad.subject.manifest, &bad.subject.config].into_iter().flatten() {
        assert_eq!(outcome(&kit, digest).await, Some(Outcome::Failed));
    }
    // Once it is known as a manifest, it is no index, and its configuration is no manifest.
    assert_eq!(send(&kit, &good).await, 422);
    good.subject.index = None;
    good.subject.manifest = bad.subject.config.clone();
    assert_eq!(send(&kit, &good).await, 422);
    good.subject.manifest = Some(Digest::sha256(b"other"));
    good.subject.config = bad.subject.manifest.clone();
    assert_eq!(send(&kit, &good).await, 422);
}

#[tokio::test]
async fn what_the_server_took_goes_before_what_was_sent_earlier() {
    let kit = Kit::start().await;
    let (mut good, _) = kit.inventory(&good_image());
    let (bad, _) = kit.inventory(&bad_image());
    // Sent while the bad image is unknown, as a manifest and as a configuration.
    let config = bad.subject.config.clone().unwrap();
    good.subject.manifest = Some(config.clone());
    good.subject.config = bad.subject.manifest.clone();
    assert_eq!(send(&kit, &good).await, 200);
    assert_ne!(outcome(&kit, &config).await, Some(Outcome::Failed));
    kit.scan(&bad_image(), Stage::Ship).await;
    assert_eq!(outcome(&kit, &config).await, Some(Outcome::Failed));
    assert_eq!(outcome(&kit, bad.subject.manifest.as_ref().unwrap()).await, Some(Outcome::Failed));
}

#[tokio::test]
async fn an_index_has_the_strictest_verdict_of_its_scanned_images() {
    let kit = Kit::start().await;
    let (mut good, _) = kit.inventory(&good_image());
    let (bad, _) = kit.inventory(&bad_image());
    let manifest = |subject: &Subject| subject.manifest.clone().unwrap();
    let index = Digest::sha256(b"index");
    let row = ManifestRow {
        upstream: "docker.io".to_owned(),
        repository: "library/app".to_owned(),
        digest: index.clone(),
        media_type: "application/vnd.oci.image.index.v1+json".to_owned(),
        size: 1,
        config: None,
        children: vec![manifest(&good.subject), manifest(&bad.subject), Digest::sha256(b"never pulled")],
        blobs: Vec::new(),
        seen_at: kit.clock.now(),
    };
    kit.shared.store.put_manifest(&row).await.unwrap();
    assert_eq!(outcome(&kit, &index).await, None);
    let agent = kit.token(Role::Agent).await;
    let question = json!({ "schema": 1, "point": "oci-hook", "image": { "name": "app", "index": index } });
    let allowed = async || kit.post("/api/v1/decisions", &agent, &question).await.ok()["allow"].clone();
    assert_eq!(allowed().await, false);
    kit.scan(&good_image(), Stage::Ship).await;
    assert_eq!(allowed().await, true);
    kit.scan(&bad_image(), Stage::Ship).await;
    assert_eq!(outcome(&kit, &index).await, Some(Outcome::Failed));
    assert_eq!(allowed().await, false);
    // The digest of a known index is not taken for that of a manifest.
    good.subject.manifest = Some(index);
    assert_eq!(send(&kit, &good).await, 422);
}
