//! The API: its description against its routes, roles, and what each resource does.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use common::{Kit, bad_image, good_image};
use hullmark_server::auth::Role;
use hullmark_types::Stage;
use serde_json::{Value, json};

/// Every route of the API, as the design has it.
const ROUTES: &[&str] = &[
    "DELETE /api/v1/exceptions/{id}",
    "DELETE /api/v1/tokens/{name}",
    "GET /api/v1/events",
    "GET /api/v1/exceptions",
    "GET /api/v1/images",
    "GET /api/v1/images/{digest}",
    "GET /api/v1/images/{digest}/profile",
    "GET /api/v1/images/{digest}/trail",
    "GET /api/v1/inventories/{digest}",
    "GET /api/v1/ledger/checkpoint",
    "GET /api/v1/ledger/key",
    "GET /api/v1/ledger/tile/{*path}",
    "GET /api/v1/openapi.json",
    "GET /api/v1/policies",
    "GET /api/v1/policies/{version}",
    "GET /api/v1/status",
    "GET /api/v1/tokens",
    "GET /api/v1/verdicts",
    "GET /api/v1/verdicts/{digest}",
    "POST /api/v1/decisions",
    "POST /api/v1/events",
    "POST /api/v1/exceptions",
    "POST /api/v1/policies",
    "POST /api/v1/policies/{version}/activate",
    "POST /api/v1/scans",
    "POST /api/v1/tokens",
];

/// Each operation of a document: method, path, roles.
fn operations(document: &Value) -> Vec<(String, String, BTreeSet<String>)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let roles = operation["security"][0]["token"].as_array().unwrap();
            let roles = roles.iter().map(|role| role.as_str().unwrap().to_owned()).collect();
            found.push((method.to_uppercase(), path.clone(), roles));
        }
    }
    found
}

/// A path with its parts filled in.
fn concrete(path: &str) -> String {
    path.replace("{digest}", &format!("sha256:{}", "0".repeat(64)))
        .replace("{*path}", "0/000")
        .replace("{version}", "1")
        .replace("{id}", "EX-1")
        .replace("{name}", "nobody")
}

#[tokio::test]
async fn the_document_describes_exactly_the_routes() {
    let kit = Kit::start().await;
    let document = kit.get("/api/v1/openapi.json", &kit.admin).await.ok();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
    let operations = operations(&document);
    let described: BTreeSet<String> =
        operations.iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    assert_eq!(described, ROUTES.iter().map(|route| (*route).to_owned()).collect());
    let paths: BTreeSet<&String> = operations.iter().map(|(_, path, _)| path).collect();
    for path in paths {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let status = kit.send(method, &concrete(path), "", None).await.status.as_u16();
            let expected = if described.contains(&format!("{method} {path}")) { 401 } else { 405 };
            assert_eq!(status, expected, "{method} {path}");
        }
    }
    assert_eq!(kit.get("/api/v1/other", &kit.admin).await.status, 404);
}

/// Follows every reference of the document.
fn check_references(document: &Value, value: &Value) {
    match value {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{reference}");
            }
            members.values().for_each(|member| check_references(document, member));
        }
        Value::Array(items) => items.iter().for_each(|item| check_references(document, item)),
        _ => {}
    }
}

#[tokio::test]
async fn the_document_is_openapi() {
    let kit = Kit::start().await;
    let document = kit.get("/api/v1/openapi.json", &kit.admin).await.ok();
    check_references(&document, &document);
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    for (path, item) in document["paths"].as_object().unwrap() {
        let named: BTreeSet<&str> =
            path.split('{').skip(1).filter_map(|part| part.split('}').next()).collect();
        for (method, operation) in item.as_object().unwrap() {
            let at = format!("{method} {path}");
            assert!(operation["operationId"].is_string(), "{at}");
            assert!(operation["summary"].is_string() || operation["description"].is_string(), "{at}");
            assert!(!operation["responses"].as_object().unwrap().is_empty(), "{at}");
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let given: BTreeSet<&str> = parameters
                .iter()
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            let named: BTreeSet<&str> = named.iter().map(|name| name.trim_start_matches('*')).collect();
            assert_eq!(given, named, "{at}");
            assert_eq!(
                operation.get("requestBody").is_some(),
                method == "post" && !path.ends_with("activate"),
                "{at}"
            );
        }
    }
}

