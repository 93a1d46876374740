//! The other programs of the story: a registry, podman with a place of its own, and whatever runs in the background.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{process, system};

/// Programs of the story, and the Debian packages that bring them.
const PROGRAMS: &[(&str, &str)] = &[
    ("docker-registry", "docker-registry"),
    ("skopeo", "skopeo"),
    ("podman", "podman"),
    ("conmon", "conmon"),
    ("runc", "runc"),
    ("python3", "python3"),
    ("curl", "curl"),
];

/// How long a program may take until it answers.
const START: Duration = Duration::from_secs(30);

/// Installs the programs where that is possible; what is missing then.
pub(super) fn missing_programs() -> Vec<&'static str> {
    let missing = |(program, _): &&(&'static str, &'static str)| process::find(program).is_none();
    let packages: Vec<_> = PROGRAMS.iter().filter(missing).map(|(_, package)| *package).collect();
    if !packages.is_empty() {
        system::install(&packages);
    }
    PROGRAMS.iter().filter(missing).map(|(_, package)| *package).collect()
}

/// What the agent is built with, and the Debian packages that bring it.
const LIBRARIES: &[&str] = &["pkg-config", "libelf-dev", "zlib1g-dev"];

/// Installs what the agent is built with where that is possible; what to do when it is not.
pub(super) fn missing_libraries() -> Option<String> {
    let present = || process::succeeds("pkg-config", &["--exists", "libelf", "zlib"]);
    if !present() {
        system::install(LIBRARIES);
    }
    (!present()).then(|| system::advice(LIBRARIES))
}

/// A port on the loopback interface that nobody uses now.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").context("no free port")?.local_addr()?.port())
}

/// A program in the background; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Background {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Background {
    /// Starts a program; what it says goes into a file.
    pub(super) fn start(name: &'static str, command: &mut Command, log: PathBuf) -> Result<Self> {
        let file = fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, child, log })
    }

    /// Waits until `ready` holds.
    ///
    /// # Errors
    /// When the program ends before, or it takes too long; the error carries what it said.
    pub(super) fn wait_until(&mut self, ready: impl Fn() -> bool) -> Result<()> {
        let start = Instant::now();
        while !ready() {
            let ended = self.child.try_wait()?;
            if ended.is_some() || start.elapsed() > START {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                bail!("{} did not start: {}", self.name, said.trim());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Asks the program to end, and waits for it.
    pub(super) fn stop(&mut self) {
        let id = self.child.id().to_string();
        process::succeeds("kill", &["-TERM", &id]);
        let start = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if start.elapsed() > Duration::from_secs(10) {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The status of the answer to `GET path` on a loopback port; `None` when nobody answers.
pub(super) fn http_status(port: u16, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").ok()?;
    let mut start = [0; 12];
    stream.read_exact(&mut start).ok()?;
    std::str::from_utf8(&start).ok()?.split(' ').nth(1)?.parse().ok()
}

/// Starts Debian's registry on a loopback port.
pub(super) fn registry(directory: &Path, port: u16) -> Result<Background> {
    let configuration = directory.join("registry.yml");
    let storage = directory.join("registry");
    fs::create_dir_all(&storage)?;
    let text = format!(
        "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n",
        storage.display()
    );
    fs::write(&configuration, text)?;
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(&configuration);
    let mut registry = Background::start("docker-registry", &mut command, directory.join("registry.log"))?;
    registry.wait_until(|| http_status(port, "/v2/") == Some(200))?;
    Ok(registry)
}

/// podman with storage, configuration and hooks of its own, so that nothing else on the machine is touched.
#[derive(Debug)]
pub(super) struct Podman {
    directory: PathBuf,
    /// The directory that hook configurations are put into.
    pub(super) hooks: PathBuf,
}

impl Podman {
    /// Writes the configuration.
    pub(super) fn new(directory: &Path) -> Result<Self> {
        let place = |name: &str| directory.join("podman").join(name);
        let hooks = place("hooks.d");
        for path in [&hooks, &place("root"), &place("run"), &place("tmp")] {
            fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        // The limits are those that every machine allows; podman's own defaults may be above what this one does.
        fs::write(
            place("containers.conf"),
            format!(
                "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n\
                 [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n\
                 hooks_dir = [\"{}\"]\n",
                hooks.display()
            ),
        )?;
        fs::write(
            place("storage.conf"),
            format!(
                "[storage]\ndriver = \"overlay\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
                place("root").display(),
                place("run").display()
            ),
        )?;
        fs::write(place("policy.json"), "{\"default\": [{\"type\": \"insecureAcceptAnything\"}]}\n")?;
        Ok(Self { directory: directory.join("podman"), hooks })
    }

    /// A podman command in its own surroundings.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("podman");
        command
            .args(words)
            .current_dir(self.directory.join(".."))
            .env("CONTAINERS_CONF", self.directory.join("containers.conf"))
            .env("CONTAINERS_STORAGE_CONF", self.directory.join("storage.conf"))
            .env("TMPDIR", self.directory.join("tmp"))
            .stdin(Stdio::null());
        command
    }

    /// Removes every container, running or not.
    pub(super) fn clear(&self) {
        let _ = self.command(&["rm", "--all", "--force", "--time", "0"]).output();
        let _ = self.command(&["umount", "--all"]).output();
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.clear();
    }
}
