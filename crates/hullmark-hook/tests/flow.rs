//! The program as runtimes and containerd call it, against a server that answers, hangs, lies or is not there.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hullmark_types::{DecisionRequest, Digest, Point, SPOOL_FILE, SpooledDecision};
use serde_json::json;
use tempfile::TempDir;

struct Machine {
    directory: TempDir,
}

impl Machine {
    fn new(options: &serde_json::Value) -> Self {
        let machine = Self { directory: tempfile::tempdir().unwrap() };
        let mut configuration = json!({
            "socket": machine.path("server.sock"),
            "record_directory": machine.path("spool/hook"),
            "node": "node-1",
        });
        let members = configuration.as_object_mut().unwrap();
        members.extend(options.as_object().unwrap().clone());
        std::fs::write(machine.path("hook.json"), configuration.to_string()).unwrap();
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Answers one question with `answer` after `delay`, and gives the question back.
    fn answer(&self, answer: String, delay: Duration) -> JoinHandle<Option<DecisionRequest>> {
        let listener = UnixListener::bind(self.path("server.sock")).unwrap();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            std::thread::sleep(delay);
            let _ = (&stream).write_all(answer.as_bytes());
            serde_json::from_str(&line).ok()
        })
    }

    fn call(&self, arguments: &[&str], stdin: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hullmark-hook"))
            .args(arguments)
            .env("HULLMARK_HOOK_CONFIG", self.path("hook.json"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// As containerd does: the descriptor on standard input.
    fn verify(&self, media_type: &str, digest: &Digest) -> Output {
        let descriptor = json!({"mediaType": media_type, "digest": digest, "size": 1234});
        self.verify_with(&descriptor.to_string(), digest)
    }

    fn verify_with(&self, stdin: &str, digest: &Digest) -> Output {
        let digest = digest.to_string();
        let arguments = [
            "-name",
            "docker.io/library/alpine:3.18",
            "-digest",
            &digest,
            "-stdin-media-type",
            "application/vnd.oci.descriptor.v1+json",
        ];
        self.call(&arguments, stdin)
    }

    fn spooled(&self) -> Vec<SpooledDecision> {
        let text = std::fs::read_to_string(self.path("spool/hook").join(SPOOL_FILE)).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn answer(allow: bool, reason: &str) -> String {
    let answer = json!({"schema": 1, "allow": allow, "mode": "enforce", "reason": reason, "entry": 7});
    format!("{answer}\n")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn verifier_allows_and_denies_as_it_is_told() {
    let machine = Machine::new(&json!({}));
    let digest = Digest::sha256(b"image");
    let server = machine.answer(answer(true, "passed"), Duration::ZERO);
    let output = machine.verify("application/vnd.oci.image.index.v1+json", &digest);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "passed\n"));
    let request = server.join().unwrap().unwrap();
    assert_eq!(request.point, Point::ImageVerifier);
    assert_eq!(request.image.name, "docker.io/library/alpine:3.18");
    assert_eq!((request.image.index, request.image.manifest), (Some(digest.clone()), None));
    assert_eq!(request.node.as_deref(), Some("node-1"));
    assert!(machine.spooled().is_empty());

    let machine = Machine::new(&json!({}));
    let server = machine.answer(answer(false, "denied by rule `critical`\nforged\u{1b}[2J"), Duration::ZERO);
    let output = machine.verify(MANIFEST, &digest);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "denied by rule `critical` forged [2J\n");
    assert_eq!(server.join().unwrap().unwrap().image.manifest, Some(digest));
    assert!(machine.spooled().is_empty());
}

#[test]
fn without_a_server_the_configuration_decides_and_the_decision_is_kept() {
    let digest = Digest::sha256(b"image");
    for (mode, code, allow) in [("closed", 1, false), ("open", 0, true)] {
        let machine = Machine::new(&json!({"on_failure": mode}));
        for number in 1..=2 {
            let output = machine.verify(MANIFEST, &digest);
            assert_eq!(output.status.code(), Some(code), "{output:?}");
            assert!(text(&output.stdout).contains("without a decision: nobody answers on"), "{output:?}");
            let spooled = machine.spooled();
            assert_eq!(spooled.len(), number);
            let last = spooled.last().unwrap();
            assert_eq!((last.allow, last.failure.as_str()), (allow, "server-unreachable"));
            assert_eq!(last.request.image.manifest.as_ref(), Some(&digest));
        }
        let file = machine.path("spool/hook").join(SPOOL_FILE);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_server_that_hangs_is_left_at_the_deadline() {
    let machine = Machine::new(&json!({"timeout_ms": 200, "on_failure": "open"}));
    let _server = machine.answer(answer(false, "late"), Duration::from_secs(30));
    let start = Instant::now();
    let output = machine.verify(MANIFEST, &Digest::sha256(b"image"));
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(machine.spooled().first().unwrap().failure, "deadline-exceeded");
}

#[test]
fn an_answer_that_makes_no_sense_is_no_answer() {
    for lie in [
        "\n".to_owned(),
        "{}\n".to_owned(),
        answer(true, "ok").replace("\"schema\":1", "\"schema\":2"),
        answer(true, "ok").trim_end().to_owned(),
        answer(true, &"x".repeat(70_000)),
    ] {
        let machine = Machine::new(&json!({}));
        let _server = machine.answer(lie.clone(), Duration::ZERO);
        let output = machine.verify(MANIFEST, &Digest::sha256(b"image"));
        assert_eq!(output.status.code(), Some(1), "{lie:.60}");
        assert_eq!(machine.spooled().first().unwrap().failure, "answer-malformed", "{lie:.60}");
    }
}

#[test]
fn input_that_makes_no_sense_is_denied_also_where_failures_are_open() {
    let machine = Machine::new(&json!({"on_failure": "open", "unidentified": "allow"}));
    let other = json!({"mediaType": MANIFEST, "digest": Digest::sha256(b"other"), "size": 1}).to_string();
    for stdin in ["nonsense", &other, &"x".repeat(2_000_000)] {
        let output = machine.verify_with(stdin, &Digest::sha256(b"image"));
        assert_eq!(output.status.code(), Some(1), "{stdin:.60}");
        assert_eq!(machine.spooled().last().unwrap().failure, "input-malformed");
    }
    for stdin in ["", "{}", r#"{"id":"../x","bundle":"/"}"#, r#"{"id":"x","bundle":"/no/such"}"#] {
        let output = machine.call(&["createRuntime"], stdin);
        assert_eq!(output.status.code(), Some(1), "{stdin}");
        assert!(text(&output.stderr).starts_with("hullmark: denied"), "{output:?}");
    }
    assert_eq!(machine.call(&["poststop"], "").status.code(), Some(1));
}

#[test]
fn a_decision_that_cannot_be_kept_is_a_denial() {
    let machine = Machine::new(&json!({"on_failure": "open"}));
    std::fs::write(machine.path("spool"), "in the way").unwrap();
    let output = machine.verify(MANIFEST, &Digest::sha256(b"image"));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("cannot be recorded"), "{output:?}");
}

#[test]
fn a_line_that_was_cut_off_takes_no_other_with_it() {
    let machine = Machine::new(&json!({"on_failure": "open"}));
    std::fs::create_dir_all(machine.path("spool/hook")).unwrap();
    let file = machine.path("spool/hook").join(SPOOL_FILE);
    std::fs::write(&file, "{\"schema\":1,\"ti").unwrap();
    assert_eq!(machine.verify(MANIFEST, &Digest::sha256(b"image")).status.code(), Some(0));
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(serde_json::from_str::<SpooledDecision>(lines.last().unwrap()).is_ok());
}

/// A bundle of a container in the storage of podman, made from `template` of the fixtures.
fn bundle(machine: &Machine, template: &str) -> String {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(template);
    let root = machine.path("engine");
    copy(&fixture, &root);
    let read = |name: &str| {
        let text = std::fs::read_to_string(fixture.join(name)).unwrap();
        text.replace("@ROOT@", root.to_str().unwrap())
    };
    let state = read("state.json");
    let parsed: serde_json::Value = serde_json::from_str(&state).unwrap();
    let bundle = parsed.get("bundle").unwrap().as_str().unwrap();
    std::fs::create_dir_all(bundle).unwrap();
    std::fs::write(Path::new(bundle).join("config.json"), read("config.json")).unwrap();
    state
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[test]
fn hook_asks_with_what_the_storage_says() {
    let machine = Machine::new(&json!({}));
    let state = bundle(&machine, "podman");
    let server = machine.answer(answer(false, "denied by rule `critical`"), Duration::ZERO);
    let output = machine.call(&["createRuntime"], &state);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "hullmark: denied by rule `critical`\n");
    let request = server.join().unwrap().unwrap();
    assert_eq!(request.point, Point::OciHook);
    assert_eq!(request.image.name, "localhost/demo:1");
    assert!(request.image.manifest.is_some() && request.image.config.is_some());
    let container = request.container.unwrap();
    assert_eq!(container.pid, Some(5884));
    assert!(container.root.unwrap().ends_with("/merged"));
    assert_eq!(request.detail.get("identified-by").unwrap(), "containers-storage");
}

#[test]
fn a_container_from_a_plain_directory_has_a_rule_of_its_own() {
    for (rule, code) in [("deny", 1), ("allow", 0)] {
        let machine = Machine::new(&json!({"on_failure": "closed", "unidentified": rule}));
        let state = bundle(&machine, "podman-rootfs");
        let output = machine.call(&["createRuntime"], &state);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let spooled = machine.spooled();
        let decision = spooled.first().unwrap();
        assert_eq!(decision.failure, "image-unidentified");
        assert!(decision.request.container.as_ref().unwrap().root.is_some());
    }
}

#[test]
fn a_configuration_that_is_wrong_denies() {
    let machine = Machine::new(&json!({"on_failure": "open", "no-such-key": 1}));
    let output = machine.verify(MANIFEST, &Digest::sha256(b"image"));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("no-such-key"), "{output:?}");
}