#[tokio::test]
async fn every_route_refuses_a_wrong_role() {
    let kit = Kit::start().await;
    let document = kit.get("/api/v1/openapi.json", &kit.admin).await.ok();
    let mut tokens = Vec::new();
    for role in Role::ALL {
        tokens.push((role, kit.token(role).await));
    }
    for (method, path, roles) in operations(&document) {
        for (role, token) in &tokens {
            let reply = kit.send(&method, &concrete(&path), token, None).await;
            let may = *role == Role::Admin || roles.contains(role.name());
            assert_eq!(reply.status == 403, !may, "{method} {path} as {}: {}", role.name(), reply.status);
            assert_ne!(reply.status, 401, "{method} {path} as {}", role.name());
        }
    }
}

#[tokio::test]
async fn tokens_that_do_not_count_are_refused() {
    let kit = Kit::start().await;
    let create =
        |name: &str, expires: Option<&str>| json!({ "name": name, "role": "reader", "expires_at": expires });
    let made = kit.post("/api/v1/tokens", &kit.admin, &create("one", None)).await;
    assert_eq!(made.status, 201);
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    assert!(!made.text().contains("hash"), "{}", made.text());
    kit.get("/api/v1/status", &secret).await.ok();
    assert_eq!(kit.post("/api/v1/tokens", &kit.admin, &create("one", None)).await.status, 409);
    assert_eq!(kit.post("/api/v1/tokens", &kit.admin, &create("a b", None)).await.status, 422);
    assert_eq!(
        kit.post("/api/v1/tokens", &kit.admin, &create("old", Some("2020-01-01T00:00:00Z"))).await.status,
        422
    );
    kit.send("DELETE", "/api/v1/tokens/one", &kit.admin, None).await.ok();
    assert_eq!(kit.get("/api/v1/status", &secret).await.status, 401);
    assert_eq!(kit.send("DELETE", "/api/v1/tokens/one", &kit.admin, None).await.status, 404);

    let made =
        kit.post("/api/v1/tokens", &kit.admin, &create("brief", Some("2026-01-02T01:00:00Z"))).await.ok();
    let brief = made["secret"].as_str().unwrap();
    kit.get("/api/v1/status", brief).await.ok();
    kit.clock.advance(3600);
    let refused = kit.get("/api/v1/status", brief).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.headers["content-type"]),
        (401, &"application/problem+json".parse().unwrap())
    );
    assert!(refused.headers.contains_key("www-authenticate"));
    for bad in ["hmk_x", &secret.to_uppercase(), "Bearer"] {
        assert_eq!(kit.get("/api/v1/status", bad).await.status, 401, "{bad}");
    }
    // Basic, as registry clients send it.
    let basic =
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("any:{}", kit.admin));
    let request = Request::get("/api/v1/status").header("authorization", format!("Basic {basic}"));
    assert_eq!(kit.ask(request.body(Body::empty()).unwrap()).await.status, 200);

    let listed = kit.get("/api/v1/tokens", &kit.admin).await;
    assert_eq!(listed.ok()["tokens"].as_array().unwrap().len(), 3);
    for secret in [&secret, brief, &kit.admin] {
        let ledger = serde_json::to_string(&kit.ledger()).unwrap();
        assert!(!ledger.contains(secret) && !listed.text().contains(secret));
    }
    let kinds: Vec<Value> = kit.ledger().iter().map(|entry| entry["kind"].clone()).collect();
    assert_eq!(kinds.iter().filter(|kind| *kind == "token").count(), 4, "{kinds:?}");
}

