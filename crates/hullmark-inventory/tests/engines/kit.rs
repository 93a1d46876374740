//! Engines of their own for one test each, under a directory that goes with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hullmark_image::AcquireOptions;
use hullmark_types::Digest;

/// Whether programs are there; says so, and fails where they must be.
pub fn are_there(programs: &[&str]) -> bool {
    let found = |program: &&str| {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths)
            .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
            .any(|directory| directory.join(program).is_file())
    };
    let root = fs::metadata("/proc/self").is_ok_and(|facts| std::os::unix::fs::MetadataExt::uid(&facts) == 0);
    let absent: Vec<_> = programs.iter().filter(|program| !found(program)).collect();
    if absent.is_empty() && root {
        return true;
    }
    let must = ["CI", "HULLMARK_REQUIRE_ORACLES"].iter().any(|name| std::env::var_os(name).is_some());
    assert!(!must, "not at hand: {absent:?}, or this is not root");
    eprintln!("skipped: not at hand: {absent:?}, or this is not root");
    false
}

pub fn options() -> AcquireOptions {
    let mut options = AcquireOptions::new(hullmark_http_options());
    options.platform = "linux/amd64".parse().unwrap();
    options
}

fn hullmark_http_options() -> hullmark_http::ClientOptions {
    hullmark_http::ClientOptions { offline: true, ..hullmark_http::ClientOptions::default() }
}

fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub fn skopeo(arguments: &[&str]) {
    run(Command::new("skopeo").arg("--insecure-policy").args(arguments));
}

/// Engines mount their directories onto themselves.
pub fn unmount(directory: &Path) {
    let _ = Command::new("umount").arg("--lazy").arg(directory).output();
}

/// A process that is ended with its test.
struct Engine(Child);

impl Engine {
    fn start(command: &mut Command, log: &Path, is_ready: impl Fn() -> bool) -> Self {
        let file = fs::File::create(log).unwrap();
        let child =
            command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        let mut engine = Self(child);
        for _ in 0..600 {
            if is_ready() {
                return engine;
            }
            let ended = engine.0.try_wait().unwrap();
            assert!(ended.is_none(), "{command:?} ended: {}", fs::read_to_string(log).unwrap_or_default());
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{command:?} does not answer: {}", fs::read_to_string(log).unwrap_or_default());
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Asked to, so that it ends what it has started itself.
        let _ = Command::new("kill").arg(self.0.id().to_string()).output();
        let _ = self.0.wait();
    }
}

fn answers(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}

/// Docker.
pub struct Dockerd {
    directory: PathBuf,
    _engine: Engine,
}

impl Dockerd {
    pub fn start(directory: &Path) -> Self {
        fs::create_dir_all(directory).unwrap();
        let at = |name: &str| directory.join(name);
        let mut command = Command::new("dockerd");
        command
            .args(["--storage-driver", "vfs", "--iptables=false", "--ip-masq=false", "--bridge=none"])
            .arg("--data-root")
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("--pidfile")
            .arg(at("pid"))
            .arg("--config-file")
            .arg(at("daemon.json"))
            .arg("--host")
            .arg(format!("unix://{}", at("docker.sock").display()));
        fs::write(at("daemon.json"), "{}").unwrap();
        let socket = at("docker.sock");
        let engine = Engine::start(&mut command, &at("log"), || answers(&socket));
        Self { directory: directory.to_owned(), _engine: engine }
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.join("docker.sock")
    }

    pub fn load(&self, layout: &Path, name: &str) {
        skopeo(&[
            "copy",
            "--dest-daemon-host",
            &format!("unix://{}", self.socket().display()),
            &format!("oci:{}:1.0", layout.display()),
            &format!("docker-daemon:{name}"),
        ]);
    }
}

/// containerd, without what it runs containers with.
pub struct Containerd {
    directory: PathBuf,
    _engine: Engine,
}

impl Containerd {
    pub fn start(directory: &Path) -> Self {
        fs::create_dir_all(directory).unwrap();
        let at = |name: &str| directory.join(name);
        let configuration = format!(
            "version = 2\nroot = \"{}\"\nstate = \"{}\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{}\"\n[debug]\nlevel = \"error\"\n",
            at("root").display(),
            at("state").display(),
            at("containerd.sock").display()
        );
        fs::write(at("config.toml"), configuration).unwrap();
        let mut command = Command::new("containerd");
        command.arg("--config").arg(at("config.toml"));
        let socket = at("containerd.sock");
        let engine = Engine::start(&mut command, &at("log"), || answers(&socket));
        Self { directory: directory.to_owned(), _engine: engine }
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.join("containerd.sock")
    }

    fn ctr(&self, namespace: &str, arguments: &[&str]) -> String {
        let mut command = Command::new("ctr");
        run(command.arg("--address").arg(self.socket()).args(["--namespace", namespace]).args(arguments))
    }

