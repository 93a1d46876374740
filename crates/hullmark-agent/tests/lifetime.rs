//! From before the first program of a container to after the end of the agent.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use hullmark_types::RuntimeEventKind;
use support::{Node, is_missing_something};

/// Adds a hook that asks the agent when the container is created.
fn with_hook(node: &Node) -> serde_json::Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/hook.py");
    let image = serde_json::to_string(&node.image).unwrap();
    serde_json::json!({ "createRuntime": [{
        "path": "/usr/bin/python3",
        "args": ["python3", script, node.path("agent.sock"), image],
    }] })
}

#[test]
fn the_very_first_program_is_judged() {
    let name = "the_very_first_program_is_judged";
    if is_missing_something(name) || !std::path::Path::new("/usr/bin/python3").exists() {
        return;
    }
    let mut node = Node::new("block");
    let hooks = with_hook(&node);
    let bundle = node.bundle("good", &["/bin/greet"], |config| config["hooks"] = hooks.clone());
    let output = node.run_bundle("good", &bundle);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "greeted\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let bundle = node.bundle("bad", &["/foreign"], |config| config["hooks"] = hooks.clone());
    let foreign = bundle.join("merged/foreign");
    hullmark_testkit::script(&foreign, "#!/bin/sh\necho RAN\n");
    let output = node.run_bundle("bad", &bundle);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert!(String::from_utf8_lossy(&output.stderr).contains("operation not permitted"), "{output:?}");
    let drift = node.wait_for(RuntimeEventKind::Drift, 1, |event| event.blocked);
    assert_eq!((drift[0].container.as_str(), drift[0].detail["path"].as_str()), ("bad", "/foreign"));
    let ran = node.wait_for(RuntimeEventKind::Exec, 1, |event| event.container == "good");
    assert_eq!(ran[0].detail["path"], "/bin/greet");

    // Both are gone, and so is what was kept of them.
    let deadline = Instant::now() + Duration::from_secs(10);
    while node.status().containers > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(node.status().containers, 0);
    assert_eq!(fs::read_dir(node.path("data/containers")).unwrap().count(), 0);
}

#[test]
fn a_killed_agent_lets_go_and_the_next_one_takes_up() {
    if is_missing_something("a_killed_agent_lets_go_and_the_next_one_takes_up") {
        return;
    }
    let mut node = Node::new("block");
    node.tracked("held");
    let script = "printf '#!/bin/sh\\necho RAN\\n' > /tmp/s; chmod +x /tmp/s; /tmp/s";
    assert_eq!(node.prints("held", script), "");
    assert_eq!(node.wait_for(RuntimeEventKind::Drift, 1, |event| event.blocked).len(), 1);
    node.kill();
    // The kernel fails open.
    assert_eq!(node.prints("held", script), "RAN\n");
    node.start();
    assert_eq!(node.status().containers, 1);
    assert_eq!(node.prints("held", script), "");
    assert_eq!(node.prints("held", "foreign memfd /bin/busybox echo RAN"), "");
    assert_eq!(node.prints("held", "/bin/greet"), "greeted\n");
    // What the killed one had reported is still there.
    assert_eq!(node.wait_for(RuntimeEventKind::Drift, 3, |event| event.blocked).len(), 3);
    node.stop();
    assert!(!node.path("agent.sock").exists());
}

#[test]
fn programs_on_a_volume_are_judged_there_and_nowhere_else() {
    if is_missing_something("programs_on_a_volume_are_judged_there_and_nowhere_else") {
        return;
    }
    let mut node = Node::new("block");
    let volume = node.path("volume");
    fs::create_dir(&volume).unwrap();
    let tool = volume.join("tool");
    hullmark_testkit::script(&tool, "#!/bin/sh\necho RAN\n");
    let source = volume.display().to_string();
    let hooks = with_hook(&node);
    let bundle =
        node.bundle("held", &["/bin/sh", "-c", "/data/tool; cp /bin/greet /data/own; /data/own"], |config| {
            config["hooks"] = hooks;
            let mount = serde_json::json!({
                "destination": "/data", "type": "bind", "source": source, "options": ["rbind", "rw"],
            });
            config["mounts"].as_array_mut().unwrap().push(mount);
        });
    let output = node.run_bundle("held", &bundle);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "greeted\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let drift = node.wait_for(RuntimeEventKind::Drift, 1, |event| event.blocked);
    assert_eq!(
        (drift[0].detail["how"].as_str(), drift[0].detail["path"].as_str()),
        ("outside-image", "/data/tool")
    );
    assert_eq!(String::from_utf8_lossy(&Command::new(&tool).output().unwrap().stdout), "RAN\n");
}

