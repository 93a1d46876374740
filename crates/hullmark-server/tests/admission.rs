//! The admission webhook: golden answers for every kind and part of an object, what is recorded, and what no body can do.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use axum::http::StatusCode;
use common::{Kit, bad_image, good_image};
use hullmark_server::admission::images::to_judge;
use hullmark_server::admission::review::Review;
use hullmark_server::auth::Role;
use hullmark_store::TagRow;
use hullmark_types::{Digest, Stage};
use proptest::prelude::*;
use serde_json::{Value, json};

const CONFIGURATION: &str = "
[admission]
enabled = true
gate = \"gate.example:8443\"
[gate.upstreams.\"docker.io\"]
url = \"https://registry-1.docker.io\"
";

fn configuration(more: &str) -> String {
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/admission/policy.yaml");
    format!("{CONFIGURATION}[policy]\nfile = \"{policy}\"\n{more}")
}

/// A server that knows a good image, one to be warned of, and a bad one, and the names by which golden files call their digests.
async fn kit(more: &str) -> (Kit, BTreeMap<String, String>) {
    let kit = Kit::with(&configuration(more)).await;
    let mut names = BTreeMap::new();
    let user = json!({"User": "1000"});
    let images = [
        (good_image().settings(user.clone()), "good"),
        (good_image().settings(json!({"User": "0"})), "root"),
        (bad_image().settings(user), "bad"),
    ];
    for (image, tag) in images {
        let report = kit.scan(&image, Stage::Deploy).await;
        let manifest = report.inventory.subject.manifest.clone().unwrap();
        let row = TagRow {
            upstream: "docker.io".to_owned(),
            repository: "library/app".to_owned(),
            tag: tag.to_owned(),
            digest: manifest.clone(),
            seen_at: kit.clock.now(),
        };
        kit.shared.store.put_tag(&row).await.unwrap();
        let standing = kit.shared.judge.standing(&manifest, Stage::Deploy).await.unwrap();
        let hullmark_server::judge::Standing::Judged { verdict, .. } = standing else { panic!("unscanned") };
        let verdict = verdict.link.verdict.clone();
        names.insert(format!("@{}@", tag.to_uppercase()), manifest.to_string());
        names.insert(format!("@{}-VERDICT@", tag.to_uppercase()), verdict.to_string());
        names
            .insert(format!("@{}-VERDICT-SHORT@", tag.to_uppercase()), format!("sha256:{}", verdict.short()));
    }
    (kit, names)
}

fn golden(kind: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/admission");
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let suffix = format!(".{kind}.json");
    let mut files: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(&suffix)).collect();
    files.sort();
    files
}

fn request(name: &str, names: &BTreeMap<String, String>) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/admission/{name}.request.json"));
    let mut text = std::fs::read_to_string(file).unwrap();
    for (name, value) in names {
        text = text.replace(name, value);
    }
    serde_json::from_str(&text).unwrap()
}

async fn answer(kit: &Kit, review: &Value) -> Value {
    kit.post("/admission/validate", "", review).await.ok()
}

fn allowed(answer: &Value) -> bool {
    answer.pointer("/response/allowed").unwrap().as_bool().unwrap()
}

