//! What fails, and what is done then: ledger, database, store; and what many ask at once.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod common;

use std::time::Duration;

use common::{Kit, bad_image, build_database, good_image};
use hullmark_server::auth::Role;
use hullmark_server::judge::Standing;
use hullmark_types::{Digest, Outcome, Stage};
use serde_json::{Value, json};

/// An exception.
const EXCEPTION: &str = "apiVersion: hullmark.dev/v1\nkind: Exceptions\nexceptions:\n  - id: EX-1\n    \
    match: { vulnerability: CVE-2019-14697 }\n    owner: team-a\n    approver: security\n    reason: not reachable\n    \
    created: 2026-01-01\n    expires: 2026-01-31\n";

async fn outcome(kit: &Kit, digest: &Digest, stage: Stage) -> Outcome {
    match kit.shared.judge.standing(digest, stage).await.unwrap() {
        Standing::Judged { verdict, .. } => verdict.outcome,
        Standing::Unscanned => panic!("{digest} is unscanned"),
    }
}

#[tokio::test]
async fn without_the_ledger_nothing_is_told_or_changed() {
    let kit = Kit::start().await;
    let (ci, security, agent) =
        (kit.token(Role::Ci).await, kit.token(Role::Security).await, kit.token(Role::Agent).await);
    let (inventory, _) = kit.inventory(&bad_image());
    let good = kit.scan(&good_image(), Stage::Deploy).await;
    let directory = kit.shared.config.ledger_directory();
    let aside = kit.path("aside");
    std::fs::rename(&directory, &aside).unwrap();

    let scan = json!({ "inventory": inventory, "stage": "build" });
    let reply = kit.post("/api/v1/scans", &ci, &scan).await;
    assert_eq!(reply.status, 503);
    assert!(!reply.text().contains("verdict\":") && !reply.text().contains("CVE-"), "{}", reply.text());
    // What went wrong inside stays inside.
    assert!(!reply.text().contains(&directory.display().to_string()), "{}", reply.text());
    let change = json!({ "text": hullmark_policy::DEFAULT_POLICY, "activate": true });
    assert_eq!(kit.post("/api/v1/policies", &security, &change).await.status, 503);
    assert_eq!(kit.shared.judge.rules().row.version, 1);
    let token = json!({ "name": "x", "role": "admin" });
    assert_eq!(kit.post("/api/v1/tokens", &kit.admin, &token).await.status, 503);
    assert!(!kit.shared.store.tokens().await.unwrap().iter().any(|token| token.name == "x"));
    let digest = good.inventory.subject.digest().unwrap();
    let question = json!({ "schema": 1, "point": "oci-hook", "image": { "name": "x", "manifest": digest } });
    let answer = kit.post("/api/v1/decisions", &agent, &question).await.ok();
    assert_eq!((&answer["allow"], &answer["degraded"]), (&json!(false), &json!(["ledger-unwritable"])));
    let ready = kit.get("/readyz", "").await;
    assert_eq!((ready.status.as_u16(), &ready.json()["not_ready"]), (503, &json!(["ledger"])));

    std::fs::rename(&aside, &directory).unwrap();
    let report = kit.post("/api/v1/scans", &ci, &scan).await.ok();
    assert_eq!(report["verdict"]["outcome"], "failed");
    assert_eq!(kit.post("/api/v1/decisions", &agent, &question).await.ok()["allow"], true);
    assert_eq!(kit.get("/readyz", "").await.status, 200);
}

