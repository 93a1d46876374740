//! The OCI hook with real podman and runc: an allowed image starts, a denied one does not and podman says why, and without a
//! server the hook does as it is told and what it did is recorded later.
//!
//! Skipped with a message where podman, runc or the privileges for containers are missing.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::Kit;
use hullmark_server::local::{self, spool::Collector};
use hullmark_testkit::{ImageBuilder, TarBuilder};
use hullmark_types::{SPOOL_FILE, Stage};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const POLICY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/admission/policy.yaml");

/// The smallest program that says something: x86-64 machine code in an ELF file of one segment.
fn program(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap().to_le_bytes();
    let mut code = vec![0xb8, 1, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0x48, 0x8d, 0x35, 16, 0, 0, 0, 0xba];
    code.extend(length);
    code.extend([0x0f, 0x05, 0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05]);
    code.extend(text.as_bytes());
    let size = 120 + code.len() as u64;
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 62, 0, 1, 0, 0, 0];
    for word in [0x40_0078_u64, 64, 0] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    elf.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    for word in [0, 0x40_0000, 0x40_0000, size, size, 0x1000] {
        elf.extend(u64::to_le_bytes(word));
    }
    elf.extend(code);
    elf
}

/// podman with a storage of its own.
struct Podman {
    directory: PathBuf,
}

impl Podman {
    fn new(directory: PathBuf) -> Self {
        std::fs::create_dir_all(directory.join("hooks")).unwrap();
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let hard = |name: &str| {
            let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().rev().nth(1).unwrap().parse().unwrap_or(1024_u64).min(1024)
        };
        // podman raises these limits unless it is told what to ask for, which not every machine permits.
        let configuration = format!(
            "[containers]\ndefault_ulimits = [\"nofile={0}:{0}\", \"nproc={1}:{1}\"]\n\
             [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n",
            hard("Max open files"),
            hard("Max processes")
        );
        std::fs::write(directory.join("containers.conf"), configuration).unwrap();
        Self { directory }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new("podman")
            .env("CONTAINERS_CONF", self.directory.join("containers.conf"))
            .arg("--root")
            .arg(self.directory.join("storage"))
            .arg("--runroot")
            .arg(self.directory.join("run"))
            .args(["--storage-driver", "overlay"])
            .args(arguments)
            .output()
            .unwrap()
    }

    fn load(&self, image: &ImageBuilder, name: &str) {
        let archive = self.directory.join(format!("{name}.tar"));
        std::fs::write(&archive, image.oci_archive()).unwrap();
        let output = self.run(&["pull", "--quiet", &format!("oci-archive:{}", archive.display())]);
        assert!(output.status.success(), "{output:?}");
        let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(self.run(&["tag", &id, &format!("localhost/{name}:1")]).status.success());
    }

    fn start(&self, hooks: bool, more: &[&str]) -> Output {
        let hooks_directory = self.directory.join("hooks").display().to_string();
        let mut arguments = if hooks { vec!["--hooks-dir", &hooks_directory] } else { Vec::new() };
        arguments.extend(["run", "--rm", "--network", "none"]);
        arguments.extend(more);
        self.run(&arguments)
    }

    /// Writes the hook and its configuration.
    fn hook(&self, program: &Path, socket: &Path, on_failure: &str) {
        let configuration = self.directory.join("hook.json");
        let records = self.directory.join("records");
        let text =
            json!({"socket": socket, "on_failure": on_failure, "record_directory": records, "node": "test"});
        std::fs::write(&configuration, text.to_string()).unwrap();
        let hook = json!({
            "version": "1.0.0",
            "hook": {
                "path": program,
                "args": ["hullmark-hook", "--config", configuration, "createRuntime"],
                "timeout": 10,
            },
            "when": {"always": true},
            "stages": ["createRuntime"],
        });
        std::fs::write(self.directory.join("hooks/hullmark.json"), hook.to_string()).unwrap();
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // podman mounts this directory onto itself.
        let _ = Command::new("umount").arg("--lazy").arg(self.directory.join("storage/overlay")).output();
    }
}

fn hook_program() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--package", "hullmark-hook", "--message-format", "json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut messages = text.lines().rev().map(|line| serde_json::from_str::<Value>(line).unwrap());
    messages.find_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?))).unwrap()
}

fn image(musl: &str, text: &str) -> ImageBuilder {
    ImageBuilder::new()
        .layer(common::alpine(musl), "ADD rootfs.tar in /")
        .layer(TarBuilder::new().executable("bin/hello", program(text)).finish(), "COPY hello /bin")
        .settings(json!({"Entrypoint": ["/bin/hello"], "User": "1000"}))
}