#[tokio::test]
async fn a_sent_inventory_is_judged_recorded_and_found_again() {
    let kit = Kit::start().await;
    let ci = kit.token(Role::Ci).await;
    let (inventory, profile) = kit.inventory(&bad_image());
    let body = json!({ "inventory": inventory, "profile": profile, "stage": "build", "asker": { "user": "u", "token": "forged" } });
    let report = kit.post("/api/v1/scans", &ci, &body).await.ok();
    assert_eq!(report["verdict"]["outcome"], "failed");
    let index = usize::try_from(report["ledger"]["index"].as_u64().unwrap()).unwrap();
    let ledger = kit.ledger();
    let entry = &ledger[index];
    assert_eq!(
        (&entry["kind"], &entry["outcome"], &entry["point"]),
        (&json!("verdict"), &json!("failed"), &json!("scan"))
    );
    assert_eq!((&entry["asker"]["user"], &entry["policy_version"]), (&json!("u"), &json!(1)));
    assert!(entry["asker"]["token"].as_str().unwrap().starts_with("ci-"));

    let digest = inventory.subject.digest().unwrap().to_string();
    let found = kit.get(&format!("/api/v1/images/{digest}"), &ci).await.ok();
    assert_eq!(found["images"][0]["inventory"], report["verdict"]["inputs"]["inventory"]);
    assert_eq!(found["verdicts"][0]["outcome"], "failed");
    let config = inventory.subject.config.as_ref().unwrap();
    kit.get(&format!("/api/v1/images/{config}"), &ci).await.ok();
    let stored = kit.get(&format!("/api/v1/images/{digest}/profile"), &ci).await.ok();
    assert_eq!(stored, json!(profile));
    let inventory_digest = report["verdict"]["inputs"]["inventory"].as_str().unwrap();
    assert_eq!(kit.get(&format!("/api/v1/inventories/{inventory_digest}"), &ci).await.ok(), json!(inventory));
    let verdict = found["verdicts"][0]["link"]["verdict"].as_str().unwrap();
    assert_eq!(kit.get(&format!("/api/v1/verdicts/{verdict}"), &ci).await.ok()["verdict"], report["verdict"]);
    // A verdict is no inventory.
    assert_eq!(kit.get(&format!("/api/v1/inventories/{verdict}"), &ci).await.status, 404);
    let listed = kit.get(&format!("/api/v1/verdicts?image={config}"), &ci).await.ok();
    assert_eq!(listed["verdicts"].as_array().unwrap().len(), 1);
    assert_eq!(kit.get("/api/v1/images?limit=1", &ci).await.ok()["images"].as_array().unwrap().len(), 1);
    assert_eq!(kit.get(&format!("/api/v1/images?after={digest}"), &ci).await.ok()["images"], json!([]));
    let trail = kit.get(&format!("/api/v1/images/{digest}/trail"), &ci).await.ok();
    let about: Vec<_> =
        trail["entries"].as_array().unwrap().iter().filter(|entry| entry["relation"] == "image").collect();
    assert_eq!(about.len(), 1);
    assert_eq!((&about[0]["entry"], &about[0]["record"]["kind"]), (&json!(index), &json!("verdict")));
    // The policy that the verdict rests on.
    let is_basis =
        |entry: &serde_json::Value| entry["relation"] == "basis" && entry["record"]["kind"] == "policy";
    assert!(trail["entries"].as_array().unwrap().iter().any(is_basis), "{trail:#}");
    let unknown = format!("sha256:{}", "0".repeat(64));
    assert_eq!(kit.get(&format!("/api/v1/images/{unknown}/trail"), &ci).await.status, 404);
}

#[tokio::test]
async fn the_answer_of_a_scan_is_as_described() {
    let kit = Kit::start().await;
    let (inventory, _) = kit.inventory(&bad_image());
    let body = json!({ "inventory": inventory, "stage": "build" });
    let report = kit.post("/api/v1/scans", &kit.admin, &body).await.ok();
    let mut document = kit.get("/api/v1/openapi.json", &kit.admin).await.ok();
    let scan = "/paths/~1api~1v1~1scans/post";
    let answer = document.pointer(&format!("{scan}/responses/200/content/application~1json/schema")).unwrap();
    assert_eq!(answer["$ref"], "#/components/schemas/ScanReport");
    document["$ref"] = json!("#/components/schemas/ScanReport");
    let validator = jsonschema::validator_for(&document).unwrap();
    if let Err(error) = validator.validate(&report) {
        panic!("{error} at {}", error.instance_path());
    }
    assert!(validator.validate(&json!({ "inventory": {} })).is_err());
}