#[test]
fn connections_and_ends_are_seen_with_their_ancestry() {
    if is_missing_something("connections_and_ends_are_seen_with_their_ancestry") {
        return;
    }
    let mut node = Node::new("block");
    node.tracked("held");
    node.shell("held", "foreign connect 127.0.0.2 9; exit 7");
    let connected = node.wait_for(RuntimeEventKind::Connect, 1, |_| true);
    assert_eq!(connected[0].detail["address"], "127.0.0.2");
    assert_eq!(
        (connected[0].detail["port"].as_str(), connected[0].detail["protocol"].as_str()),
        ("9", "tcp")
    );
    let names: Vec<_> = connected[0].ancestry.iter().take(2).map(|process| process.name.as_str()).collect();
    assert_eq!(names, ["foreign", "sh"]);
    assert_eq!(connected[0].ancestry[0].program.as_deref(), Some("/bin/foreign"));
    let ended = node.wait_for(RuntimeEventKind::Exit, 1, |event| {
        event.detail.get("code").is_some_and(|code| code == "7")
    });
    assert_eq!(ended[0].ancestry[0].name, "sh");
}

#[test]
fn without_a_profile_nothing_is_stopped_and_that_is_said() {
    if is_missing_something("without_a_profile_nothing_is_stopped_and_that_is_said") {
        return;
    }
    let mut node = Node::new("block");
    fs::remove_file(node.path("profiles/image.json")).unwrap();
    node.create("loose", |node, pid| {
        let answer = node.decide("loose", pid);
        assert!(answer.allow);
        assert_eq!(answer.degraded, ["no-profile"]);
    });
    assert_eq!(
        node.prints("loose", "cp /bin/busybox /tmp/busybox; echo x >> /tmp/busybox; /tmp/busybox echo RAN"),
        "RAN\n"
    );
    assert_eq!(node.prints("loose", "foreign memfd /bin/busybox echo RAN"), "RAN\n");
    let told = node.wait_for(RuntimeEventKind::Drift, 1, |_| true);
    assert_eq!((told[0].detail["how"].as_str(), told[0].blocked), ("memfd", false));
    assert_eq!(told[0].detail["degraded"], "no-profile");
}

#[test]
fn new_file_systems_and_namespaces_are_no_way_out() {
    if is_missing_something("new_file_systems_and_namespaces_are_no_way_out") {
        return;
    }
    let mut node = Node::new("block");
    let hooks = with_hook(&node);
    let script = "mkdir /m; mount -t tmpfs none /m; cp /bin/busybox /m/busybox; /m/busybox echo RAN
        cp /bin/busybox /tmp/busybox; echo x >> /tmp/busybox
        unshare -m /tmp/busybox echo RAN
        unshare -m /bin/busybox echo own
        mount --bind /tmp /m; /m/busybox echo RAN
        echo end";
    let bundle = node.bundle("held", &["/bin/sh", "-c", script], |config| {
        config["hooks"] = hooks;
        let all = serde_json::json!(["CAP_SYS_ADMIN"]);
        config["process"]["capabilities"] =
            serde_json::json!({ "bounding": all, "effective": all, "permitted": all, "inheritable": all });
    });
    let output = node.run_bundle("held", &bundle);
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "own\nend\n", "{talk}");
    let drift = node.wait_for(RuntimeEventKind::Drift, 3, |event| event.blocked);
    let mut how: Vec<_> = drift.iter().map(|event| event.detail["how"].as_str()).collect();
    // The gate and the kernel's ring buffer are read by different threads.
    how.sort_unstable();
    assert_eq!(how, ["file", "file", "outside-image"], "{talk}");
}
