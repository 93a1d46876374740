//! What is said while the command works, and how a signal ends it.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Answer, Place, image};
use hullmark_testkit::{Compression, ImageBuilder, RegistryBuilder, Server, TarBuilder, compress};
use hullmark_types::Digest;
use serde_json::Value;

fn run(place: &Place, mode: &str, more: &[&str]) -> Answer {
    let mut command = place.command();
    command.env("HULLMARK_PROGRESS", mode).args(["scan", "image.tar", "--fail-on", "critical"]).args(more);
    Answer(command.output().unwrap())
}

#[test]
fn a_line_for_each_step() {
    let place = Place::new();
    place.put("image.tar", image().docker_archive());
    let cold = run(&place, "auto", &[]);
    assert_eq!(cold.code(), 0);
    let mut lines: Vec<_> = cold.stderr().lines().map(str::to_owned).collect();
    // Layers are read at the same time.
    lines.sort();
    assert_eq!(
        lines,
        [
            "contents: 4 packages",
            "layer 1 of 2: read, 4.00 KiB",
            "layer 1 of 2: reading, 4.00 KiB",
            "layer 2 of 2: read, 3.00 KiB",
            "layer 2 of 2: reading, 3.00 KiB",
            "registry.example/team/app:1.0, linux/amd64: 2 layers, 7.00 KiB",
            "verdict: passed with warnings, 3 findings",
        ]
    );
    let warm = run(&place, "plain", &["--quiet"]).stderr();
    assert_eq!(
        warm.lines().collect::<Vec<_>>(),
        [
            "registry.example/team/app:1.0, linux/amd64: 2 layers, 7.00 KiB",
            "layer 1 of 2: from the cache, 4.00 KiB",
            "layer 2 of 2: from the cache, 3.00 KiB",
            "contents: 4 packages",
            "verdict: passed with warnings, 3 findings",
        ]
    );
    for (mode, more) in [("none", &[][..]), ("auto", &["--quiet"])] {
        assert_eq!(run(&place, mode, more).stderr(), "", "{mode}");
    }
}

/// The events of a command, each as the schema says.
fn events(stderr: &str) -> Vec<Value> {
    let validator = jsonschema::validator_for(&hullmark_report::progress_schema()).unwrap();
    let parse = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        let problems: Vec<_> = validator.iter_errors(&event).map(|error| error.to_string()).collect();
        assert!(problems.is_empty(), "{event}\n{problems:#?}");
        event
    };
    stderr.lines().map(parse).collect()
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

#[test]
fn events_for_machines() {
    let place = Place::new();
    let big = TarBuilder::new().file("big", "x".repeat(5 << 20)).finish();
    let image = ImageBuilder::new().layer(big.clone(), "COPY big");
    place.put("image.tar", image.docker_archive());
    let cold = events(&run(&place, "json", &[]).stderr());
    assert_eq!(cold[0]["layers"], 1);
    assert_eq!(cold[0]["platform"]["architecture"], "amd64");
    assert_eq!(cold[1]["event"], "layer-started");
    let told: Vec<_> = cold.iter().filter(|event| event["event"] == "layer-progress").collect();
    assert!((4..=6).contains(&told.len()), "{cold:#?}");
    assert!(told.windows(2).all(|pair| pair[0]["bytes"].as_u64() < pair[1]["bytes"].as_u64()));
    let rest: Vec<_> = names(&cold).into_iter().filter(|name| *name != "layer-progress").collect();
    assert_eq!(rest, ["image", "layer-started", "layer-finished", "inventory", "verdict"]);
    assert_eq!(cold.iter().find(|event| event["event"] == "layer-finished").unwrap()["bytes"], big.len());
    let warm = events(&run(&place, "json", &[]).stderr());
    assert_eq!(names(&warm), ["image", "layer-recalled", "inventory", "verdict"]);
    assert_eq!(warm[3]["outcome"], "warned");
    let missing = Answer(
        place.command().args(["--progress", "json", "scan", "registry:127.0.0.1:1/a:b"]).output().unwrap(),
    );
    assert_eq!(missing.code(), 2);
    let failed = events(&missing.stderr());
    assert_eq!(names(&failed), ["error"]);
    assert!(!failed[0]["causes"].as_array().unwrap().is_empty());
    let update = ["--progress", "json", "db", "build", "--from", "feeds", "--output", "b.db"];
    let update = events(&place.ok(&update).stderr());
    assert!(update.iter().any(|event| event["event"] == "feed-finished" && event["feed"] == "osv/PyPI"));
}

#[test]
fn bars_on_a_terminal() {
    let place = Place::new();
    place.put("image.tar", image().docker_archive());
    let on_terminal = |more: &str| {
        let program = place.command().get_program().to_owned();
        let line = format!("{} scan image.tar --fail-on critical{more}", program.display());
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).env_clear().env("PATH", std::env::var("PATH").unwrap());
        for (name, value) in place.command().get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.env("TERM", "xterm").env("HULLMARK_PROGRESS", "auto").env("NO_COLOR", "1");
        command.current_dir(place.directory.path()).output().ok()
    };
    let Some(cold) = on_terminal("") else {
        eprintln!("skipped: script cannot be run");
        return;
    };
    let cold = String::from_utf8(cold.stdout).unwrap();
    assert!(cold.contains("of 2 layers"), "{cold}");
    // Lines are removed and rewritten, and nothing has a colour.
    assert!(
        cold.contains("\u{1b}[2K") && !cold.contains("\u{1b}[1m") && !cold.contains("\u{1b}[3"),
        "{cold:?}"
    );
    let warm = String::from_utf8(on_terminal("").unwrap().stdout).unwrap();
    assert!(warm.contains("layer 2 of 2") && warm.contains("from the cache"), "{warm}");
    let quiet = String::from_utf8(on_terminal(" --quiet").unwrap().stdout).unwrap();
    assert!(!quiet.contains("of 2 layers") && quiet.contains("verdict"), "{quiet}");
}