fn missing() -> Option<String> {
    let found = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Some("this is not Linux on x86-64".to_owned());
    }
    ["podman", "runc"]
        .iter()
        .find(|program| !found(program))
        .map(|program| format!("there is no `{program}`"))
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_starts_what_the_policy_allows() {
    if let Some(reason) = missing() {
        eprintln!("skipped: {reason}");
        return;
    }
    let kit = Kit::with(&format!("[policy]\nfile = \"{POLICY}\"\n")).await;
    let podman = Podman::new(kit.path("podman"));
    let (good, bad) = (image("1.1.18-r4", "good runs\n"), image("1.1.18-r3", "bad runs\n"));
    podman.load(&good, "good");
    podman.load(&bad, "bad");
    let plain = podman.start(false, &["localhost/good:1"]);
    if !plain.status.success() {
        eprintln!("skipped: podman starts no container here: {}", String::from_utf8_lossy(&plain.stderr));
        return;
    }
    let mut digests = Vec::new();
    for image in [&good, &bad] {
        let report = kit.scan(image, Stage::Build).await;
        digests.push(report.inventory.subject.manifest.unwrap());
    }
    let socket = kit.path("server.sock");
    let program = hook_program();
    let shutdown = CancellationToken::new();
    let listener = local::bind(&socket).unwrap();
    let task = tokio::spawn(local::serve(kit.shared.clone(), listener, shutdown.clone()));
    podman.hook(&program, &socket, "closed");

    let text = |output: &Output| {
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    let output = podman.start(true, &["localhost/good:1"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("good runs"));
    let record = kit.ledger().pop().unwrap();
    assert_eq!((record.get("kind"), record.get("answer")), (Some(&json!("start")), Some(&json!("allowed"))));
    assert_eq!(record.pointer("/image/manifest"), digests.first().map(|digest| json!(digest)).as_ref());

    // Another name, and annotations that claim another image, change nothing.
    assert!(podman.run(&["tag", "localhost/bad:1", "localhost/innocent:1"]).status.success());
    let claim = format!("io.kubernetes.cri-o.ImageRef={}", digests.first().unwrap().hex());
    for arguments in
        [["--pull=never", "localhost/bad:1"].as_slice(), &["--annotation", &claim, "localhost/innocent:1"]]
    {
        let output = podman.start(true, arguments);
        let text = text(&output);
        assert!(!output.status.success() && !text.contains("bad runs"), "{text}");
        assert!(text.contains("denied by rule `fixable` of policy `shop`: CVE-2019-14697"), "{text}");
        let record = kit.ledger().pop().unwrap();
        assert_eq!(record.get("answer"), Some(&json!("denied")));
        assert_eq!(record.pointer("/image/manifest"), digests.last().map(|digest| json!(digest)).as_ref());
    }

    // A container from a plain directory has no image.
    let plain = kit.path("plain");
    std::fs::create_dir_all(plain.join("bin")).unwrap();
    std::fs::write(plain.join("bin/hello"), self::program("plain runs\n")).unwrap();
    let output = podman.start(true, &["--rootfs", plain.to_str().unwrap(), "/bin/hello"]);
    assert!(!output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("not made from an image"), "{}", text(&output));

    // Nobody answers any more.
    shutdown.cancel();
    task.await.unwrap();
    std::fs::remove_file(&socket).unwrap();
    let output = podman.start(true, &["localhost/good:1"]);
    assert!(!output.status.success() && !text(&output).contains("good runs"), "{}", text(&output));
    assert!(text(&output).contains("nobody answers on"), "{}", text(&output));
    podman.hook(&program, &socket, "open");
    let output = podman.start(true, &["localhost/bad:1"]);
    assert!(output.status.success() && text(&output).contains("bad runs"), "{}", text(&output));

    let records = podman.directory.join("records");
    let spooled = std::fs::read_to_string(records.join(SPOOL_FILE)).unwrap();
    assert_eq!(spooled.lines().count(), 3);
    assert_eq!(Collector::new(records).collect(&kit.shared).await.unwrap(), 3);
    let record = kit.ledger().pop().unwrap();
    assert_eq!((record.get("kind"), record.get("answer")), (Some(&json!("start")), Some(&json!("allowed"))));
    assert_eq!(record.get("degraded"), Some(&json!(["server-unreachable"])));
    assert_eq!(record.pointer("/image/manifest"), digests.last().map(|digest| json!(digest)).as_ref());
    let standing = record.pointer("/detail/standing-now").and_then(Value::as_str).unwrap();
    assert!(standing.contains("denied by rule `fixable`"), "{standing}");
}
