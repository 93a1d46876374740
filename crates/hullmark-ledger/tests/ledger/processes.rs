//! Several writers at once, and writers that are killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use hullmark_ledger::{JournaledLedger, Ledger, publish_journal, verify_log};

use crate::common::{ORIGIN, entropy, open};

/// Tells a copy of this test program which ledger to append to, as whom, how often.
const TASK: &str = "HULLMARK_LEDGER_TEST_TASK";

/// Batches of one to three entries, each a line `label batch position`.
fn batch(label: &str, number: u64) -> Vec<Vec<u8>> {
    (0..=number % 3).map(|position| format!("{label} {number} {position}").into_bytes()).collect()
}

/// A label that begins with `journal` is of a writer that appends to the journal.
fn append_batches(directory: &Path, label: &str, count: u64, mut acknowledge: impl FnMut(u64, u64)) {
    let mut ledger = Ledger::open(directory, ORIGIN, &mut entropy).unwrap();
    if label.starts_with("journal") {
        let mut ledger = JournaledLedger::open(ledger).unwrap();
        for number in 0..count {
            let receipts = ledger.append(batch(label, number)).unwrap();
            acknowledge(number, receipts[0].index);
        }
        return;
    }
    for number in 0..count {
        let receipts = ledger.append(&batch(label, number)).unwrap();
        acknowledge(number, receipts[0].index);
    }
}

/// Not a test of its own: what a child process does.
#[test]
fn child() {
    let Ok(task) = std::env::var(TASK) else { return };
    let [label, count, directory] = task.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{task}") };
    let mut out = std::io::stdout();
    append_batches(Path::new(directory), label, count.parse().unwrap(), |number, index| {
        writeln!(out, "appended {label} {number} {index}").unwrap();
        out.flush().unwrap();
    });
}

fn spawn(directory: &Path, label: &str, count: u64) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["processes::child", "--exact", "--nocapture"])
        .env(TASK, format!("{label} {count} {}", directory.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Verifies the ledger and returns its entries as text.
fn contents(directory: &Path) -> Vec<String> {
    verify_log(directory, None).unwrap();
    let ledger = Ledger::open_read_only(directory).unwrap();
    ledger.entries().map(|item| String::from_utf8(item.unwrap().1).unwrap()).collect()
}

/// Every batch of every writer is there once, whole, in its order.
fn check_complete(found: &[String], labels: &[&str], count: u64) {
    for label in labels {
        let of_label: Vec<_> = found.iter().filter(|entry| entry.split(' ').next() == Some(label)).collect();
        let expected: Vec<_> = (0..count)
            .flat_map(|number| batch(label, number))
            .map(|entry| String::from_utf8(entry).unwrap())
            .collect();
        assert!(of_label.iter().copied().eq(expected.iter()), "the entries of {label}");
        for number in 0..count {
            let first = found.iter().position(|entry| *entry == format!("{label} {number} 0")).unwrap();
            for (position, entry) in batch(label, number).into_iter().enumerate() {
                assert_eq!(found[first + position].as_bytes(), entry, "a batch was torn apart");
            }
        }
    }
}

#[test]
fn threads_append_to_the_same_ledger() {
    let directory = tempfile::tempdir().unwrap();
    let labels = ["a", "b", "c", "d"];
    std::thread::scope(|scope| {
        for label in labels {
            scope.spawn(|| append_batches(directory.path(), label, 40, |_, _| {}));
        }
        // Meanwhile readers see a whole ledger at any moment.
        scope.spawn(|| {
            let mut seen = 0;
            while seen < 300 {
                let Ok(mut ledger) = Ledger::open_read_only(directory.path()) else { continue };
                let size = ledger.size();
                assert!(size >= seen, "the ledger shrank");
                assert_eq!(
                    ledger.entries().map(|item| item.unwrap().0).max().map_or(0, |last| last + 1),
                    size
                );
                ledger.refresh().unwrap();
                verify_log(directory.path(), None).unwrap();
                seen = size;
            }
        });
    });
    check_complete(&contents(directory.path()), &labels, 40);
}

#[test]
fn processes_append_to_the_same_ledger() {
    append_by(&["x", "y"]);
}

#[test]
fn processes_with_and_without_a_journal_append_to_the_same_ledger() {
    append_by(&["journal-x", "y", "journal-z"]);
}

fn append_by(labels: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let children: Vec<_> = labels.iter().map(|label| spawn(directory.path(), label, 60)).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    check_complete(&contents(directory.path()), labels, 60);
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    kill_rounds("");
}

#[test]
fn what_is_in_the_journal_survives_a_kill() {
    kill_rounds("journal-");
}

/// Kills writers whose label begins so.
fn kill_rounds(prefix: &str) {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..12_u64 {
        let label = format!("{prefix}round{round}");
        let mut child = spawn(directory.path(), &label, 1_000_000);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Killed at another moment of the work in each round.
        let wanted = 3 + 5 * (round % 4);
        let mut seen = 0;
        let mut note = |line: String| {
            // The test harness writes lines of its own; the first acknowledgement shares one with it.
            let Some((_, rest)) = line.split_once("appended ") else { return 0 };
            let [label, number, index] = rest.split(' ').collect::<Vec<_>>()[..] else { return 0 };
            acknowledged.push((format!("{label} {number} 0"), index.parse::<usize>().unwrap()));
            1
        };
        while seen < wanted {
            seen += note(lines.next().unwrap().unwrap());
        }
        std::thread::sleep(std::time::Duration::from_micros(700 * round));
        child.kill().unwrap();
        for line in lines.map_while(Result::ok) {
            note(line);
        }
        child.wait().unwrap();

        assert_eq!(publish_journal(directory.path()).unwrap(), 0);
        let found = contents(directory.path());
        for (entry, index) in &acknowledged {
            assert_eq!(found.get(*index), Some(entry), "acknowledged in or before round {round}");
        }
        drop(open(directory.path()));
        assert_eq!(verify_log(directory.path(), None).unwrap().extras, [], "after round {round}");
    }
    assert!(acknowledged.len() > 100);
}
