//! Containers are held to their image: what the image does not contain is stopped before it runs, what it contains runs.

mod support;

use std::process::Command;

use hullmark_types::RuntimeEventKind;
use support::{Node, is_missing_something};

/// Many or a few, by the environment variable `HULLMARK_FULL`.
fn count(full: usize, usual: usize) -> usize {
    if std::env::var_os("HULLMARK_FULL").is_some() { full } else { usual }
}

/// Drops programs in a container, each with a content of its own, and executes each once. `{n}` is the number.
fn drop_and_run(node: &Node, container: &str, count: usize, drop: &str, execute: &str) -> String {
    node.prints(
        container,
        &format!("i=0; while [ $i -lt {count} ]; do n=$i; {drop}; {execute} 2>/dev/null; i=$((i+1)); done"),
    )
}

const DROP: &str = "mkdir -p $d/$n; cp /bin/busybox $d/$n/busybox; echo $n >> $d/$n/busybox";
const EXECUTE: &str = "$d/$n/busybox echo RAN; rm -r $d/$n";
const DROP_SCRIPT: &str = "printf '#!/bin/sh\\necho RAN %s\\n' $n > $d/s$n; chmod +x $d/s$n";
const EXECUTE_SCRIPT: &str = "$d/s$n";
const MEMORY: &str = "foreign memfd $d/$n/busybox echo RAN; rm -r $d/$n";

#[test]
fn dropped_programs_are_stopped_before_they_print_a_byte() {
    if is_missing_something("dropped_programs_are_stopped_before_they_print_a_byte") {
        return;
    }
    let mut node = Node::new("block");
    // That these do print when nobody stops them.
    node.create("free", |_, _| {});
    for (drop, execute) in [(DROP, EXECUTE), (DROP_SCRIPT, EXECUTE_SCRIPT), (DROP, MEMORY)] {
        let printed = drop_and_run(&node, "free", 3, &format!("d=/tmp; {drop}"), execute);
        assert_eq!(printed.matches("RAN").count(), 3, "{execute}: {printed}");
    }
    assert_eq!(node.status().executions_asked, 0);

    node.tracked("held");
    let each = count(500, 50);
    for (directory, drop, execute) in [
        ("/tmp", DROP, EXECUTE),
        ("/tmp", DROP_SCRIPT, EXECUTE_SCRIPT),
        ("/dev/shm", DROP, EXECUTE),
        ("/tmp", DROP, MEMORY),
    ] {
        let printed = drop_and_run(&node, "held", each, &format!("d={directory}; {drop}"), execute);
        assert_eq!(printed, "", "{directory} {execute}");
    }
    let stopped = node.wait_for(RuntimeEventKind::Drift, 4 * each, |event| event.blocked);
    assert_eq!(stopped.len(), 4 * each);
    let how = |word: &str| stopped.iter().filter(|event| event.detail["how"] == word).count();
    assert_eq!([how("file"), how("script"), how("outside-image"), how("memfd")], [each; 4]);
    let status = node.status();
    assert_eq!(status.executions_denied, 3 * each as u64);
    assert_eq!(status.executions_killed, each as u64);
    assert_eq!((status.events_dropped, status.events_lost), (0, 0));
    let first = &stopped[0];
    assert_eq!((first.container.as_str(), first.node.as_str()), ("held", "test"));
    assert_eq!(first.image, node.image);
    assert_eq!(first.detail["path"], "/tmp/0/busybox");
    assert!(first.detail.contains_key("digest"), "{first:?}");
    assert_eq!(first.ancestry[0].name, "sh");
    // The other container is none of the agent's business.
    let printed = drop_and_run(&node, "free", 3, &format!("d=/tmp; {DROP}"), EXECUTE);
    assert_eq!(printed.matches("RAN").count(), 3);
}