#[tokio::test]
async fn bad_requests_are_told_what_is_wrong() {
    let kit = Kit::with("[limits]\nbody_bytes = 100\ninventory_bytes = 2000\n").await;
    let ci = kit.token(Role::Ci).await;
    let (inventory, profile) = kit.inventory(&bad_image());
    let reply = kit.post("/api/v1/scans", &ci, &json!({ "inventory": inventory, "stage": "moon" })).await;
    assert_eq!(reply.status, 400);
    assert!(reply.json()["detail"].as_str().unwrap().contains("moon"), "{}", reply.text());
    let mut other = inventory.clone();
    other.subject.manifest = Some(hullmark_types::Digest::sha256(b"other"));
    other.layers.clear();
    let reply = kit
        .post("/api/v1/scans", &ci, &json!({ "inventory": other, "profile": profile, "stage": "build" }))
        .await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    let reply = kit
        .post(
            "/api/v1/scans",
            &ci,
            &json!({ "inventory": inventory, "stage": "build", "x": "y".repeat(3000) }),
        )
        .await;
    assert_eq!(reply.status, 413);
    let security = kit.token(Role::Security).await;
    let reply = kit.post("/api/v1/policies", &security, &json!({ "text": "x".repeat(200) })).await;
    assert_eq!(reply.status, 413);
    let reply = kit.post("/api/v1/policies", &security, &json!({ "text": "kind: Nothing" })).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["type"]), (422, &json!("about:blank#policy-invalid")));
    for path in
        ["/api/v1/images?limit=x", "/api/v1/images?colour=red", "/api/v1/images/latest", "/api/v1/verdicts"]
    {
        assert_eq!(kit.get(path, &ci).await.status, 400, "{path}");
    }
    let request = Request::post("/api/v1/scans").header("authorization", format!("Bearer {ci}"));
    assert_eq!(kit.ask(request.body(Body::from("{}")).unwrap()).await.status, 415);
}

/// A policy that tolerates everything.
const LENIENT: &str = "apiVersion: hullmark.dev/v1\nkind: Policy\nmetadata: { name: lenient }\nrules:\n  - name: none\n    on: image\n    \
                       when: 'false'\n    actions: { build: warn }\n";

/// An exception for the one vulnerability of the bad image.
fn exception(id: &str) -> String {
    format!(
        "apiVersion: hullmark.dev/v1\nkind: Exceptions\nexceptions:\n  - id: {id}\n    match: {{ vulnerability: CVE-2019-14697 }}\n    \
         owner: team-a\n    approver: security\n    reason: not reachable\n    created: 2026-01-01\n    expires: 2026-01-31\n"
    )
}

