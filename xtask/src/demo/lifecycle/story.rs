//! The chapters: what is typed, what it must show.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::Images;
use super::machine::{Background, Podman, free_port, http_status, registry};
use crate::Ending;
use crate::process;
use crate::workspace::{cargo, root, target};

/// The file of advisories.
const DATABASE: &str = "advisories.db";

/// The policy of the story.
const POLICY: &str = include_str!("policy.yaml");

/// The programs of this workspace that take part.
#[derive(Debug)]
pub(super) struct Binaries {
    hullmark: PathBuf,
    agent: PathBuf,
    hook: PathBuf,
}

impl Binaries {
    /// Those beside the given `hullmark`, or the release builds of this workspace.
    ///
    /// # Errors
    /// When they do not exist or cannot be built.
    pub(super) fn find(given: Option<&Path>) -> Result<Self> {
        let hullmark = match given {
            Some(given) => given.to_path_buf(),
            None => {
                let mut command = cargo();
                command.args(["build", "--release", "--locked"]);
                command.args([
                    "--package",
                    "hullmark",
                    "--package",
                    "hullmark-agent",
                    "--package",
                    "hullmark-hook",
                ]);
                println!("$ {}", process::show(&command));
                let status = command.stdin(Stdio::null()).status().context("cannot start cargo")?;
                if !status.success() {
                    bail!("the release build ended with {status}");
                }
                target().join("release/hullmark")
            }
        };
        let hullmark =
            fs::canonicalize(&hullmark).with_context(|| format!("no binary {}", hullmark.display()))?;
        let beside = |name: &str| {
            let path = hullmark.with_file_name(name);
            path.is_file()
                .then_some(path)
                .with_context(|| format!("no binary `{name}` beside {}", hullmark.display()))
        };
        Ok(Self { agent: beside("hullmark-agent")?, hook: beside("hullmark-hook")?, hullmark })
    }
}

/// What a command showed.
struct Shown {
    code: Option<i32>,
    /// Standard output and standard error.
    text: String,
}

/// The story as it is told.
struct Teller {
    wrong: RefCell<Vec<String>>,
}

impl Teller {
    fn chapter(&self, title: &str) {
        println!("\n{title}\n{}", "-".repeat(title.chars().count()));
    }

    fn expect(&self, holds: bool, what: &str) {
        if !holds {
            println!("FAILED: {what}");
            self.wrong.borrow_mut().push(what.to_owned());
        }
    }