#[test]
fn programs_of_the_image_run_and_each_is_seen() {
    if is_missing_something("programs_of_the_image_run_and_each_is_seen") {
        return;
    }
    let mut node = Node::new("block");
    node.tracked("held");
    let runs = count(10_000, 1_000);
    let ran = node
        .prints("held", &format!("i=0; while [ $i -lt {runs} ]; do /bin/true && echo y; i=$((i+1)); done"));
    assert_eq!(ran.lines().count(), runs);
    let seen = |path: &'static str| {
        move |event: &hullmark_types::RuntimeEvent| {
            event.detail.get("path").is_some_and(|found| found == path)
        }
    };
    assert_eq!(node.wait_for(RuntimeEventKind::Exec, runs, seen("/bin/true")).len(), runs);
    let ended = node.wait_for(RuntimeEventKind::Exit, runs, |event| event.ancestry[0].name == "true");
    assert_eq!(ended.len(), runs);
    let status = node.status();
    assert_eq!((status.events_dropped, status.events_lost, status.executions_denied), (0, 0, 0));
    assert_eq!((status.executions_killed, status.executions_alerted), (0, 0));

    // Another mode, another name, a copy: the content is what counts.
    for script in [
        "chmod 700 /bin/busybox && chmod 755 /bin/busybox && /bin/busybox echo RAN",
        "cp /bin/busybox /tmp/echo && /tmp/echo RAN",
        "cp /bin/busybox /dev/shm/busybox && /dev/shm/busybox echo RAN",
        "mv /bin/greet /bin/hail && /bin/hail && echo RAN",
        "ln -s /bin/busybox /tmp/busybox && /tmp/busybox echo RAN",
    ] {
        assert!(node.prints("held", script).ends_with("RAN\n"), "{script}");
    }
    let status = node.status();
    assert_eq!((status.executions_denied, status.executions_killed, status.executions_alerted), (0, 0, 0));
    assert_eq!(node.events().iter().filter(|event| event.kind == RuntimeEventKind::Drift).count(), 0);
}

#[test]
fn the_ways_around_the_gate_that_the_table_names_are_closed() {
    if is_missing_something("the_ways_around_the_gate_that_the_table_names_are_closed") {
        return;
    }
    let mut node = Node::new("block");
    node.tracked("held");
    let changed = "cp /bin/busybox /tmp/busybox; echo x >> /tmp/busybox";
    for (what, script) in [
        ("a script in memory, executed as `/proc/self/fd/N`", "foreign script '#!/bin/sh\necho RAN\n'".to_owned()),
        ("a deleted file", format!("{changed}; foreign hold /tmp/busybox echo RAN")),
        ("an image file that was changed", "echo x >> /bin/foreign; /bin/foreign memfd /bin/echo RAN".to_owned()),
        (
            "a changed file with the size and the times of the image's",
            "cp /bin/greet /tmp/g; sed 's/greeted/RANRANR/' /bin/greet > /bin/g; touch -r /tmp/g /bin/g; mv /bin/g /bin/greet; \
             chmod 755 /bin/greet; /bin/greet"
                .to_owned(),
        ),
        ("a loader of its own", "cp /lib/ld-musl-x86_64.so.1 /dev/shm/ld; echo x >> /dev/shm/ld; /dev/shm/ld /bin/echo RAN".to_owned()),
        ("a hard link", format!("{changed}; ln /tmp/busybox /tmp/echo; /tmp/echo RAN")),
        (
            // The last one: nothing else runs in the container afterwards.
            "a loader in memory",
            "foreign loader /lib/ld-musl-x86_64.so.1 /bin/echo RAN".to_owned(),
        ),
    ] {
        let output = node.shell("held", &script);
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(!printed.contains("RAN"), "{what}: {printed} {}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(
        node.wait_for(RuntimeEventKind::Drift, 7, |event| event.blocked).len(),
        7,
        "{:#?}",
        node.events()
    );
}

#[test]
fn alerts_let_programs_run_and_tell() {
    if is_missing_something("alerts_let_programs_run_and_tell") {
        return;
    }
    let mut node = Node::new("alert");
    node.tracked("watched");
    for (drop, execute) in [(DROP, EXECUTE), (DROP_SCRIPT, EXECUTE_SCRIPT), (DROP, MEMORY)] {
        let printed = drop_and_run(&node, "watched", 1, &format!("d=/tmp; {drop}"), execute);
        assert_eq!(printed.matches("RAN").count(), 1, "{execute}");
    }
    let told = node.wait_for(RuntimeEventKind::Drift, 3, |event| !event.blocked);
    let mut how: Vec<_> = told.iter().map(|event| event.detail["how"].as_str()).collect();
    // The gate and the kernel's ring buffer are read by different threads.
    how.sort_unstable();
    assert_eq!(how, ["file", "memfd", "script"]);
    assert_eq!(node.status().executions_denied, 0);
}

#[test]
fn the_host_is_left_alone() {
    if is_missing_something("the_host_is_left_alone") {
        return;
    }
    let mut node = Node::new("block");
    node.tracked("held");
    // What a container dropped, and what the host has of its own, executed by the host: through the very file system that is
    // marked, and elsewhere.
    let script = "#!/bin/sh\necho RAN\n";
    node.prints("held", "printf '#!/bin/sh\\necho RAN\\n' > /tmp/s; chmod +x /tmp/s");
    let own = node.path("own");
    hullmark_testkit::script(&own, script);
    for path in [node.path("held/merged/tmp/s"), own] {
        let output = Command::new(&path).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "RAN\n", "{}", path.display());
    }
    assert_eq!(node.status().executions_denied, 0);
}
