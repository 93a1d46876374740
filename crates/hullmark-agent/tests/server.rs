//! What the agent says to the server, and what it does while there is none.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hullmark_agent::config::{OnFailure, Server as ServerConfig};
use hullmark_agent::report::{Outbox, Sender, Spool};
use hullmark_agent::server::Server;
use hullmark_testkit::{Answer, Asked, Server as TestServer};
use hullmark_types::{
    DECISION_SCHEMA, DecisionAnswer, DecisionRequest, Digest, EnforcementMode, ImageIdentity, Point,
    RuntimeEventBatch,
};
use jiff::Timestamp;

fn config(url: &str, directory: &Path, on_failure: OnFailure) -> ServerConfig {
    let token_file = directory.join("token");
    fs::write(&token_file, "hmk_secret\n").unwrap();
    ServerConfig {
        url: url.to_owned(),
        token_file,
        ca_file: None,
        on_failure,
        answer_max_age_seconds: 60,
        decision_timeout_ms: 5000,
        timeout_seconds: 2,
    }
}

fn question() -> DecisionRequest {
    DecisionRequest {
        schema: DECISION_SCHEMA,
        point: Point::OciHook,
        image: ImageIdentity {
            name: "shop/web:1".to_owned(),
            manifest: Some(Digest::sha256(b"manifest")),
            ..ImageIdentity::default()
        },
        container: None,
        node: None,
        detail: BTreeMap::new(),
    }
}

fn allowed() -> DecisionAnswer {
    DecisionAnswer {
        schema: DECISION_SCHEMA,
        allow: true,
        mode: EnforcementMode::Enforce,
        reason: "allowed by policy `p`".to_owned(),
        verdict: None,
        manifest: None,
        entry: Some(7),
        runtime: BTreeMap::new(),
        degraded: Vec::new(),
    }
}

/// A server that answers with a status that the test changes, and every question as the hook would have it.
fn server(status: &Arc<AtomicU16>) -> TestServer {
    let status = Arc::clone(status);
    TestServer::new(move |asked: &Asked| match status.load(Ordering::Relaxed) {
        200 if asked.path == "/api/v1/decisions" => Answer::new(200, serde_json::to_vec(&allowed()).unwrap()),
        status => Answer::new(status, "{}"),
    })
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

#[test]
fn while_the_server_is_away_earlier_answers_hold_and_are_told_later() {
    let directory = tempfile::tempdir().unwrap();
    let status = Arc::new(AtomicU16::new(200));
    let peer = server(&status);
    let server =
        Server::new(&config(&peer.url(), directory.path(), OnFailure::Closed), directory.path()).unwrap();

    let answer = server.decide(&question(), at(1000));
    assert_eq!((answer.allow, answer.entry, answer.degraded.len()), (true, Some(7), 0));
    assert_eq!(peer.asked()[0].headers["authorization"], "Bearer hmk_secret");

    status.store(503, Ordering::Relaxed);
    let answer = server.decide(&question(), at(1010));
    assert_eq!((answer.allow, answer.entry), (true, None));
    assert_eq!(answer.degraded, ["server-unreachable"]);
    assert_eq!(
        answer.reason,
        "allowed by policy `p` (as answered at 1970-01-01T00:16:40Z; the server cannot be asked)"
    );
    // An answer that is too old is none, nor is one about another image.
    let answer = server.decide(&question(), at(1061));
    assert!(!answer.allow, "{answer:?}");
    let mut other = question();
    other.image.manifest = Some(Digest::sha256(b"other"));
    assert!(!server.decide(&other, at(1010)).allow);

    // Still away: nothing is forgotten, also by an agent that starts anew.
    assert!(server.settle().is_err());
    drop(server);
    let server =
        Server::new(&config(&peer.url(), directory.path(), OnFailure::Open), directory.path()).unwrap();
    assert!(server.decide(&other, at(1020)).allow);
    status.store(200, Ordering::Relaxed);
    let before = peer.asked().len();
    server.settle().unwrap();
    server.settle().unwrap();
    let told: Vec<DecisionRequest> =
        peer.asked()[before..].iter().map(|asked| serde_json::from_slice(&asked.body).unwrap()).collect();
    let details: Vec<_> = told
        .iter()
        .map(|request| {
            (request.detail["decided-at"].as_str(), request.detail["decided-without-server"].as_str())
        })
        .collect();
    assert_eq!(
        details,
        [
            ("1970-01-01T00:16:50Z", "allowed"),
            ("1970-01-01T00:17:41Z", "denied"),
            ("1970-01-01T00:16:50Z", "denied"),
            ("1970-01-01T00:17:00Z", "allowed"),
        ]
    );
}

#[test]
fn a_refusal_of_the_server_is_a_no_whatever_was_answered_before() {
    let directory = tempfile::tempdir().unwrap();
    let status = Arc::new(AtomicU16::new(200));
    let shared = Arc::clone(&status);
    let peer = TestServer::new(move |_: &Asked| match shared.load(Ordering::Relaxed) {
        200 => Answer::new(200, serde_json::to_vec(&allowed()).unwrap()),
        // 200 without an answer in it.
        0 => Answer::new(200, "<html>"),
        status => Answer::new(status, r#"{"title":"Refused","detail":"the token\nwas revoked"}"#),
    });
    let server =
        Server::new(&config(&peer.url(), directory.path(), OnFailure::Open), directory.path()).unwrap();
    assert!(server.decide(&question(), at(1000)).allow);
    for code in [400, 401, 403, 404, 422, 302, 0] {
        status.store(code, Ordering::Relaxed);
        let answer = server.decide(&question(), at(1001));
        assert!(!answer.allow, "{code}: {answer:?}");
        assert_eq!(answer.degraded, ["server-refused"], "{code}");
        if code == 401 {
            let address = format!("{}/api/v1/decisions", peer.url());
            let expected = format!("denied: the server answers 401 to `{address}`: the token was revoked");
            assert_eq!(answer.reason, expected);
        }
    }
    for code in [500, 502, 503] {
        status.store(code, Ordering::Relaxed);
        let answer = server.decide(&question(), at(1001));
        assert!(answer.allow, "{code}: {answer:?}");
        assert_eq!(answer.degraded, ["server-unreachable"], "{code}");
    }
}

#[test]
fn an_earlier_answer_comes_before_the_deadline_of_a_hook() {
    let directory = tempfile::tempdir().unwrap();
    let slow = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&slow);
    let peer = TestServer::new(move |_: &Asked| {
        if shared.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_secs(4));
        }
        Answer::new(200, serde_json::to_vec(&allowed()).unwrap())
    });
    let mut config = config(&peer.url(), directory.path(), OnFailure::Closed);
    let server = Server::new(&config, directory.path()).unwrap();
    assert!(server.decide(&question(), at(1000)).allow);
    slow.store(true, Ordering::Relaxed);
    config.decision_timeout_ms = 200;
    let server = Server::new(&config, directory.path()).unwrap();
    let begin = Instant::now();
    let answer = server.decide(&question(), at(1001));
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert_eq!((answer.allow, answer.degraded), (true, vec!["server-unreachable".to_owned()]));
}

