//! A node for tests: an agent, and containers that runc runs on an overlay of a small root file system.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "each test file uses a part of it; tests fail by panicking and say why they are skipped"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use hullmark_agent::socket::ask;
use hullmark_agent::status::{QUESTION, Status};
use hullmark_types::{
    ContainerFacts, DECISION_SCHEMA, DecisionAnswer, DecisionRequest, Digest, ImageIdentity, ImageProfile,
    PROFILE_SCHEMA, Point, ProgramFile, ProgramKind, RuntimeEvent, RuntimeEventBatch, RuntimeEventKind,
    Subject, SubjectKind,
};
use tempfile::TempDir;

/// The agent's own program: that of this build, or another one by the environment variable `HULLMARK_AGENT_PROGRAM`.
pub fn program() -> PathBuf {
    let other = std::env::var_os("HULLMARK_AGENT_PROGRAM");
    other.map_or_else(|| env!("CARGO_BIN_EXE_hullmark-agent").into(), PathBuf::from)
}

/// What this machine lacks for tests of enforcement; says so and gives `true` when something is missing.
pub fn is_missing_something(test: &str) -> bool {
    let missing = missing();
    if let Some(missing) = &missing {
        eprintln!("skipped `{test}`: {missing}");
    }
    missing.is_some()
}

fn missing() -> Option<String> {
    if !nix::unistd::Uid::effective().is_root() {
        return Some("it needs root".to_owned());
    }
    for program in ["runc", "cc", "mount"] {
        if Command::new(program).arg("--version").output().is_err() {
            return Some(format!("it needs `{program}`"));
        }
    }
    if minirootfs().is_none() {
        return Some("it needs the root file systems beside the repository".to_owned());
    }
    let probe = hullmark_agent::probe::probe();
    let lacks: Vec<_> =
        probe.features.iter().filter(|feature| !feature.available).map(|f| f.name.as_str()).collect();
    (probe.tier != hullmark_agent::probe::Tier::B).then(|| format!("this kernel lacks {}", lacks.join(", ")))
}

fn minirootfs() -> Option<PathBuf> {
    let archive = hullmark_testkit::shared_dir()?.join("images/alpine-minirootfs-3.18.9-x86_64.tar.gz");
    archive.is_file().then_some(archive)
}

fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// An agent that works without a server, and what its containers need.
pub struct Node {
    pub directory: TempDir,
    pub image: ImageIdentity,
    agent: Option<Child>,
    mode: String,
    extra: String,
    containers: Vec<String>,
    mounts: Vec<PathBuf>,
}

impl Node {
    /// Begins an agent in a mode, `block` or `alert`.
    pub fn new(mode: &str) -> Self {
        Self::with(mode, "standalone = true\n")
    }