#[tokio::test]
async fn policies_have_versions_and_count_at_once() {
    let kit = Kit::start().await;
    let security = kit.token(Role::Security).await;
    let report = kit.scan(&bad_image(), Stage::Build).await;
    let digest = report.inventory.subject.digest().unwrap().clone();
    let outcome = async || match kit.shared.judge.standing(&digest, Stage::Build).await.unwrap() {
        hullmark_server::judge::Standing::Judged { verdict, .. } => {
            (verdict.outcome.name(), verdict.link.policy_version)
        }
        hullmark_server::judge::Standing::Unscanned => panic!("unscanned"),
    };
    assert_eq!(outcome().await, ("failed", Some(1)));
    let stored =
        kit.post("/api/v1/policies", &security, &json!({ "text": LENIENT, "comment": "holiday" })).await.ok();
    assert_eq!((&stored["version"], &stored["active"]), (&json!(2), &json!(false)));
    assert_eq!(outcome().await, ("failed", Some(1)));
    kit.send("POST", "/api/v1/policies/2/activate", &security, None).await.ok();
    assert_eq!(outcome().await, ("passed", Some(2)));
    kit.send("POST", "/api/v1/policies/1/activate", &security, None).await.ok();
    assert_eq!(outcome().await, ("failed", Some(1)));
    assert_eq!(kit.send("POST", "/api/v1/policies/9/activate", &security, None).await.status, 404);
    let listed = kit.get("/api/v1/policies", &security).await.ok();
    let active: Vec<_> = listed["policies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["version"].as_u64(), row["active"].as_bool()))
        .collect();
    assert_eq!(active, [(Some(2), Some(false)), (Some(1), Some(true))]);
    assert!(
        kit.get("/api/v1/policies/2", &security).await.ok()["created_by"]
            .as_str()
            .unwrap()
            .starts_with("security-")
    );
    let changes: Vec<Value> = kit.ledger().into_iter().filter(|entry| entry["kind"] == "policy").collect();
    assert_eq!(changes.len(), 4, "{changes:?}");
    assert_eq!(changes[1]["detail"]["comment"], "holiday");
}

#[tokio::test]
async fn exceptions_excuse_until_they_are_revoked_or_expire() {
    let kit = Kit::start().await;
    let security = kit.token(Role::Security).await;
    let report = kit.scan(&bad_image(), Stage::Build).await;
    let digest = report.inventory.subject.digest().unwrap().clone();
    let outcome = async || match kit.shared.judge.standing(&digest, Stage::Build).await.unwrap() {
        hullmark_server::judge::Standing::Judged { verdict, .. } => {
            (verdict.outcome.name(), verdict.link.exceptions.len())
        }
        hullmark_server::judge::Standing::Unscanned => panic!("unscanned"),
    };
    assert_eq!(outcome().await, ("failed", 0));
    kit.post("/api/v1/exceptions", &security, &json!({ "text": exception("EX-1") })).await.ok();
    assert_ne!(outcome().await.0, "failed");
    assert_eq!(outcome().await.1, 1);
    assert_eq!(
        kit.post("/api/v1/exceptions", &security, &json!({ "text": exception("EX-1") })).await.status,
        409
    );
    let own = exception("EX-2").replace("approver: security", "approver: team-a");
    assert_eq!(kit.post("/api/v1/exceptions", &security, &json!({ "text": own })).await.status, 422);
    kit.send("DELETE", "/api/v1/exceptions/EX-1", &security, None).await.ok();
    assert_eq!(outcome().await, ("failed", 0));
    assert_eq!(kit.send("DELETE", "/api/v1/exceptions/EX-1", &security, None).await.status, 404);
    // An id is not used again.
    assert_eq!(
        kit.post("/api/v1/exceptions", &security, &json!({ "text": exception("EX-1") })).await.status,
        409
    );
    kit.post("/api/v1/exceptions", &security, &json!({ "text": exception("EX-3") })).await.ok();
    assert_ne!(outcome().await.0, "failed");
    // To the end of January, although the verdict in memory could be used for a day more.
    kit.clock.advance(30 * 86_400 - 3600);
    assert_ne!(outcome().await.0, "failed");
    kit.clock.advance(2 * 3600);
    assert_eq!(outcome().await, ("failed", 0));
    assert_eq!(
        kit.get("/api/v1/exceptions", &security).await.ok()["exceptions"].as_array().unwrap().len(),
        1
    );
    assert_eq!(
        kit.get("/api/v1/exceptions?revoked=true", &security).await.ok()["exceptions"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let changes = kit.ledger().into_iter().filter(|entry| entry["kind"] == "exception").count();
    assert_eq!(changes, 3);
}

#[tokio::test]
async fn events_are_taken_once_and_drift_goes_into_the_ledger() {
    let kit = Kit::start().await;
    let (agent, reader) = (kit.token(Role::Agent).await, kit.token(Role::Reader).await);
    let image = format!("sha256:{}", "a".repeat(64));
    let event = |kind: &str, blocked: bool| {
        json!({ "time": common::NOW, "kind": kind, "container": "c1", "node": "n1", "blocked": blocked,
            "image": { "name": "r/a:1", "manifest": image }, "ancestry": [{ "pid": 7, "name": "sh" }],
            "detail": { "path": "/tmp/x", "how": "file" } })
    };
    let batch = json!({ "node": "n1", "spool": "s", "sequence": 1, "events": [event("exec", false), event("drift", true), event("exit", false)] });
    assert_eq!(
        kit.post("/api/v1/events", &agent, &batch).await.ok(),
        json!({ "repeated": false, "recorded": 1 })
    );
    assert_eq!(
        kit.post("/api/v1/events", &agent, &batch).await.ok(),
        json!({ "repeated": true, "recorded": 0 })
    );
    let events = async |query: &str| {
        let found = kit.get(&format!("/api/v1/events{query}"), &reader).await.ok();
        found["events"].as_array().unwrap().clone()
    };
    assert_eq!(events("").await.len(), 3);
    let drift = events("?kind=drift").await;
    assert_eq!((drift.len(), &drift[0]["blocked"]), (1, &json!(true)));
    assert_eq!(events(&format!("?image={image}&container=c1&limit=2")).await.len(), 2);
    assert_eq!(events("?container=c2").await.len(), 0);
    let ledger = kit.ledger();
    let entry = &ledger[usize::try_from(drift[0]["entry"].as_u64().unwrap()).unwrap()];
    assert_eq!(
        (&entry["kind"], &entry["answer"], &entry["detail"]["path"]),
        (&json!("alert"), &json!("denied"), &json!("/tmp/x"))
    );
    assert_eq!(entry["actor"]["claims"], "node n1");
    // What is said at length does not keep the alert out of the ledger, nor the batch in the spool.
    let mut long = event("drift", true);
    long["detail"]["path"] = json!("/".repeat(100_000));
    let batch = json!({ "node": "n1", "spool": "s", "sequence": 2, "events": [long] });
    assert_eq!(
        kit.post("/api/v1/events", &agent, &batch).await.ok(),
        json!({ "repeated": false, "recorded": 1 })
    );
    let foreign = json!({ "node": "n2", "spool": "s", "sequence": 1, "events": [event("exec", false)] });
    assert_eq!(kit.post("/api/v1/events", &agent, &foreign).await.status, 422);
}

#[tokio::test]
async fn an_alert_names_the_verdict_of_its_image_and_fits_into_the_ledger_whatever_the_container_calls_its_files()
 {
    let kit = Kit::start().await;
    let agent = kit.token(Role::Agent).await;
    let good = kit.scan(&good_image(), Stage::Ship).await;
    let long = "\u{1b}[2J".repeat(20_000);
    let event = json!({ "time": common::NOW, "kind": "drift", "container": long, "node": "n1", "blocked": false,
        "image": { "name": long, "config": good.inventory.subject.config }, "ancestry": [{ "pid": 7, "name": long }],
        "detail": { "path": long, "how": "file" } });
    let batch = json!({ "node": "n1", "spool": long, "sequence": 1, "events": [event] });
    assert_eq!(kit.post("/api/v1/events", &agent, &batch).await.ok()["recorded"], 1);
    let ledger = kit.ledger();
    let alert = ledger.iter().find(|entry| entry["kind"] == "alert").unwrap();
    assert!(alert["detail"]["path"].as_str().unwrap().chars().count() <= 513);
    let verdict = &ledger[usize::try_from(alert["verdict"]["entry"].as_u64().unwrap()).unwrap()];
    assert_eq!((&verdict["kind"], &verdict["stage"]), (&json!("verdict"), &json!("run")));
    assert_eq!(alert["verdict"]["policy_version"], 1);
}

#[tokio::test]
async fn decisions_are_answered_and_recorded() {
    let kit =
        Kit::with("[enforcement]\nmodes = { oci_hook = \"enforce\", image_verifier = \"audit\" }\n").await;
    let agent = kit.token(Role::Agent).await;
    let report = kit.scan(&bad_image(), Stage::Ship).await;
    let good = kit.scan(&good_image(), Stage::Ship).await;
    let ask = async |point: &str, digest: &str| {
        let question = json!({ "schema": 1, "point": point, "image": { "name": "r/a:1", "config": digest }, "node": "n1",
            "container": { "id": "c1" } });
        kit.post("/api/v1/decisions", &agent, &question).await.ok()
    };
    let bad_config = report.inventory.subject.config.as_ref().unwrap().to_string();
    let denied = ask("oci-hook", &bad_config).await;
    assert_eq!(denied["allow"], false);
    let reason = denied["reason"].as_str().unwrap();
    assert!(
        reason.contains("CVE-2019-14697 in musl 1.1.18-r3, fixed in 1.1.18-r4; verdict sha256:"),
        "{reason}"
    );
    assert!(reason.chars().count() <= 200, "{reason}");
    assert_eq!(denied["manifest"], report.inventory.subject.manifest.as_ref().unwrap().to_string());
    let ledger = kit.ledger();
    let entry = &ledger[usize::try_from(denied["entry"].as_u64().unwrap()).unwrap()];
    assert_eq!(
        (&entry["kind"], &entry["answer"], &entry["detail"]["container"]),
        (&json!("start"), &json!("denied"), &json!("c1"))
    );
    assert_eq!(entry["image"]["manifest"], denied["manifest"]);
    let audited = ask("image-verifier", &bad_config).await;
    assert_eq!((&audited["allow"], &audited["mode"]), (&json!(true), &json!("audit")));
    assert_eq!(
        ask("oci-hook", &good.inventory.subject.config.as_ref().unwrap().to_string()).await["allow"],
        true
    );
    let unknown = ask("oci-hook", &format!("sha256:{}", "b".repeat(64))).await;
    assert_eq!((&unknown["allow"], &unknown["degraded"]), (&json!(false), &json!(["unscanned"])));
    assert!(ask("agent", &bad_config).await["runtime"].is_object());
    for bad in [
        json!({ "schema": 1, "point": "scan", "image": { "name": "x", "config": bad_config } }),
        json!({ "schema": 2, "point": "agent", "image": { "name": "x", "config": bad_config } }),
        json!({ "schema": 1, "point": "agent", "image": { "name": "x" } }),
        json!({ "schema": 1, "point": "agent", "image": { "name": "x", "config": bad_config },
            "detail": { "x": "x".repeat(70_000) } }),
        json!({ "schema": 1, "point": "agent", "image": { "name": "x".repeat(70_000), "config": bad_config } }),
    ] {
        assert_eq!(kit.post("/api/v1/decisions", &agent, &bad).await.status, 422, "{bad}");
    }
}

#[tokio::test]
async fn the_ledger_is_served_as_tiles() {
    let kit = Kit::start().await;
    for _ in 0..300 {
        let record = hullmark_server::trail::note(
            hullmark_types::TrailKind::Server,
            hullmark_types::Point::Server,
            hullmark_types::Answer::Noted,
            "x",
            hullmark_types::Actor::default(),
            kit.clock.now(),
        );
        kit.shared.trail.record(&record).await.unwrap();
    }
    let agent = kit.token(Role::Agent).await;
    let checkpoint = kit.get("/api/v1/ledger/checkpoint", &agent).await;
    let parsed = hullmark_ledger::parse_checkpoint(&checkpoint.body).unwrap();
    let key = hullmark_ledger::VerifierKey::parse(kit.get("/api/v1/ledger/key", &agent).await.text().trim())
        .unwrap();
    parsed.verify(&key).unwrap();
    let width = parsed.size() - 256;
    assert_eq!(kit.get("/api/v1/ledger/tile/0/000", &agent).await.body.len(), 256 * 32);
    assert_eq!(
        kit.get(&format!("/api/v1/ledger/tile/0/001.p/{width}"), &agent).await.body.len() as u64,
        width * 32
    );
    assert_eq!(kit.get("/api/v1/ledger/tile/0/001.p/7", &agent).await.body.len(), 7 * 32);
    let bundle = kit.get("/api/v1/ledger/tile/entries/001.p/7", &agent).await.body;
    assert_eq!(hullmark_ledger::parse_bundle(&bundle).unwrap().len(), 7);
    for bad in ["0/001", "0/000.p/300", "../ledger.key", "..%2Fledger.key", "entries/002"] {
        assert_eq!(kit.get(&format!("/api/v1/ledger/tile/{bad}"), &agent).await.status, 404, "{bad}");
    }
}

#[tokio::test]
async fn health_is_for_everybody_and_metrics_are_not() {
    let kit = Kit::start().await;
    assert_eq!(kit.get("/healthz", "").await.status, 200);
    assert_eq!(kit.get("/readyz", "").await.ok()["ready"], true);
    assert_eq!(kit.get("/metrics", "").await.status, 401);
    let reader = kit.token(Role::Reader).await;
    let text = kit.get("/metrics", &reader).await.text();
    assert!(text.contains("hullmark_ledger_entries"), "{text}");
    std::fs::write(kit.path("a.db"), "damaged").unwrap();
    let _ = kit.shared.judge.refresh_database().await;
    let reply = kit.get("/readyz", "").await;
    assert_eq!((reply.status.as_u16(), &reply.json()["not_ready"]), (503, &json!(["database"])));
}
