//! The local socket: who may connect, what is answered, what is refused, and the decisions that hooks took alone.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{Kit, bad_image, good_image};
use hullmark_server::local::{self, spool::Collector};
use hullmark_types::{
    ContainerFacts, DECISION_SCHEMA, DecisionAnswer, DecisionRequest, Digest, ImageIdentity,
    MAX_DECISION_LINE, Point, SPOOL_FILE, Stage,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

struct Local {
    kit: Kit,
    socket: PathBuf,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Local {
    async fn start() -> Self {
        let kit = Kit::start().await;
        let socket = kit.path("run/server.sock");
        let listener = local::bind(&socket).unwrap();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(local::serve(kit.shared.clone(), listener, shutdown.clone()));
        Self { kit, socket, shutdown, task }
    }

    async fn say(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = UnixStream::connect(&self.socket).await.unwrap();
        // The server may answer and hang up before it has read everything.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer
    }

    async fn ask(&self, request: &DecisionRequest) -> DecisionAnswer {
        let mut line = serde_json::to_vec(request).unwrap();
        line.push(b'\n');
        serde_json::from_slice(&self.say(&line).await).unwrap()
    }
}

fn request(manifest: Digest) -> DecisionRequest {
    DecisionRequest {
        schema: DECISION_SCHEMA,
        point: Point::OciHook,
        image: ImageIdentity {
            name: "app:1".to_owned(),
            manifest: Some(manifest),
            ..ImageIdentity::default()
        },
        container: Some(ContainerFacts { id: "c1".to_owned(), ..ContainerFacts::default() }),
        node: Some("node-1".to_owned()),
        detail: std::collections::BTreeMap::new(),
    }
}

#[tokio::test]
async fn a_question_is_answered_and_recorded() {
    let local = Local::start().await;
    assert_eq!(local.socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let good = local.kit.scan(&good_image(), Stage::Deploy).await.inventory.subject.manifest.unwrap();
    let answer = local.ask(&request(good.clone())).await;
    assert!(answer.allow, "{answer:?}");
    let record = local.kit.ledger().pop().unwrap();
    assert_eq!(record.get("kind"), Some(&json!("start")));
    assert_eq!(record.pointer("/image/manifest"), Some(&json!(good)));
    assert_eq!(record.pointer("/actor/name"), Some(&json!("local")));
    assert_eq!(record.pointer("/detail/container"), Some(&json!("c1")));
    assert_eq!(answer.entry, Some(local.kit.ledger().len() as u64 - 1));

    let answer = local.ask(&request(Digest::sha256(b"never seen"))).await;
    assert!(!answer.allow && answer.reason.contains("was not scanned"), "{answer:?}");

    local.shutdown.cancel();
    local.task.await.unwrap();
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_not_recorded() {
    let local = Local::start().await;
    let before = local.kit.ledger().len();
    let good = serde_json::to_value(request(Digest::sha256(b"x"))).unwrap();
    let changed = |pointer: &str, value: Value| {
        let mut request = good.clone();
        *request.pointer_mut(pointer).unwrap() = value;
        format!("{request}\n")
    };
    let details: serde_json::Map<String, Value> =
        (0..40).map(|number| (number.to_string(), json!("x"))).collect();
    let mut many = good.clone();
    many.as_object_mut().unwrap().insert("detail".to_owned(), Value::Object(details));
    for line in [
        "\n".to_owned(),
        "{}\n".to_owned(),
        changed("/schema", json!(2)),
        changed("/point", json!("admission")),
        changed("/image", json!({"name": "app:1"})),
        changed("/node", json!("x".repeat(5000))),
        format!("{many}\n"),
        "x".repeat(MAX_DECISION_LINE + 10),
    ] {
        let answer: DecisionAnswer = serde_json::from_slice(&local.say(line.as_bytes()).await).unwrap();
        assert!(!answer.allow, "{line:.100}");
        assert_eq!(answer.degraded, ["question-malformed"], "{line:.100}");
    }
    assert_eq!(local.kit.ledger().len(), before);
}

#[tokio::test]
async fn clients_that_stall_do_not_keep_others_waiting_for_ever() {
    let local = Local::start().await;
    let mut stalled = Vec::new();
    for _ in 0..100 {
        stalled.push(UnixStream::connect(&local.socket).await.unwrap());
    }
    let request = request(Digest::sha256(b"x"));
    let answer = tokio::time::timeout(Duration::from_secs(20), local.ask(&request)).await.unwrap();
    assert!(!answer.allow);
}

#[tokio::test]
async fn a_socket_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
    let local = Local::start().await;
    assert_eq!(local::bind(&local.socket).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    local.shutdown.cancel();
    local.task.await.unwrap();
    assert!(local.socket.exists());
    local::bind(&local.socket).unwrap();
}

fn spooled(manifest: &Digest, allow: bool) -> String {
    let decision = json!({
        "schema": 1, "time": "2026-01-01T12:00:00Z", "request": request(manifest.clone()), "allow": allow,
        "failure": "server-unreachable", "reason": "allowed without a decision: nobody answers",
    });
    format!("{decision}\n")
}

fn write(directory: &Path, text: &str) {
    std::fs::create_dir_all(directory).unwrap();
    std::fs::write(directory.join(SPOOL_FILE), text).unwrap();
}

#[tokio::test]
async fn what_hooks_decided_alone_is_recorded_once() {
    let kit = Kit::start().await;
    let bad = kit.scan(&bad_image(), Stage::Build).await.inventory.subject.manifest.unwrap();
    let directory = kit.path("hook");
    let mut collector = Collector::new(directory.clone());
    assert_eq!(collector.collect(&kit.shared).await.unwrap(), 0);

    let text = format!("{}{{\"cut off\n{}", spooled(&bad, true), spooled(&Digest::sha256(b"x"), false));
    write(&directory, &text);
    assert_eq!(collector.collect(&kit.shared).await.unwrap(), 3);
    assert_eq!(collector.collect(&kit.shared).await.unwrap(), 0);
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);

    let starts: Vec<Value> =
        kit.ledger().into_iter().filter(|entry| entry.get("kind") == Some(&json!("start"))).collect();
    let [first, malformed, last] = starts.as_slice() else { unreachable!("{starts:?}") };
    assert_eq!(first.get("answer"), Some(&json!("allowed")));
    assert_eq!(first.get("time"), Some(&json!("2026-01-01T12:00:00Z")));
    assert_eq!(first.get("degraded"), Some(&json!(["server-unreachable"])));
    assert_eq!(first.pointer("/image/manifest"), Some(&json!(bad)));
    assert!(first.pointer("/image/config").is_some() && first.pointer("/verdict/verdict").is_some());
    assert!(first.pointer("/detail/standing-now").is_some());
    assert_eq!(malformed.get("degraded"), Some(&json!(["spool-malformed"])));
    assert_eq!(last.get("answer"), Some(&json!("denied")));
}

#[tokio::test]
async fn a_file_that_was_taken_and_not_finished_is_finished() {
    let kit = Kit::start().await;
    let directory = kit.path("hook");
    write(&directory, &spooled(&Digest::sha256(b"first"), true));
    std::fs::rename(directory.join(SPOOL_FILE), directory.join(format!("{SPOOL_FILE}.taken"))).unwrap();
    write(&directory, &spooled(&Digest::sha256(b"second"), true));
    let mut collector = Collector::new(directory.clone());
    assert_eq!(collector.collect(&kit.shared).await.unwrap(), 2);
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
}
