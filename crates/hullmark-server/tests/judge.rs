//! Judging: scans, standings, and when a verdict is made again.

mod common;

use common::{Kit, bad_image, good_image};
use hullmark_server::judge::Standing;
use hullmark_types::{Outcome, Stage};

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
