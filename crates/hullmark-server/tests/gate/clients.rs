//! What skopeo, podman and containerd get through the gate, and what they say when they get nothing. docker-registry is the
//! upstream. A program that is not installed is said so, and its test is skipped.

use std::path::Path;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use hullmark_server::gate::client_config::{ClientConfig, ClientKind};
use hullmark_testkit::ImageBuilder;

use crate::common::{Kit, bad_image, good_image};
use crate::{gate, manifest_digest};

/// Ends a process with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_there(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        eprintln!("skipped: {program} is not installed");
    }
    there
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    eprintln!(
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn wait_for(what: &str, ready: impl Fn() -> bool) {
    let begun = Instant::now();
    while !ready() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what} does not come up");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// docker-registry with a good and a bad image, and its address.
fn upstream(directory: &Path) -> Option<(Ended, String)> {
    if !is_there("docker-registry") || !is_there("skopeo") {
        return None;
    }
    let address = format!("127.0.0.1:{}", free_port());
    let config = directory.join("registry.yml");
    let content = format!(
        "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n",
        directory.join("registry").display()
    );
    std::fs::write(&config, content).unwrap();
    let child = Command::new("docker-registry").arg("serve").arg(&config).spawn().unwrap();
    let child = Ended(child);
    wait_for("docker-registry", || std::net::TcpStream::connect(&address).is_ok());
    for (tag, image) in [("good", good_image()), ("bad", bad_image())] {
        let layout = directory.join(tag);
        image.oci_layout(&layout);
        let output = run(Command::new("skopeo")
            .args(["--insecure-policy", "copy", "--dest-tls-verify=false"])
            .arg(format!("oci:{}", layout.display()))
            .arg(format!("docker://{address}/team/app:{tag}")));
        assert!(output.status.success(), "{}", text(&output));
    }
    Some((child, address))
}

async fn kit(upstream: &str) -> Kit {
    Kit::with(&gate(&format!("http://{upstream}"), "")).await
}

/// Files of a directory by name, with their content.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        match entry.metadata().unwrap().is_dir() {
            true => found.extend(
                files(&entry.path())
                    .into_iter()
                    .map(|(name, bytes)| (format!("{}/{name}", entry.file_name().to_string_lossy()), bytes)),
            ),
            false => found.push((
                entry.file_name().to_string_lossy().into_owned(),
                std::fs::read(entry.path()).unwrap(),
            )),
        }
    }
    found.sort();
    found
}

fn contains_image(directory: &Path, image: &ImageBuilder) -> bool {
    let all = files(directory);
    let wanted: Vec<Vec<u8>> = image.blobs().into_iter().chain([image.config(), image.manifest()]).collect();
    wanted.iter().all(|bytes| all.iter().any(|(_, found)| found == bytes))
}