#[tokio::test]
async fn open_on_failure_allows_and_says_so() {
    let kit = Kit::with("[enforcement]\non_failure = \"open\"\nunscanned = \"warn\"\n").await;
    let agent = kit.token(Role::Agent).await;
    let bad = kit.scan(&bad_image(), Stage::Deploy).await;
    std::fs::rename(kit.shared.config.ledger_directory(), kit.path("aside")).unwrap();
    let ask = async |digest: &Digest| {
        let question =
            json!({ "schema": 1, "point": "oci-hook", "image": { "name": "x", "manifest": digest } });
        kit.post("/api/v1/decisions", &agent, &question).await.ok()
    };
    let unknown = ask(&Digest::sha256(b"unknown")).await;
    assert_eq!(
        (&unknown["allow"], &unknown["degraded"]),
        (&json!(true), &json!(["unscanned", "ledger-unwritable"]))
    );
    assert!(unknown.get("entry").is_none());
    // A denial by a verdict that is recorded stays one.
    assert_eq!(ask(bad.inventory.subject.digest().unwrap()).await["allow"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_askers_cause_one_judgement() {
    let kit = Kit::start().await;
    let report = kit.scan(&bad_image(), Stage::Build).await;
    let digest = report.inventory.subject.digest().unwrap().clone();
    let before = kit.ledger().len();
    let askers: Vec<_> = (0..200)
        .map(|_| {
            let (judge, digest) = (kit.shared.judge.clone(), digest.clone());
            tokio::spawn(async move { judge.standing(&digest, Stage::Deploy).await.unwrap() })
        })
        .collect();
    for asker in askers {
        let Standing::Judged { verdict, .. } = asker.await.unwrap() else { panic!("unscanned") };
        assert_eq!(verdict.outcome, Outcome::Failed);
    }
    assert_eq!(kit.ledger().len(), before + 1);
}

#[tokio::test]
async fn a_replaced_database_counts_at_once_and_a_damaged_one_never() {
    let kit = Kit::start().await;
    let report = kit.scan(&good_image(), Stage::Deploy).await;
    let digest = report.inventory.subject.digest().unwrap().clone();
    assert_ne!(outcome(&kit, &digest, Stage::Deploy).await, Outcome::Failed);
    // The fix turns out to be none.
    build_database(kit.directory.path(), &[("musl", "1.1.18-r9", &["CVE-2019-14697"])]);
    assert_eq!(outcome(&kit, &digest, Stage::Deploy).await, Outcome::Failed);
    let changes: Vec<Value> = kit
        .ledger()
        .into_iter()
        .filter(|entry| entry["message"] == "the advisory database was replaced")
        .collect();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0]["detail"]["database"], kit.shared.judge.database_digest().to_string());
    std::fs::remove_file(kit.path("a.db")).unwrap();
    assert_eq!(outcome(&kit, &digest, Stage::Deploy).await, Outcome::Failed);
    assert!(kit.shared.judge.is_database_broken());
    build_database(kit.directory.path(), &[("musl", "1.1.18-r4", &["CVE-2019-14697"])]);
    assert_ne!(outcome(&kit, &digest, Stage::Deploy).await, Outcome::Failed);
    assert!(!kit.shared.judge.is_database_broken());
}

#[tokio::test]
async fn a_replaced_database_is_recorded_once_the_ledger_can_be_written_again() {
    let kit = Kit::start().await;
    let report = kit.scan(&good_image(), Stage::Deploy).await;
    let digest = report.inventory.subject.digest().unwrap().clone();
    let (directory, aside) = (kit.shared.config.ledger_directory(), kit.path("aside"));
    std::fs::rename(&directory, &aside).unwrap();
    build_database(kit.directory.path(), &[("musl", "1.1.18-r9", &["CVE-2019-14697"])]);
    for _ in 0..2 {
        assert!(kit.shared.judge.standing(&digest, Stage::Deploy).await.is_err());
    }
    std::fs::rename(&aside, &directory).unwrap();
    assert_eq!(outcome(&kit, &digest, Stage::Deploy).await, Outcome::Failed);
    kit.shared.judge.refresh_database().await.unwrap();
    let is_change = |entry: &Value| entry["message"] == "the advisory database was replaced";
    assert_eq!(kit.ledger().iter().filter(|entry| is_change(entry)).count(), 1);
}

/// Begins a request, goes away while it is under way, and waits until `is_done`.
async fn go_away(kit: &Kit, request: impl Future, is_done: impl Fn() -> bool) {
    let turn = kit.shared.locks.govern.lock().await;
    assert!(tokio::time::timeout(Duration::from_millis(300), request).await.is_err());
    drop(turn);
    for _ in 0..500 {
        if is_done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("what was begun was not done");
}

#[tokio::test]
async fn a_change_takes_effect_though_who_asked_for_it_went_away() {
    let kit = Kit::start().await;
    let security = kit.token(Role::Security).await;
    let judge = &kit.shared.judge;
    let policy = json!({ "text": hullmark_policy::DEFAULT_POLICY, "activate": true });
    go_away(&kit, kit.post("/api/v1/policies", &security, &policy), || judge.rules().row.version == 2).await;
    let first = kit.send("POST", "/api/v1/policies/1/activate", &security, None);
    go_away(&kit, first, || judge.rules().row.version == 1).await;
    let exceptions = || judge.rules().exceptions.list().len();
    let new = json!({ "text": EXCEPTION });
    go_away(&kit, kit.post("/api/v1/exceptions", &security, &new), || exceptions() == 1).await;
    let revoked = kit.send("DELETE", "/api/v1/exceptions/EX-1", &security, None);
    go_away(&kit, revoked, || exceptions() == 0).await;
}

#[tokio::test]
async fn a_verdict_is_made_again_when_it_is_old() {
    let kit = Kit::with("[enforcement]\nverdict_max_age = \"1h\"\n").await;
    let report = kit.scan(&bad_image(), Stage::Ship).await;
    let digest = report.inventory.subject.digest().unwrap().clone();
    let entry = async || match kit.shared.judge.standing(&digest, Stage::Ship).await.unwrap() {
        Standing::Judged { verdict, .. } => verdict.link.entry,
        Standing::Unscanned => panic!("unscanned"),
    };
    let first = entry().await;
    kit.clock.advance(3599);
    assert_eq!(entry().await, first);
    kit.clock.advance(1);
    let second = entry().await;
    assert!(second > first);
    assert_eq!(kit.ledger()[usize::try_from(second).unwrap()]["point"], "server");
}

#[tokio::test]
async fn a_sent_inventory_does_not_replace_one_that_the_server_took() {
    let kit = Kit::start().await;
    let ci = kit.token(Role::Ci).await;
    let report = kit.scan(&bad_image(), Stage::Ship).await;
    let digest = report.inventory.subject.digest().unwrap().clone();
    let (mut inventory, _) = kit.inventory(&bad_image());
    inventory.packages.clear();
    let sent = kit.post("/api/v1/scans", &ci, &json!({ "inventory": inventory, "stage": "ship" })).await.ok();
    assert_ne!(sent["verdict"]["outcome"], "failed");
    assert_eq!(outcome(&kit, &digest, Stage::Ship).await, Outcome::Failed);
}

#[tokio::test]
async fn a_server_that_starts_again_knows_what_it_knew() {
    let kit = Kit::start().await;
    let report = kit.scan(&bad_image(), Stage::Ship).await;
    let digest = report.inventory.subject.digest().unwrap().clone();
    let entries = kit.ledger().len();
    let (directory, clock, admin) =
        (std::sync::Arc::clone(&kit.directory), kit.clock.clone(), kit.admin.clone());
    drop(kit);
    let kit = Kit::run(directory, clock, admin, "").await;
    assert_eq!(outcome(&kit, &digest, Stage::Ship).await, Outcome::Failed);
    assert_eq!(kit.ledger().len(), entries, "nothing was judged again");
    kit.get("/api/v1/status", &kit.admin).await.ok();
}