/// Everything below a directory.
fn tree(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(tree(&path)),
            false => found.push(path.display().to_string()),
        }
    }
    found.sort();
    found
}

/// Begins a scan that tells of its progress, and heeds or ignores signals wherever the test itself runs.
fn begin(place: &Place, target: &str, signals: &[&str]) -> (Child, BufReader<ChildStderr>) {
    let mut command = Command::new("/usr/bin/env");
    command.args(signals).arg(place.command().get_program());
    for (name, value) in place.command().get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.args(["--progress", "json", "scan", target, "--output", "report.json", "--format", "json"]);
    command.current_dir(place.directory.path()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    (child, stderr)
}

/// Waits until this event is told of.
fn wait_for(stderr: &mut BufReader<ChildStderr>, event: &str) {
    let expected = format!("\"event\":\"{event}\"");
    let mut line = String::new();
    while !line.contains(&expected) {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "there is no `{event}`");
    }
}

fn send(child: &Child, signal: &str) {
    let status = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Sends a signal as soon as this event was told of, and checks that the scan ends by it and leaves nothing behind.
#[track_caller]
#[expect(clippy::print_stderr, reason = "what was measured")]
fn interrupted_at(place: &Place, target: &str, event: &str, signal: (&str, i32)) {
    let before: Vec<_> = tree(place.directory.path());
    let (mut child, mut stderr) = begin(place, target, &["--default-signal=INT,TERM,HUP"]);
    wait_for(&mut stderr, event);
    let sent = Instant::now();
    send(&child, signal.0);
    let status = child.wait().unwrap();
    let took = sent.elapsed();
    eprintln!("SIG{} at `{event}`: ended after {took:?}", signal.0);
    assert_eq!(status.signal(), Some(signal.1), "{status:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    let expected = format!(r#"{{"event":"interrupted","signal":"SIG{}"}}"#, signal.0);
    // It is not waited for long, and the machine may have other work.
    assert!(rest.lines().any(|line| line == expected) || took > Duration::from_millis(60), "{took:?} {rest}");
    let ledger = place.text("ledger");
    let is_new = |path: &String| !before.contains(path) && !path.starts_with(&ledger);
    let left: Vec<_> = tree(place.directory.path()).into_iter().filter(is_new).collect();
    assert!(left.is_empty(), "{left:?}");
    place.ok(&["ledger", "verify"]);
}

/// A registry that says nothing more in the middle of the layer.
fn stalling(image: &ImageBuilder) -> Server {
    let layer = format!("/v2/team/app/blobs/{}", Digest::sha256(&image.blobs()[0]));
    let blob = image.blobs()[0].clone();
    RegistryBuilder::new().image("team/app", "1.0", image).serve(move |asked| {
        (asked.path == layer && asked.method == "GET").then(|| hullmark_testkit::Answer {
            cut: Some(blob.len() / 2),
            stall: Duration::from_secs(600),
            ..hullmark_testkit::Answer::new(200, blob.clone())
        })
    })
}

#[test]
fn a_signal_ends_a_scan_that_waits_for_a_registry() {
    let place = Place::new();
    let layer = TarBuilder::new().file("big", vec![7; 8 << 20]).finish();
    let image = ImageBuilder::new().compression(Compression::None).layer(layer, "COPY big");
    let server = stalling(&image);
    let target = format!("registry:{}/team/app:1.0", server.host());
    for signal in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        interrupted_at(&place, &target, "layer-progress", signal);
    }
}

#[test]
fn a_signal_ends_a_scan_in_the_middle_of_a_large_layer() {
    let place = Place::new();
    // Content that compresses well, but no bomb; each part is a gzip stream of its own.
    let block: Vec<u8> =
        (0..16_384_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let part = compress(&block.repeat(1024), Compression::Gzip);
    let parts = 128;
    let mut header = TarBuilder::new().file("big", "").finish_without_trailer();
    let size = format!("{:011o}\0", parts * block.len() * 1024);
    header[124..136].copy_from_slice(size.as_bytes());
    header[148..156].fill(b' ');
    let sum: u32 = header[..512].iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut layer = compress(&header, Compression::Gzip);
    (0..parts).for_each(|_| layer.extend(&part));
    layer.extend(compress(&[0; 1024], Compression::Gzip));
    let image = ImageBuilder::new().compression(Compression::None).layer(layer, "COPY big");
    image.oci_layout(&place.path("image"));
    for signal in [("INT", 2), ("TERM", 15)] {
        interrupted_at(&place, "image", "layer-progress", signal);
    }
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let place = Place::new();
    let layer = TarBuilder::new().file("big", vec![7; 8 << 20]).finish();
    let image = ImageBuilder::new().compression(Compression::None).layer(layer, "COPY big");
    let server = stalling(&image);
    let target = format!("registry:{}/team/app:1.0", server.host());
    let mut child = begin(&place, &target, &["--default-signal=TERM", "--ignore-signal=INT,HUP"]);
    wait_for(&mut child.1, "layer-progress");
    for signal in ["INT", "HUP", "TERM"] {
        send(&child.0, signal);
    }
    assert_eq!(child.0.wait().unwrap().signal(), Some(15));
}