/// With `HULLMARK_UPDATE_GOLDEN` set the answers are written instead of compared.
#[tokio::test]
async fn answers_are_the_golden_ones() {
    let (kit, names) = kit("").await;
    let files = golden("request");
    assert!(files.len() > 30, "the golden files are missing");
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().replace(".request.json", "");
        let answer = answer(&kit, &request(&name, &names)).await;
        let mut text = serde_json::to_string_pretty(&answer).unwrap() + "\n";
        // The long digests first: the short ones are their beginnings.
        let mut values: Vec<_> = names.iter().collect();
        values.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        for (name, value) in values {
            text = text.replace(value.as_str(), name);
        }
        let expected = file.with_file_name(format!("{name}.response.json"));
        if std::env::var_os("HULLMARK_UPDATE_GOLDEN").is_some() {
            std::fs::write(&expected, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(text, expected, "{name}");
        for warning in answer.pointer("/response/warnings").and_then(Value::as_array).into_iter().flatten() {
            assert!(warning.as_str().unwrap().chars().count() <= 120, "{name}: {warning}");
        }
        assert_eq!(answer.pointer("/response/uid"), request(&name, &names).pointer("/request/uid"), "{name}");
    }
    assert_eq!(golden("request").len(), golden("response").len());
}

#[tokio::test]
async fn one_record_for_each_request_that_judges() {
    let (kit, names) = kit("").await;
    let before = kit.ledger().len();
    for name in
        ["pod-dry-run", "pod-delete", "pod-status", "pod-update-labels", "deployment-scale", "pod-deleting"]
    {
        answer(&kit, &request(name, &names)).await;
        assert_eq!(kit.ledger().len(), before, "{name}");
    }
    answer(&kit, &request("pod-every-place", &names)).await;
    let ledger = kit.ledger();
    assert_eq!(ledger.len(), before + 1);
    let record = ledger.last().unwrap();
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    assert_eq!((text("/kind"), text("/point"), text("/answer")), ("decision", "admission", "denied"));
    assert_eq!(text("/image/manifest"), names.get("@BAD@").unwrap());
    assert_eq!(text("/verdict/verdict"), names.get("@BAD-VERDICT@").unwrap());
    assert_eq!(text("/actor/claims"), "user alice");
    assert_eq!((text("/detail/namespace"), text("/detail/kind")), ("shop", "Pod"));
    let lines = format!("{}{}", text("/detail/image-00"), text("/detail/image-01"));
    for name in ["@GOOD@", "@GOOD-VERDICT@", "@BAD@", "@BAD-VERDICT@"] {
        assert!(lines.contains(names.get(name).unwrap()), "{name} in {lines}");
    }

    answer(&kit, &request("pod-containers-malformed", &names)).await;
    assert_eq!(kit.ledger().len(), before + 2);
}

#[tokio::test]
async fn many_images_are_recorded_in_entries_that_fit() {
    let (kit, names) = kit("").await;
    let before = kit.ledger().len();
    let mut review = request("pod", &names);
    let long = "x".repeat(200);
    let containers: Vec<Value> = (0..500)
        .map(|number| json!({"name": format!("c{number}"), "image": format!("quay.io/{long}/{number}@{}", names.get("@GOOD@").unwrap())}))
        .collect();
    *review.pointer_mut("/request/object/spec/containers").unwrap() = Value::Array(containers);
    assert!(allowed(&answer(&kit, &review).await));
    let ledger = kit.ledger();
    let records = ledger.get(before..).unwrap();
    assert_eq!(records.len(), 13);
    let recorded: usize = records
        .iter()
        .map(|record| {
            let detail = record.get("detail").unwrap().as_object().unwrap();
            detail.keys().filter(|name| name.starts_with("image-")).count()
        })
        .sum();
    assert_eq!(recorded, 500);
}

#[tokio::test]
async fn audit_mode_warns_and_stops_nothing() {
    let (kit, names) = kit("[enforcement.modes]\nadmission = \"audit\"\n").await;
    for name in ["pod-every-place", "pod-unscanned", "pod-name-malformed", "pod-containers-malformed"] {
        let answer = answer(&kit, &request(name, &names)).await;
        assert!(allowed(&answer), "{name}: {answer}");
        let warnings = answer.pointer("/response/warnings").unwrap().as_array().unwrap();
        assert!(
            warnings.iter().any(|warning| warning.as_str().unwrap().contains("audit only: ")),
            "{answer}"
        );
        let record = kit.ledger().pop().unwrap();
        assert_eq!(record.get("answer"), Some(&json!("denied")), "{name}");
        assert_eq!(record.get("mode"), Some(&json!("audit")), "{name}");
    }
}

#[tokio::test]
async fn an_image_without_a_verdict_is_a_matter_of_the_configuration() {
    for (word, warns) in [("warn", true), ("allow", true)] {
        let (kit, names) = kit(&format!("[enforcement]\nunscanned = \"{word}\"\n")).await;
        for name in ["pod-unscanned", "pod-tag-unknown"] {
            let answer = answer(&kit, &request(name, &names)).await;
            assert!(allowed(&answer), "{answer}");
            assert_eq!(answer.pointer("/response/warnings").is_some(), warns, "{answer}");
        }
        assert!(!allowed(&answer(&kit, &request("pod", &names)).await));
    }
}

#[tokio::test]
async fn who_may_ask() {
    let (kit, names) = kit("").await;
    let pod = request("pod", &names);
    let agent = kit.token(Role::Agent).await;
    let reader = kit.token(Role::Reader).await;
    let status = async |kit: &Kit, token: &str| kit.post("/admission/validate", token, &pod).await.status;
    assert_eq!(status(&kit, "").await, StatusCode::OK);
    assert_eq!(status(&kit, &agent).await, StatusCode::OK);
    assert_eq!(kit.ledger().pop().unwrap().pointer("/actor/role"), Some(&json!("agent")));
    assert_eq!(status(&kit, &reader).await, StatusCode::FORBIDDEN);
    assert_eq!(status(&kit, "nonsense").await, StatusCode::UNAUTHORIZED);

    let strict = CONFIGURATION.replace("enabled = true", "enabled = true\nrequire_token = true");
    let strict = Kit::with(&strict).await;
    assert_eq!(status(&strict, "").await, StatusCode::UNAUTHORIZED);
    let off = Kit::start().await;
    assert_eq!(status(&off, "").await, StatusCode::NOT_FOUND);
    assert_eq!(kit.post("/admission/validate", "", &json!({})).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_ledger_that_cannot_be_written_is_a_matter_of_the_configuration() {
    for (word, allow) in [("closed", false), ("open", true)] {
        let (kit, names) = kit(&format!("[enforcement]\non_failure = \"{word}\"\n")).await;
        // A directory where the next tile goes: the append fails for root too.
        let ledger = kit.shared.config.ledger_directory();
        std::fs::remove_dir_all(&ledger).unwrap();
        std::fs::write(&ledger, "in the way").unwrap();
        let answer = answer(&kit, &request("pod-allowed", &names)).await;
        assert_eq!(allowed(&answer), allow, "{answer}");
        let denied = self::answer(&kit, &request("pod", &names)).await;
        assert!(!allowed(&denied));
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        "[a-z]{1,8}",
        prop::sample::select(vec![
            "spec",
            "template",
            "containers",
            "initContainers",
            "volumes",
            "image",
            "reference",
            "name",
            "metadata",
            "jobTemplate",
            "kind",
            "group",
            "version",
            "operation",
            "uid",
            "CREATE",
            "UPDATE",
            "Pod",
        ])
        .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(word.clone(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(body in any_json(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Review::parse(&bytes);
        let _ = Review::parse(body.to_string().as_bytes());
    }

    #[test]
    fn no_object_makes_it_panic(
        object in any_json(),
        old in any_json(),
        spec in any_json(),
        kind in prop::sample::select(vec![("", "Pod"), ("apps", "Deployment"), ("batch", "CronJob"), ("", "PodTemplate")]),
        operation in prop::sample::select(vec!["CREATE", "UPDATE"]),
    ) {
        for object in [object, json!({"spec": spec.clone(), "template": {"spec": spec}})] {
            let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
                "uid": "u", "kind": {"group": kind.0, "version": "v1", "kind": kind.1}, "operation": operation,
                "object": object, "oldObject": old,
            }});
            if let Ok(review) = Review::parse(review.to_string().as_bytes()) {
                let _ = to_judge(&review.request);
            }
        }
    }

    #[test]
    fn the_order_of_containers_does_not_matter(
        mut names in prop::collection::vec(("[a-z]{1,4}", 0_u8..4), 1..12),
        seed in any::<u64>(),
    ) {
        let images = |names: &[(String, u8)]| {
            let containers: Vec<Value> = names
                .iter()
                .map(|(name, image)| json!({"name": name, "image": format!("a@{}", Digest::sha256(&[*image]))}))
                .collect();
            let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
                "uid": "u", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE",
                "object": {"spec": {"containers": containers}},
            }});
            let review = Review::parse(review.to_string().as_bytes()).unwrap();
            let hullmark_server::admission::images::ToJudge::Images(images) = to_judge(&review.request).unwrap()
            else { panic!("nothing to judge") };
            let mut images: Vec<_> = images.into_iter().map(|image| (image.owner, image.reference)).collect();
            images.sort();
            images
        };
        let before = images(&names);
        let length = names.len();
        names.rotate_left(usize::try_from(seed % 12).unwrap() % length);
        names.reverse();
        prop_assert_eq!(before, images(&names));
    }
}
