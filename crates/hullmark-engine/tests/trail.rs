//! The life of an image, read from a ledger that holds the lives of several.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;

use hullmark_engine::{Relation, Trail, TrailLimits, describe, trail_of};
use hullmark_ledger::Ledger;
use hullmark_types::{
    Actor, Answer, Digest, EnforcementMode, ImageIdentity, Outcome, Point, TRAIL_SCHEMA, TrailKind,
    TrailRecord, VerdictLink, canonical_json,
};
use serde_json::{Value, json};

fn digest(text: &str) -> Digest {
    Digest::sha256(text.as_bytes())
}

/// An image by the names of its digests; `-` for one that is not known.
fn identity(index: &str, manifest: &str, config: &str) -> ImageIdentity {
    let known = |name: &str| (name != "-").then(|| digest(name));
    ImageIdentity {
        name: "registry.example/app:1".to_owned(),
        index: known(index),
        manifest: known(manifest),
        config: known(config),
    }
}

fn verdict(image: &ImageIdentity, policy: &str, exceptions: &[&str]) -> Value {
    let exceptions: Vec<_> =
        exceptions.iter().map(|id| json!({ "id": id, "status": "used", "excused": 1 })).collect();
    let mut subject = serde_json::to_value(image).unwrap();
    subject["kind"] = "image".into();
    json!({
        "schema": 1, "kind": "verdict", "subject": subject, "point": "scan", "mode": "enforce", "stage": "build",
        "outcome": "failed", "policy": "default", "excused": [], "exceptions": exceptions, "findings": { "high": 1 },
        "reasons": [{ "rule": "no-high", "on": "vulnerability", "action": "fail", "threat": 7, "message": "update a" }],
        "undetermined": 0, "gaps": 0, "verdict": digest("verdict"), "feeds": [],
        "inputs": {
            "inventory": digest("inventory"), "matches": digest("matches"), "policy": digest(policy),
            "exceptions": digest("exceptions"), "database": digest("database"),
        },
        "tool": { "name": "hullmark", "version": "0.1.0" }, "asker": { "user": "ci" },
        "time": "2026-01-02T00:00:00Z",
    })
}

fn record(kind: TrailKind, point: Point, image: Option<ImageIdentity>) -> TrailRecord {
    TrailRecord {
        schema: TRAIL_SCHEMA,
        kind,
        point,
        mode: EnforcementMode::Enforce,
        answer: Answer::Denied,
        image,
        verdict: None,
        reasons: Vec::new(),
        message: "a message".to_owned(),
        actor: Actor { name: "somebody".to_owned(), role: None, claims: None },
        detail: BTreeMap::new(),
        repeats: 0,
        degraded: Vec::new(),
        time: "2026-01-02T00:00:00Z".parse().unwrap(),
    }
}

fn link(policy: &str) -> VerdictLink {
    VerdictLink {
        verdict: digest("verdict"),
        entry: 0,
        outcome: Outcome::Failed,
        policy: "default".to_owned(),
        policy_digest: digest(policy),
        policy_version: Some(3),
        database: digest("database"),
        exceptions: Vec::new(),
    }
}

fn with_detail(mut record: TrailRecord, name: &str, value: impl ToString) -> TrailRecord {
    record.detail.insert(name.to_owned(), value.to_string());
    record
}

/// A ledger of these entries.
struct Log {
    _directory: tempfile::TempDir,
    ledger: Ledger,
}

impl Log {
    fn new(entries: &[Vec<u8>]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut entropy = |bytes: &mut [u8]| {
            bytes.fill(7);
            Ok(())
        };
        let mut ledger = Ledger::open(directory.path(), "example.org/ledger", &mut entropy).unwrap();
        ledger.append(entries).unwrap();
        Self { _directory: directory, ledger }
    }

    fn trail(&self, asked: &str) -> Trail {
        trail_of(&self.ledger, &digest(asked), TrailLimits::default()).unwrap()
    }

    #[track_caller]
    fn check(&self, asked: &str, expected: &[u64]) {
        let trail = self.trail(asked);
        let found: Vec<_> = trail.entries.iter().map(|entry| entry.entry).collect();
        assert_eq!(found, expected, "the trail of {asked}");
        for entry in &trail.entries {
            assert_eq!(
                canonical_json(&entry.record).unwrap(),
                self.ledger.entry(entry.entry).unwrap(),
                "the record is the entry"
            );
        }
    }
}