    /// Types a command: prints it as one would type it, what it says, and its exit code.
    fn shows(&self, command: &mut Command) -> Result<Shown> {
        let line = process::show(command);
        println!("\n$ {line}");
        let output =
            command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{line}`"))?;
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        print!("{text}");
        match output.status.code() {
            Some(0) => {}
            Some(code) => println!("exit code {code}"),
            None => println!("ended by a signal"),
        }
        Ok(Shown { code: output.status.code(), text })
    }
}

/// Tells the story.
///
/// # Errors
/// When a program cannot be started, or a file cannot be written or read.
pub(super) fn tell(binaries: &Binaries, directory: &Path, images: &Images) -> Result<Ending> {
    clear(directory)?;
    let podman = Podman::new(directory)?;
    podman.clear();
    let story = Story {
        teller: Teller { wrong: RefCell::new(Vec::new()) },
        binaries,
        directory,
        images,
        podman,
        upstream: free_port()?,
        server: free_port()?,
    };
    story.chapter("A registry, the server with one policy, and the agent of a node");
    let registry = registry(directory, story.upstream)?;
    println!("docker-registry answers on 127.0.0.1:{}", story.upstream);
    story.database()?;
    let mut server = story.start_server()?;
    let mut agent = story.start_agent()?;
    story.build()?;
    story.registry_gate()?;
    story.admission()?;
    let runs = story.deployment()?;
    if runs {
        story.running()?;
    }
    story.podman.clear();
    agent.stop();
    server.stop();
    drop(registry);
    story.audit()?;
    let wrong = story.teller.wrong.borrow();
    for what in wrong.iter() {
        println!("\nFAILED: {what}");
    }
    Ok(if wrong.is_empty() { Ending::Passed } else { Ending::Failed })
}

/// Everything that the chapters need.
struct Story<'a> {
    teller: Teller,
    binaries: &'a Binaries,
    directory: &'a Path,
    images: &'a Images,
    podman: Podman,
    /// Port of the registry that the gate stands before.
    upstream: u16,
    /// Port of the server.
    server: u16,
}

impl Story<'_> {
    fn chapter(&self, title: &str) {
        self.teller.chapter(title);
    }

    /// A program that is started in the directory of the story.
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.directory).stdin(Stdio::null());
        command
    }

    /// The archive of an image, as seen from the directory of the story.
    fn archive(&self, image: &Path) -> String {
        let name = image.file_name().unwrap_or_default().to_string_lossy();
        let up = if image.parent() == Some(self.directory) { "" } else { "../" };
        format!("docker-archive:{up}{name}")
    }

    fn hullmark(&self, words: &[&str]) -> Command {
        let mut command = self.command(&self.binaries.hullmark);
        // What a developer has set for daily use is not for the story.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HULLMARK_") {
                command.env_remove(name);
            }
        }
        command.args(words).env("NO_COLOR", "1");
        command
    }

    /// Types a `hullmark` command, and expects its exit code.
    fn types(&self, words: &[&str], code: i32, why: &str) -> Result<Shown> {
        let shown = self.teller.shows(&mut self.hullmark(words))?;
        self.teller.expect(shown.code == Some(code), why);
        Ok(shown)
    }

    /// Types a command whose output is a secret: it goes into a file for its owner alone.
    fn saves(&self, words: &[&str], file: &str) -> Result<()> {
        let mut command = self.hullmark(words);
        println!("\n$ {} > {file}", process::show(&command));
        let output = command.stdin(Stdio::null()).output().context("cannot start hullmark")?;
        print!("{}", String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            bail!("the command ended with {}", output.status);
        }
        let mut options = fs::OpenOptions::new();
        options.create(true).truncate(true).write(true).mode(0o600);
        let mut written =
            options.open(self.directory.join(file)).with_context(|| format!("cannot write {file}"))?;
        Ok(written.write_all(&output.stdout)?)
    }

    fn database(&self) -> Result<()> {
        let words = match self.images.feeds {
            Some(feeds) => vec!["db", "build", "--from", feeds, "--output", DATABASE],
            None => vec!["db", "update", "--db", DATABASE, "--only", "debian-archive/bookworm-security"],
        };
        if self.teller.shows(&mut self.hullmark(&words))?.code != Some(0) {
            bail!("no advisories, and the story cannot go on without them");
        }
        Ok(())
    }

    fn start_server(&self) -> Result<Background> {
        fs::write(self.directory.join("policy.yaml"), POLICY)?;
        fs::create_dir_all(self.directory.join("run"))?;
        let Self { server, upstream, .. } = self;
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:{server}\"\nplain_http = true\ndata_directory = \"server\"\n\n\
             [database]\nfile = \"{DATABASE}\"\n\n[policy]\nfile = \"policy.yaml\"\n\n\
             [admission]\nenabled = true\ngate = \"127.0.0.1:{server}\"\n\n\
             [gate]\nenabled = true\nanonymous = true\n\n\
             [gate.upstreams.local]\nurl = \"http://127.0.0.1:{upstream}\"\n"
        );
        fs::write(self.directory.join("server.toml"), text)?;
        self.saves(&["server", "init", "--config", "server.toml"], "admin.token")?;
        for (name, role) in [("build", "ci"), ("node", "agent")] {
            let create =
                ["server", "token", "create", "--config", "server.toml", "--name", name, "--role", role];
            self.saves(&create, &format!("{name}.token"))?;
        }
        let mut command = self.hullmark(&["serve", "--config", "server.toml"]);
        println!("\n$ {} &", process::show(&command));
        let mut server =
            Background::start("hullmark serve", &mut command, self.directory.join("server.log"))?;
        server.wait_until(|| http_status(self.server, "/readyz") == Some(200))?;
        Ok(server)
    }

    fn start_agent(&self) -> Result<Background> {
        let (port, here) = (self.server, self.directory.display());
        let text = format!(
            "node = \"node-1\"\nsocket = \"{here}/run/agent.sock\"\ndata_directory = \"{here}/agent\"\n\n\
             [server]\nurl = \"http://127.0.0.1:{port}\"\ntoken_file = \"node.token\"\n"
        );
        fs::write(self.directory.join("agent.toml"), text)?;
        let mut probe = self.command(&self.binaries.agent);
        self.teller.shows(probe.arg("probe"))?;
        let mut command = self.command(&self.binaries.agent);
        command.args(["run", "--config", "agent.toml"]);
        println!("\n$ {} &", process::show(&command));
        let mut agent = Background::start("hullmark-agent", &mut command, self.directory.join("agent.log"))?;
        let socket = self.directory.join("run/agent.sock");
        agent.wait_until(|| socket.exists())?;
        // Every container that this podman creates asks first.
        let hook = serde_json::json!({
            "socket": socket, "on_failure": "closed", "record_directory": self.directory.join("run/hook"), "node": "node-1",
        });
        fs::write(self.directory.join("hook.json"), hook.to_string())?;
        let (binary, configuration) = (
            self.binaries.hook.display().to_string(),
            self.directory.join("hook.json").display().to_string(),
        );
        let words = ["hook", "config", "--for", "podman", "--program", &binary, "--config", &configuration];
        let shown = self.types(&words, 0, "the hook configuration must be written")?;
        fs::write(self.podman.hooks.join("hullmark.json"), shown.text)?;
        Ok(agent)
    }

    fn scan(&self, image: &Path) -> Command {
        let (image, url) = (self.archive(image), format!("http://127.0.0.1:{}", self.server));
        self.hullmark(&["scan", &image, "--server", &url, "--server-token-file", "build.token"])
    }

    fn skopeo(&self, words: &[&str]) -> Result<Shown> {
        let mut command = self.command("skopeo");
        self.teller.shows(command.args(["copy", "--quiet", "--insecure-policy"]).args(words))
    }

    /// The archive of an image goes into the registry, past everything.
    fn push(&self, image: &Path, name: &str) -> Result<()> {
        let to = format!("docker://127.0.0.1:{}/shop/app:{name}", self.upstream);
        let shown = self.skopeo(&["--dest-tls-verify=false", &self.archive(image), &to])?;
        self.teller.expect(shown.code == Some(0), "an image must go into the registry");
        Ok(())
    }

    fn pull(&self, tag: &str) -> Result<Shown> {
        let from = format!("docker://127.0.0.1:{}/local/shop/app:{tag}", self.server);
        self.skopeo(&["--src-tls-verify=false", &from, &format!("oci:pulled:{tag}")])
    }

    fn build(&self) -> Result<()> {
        self.chapter("Build: the policy fails the image, with the reason and the fix");
        let shown = self.teller.shows(&mut self.scan(&self.images.bad))?;
        self.teller.expect(shown.code == Some(1), "the build of the bad image must fail: exit code 1");
        self.teller.expect(shown.text.contains("fix: upgrade"), "the log must have the fix");
        Ok(())
    }

    fn registry_gate(&self) -> Result<()> {
        self.chapter("Registry: it is pushed all the same, and the gate refuses the pull");
        self.push(&self.images.bad, "1.0")?;
        let shown = self.pull("1.0")?;
        self.teller.expect(shown.code != Some(0), "the gate must refuse the bad image");
        self.teller.expect(shown.text.contains("fix-is-available"), "the refusal must name the rule");

        self.chapter("The image is fixed: the build passes, and so does the pull");
        let shown = self.teller.shows(&mut self.scan(&self.images.good))?;
        self.teller.expect(shown.code == Some(0), "the build of the good image must pass: exit code 0");
        self.push(&self.images.good, "1.1")?;
        let shown = self.pull("1.1")?;
        self.teller.expect(shown.code == Some(0), "the gate must let the good image through");
        Ok(())
    }

    fn podman(&self, words: &[&str]) -> Result<Shown> {
        self.teller.shows(&mut self.podman.command(words))
    }

    /// The question that Kubernetes asks before it creates a pod.
    fn admission(&self) -> Result<()> {
        self.chapter("Deployment: Kubernetes asks before it creates a pod of the bad image, and is told no");
        let review = serde_json::json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "operation": "CREATE", "namespace": "shop",
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "userInfo": {"username": "deployer"},
                "object": {
                    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app", "namespace": "shop"},
                    "spec": {"containers": [
                        {"name": "app", "image": format!("127.0.0.1:{}/local/shop/app:1.0", self.server)},
                    ]},
                },
            },
        });
        fs::write(self.directory.join("review.json"), review.to_string())?;
        let url = format!("http://127.0.0.1:{}/admission/validate", self.server);
        let mut command = self.command("curl");
        command.args(["--silent", "--noproxy", "*", "--header", "Content-Type: application/json"]);
        let shown = self.teller.shows(command.args(["--data", "@review.json", &url]))?;
        println!();
        let answer: serde_json::Value = serde_json::from_str(&shown.text).unwrap_or_default();
        let denied = answer["response"]["allowed"] == false && shown.text.contains("fix-is-available");
        self.teller.expect(denied, "the admission webhook must deny the bad image and name the rule");
        Ok(())
    }

    /// Whether the good image runs, so that there is something to watch.
    fn deployment(&self) -> Result<bool> {
        self.chapter(
            "Deployment: the bad image comes from a file, past the gate, and podman refuses to start it",
        );
        let bad = self.archive(&self.images.bad);
        let file = bad.trim_start_matches("docker-archive:");
        let shown = self.podman(&["load", "--quiet", "--input", file])?;
        self.teller.expect(shown.code == Some(0), "podman must load the archive");
        let name = shown.text.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        let shown = self.podman(&["run", "--rm", "--network", "none", &name, "/bin/true"])?;
        self.teller.expect(shown.code != Some(0), "podman must refuse to start the bad image");
        self.teller.expect(shown.text.contains("fix-is-available"), "podman must show the reason");

        self.chapter("The good image is pulled through the gate, and runs");
        let image = format!("127.0.0.1:{}/local/shop/app:1.1", self.server);
        let shown = self.podman(&["pull", "--quiet", "--tls-verify=false", &image])?;
        self.teller.expect(shown.code == Some(0), "podman must pull the good image through the gate");
        let words = ["run", "--detach", "--name", "app", "--network", "none", &image, "/bin/sleep", "600"];
        let shown = self.podman(&words)?;
        self.teller.expect(shown.code == Some(0), "the good image must start");
        Ok(shown.code == Some(0))
    }

    fn in_container(&self, words: &[&str]) -> Result<Shown> {
        self.podman(&[&["exec", "app"], words].concat())
    }

    fn running(&self) -> Result<()> {
        self.chapter("Run: programs of the image run; a dropped program, a script and one in memory do not");
        let shown = self.in_container(&["/bin/echo", "a program of the image"])?;
        self.teller.expect(shown.text.contains("a program of the image"), "programs of the image must run");
        let shell = self.images.shell;
        let drop = "cp /bin/echo /tmp/echo && printf x >> /tmp/echo";
        self.teller
            .expect(self.in_container(&[shell, "-c", drop])?.code == Some(0), "a file must be written");
        let script =
            format!("printf '#!{shell}\\necho a dropped script\\n' > /tmp/script && chmod 755 /tmp/script");
        self.teller
            .expect(self.in_container(&[shell, "-c", &script])?.code == Some(0), "a script must be written");
        for (words, text) in [
            (["/tmp/echo", "a dropped program"].as_slice(), "a dropped program"),
            (&["/tmp/script"], "a dropped script"),
            (&self.images.from_memory, "from memory"),
        ] {
            let shown = self.in_container(words)?;
            let stopped = shown.code != Some(0) && !shown.text.lines().any(|line| line == text);
            self.teller.expect(stopped, &format!("{text}: it must be stopped before it prints anything"));
        }
        let shown = self.in_container(&["/bin/echo", "still running"])?;
        self.teller.expect(shown.text.contains("still running"), "programs of the image must still run");
        Ok(())
    }

    fn audit(&self) -> Result<()> {
        self.chapter("Audit: one trail for each image, and the proof of it, offline");
        let ledger = "server/ledger";
        self.types(&["ledger", "verify", "--ledger", ledger], 0, "the ledger must verify")?;
        for (image, events) in [
            (&self.images.bad, ["build verdict", "gate decision", "admission", "start"].as_slice()),
            (&self.images.good, &["build verdict", "gate decision", "start", "runtime alert"]),
        ] {
            let digest = config_digest(image)?;
            let shown =
                self.types(&["ledger", "show", &digest, "--ledger", ledger], 0, "the trail must be shown")?;
            for event in events {
                self.teller.expect(
                    shown.text.contains(event),
                    &format!("the trail must have an entry of `{event}`"),
                );
            }
        }
        let (digest, bundle) = (config_digest(&self.images.good)?, "evidence.json");
        let export = ["ledger", "export", &digest, "--ledger", ledger, "--output", bundle];
        self.types(&export, 0, "the evidence must be exported")?;
        let key = "server/ledger/ledger.pub";
        self.types(&["verify", "--bundle", bundle, "--key", key], 0, "the evidence must verify")?;
        let mut python = self.command("python3");
        python.arg(root().join("tests/verify_ledger.py")).args(["--bundle", bundle, "--key", key]);
        let shown = self.teller.shows(&mut python)?;
        self.teller.expect(shown.code == Some(0), "the evidence must verify without Hullmark");
        Ok(())
    }
}

/// The digest of the configuration of the image in an archive: what Docker and podman call its id.
fn config_digest(archive: &Path) -> Result<String> {
    let mut tar = tar::Archive::new(fs::File::open(archive)?);
    for entry in tar.entries()? {
        let entry = entry?;
        if entry.path()?.as_ref() == Path::new("manifest.json") {
            let manifest: serde_json::Value = serde_json::from_reader(entry)?;
            let config = manifest[0]["Config"].as_str().context("manifest.json names no configuration")?;
            return Ok(format!("sha256:{}", config.rsplit('/').next().unwrap_or_default()));
        }
    }
    bail!("{} has no manifest.json", archive.display())
}

/// Removes what an earlier run wrote.
fn clear(directory: &Path) -> Result<()> {
    for name in ["server", "agent", "registry", "pulled", "podman", "run"] {
        match fs::remove_dir_all(directory.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error)
                    .with_context(|| format!("cannot remove {}", directory.join(name).display()));
            }
            _ => {}
        }
    }
    Ok(())
}
