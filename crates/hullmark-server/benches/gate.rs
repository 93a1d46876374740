//! What the registry gate costs: a warm manifest and a warm blob through the gate, beside the same from its upstream, a
//! docker-registry on the same machine. Requests alternate, so that both see the same machine.
//!
//! `cargo bench -p hullmark-server --bench gate [-- REQUESTS MEBIBYTES]`
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "a bench fails by panicking, and prints"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use common::{Kit, good_image};
use hullmark_server::auth::Role;
use hullmark_testkit::{Compression, TarBuilder};
use hullmark_types::Digest;

/// How many times a blob is fetched from each.
const ROUNDS: usize = 9;

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|argument| argument.parse::<usize>().ok());
    let (requests, size) = (arguments.next().unwrap_or(5000), arguments.next().unwrap_or(256));
    if Command::new("docker-registry").arg("--version").output().is_err()
        || Command::new("skopeo").arg("--version").output().is_err()
    {
        return eprintln!("skipped: docker-registry or skopeo is not installed");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (_upstream, upstream) = upstream(directory.path(), size << 20);
    let (kit, token) = runtime.block_on(async {
        let gate = format!(
            "[gate]\nenabled = true\nwait = \"600s\"\n[gate.upstreams.\"docker.io\"]\nurl = \"http://{upstream}\"\n"
        );
        let kit = Kit::with(&gate).await;
        let token = kit.token(Role::Reader).await;
        (kit, token)
    });
    let authorization = format!("Authorization: Bearer {token}\r\n");
    let image = image(size << 20);
    let manifest = Digest::sha256(&image.manifest());
    let blob = Digest::sha256(&image.blobs()[1]);
    let direct = |path: &str| {
        format!(
            "GET /v2/team/app/{path} HTTP/1.1\r\nHost: x\r\nAccept: application/vnd.oci.image.manifest.v1+json\r\n\r\n"
        )
    };
    let through = |path: &str| {
        format!(
            "GET /v2/docker.io/team/app/{path} HTTP/1.1\r\nHost: x\r\nAccept: application/vnd.oci.image.manifest.v1+json\r\n{authorization}\r\n"
        )
    };
    let mut buffer = vec![0; 1 << 20];
    let mut first = Connection::open(upstream);
    let mut second = Connection::open(kit.address);
    let begun = Instant::now();
    second.ask(&through("manifests/1.0"), &mut buffer);
    println!("first pull, with fetch and scan of {size} MiB: {:.2} s", begun.elapsed().as_secs_f64());
    for (name, path) in
        [("by tag", "manifests/1.0".to_owned()), ("by digest", format!("manifests/{manifest}"))]
    {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..requests {
            times[0].push(first.ask(&direct(&path), &mut buffer).0);
            times[1].push(second.ask(&through(&path), &mut buffer).0);
        }
        times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
        let [upstream, gate] = times.map(|times| (at(&times, 50), at(&times, 99)));
        println!(
            "warm manifest {name}, {requests} each: upstream p50 {:.3} ms p99 {:.3} ms; gate p50 {:.3} ms p99 {:.3} ms; \
             p99 of the gate minus that of the upstream {:+.3} ms",
            upstream.0,
            upstream.1,
            gate.0,
            gate.1,
            gate.1 - upstream.1
        );
    }
    let path = format!("blobs/{blob}");
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (index, (connection, request)) in
            [(&mut first, direct(&path)), (&mut second, through(&path))].into_iter().enumerate()
        {
            let (milliseconds, length) = connection.ask(&request, &mut buffer);
            rates[index].push(length as f64 / 1048.576 / milliseconds);
        }
    }
    rates.iter_mut().for_each(|rates| rates.sort_by(f64::total_cmp));
    let [upstream, gate] = rates.map(|rates| at(&rates, 50));
    println!(
        "warm blob of {size} MiB, median of {ROUNDS}: upstream {upstream:.0} MiB/s; gate {gate:.0} MiB/s; {:.0} % of the upstream",
        100.0 * gate / upstream
    );
}

/// A percentile of sorted values.
fn at(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// An image with a layer of so many bytes that do not compress.
fn image(bytes: usize) -> hullmark_testkit::ImageBuilder {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut content = Vec::with_capacity(bytes);
    while content.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content.extend(state.to_le_bytes());
    }
    let layer = TarBuilder::new().file("large", content).finish();
    good_image().layer(layer, "COPY large").compression(Compression::Gzip)
}

/// Ends a process with the bench.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// docker-registry with the image.
fn upstream(directory: &std::path::Path, size: usize) -> (Ended, SocketAddr) {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = directory.join("registry.yml");
    let text = format!(
        "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: {}\n\
         http:\n  addr: {address}\n",
        directory.join("registry").display()
    );
    std::fs::write(&config, text).unwrap();
    let child = Ended(Command::new("docker-registry").arg("serve").arg(&config).spawn().unwrap());
    while TcpStream::connect(address).is_err() {
        std::thread::sleep(Duration::from_millis(50));
    }
    let layout = directory.join("layout");
    image(size).oci_layout(&layout);
    let copied = Command::new("skopeo")
        .args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"])
        .arg(format!("oci:{}", layout.display()))
        .arg(format!("docker://{address}/team/app:1.0"))
        .status()
        .unwrap();
    assert!(copied.success());
    (child, address)
}

/// A connection that is kept open.
struct Connection(TcpStream);

impl Connection {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// Sends a request and reads the answer; gives milliseconds and the length of the body.
    fn ask(&mut self, request: &str, buffer: &mut [u8]) -> (f64, usize) {
        let begun = Instant::now();
        self.0.write_all(request.as_bytes()).unwrap();
        let mut filled = 0;
        let (head, length) = loop {
            filled += self.0.read(&mut buffer[filled..]).unwrap();
            if let Some(end) = buffer[..filled].windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
                assert!(head.starts_with("http/1.1 200"), "{request}{head}");
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap();
                break (end + 4, length.trim().parse::<usize>().unwrap());
            }
        };
        let mut left = length - (filled - head);
        while left > 0 {
            let read = self.0.read(buffer).unwrap();
            assert!(read > 0, "the answer broke off");
            left -= read;
        }
        (begun.elapsed().as_secs_f64() * 1000.0, length)
    }
}