    /// Imports an archive; the name of the image.
    pub fn import(&self, namespace: &str, archive: &Path) -> String {
        let path = archive.display().to_string();
        self.ctr(namespace, &["images", "import", "--no-unpack", "--base-name", "localhost/team/app", &path]);
        let names = self.ctr(namespace, &["images", "list", "--quiet"]);
        names.lines().next().unwrap().to_owned()
    }

    pub fn remove_blob(&self, namespace: &str, digest: &Digest) {
        self.ctr(namespace, &["content", "rm", &digest.to_string()]);
    }
}

/// Podman with a storage of its own, and its service.
pub struct Podman {
    directory: PathBuf,
    _engine: Engine,
}

impl Podman {
    pub fn new(directory: &Path) -> Self {
        fs::create_dir_all(directory).unwrap();
        let socket = directory.join("podman.sock");
        let mut command = Self::command(directory);
        command.args(["system", "service", "--time", "0"]).arg(format!("unix://{}", socket.display()));
        let engine = Engine::start(&mut command, &directory.join("log"), || answers(&socket));
        Self { directory: directory.to_owned(), _engine: engine }
    }

    fn command(directory: &Path) -> Command {
        let mut command = Command::new("podman");
        command
            .arg("--root")
            .arg(directory.join("storage"))
            .arg("--runroot")
            .arg(directory.join("run"))
            .args(["--storage-driver", "overlay", "--cgroup-manager", "cgroupfs", "--runtime", "runc"])
            .args(["--events-backend", "file"]);
        command
    }

    pub fn storage(&self) -> PathBuf {
        self.directory.join("storage")
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.join("podman.sock")
    }

    pub fn load(&self, layout: &Path, name: &str) {
        let (storage, running) = (self.storage(), self.directory.join("run"));
        skopeo(&[
            "copy",
            &format!("oci:{}:1.0", layout.display()),
            &format!("containers-storage:[overlay@{}+{}]{name}", storage.display(), running.display()),
        ]);
    }

    pub fn image_id(&self, name: &str) -> String {
        run(Self::command(&self.directory).args(["image", "inspect", "--format", "{{.Id}}", name]))
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        unmount(&self.directory.join("storage/overlay"));
    }
}

/// A container of runc, with a volume at `/volume`.
pub struct Runc {
    directory: PathBuf,
    id: String,
}

impl Runc {
    pub fn new(directory: &Path) -> Self {
        let root = directory.join("bundle/rootfs");
        for name in ["bin", "proc", "volume"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        let busybox =
            ["/bin/busybox", "/usr/bin/busybox"].iter().find(|path| Path::new(path).exists()).unwrap();
        fs::copy(busybox, root.join("bin/busybox")).unwrap();
        Self { directory: directory.to_owned(), id: String::new() }
    }

    pub fn root(&self) -> PathBuf {
        self.directory.join("bundle/rootfs")
    }

    fn command(&self) -> Command {
        let mut command = Command::new("runc");
        command.arg("--root").arg(self.directory.join("state"));
        command
    }

    /// Starts the container; the number of its process.
    pub fn run(&mut self, id: &str) -> u32 {
        id.clone_into(&mut self.id);
        let namespaces = ["pid", "mount", "ipc", "uts"].map(|kind| serde_json::json!({ "type": kind }));
        let mount = |place: &str, kind: &str| serde_json::json!({ "destination": place, "type": kind, "source": kind });
        let config = serde_json::json!({
            "ociVersion": "1.0.2",
            "root": { "path": "rootfs" },
            "process": {
                "user": { "uid": 0, "gid": 0 },
                "args": ["/bin/busybox", "sleep", "1000"],
                "env": ["PATH=/bin"],
                "cwd": "/",
            },
            "mounts": [mount("/proc", "proc"), mount("/volume", "tmpfs")],
            "linux": { "cgroupsPath": format!("/hullmark-test/{id}"), "namespaces": namespaces },
        });
        let bundle = self.directory.join("bundle");
        fs::write(bundle.join("config.json"), serde_json::to_vec(&config).unwrap()).unwrap();
        let pid_file = self.directory.join("pid");
        let log = fs::File::create(self.directory.join("log")).unwrap();
        let status = self
            .command()
            .args(["run", "--detach", "--no-new-keyring", "--pid-file"])
            .arg(&pid_file)
            .arg("--bundle")
            .arg(&bundle)
            .arg(id)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .status()
            .unwrap();
        let log = fs::read_to_string(self.directory.join("log")).unwrap();
        assert!(status.success(), "{log}");
        fs::read_to_string(pid_file).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Runc {
    fn drop(&mut self) {
        let _ = self.command().args(["delete", "--force", &self.id]).output();
    }
}