    /// Begins an agent with further configuration.
    pub fn with(mode: &str, extra: &str) -> Self {
        let directory = TempDir::with_prefix("hullmark-agent-").unwrap();
        let path = directory.path();
        for name in ["image", "profiles", "runc"] {
            fs::create_dir(path.join(name)).unwrap();
        }
        let image_root = path.join("image");
        run(Command::new("tar").arg("-xzf").arg(minirootfs().unwrap()).arg("-C").arg(&image_root));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/foreign.c");
        run(Command::new("cc")
            .args(["-static", "-O1", "-o"])
            .arg(image_root.join("bin/foreign"))
            .arg(source));
        let script = image_root.join("bin/greet");
        hullmark_testkit::script(&script, "#!/bin/sh\necho greeted\n");
        // Older than any container, as the layers of an image are.
        std::thread::sleep(Duration::from_millis(150));
        let config = Digest::sha256(b"the configuration of the test image");
        let image = ImageIdentity {
            name: "test/image:1".to_owned(),
            config: Some(config),
            ..ImageIdentity::default()
        };
        let profile = profile_of(&image_root, &image);
        fs::write(path.join("profiles/image.json"), serde_json::to_vec(&profile).unwrap()).unwrap();
        let mut node = Self {
            directory,
            image,
            agent: None,
            mode: mode.to_owned(),
            extra: extra.to_owned(),
            containers: Vec::new(),
            mounts: Vec::new(),
        };
        node.start();
        node
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts the agent, and waits until it answers.
    pub fn start(&mut self) {
        let path = self.directory.path().display().to_string();
        let config = format!(
            "node = \"test\"\nsocket = \"{path}/agent.sock\"\ndata_directory = \"{path}/data\"\nmode = \"{}\"\n\
             profiles = \"{path}/profiles\"\n{}\n[log]\nlevel = \"info\"\n",
            self.mode, self.extra
        );
        fs::write(self.path("agent.toml"), config).unwrap();
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("agent.log")).unwrap();
        let mut command = Command::new(program());
        command.arg("run").arg("--config").arg(self.path("agent.toml"));
        self.agent = Some(command.stdin(Stdio::null()).stderr(log).spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(20);
        while ask(&self.path("agent.sock"), QUESTION).is_err() {
            assert!(Instant::now() < deadline, "the agent does not answer: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn pid(&self) -> u32 {
        self.agent.as_ref().unwrap().id()
    }

    /// Kills the agent without a warning.
    pub fn kill(&mut self) {
        let mut agent = self.agent.take().unwrap();
        agent.kill().unwrap();
        agent.wait().unwrap();
    }

    /// Ends the agent in good order.
    pub fn stop(&mut self) {
        let mut agent = self.agent.take().unwrap();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(agent.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert!(agent.wait().unwrap().success(), "{}", self.log());
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("agent.log")).unwrap_or_default()
    }

    pub fn status(&self) -> Status {
        serde_json::from_str(&ask(&self.path("agent.sock"), QUESTION).unwrap()).unwrap()
    }

    /// Resident memory of the agent in KiB.
    pub fn resident(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Asks the agent whether a container may start.
    pub fn decide(&self, id: &str, pid: u32) -> DecisionAnswer {
        let request = DecisionRequest {
            schema: DECISION_SCHEMA,
            point: Point::OciHook,
            image: self.image.clone(),
            container: Some(ContainerFacts {
                id: id.to_owned(),
                pid: Some(pid),
                root: Some(self.path(&format!("{id}/merged")).display().to_string()),
                bundle: None,
            }),
            node: None,
            detail: BTreeMap::new(),
        };
        let line = serde_json::to_string(&request).unwrap();
        serde_json::from_str(&ask(&self.path("agent.sock"), &line).unwrap()).unwrap()
    }

    fn runc(&self) -> Command {
        let mut command = Command::new("runc");
        command.arg("--root").arg(self.path("runc"));
        command.stdin(Stdio::null());
        command
    }

    /// Makes the bundle of a container on an overlay of the image: its first process sleeps unless `arguments` says otherwise.
    pub fn bundle(
        &mut self,
        id: &str,
        arguments: &[&str],
        change: impl FnOnce(&mut serde_json::Value),
    ) -> PathBuf {
        let bundle = self.path(id);
        for name in ["upper", "work", "merged"] {
            fs::create_dir_all(bundle.join(name)).unwrap();
        }
        let merged = bundle.join("merged");
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            self.path("image").display(),
            bundle.join("upper").display(),
            bundle.join("work").display()
        );
        run(Command::new("mount").args(["-t", "overlay", "overlay", "-o", &options]).arg(&merged));
        self.mounts.push(merged);
        let mount = |place: &str, kind: &str, options: &[&str]| serde_json::json!({ "destination": place, "type": kind, "source": kind, "options": options });
        let namespaces = ["pid", "mount", "ipc", "uts"].map(|kind| serde_json::json!({ "type": kind }));
        let mut config = serde_json::json!({
            "ociVersion": "1.0.2",
            "root": { "path": "merged" },
            "process": {
                "user": { "uid": 0, "gid": 0 },
                "args": arguments,
                "env": ["PATH=/usr/bin:/bin:/usr/sbin:/sbin"],
                "cwd": "/",
            },
            "mounts": [
                mount("/proc", "proc", &[]),
                mount("/dev", "tmpfs", &["nosuid", "mode=755"]),
                mount("/dev/shm", "tmpfs", &["nosuid", "nodev", "mode=1777"]),
            ],
            "linux": {
                "cgroupsPath": format!("/{}-{id}", self.directory.path().file_name().unwrap().display()),
                "namespaces": namespaces,
            },
        });
        change(&mut config);
        fs::write(bundle.join("config.json"), serde_json::to_vec_pretty(&config).unwrap()).unwrap();
        self.containers.push(id.to_owned());
        bundle
    }

    /// Creates a container, lets `before` happen to its waiting first process, and starts it.
    pub fn create(&mut self, id: &str, before: impl FnOnce(&Self, u32)) {
        let bundle = self.bundle(id, &["/bin/sleep", "100000"], |_| {});
        let pid_file = bundle.join("pid");
        let mut create = self.runc();
        create.args(["create", "--bundle"]).arg(&bundle).arg("--pid-file").arg(&pid_file).arg(id);
        // The container keeps these open.
        let status = create.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(status.success(), "runc create");
        let pid = fs::read_to_string(pid_file).unwrap().parse().unwrap();
        before(self, pid);
        run(self.runc().args(["start", id]));
    }

    /// A container that the agent tracks.
    pub fn tracked(&mut self, id: &str) {
        self.create(id, |node, pid| {
            let answer = node.decide(id, pid);
            assert!(answer.allow, "{answer:?}");
            assert_eq!(answer.degraded, Vec::<String>::new());
        });
    }

    /// Runs a shell command in a container.
    pub fn shell(&self, id: &str, script: &str) -> Output {
        self.runc().args(["exec", id, "/bin/sh", "-c", script]).output().unwrap()
    }

    /// What a shell command in a container prints.
    pub fn prints(&self, id: &str, script: &str) -> String {
        String::from_utf8_lossy(&self.shell(id, script).stdout).into_owned()
    }

    /// Runs a bundle to its end.
    pub fn run_bundle(&self, id: &str, bundle: &Path) -> Output {
        self.runc().args(["run", "--bundle"]).arg(bundle).arg(id).output().unwrap()
    }

    /// Every event in the spool, oldest first.
    pub fn events(&self) -> Vec<RuntimeEvent> {
        let mut files: Vec<_> = fs::read_dir(self.path("data/events"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        files.sort();
        let batch =
            |path: &PathBuf| serde_json::from_slice::<RuntimeEventBatch>(&fs::read(path).unwrap()).unwrap();
        files.iter().flat_map(|path| batch(path).events).collect()
    }

    /// Waits until enough events of a kind are in the spool.
    pub fn wait_for(
        &self,
        kind: RuntimeEventKind,
        count: usize,
        which: impl Fn(&RuntimeEvent) -> bool,
    ) -> Vec<RuntimeEvent> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let mut events = self.events();
            events.retain(|event| event.kind == kind && which(event));
            if events.len() >= count || Instant::now() > deadline {
                return events;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for id in &self.containers {
            let _ = self.runc().args(["delete", "--force", id]).output();
        }
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.kill();
            let _ = agent.wait();
        }
        for mount in &self.mounts {
            let _ = Command::new("umount").arg(mount).output();
        }
        if std::thread::panicking() {
            eprintln!("the agent said:\n{}", self.log());
        }
    }
}

/// The profile of a root file system in a directory.
pub fn profile_of(root: &Path, image: &ImageIdentity) -> ImageProfile {
    let mut files = Vec::new();
    collect(root, root, &mut files);
    files.sort();
    ImageProfile {
        schema: PROFILE_SCHEMA,
        subject: Subject {
            kind: SubjectKind::Image,
            name: image.name.clone(),
            references: Vec::new(),
            index: None,
            manifest: image.manifest.clone(),
            config: image.config.clone(),
            platform: None,
        },
        entrypoint: Vec::new(),
        cmd: Vec::new(),
        user: String::new(),
        exposed_ports: Vec::new(),
        files,
        complete: true,
    }
}

fn collect(root: &Path, directory: &Path, files: &mut Vec<ProgramFile>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let facts = fs::symlink_metadata(&path).unwrap();
        if facts.is_dir() {
            collect(root, &path, files);
        } else if facts.is_file() {
            let bytes = fs::read(&path).unwrap();
            let kind = match bytes.as_slice() {
                [0x7f, b'E', b'L', b'F', ..] => ProgramKind::Elf,
                [b'#', b'!', ..] => ProgramKind::Script,
                _ if facts.mode() & 0o111 != 0 => ProgramKind::Other,
                _ => continue,
            };
            files.push(ProgramFile {
                path: path.strip_prefix(root).unwrap().display().to_string(),
                digest: Digest::sha256(&bytes),
                kind,
                mode: facts.mode() & 0o7777,
                size: facts.len(),
            });
        }
    }
}
