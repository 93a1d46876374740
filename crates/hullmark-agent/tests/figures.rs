//! What the agent costs: memory at rest, time of an execution.

mod support;

use std::time::Instant;

use support::{Node, is_missing_something};

/// Resident memory at rest, in KiB, that the agent must stay under.
const RESIDENT: u64 = 30 * 1024;

fn microseconds(node: &Node, container: &str, setup: &str, program: &str) -> f64 {
    const RUNS: u32 = 2000;
    let run = |runs| format!("{setup}; i=0; while [ $i -lt {runs} ]; do {program}; i=$((i+1)); done");
    node.shell(container, &run(20));
    let best = (0..5).map(|_| {
        let (empty, full) = (Instant::now(), run(0));
        node.shell(container, &full);
        let empty = empty.elapsed();
        let begin = Instant::now();
        node.shell(container, &run(RUNS));
        begin.elapsed().saturating_sub(empty).as_secs_f64() * 1e6 / f64::from(RUNS)
    });
    best.fold(f64::INFINITY, f64::min)
}

#[test]
fn the_agent_is_small_at_rest() {
    if is_missing_something("the_agent_is_small_at_rest") {
        return;
    }
    let mut node = Node::new("block");
    let begun = node.resident();
    for number in 0..3 {
        node.tracked(&format!("held-{number}"));
    }
    node.prints("held-0", "i=0; while [ $i -lt 1000 ]; do /bin/true; i=$((i+1)); done");
    std::thread::sleep(std::time::Duration::from_secs(2));
    let after = node.resident();
    println!("resident: {begun} KiB at the start, {after} KiB with 3 containers after 1000 executions");
    assert!(begun < RESIDENT && after < RESIDENT, "{begun} KiB, then {after} KiB");
}

#[test]
#[ignore = "it measures for a minute, and needs the machine for itself"]
fn executions_cost_little() {
    if is_missing_something("executions_cost_little") {
        return;
    }
    let mut node = Node::new("block");
    node.create("free", |_, _| {});
    node.tracked("held");
    let copy = "cp /bin/busybox /tmp/true 2>/dev/null";
    for (what, container, setup, program) in [
        ("not tracked", "free", ":", "/bin/true"),
        ("tracked, a file of the image", "held", ":", "/bin/true"),
        ("not tracked, a copy", "free", copy, "/tmp/true"),
        ("tracked, a copy, hashed each time (800 KiB)", "held", copy, "/tmp/true"),
    ] {
        println!("{:7.0} us  {what}", microseconds(&node, container, setup, program));
    }
    let status = node.status();
    println!("events seen {}, dropped {}", status.events_seen, status.events_dropped);
    println!("resident: {} KiB", node.resident());
}