/// What `hullmark gate config` writes.
fn config(gate: &str, client: ClientKind) -> String {
    let upstreams = ["docker.io".to_owned()];
    ClientConfig { gate, upstreams: &upstreams, plain_http: true, ca_file: None }.write(client).unwrap()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_gets_the_bytes_of_the_upstream_and_shows_the_denial() {
    let directory = tempfile::tempdir().unwrap();
    let Some((_registry, address)) = upstream(directory.path()) else { return };
    let kit = kit(&address).await;
    let (path, through) = (directory.path().to_owned(), kit.address);
    blocking(move || {
        let copy = |from: String, to: &str| {
            run(Command::new("skopeo")
                .args(["--insecure-policy", "copy", "--src-tls-verify=false"])
                .arg(format!("docker://{from}"))
                .arg(format!("oci:{}", path.join(to).display())))
        };
        assert!(copy(format!("{address}/team/app:good"), "direct").status.success());
        assert!(copy(format!("{through}/docker.io/team/app:good"), "gate").status.success());
        assert_eq!(files(&path.join("direct")), files(&path.join("gate")));
        assert!(contains_image(&path.join("gate"), &good_image()));
        let denied = copy(format!("{through}/docker.io/team/app:bad"), "denied");
        assert!(!denied.status.success());
        let said = text(&denied);
        assert!(
            said.contains("denied: denied by rule")
                && said.contains("CVE-2019-14697 in musl 1.1.18-r3, fixed in 1.1.18-r4; verdict sha256:"),
            "{said}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_gets_the_image_and_shows_the_denial() {
    let directory = tempfile::tempdir().unwrap();
    let Some((_registry, address)) = upstream(directory.path()) else { return };
    if !is_there("podman") {
        return;
    }
    let kit = kit(&address).await;
    let (path, through) = (directory.path().to_owned(), kit.address);
    blocking(move || {
        // The names of the upstream, by the configuration that `hullmark gate config --for podman` writes.
        let registries = path.join("registries.conf");
        let text = format!(
            "[[registry]]\nprefix = \"docker.io\"\nlocation = \"{through}/docker.io\"\ninsecure = true\n"
        );
        std::fs::write(&registries, text).unwrap();
        let podman = |arguments: &[&str]| {
            let mut command = Command::new("podman");
            command.env("CONTAINERS_REGISTRIES_CONF", &registries);
            command.args(["--root"]).arg(path.join("storage")).args(["--runroot"]).arg(path.join("run"));
            run(command
                .args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none"])
                .args(arguments))
        };
        let pulled = podman(&["pull", "-q", "docker.io/team/app:good"]);
        let said = self::text(&pulled);
        if said.contains("operation not permitted") || said.contains("lchown") {
            return eprintln!("skipped: podman cannot unpack images here");
        }
        assert!(pulled.status.success(), "{said}");
        let shown = podman(&["image", "inspect", "--format", "{{.Digest}}", "docker.io/team/app:good"]);
        assert_eq!(self::text(&shown).trim(), manifest_digest(&good_image()).to_string());
        let denied = podman(&["pull", "-q", "docker.io/team/app:bad"]);
        let said = self::text(&denied);
        assert!(
            !denied.status.success()
                && said.contains("denied by rule")
                && said.contains("fixed in 1.1.18-r4; verdict sha256:"),
            "{said}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containerd_gets_the_bytes_of_the_upstream_and_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let Some((_registry, address)) = upstream(directory.path()) else { return };
    if !is_there("containerd") || !is_there("ctr") {
        return;
    }
    let kit = kit(&address).await;
    let (path, through) = (directory.path().to_owned(), kit.address);
    blocking(move || {
        let (root, state, socket) = (path.join("root"), path.join("state"), path.join("containerd.sock"));
        let config = path.join("containerd.toml");
        let text = format!(
            "version = 2\nroot = \"{}\"\nstate = \"{}\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"{}\"\n",
            root.display(),
            state.display(),
            socket.display()
        );
        std::fs::write(&config, text).unwrap();
        let log = std::fs::File::create(path.join("containerd.log")).unwrap();
        let started = Command::new("containerd").arg("--config").arg(&config).stderr(log).spawn().unwrap();
        let _containerd = Ended(started);
        let began = Instant::now();
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            if began.elapsed() > Duration::from_secs(20) {
                return eprintln!("skipped: containerd does not start here: {}", std::fs::read_to_string(path.join("containerd.log")).unwrap());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // The names of the upstream: containerd sends `ns=docker.io` to the host that stands for it.
        for file in self::config(&through.to_string(), ClientKind::Containerd).split("# --- ").skip(1) {
            let (name, content) = file.split_once('\n').unwrap();
            let name = path.join(name.replace("/etc/containerd/certs.d", "hosts"));
            std::fs::create_dir_all(name.parent().unwrap()).unwrap();
            std::fs::write(name, content).unwrap();
        }
        let ctr = |arguments: &[&str]| {
            let mut command = Command::new("ctr");
            run(command.arg("--address").arg(&socket).args(arguments))
        };
        let hosts = path.join("hosts").display().to_string();
        let fetch = |name: &str| ctr(&["content", "fetch", "--hosts-dir", &hosts, name]);
        let fetched = fetch("docker.io/team/app:good");
        assert!(fetched.status.success(), "{}", self::text(&fetched));
        let blobs = root.join("io.containerd.content.v1.content/blobs/sha256");
        assert!(contains_image(&blobs, &good_image()));
        let denied = fetch("docker.io/team/app:bad");
        let said = self::text(&denied);
        // This version shows the status line of the HEAD request, and no body.
        assert!(!denied.status.success() && said.contains("403 Forbidden"), "{said}");
        assert!(!contains_image(&blobs, &bad_image()));
        assert!(files(&blobs).iter().all(|(_, bytes)| *bytes != bad_image().manifest()));
        // Other registries end at the gate too.
        let other = self::text(&fetch("quay.io/team/app:good"));
        assert!(other.contains("not found") && !other.contains("dial tcp"), "{other}");
    })
    .await;
}