#[test]
fn what_cannot_be_recorded_is_not_allowed_unless_failures_are_open() {
    for (on_failure, expected) in [(OnFailure::Closed, false), (OnFailure::Open, true)] {
        let directory = tempfile::tempdir().unwrap();
        let status = Arc::new(AtomicU16::new(200));
        let peer = server(&status);
        let server =
            Server::new(&config(&peer.url(), directory.path(), on_failure), directory.path()).unwrap();
        assert!(server.decide(&question(), at(1000)).allow);
        status.store(503, Ordering::Relaxed);
        // Nothing can be appended to a directory.
        fs::create_dir(directory.path().join(hullmark_types::SPOOL_FILE)).unwrap();
        let answer = server.decide(&question(), at(1001));
        assert_eq!(answer.allow, expected, "{answer:?}");
        assert_eq!(answer.degraded, ["server-unreachable", "unrecorded"]);
        assert_eq!(answer.reason.starts_with("denied: "), !expected, "{answer:?}");
    }
}

#[test]
fn profiles_are_fetched_and_none_is_no_error() {
    let directory = tempfile::tempdir().unwrap();
    let digest = Digest::sha256(b"manifest");
    let path = format!("/api/v1/images/{digest}/profile");
    let peer = TestServer::new(move |asked| match asked.path == path {
        true => Answer::new(200, "the profile"),
        false => Answer::new(404, "{}"),
    });
    let server =
        Server::new(&config(&peer.url(), directory.path(), OnFailure::Closed), directory.path()).unwrap();
    assert_eq!(server.profile(&digest).unwrap().as_deref(), Some(b"the profile".as_slice()));
    assert_eq!(server.profile(&Digest::sha256(b"other")).unwrap(), None);
}

#[test]
fn events_wait_for_the_server_and_come_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let taken: Arc<Mutex<Vec<RuntimeEventBatch>>> = Arc::default();
    let away = Arc::new(AtomicBool::new(true));
    let (log, closed) = (Arc::clone(&taken), Arc::clone(&away));
    let peer = TestServer::new(move |asked| {
        if closed.load(Ordering::Relaxed) {
            return Answer::new(503, "");
        }
        let batch: RuntimeEventBatch = serde_json::from_slice(&asked.body).unwrap();
        // Refused for good: the others must not wait behind it.
        if batch.sequence == 2 {
            return Answer::new(422, "{}");
        }
        log.lock().unwrap().push(batch);
        Answer::new(200, "{}")
    });
    let outbox = Outbox::new("n".to_owned(), || Timestamp::UNIX_EPOCH);
    let open = || {
        let place = directory.path().join("events");
        Arc::new(Spool::open(place, "s".to_owned(), "n".to_owned(), 1 << 20, Arc::default()).unwrap())
    };
    let write = |spool: &Spool, count| {
        for _ in 0..count {
            spool.write(vec![outbox.lost_event(1, "test")], &outbox).unwrap();
        }
    };
    // Written by an agent that was killed then.
    write(&open(), 3);
    let spool = open();
    write(&spool, 2);
    let server =
        Server::new(&config(&peer.url(), directory.path(), OnFailure::Closed), directory.path()).unwrap();
    let sender = Sender { spool: Arc::clone(&spool), server: Arc::new(server) };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| sender.run(&stop));
        let deadline = Instant::now() + Duration::from_secs(20);
        let wait_until = |ready: &dyn Fn() -> bool| {
            while !ready() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        wait_until(&|| peer.asked().len() > 1);
        away.store(false, Ordering::Relaxed);
        wait_until(&|| taken.lock().unwrap().len() == 4);
        stop.store(true, Ordering::Relaxed);
    });
    let taken = taken.lock().unwrap();
    let sequences: Vec<u64> = taken.iter().map(|batch| batch.sequence).collect();
    assert_eq!(sequences, [1, 3, 4, 5]);
    assert!(taken.iter().all(|batch| (batch.spool.as_str(), batch.node.as_str()) == ("s", "n")));
    assert!(spool.oldest(Duration::ZERO).is_none());
    assert!(directory.path().join("events/refused").exists());
}