fn bytes(value: &impl serde::Serialize) -> Vec<u8> {
    canonical_json(value).unwrap()
}

#[test]
fn any_digest_of_an_image_leads_to_all_of_its_life() {
    let image = identity("index", "manifest", "config");
    let only = |index, manifest, config| Some(identity(index, manifest, config));
    let log = Log::new(&[
        // Before any scan, only the digest that was asked for is known.
        bytes(&record(TrailKind::Decision, Point::RegistryGate, only("index", "-", "-"))),
        bytes(&verdict(&image, "policy", &[])),
        bytes(&verdict(&identity("other-index", "other-manifest", "other-config"), "policy", &[])),
        bytes(&record(TrailKind::Decision, Point::Admission, only("-", "manifest", "-"))),
        bytes(&record(TrailKind::Start, Point::OciHook, only("-", "-", "config"))),
        // A gate that cannot know what its digest is of calls it a manifest.
        bytes(&record(TrailKind::Start, Point::OciHook, only("-", "index", "-"))),
        bytes(&record(TrailKind::Alert, Point::Agent, only("-", "manifest", "config"))),
        bytes(&record(TrailKind::Alert, Point::Agent, only("-", "other-manifest", "-"))),
        b"no record at all".to_vec(),
        bytes(&with_detail(
            record(TrailKind::Decision, Point::Admission, None),
            "images",
            format!("a@{}", digest("manifest")),
        )),
    ]);
    for asked in ["index", "manifest", "config"] {
        log.check(asked, &[0, 1, 3, 4, 5, 6, 9]);
    }
    log.check("other-config", &[2, 7]);
    let trail = log.trail("config");
    assert_eq!((trail.indexes, trail.configs), (vec![digest("index")], vec![digest("config")]));
    assert_eq!(trail.manifests, [digest("manifest")]);
}

#[test]
fn images_of_one_index_are_told_apart() {
    let index_only = Some(identity("index", "-", "-"));
    let log = Log::new(&[
        bytes(&verdict(&identity("index", "amd64", "config-amd64"), "policy", &[])),
        bytes(&verdict(&identity("index", "arm64", "config-arm64"), "policy", &[])),
        bytes(&record(TrailKind::Decision, Point::RegistryGate, index_only)),
        bytes(&verdict(&identity("newer-index", "amd64", "config-amd64"), "policy", &[])),
        bytes(&record(TrailKind::Decision, Point::RegistryGate, Some(identity("newer-index", "-", "-")))),
        bytes(&verdict(&identity("newer-index", "s390x", "config-s390x"), "policy", &[])),
    ]);
    log.check("amd64", &[0, 2, 3, 4]);
    log.check("config-arm64", &[1, 2]);
    log.check("index", &[0, 1, 2, 3]);
    log.check("newer-index", &[0, 3, 4, 5]);
}

#[test]
fn what_the_verdicts_rest_on_belongs_to_the_trail_and_joins_no_images() {
    let image = identity("-", "manifest", "config");
    let mut decision = record(TrailKind::Decision, Point::RegistryGate, Some(image.clone()));
    decision.verdict = Some(link("newer-policy"));
    let policy = |name| with_detail(record(TrailKind::Policy, Point::Api, None), "policy", digest(name));
    let exception = |id| with_detail(record(TrailKind::Exception, Point::Api, None), "exception", id);
    let log = Log::new(&[
        bytes(&with_detail(record(TrailKind::Server, Point::Server, None), "database", digest("database"))),
        bytes(&policy("policy")),
        bytes(&policy("unused-policy")),
        bytes(&exception("EX-1")),
        bytes(&exception("EX-2")),
        bytes(&verdict(&image, "policy", &["EX-1"])),
        bytes(&verdict(&identity("-", "other", "-"), "policy", &["EX-1"])),
        bytes(&policy("newer-policy")),
        bytes(&decision),
        // A sign of life of the server names the database too, and changes nothing.
        bytes(&with_detail(record(TrailKind::Server, Point::Server, None), "database", digest("database"))),
    ]);
    log.check("manifest", &[0, 1, 3, 5, 7, 8]);
    log.check("other", &[0, 1, 3, 6]);
    let relations: Vec<_> = log.trail("config").entries.iter().map(|entry| entry.relation).collect();
    let (image, basis) = (Relation::Image, Relation::Basis);
    assert_eq!(relations, [basis, basis, basis, image, basis, image]);
    // A policy or database has no life of an image.
    for asked in ["policy", "database", "verdict", "unheard-of"] {
        log.check(asked, &[]);
    }
}

#[test]
fn a_trail_beyond_the_limits_keeps_its_beginning_and_counts_the_rest() {
    let image = Some(identity("-", "manifest", "-"));
    let start = bytes(&record(TrailKind::Start, Point::OciHook, image));
    let log = Log::new(&vec![start.clone(); 20]);
    let limited = |entries, bytes| {
        let trail = trail_of(&log.ledger, &digest("manifest"), TrailLimits { entries, bytes }).unwrap();
        (trail.entries.iter().map(|entry| entry.entry).collect::<Vec<_>>(), trail.left_out)
    };
    assert_eq!(limited(3, usize::MAX), (vec![0, 1, 2], 17));
    assert_eq!(limited(100, start.len() * 2), (vec![0, 1], 18));
    assert_eq!(limited(100, usize::MAX).1, 0);
}

#[test]
fn entries_are_described_in_words() {
    let image = identity("-", "manifest", "config");
    let row = describe(&verdict(&image, "policy", &["EX-1"])).unwrap();
    assert_eq!((row.what.as_str(), row.outcome.as_str(), row.by.as_str()), ("build verdict", "failed", "ci"));
    assert_eq!(row.because, ["rule `no-high`: update a"]);
    assert_eq!(row.exceptions, ["EX-1"]);
    assert_eq!(row.policy, Some(format!("default {}", digest("policy").short())));

    let mut decision = record(TrailKind::Decision, Point::RegistryGate, Some(image));
    decision.verdict = Some(link("policy"));
    decision.mode = EnforcementMode::Audit;
    decision.repeats = 4;
    let row = describe(&serde_json::to_value(decision).unwrap()).unwrap();
    assert_eq!((row.what.as_str(), row.outcome.as_str()), ("gate decision", "denied (audit), 4 more"));
    assert_eq!(row.policy.as_deref(), Some("default v3"));
    assert_eq!(row.because, ["a message", "by the verdict of entry 0"]);
    assert_eq!(describe(&json!({ "kind": "of a later version" })), None);
}

/// Measures; run with `cargo test -p hullmark-engine --test trail -- --ignored --nocapture`.
#[test]
#[ignore = "takes half a minute, and says how long a query takes"]
fn a_trail_of_a_hundred_thousand_entries() {
    const ENTRIES: usize = 100_000;
    let mut entries = Vec::new();
    for number in 0..ENTRIES {
        // Every image has ten entries: a verdict of the size of a real one, and nine others.
        let name = format!("image {}", number / 10);
        let image = identity(&format!("index of {name}"), &format!("manifest of {name}"), &name);
        entries.push(if number % 10 == 0 {
            let mut verdict = verdict(&image, "policy", &["EX-1"]);
            let reason = verdict["reasons"][0].clone();
            verdict["reasons"] = vec![reason; 20].into();
            bytes(&verdict)
        } else {
            let mut decision = record(TrailKind::Decision, Point::RegistryGate, Some(image));
            decision.verdict = Some(link("policy"));
            bytes(&decision)
        });
    }
    let total: usize = entries.iter().map(Vec::len).sum();
    let log = Log::new(&entries);
    let size = ENTRIES as f64;
    for asked in ["image 3", "manifest of image 5000", "index of image 9999", "unheard-of"] {
        let clock = std::time::Instant::now();
        let found = log.trail(asked).entries.len();
        assert_eq!(found, if asked == "unheard-of" { 0 } else { 10 });
        eprintln!("{asked}: {found} of {size} entries ({} MB) in {:.2?}", total / 1_000_000, clock.elapsed());
    }
}
