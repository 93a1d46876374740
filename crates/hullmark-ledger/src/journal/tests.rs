//! The journal under kills, cuts, changed bytes and other writers.

use std::path::{Path, PathBuf};

use crate::crash_tests::{Dying, Recorder, Recording, batch, contents, entropy, no_entropy};
use crate::files::{Disk, FileOperations};
use crate::journal::integrator::publish;
use crate::journal::segments::segments;
use crate::journal::writer::{Closed, JournalWriter, Recorded};
use crate::{JournaledLedger, Ledger, LedgerError, publish_journal, verify_log};

fn open(directory: &Path) -> Ledger {
    Ledger::open(directory, "example.org/log", &mut entropy).unwrap()
}

fn writer(directory: &Path) -> JournalWriter {
    JournalWriter::new(&mut Disk, open(directory)).unwrap()
}

/// A ledger whose journal holds batches, as a killed process leaves it; gives what was recorded.
fn left_behind(directory: &Path, batches: &[Vec<Vec<u8>>]) -> Vec<Recorded> {
    let mut writer = writer(directory);
    batches
        .iter()
        .map(|entries| writer.append(&mut Disk, entries.clone()).unwrap().unwrap().recorded)
        .collect()
}

fn only_segment(directory: &Path) -> PathBuf {
    let found = segments(directory).unwrap();
    assert_eq!(found.len(), 1);
    found[0].clone()
}

/// What a server does, step by step, with one source of operations for both threads. Gives the entries acknowledged.
fn work(
    directory: &Path,
    operations: &mut dyn FileOperations,
    acknowledged: &mut Vec<Vec<u8>>,
) -> Result<(), LedgerError> {
    let ledger = open(directory);
    let mut published = Ledger::open_read_only(directory)?;
    let mut writer = JournalWriter::new(operations, ledger)?.with_limit(1500);
    let mut waiting = Vec::new();
    let mut closed: Vec<Closed> = Vec::new();
    for round in 0..6 {
        let entries = batch(&format!("round {round}"), 5 + round * 20);
        let appended = writer.append(operations, entries.clone())?.unwrap();
        acknowledged.extend(entries);
        waiting.push(appended.recorded);
        closed.extend(appended.closed);
        if round % 2 == 1 {
            publish(operations, &mut published, &waiting)?;
            waiting.clear();
            for closed in closed.drain(..) {
                operations.remove_file(&closed.path).map_err(LedgerError::io("remove", &closed.path))?;
            }
        }
    }
    writer.release(operations)
}

#[test]
fn a_kill_at_any_step_loses_nothing_that_was_acknowledged() {
    for left in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        drop(open(path));
        let mut disk = Dying { left, done: 0 };
        let mut acknowledged = Vec::new();
        let outcome = work(path, &mut disk, &mut acknowledged);

        // Whoever only reads sees a whole ledger, and the rest of what was acknowledged waiting.
        let report = verify_log(path, None).unwrap();
        assert!(report.size + report.waiting >= acknowledged.len() as u64, "killed after {left} steps");
        if left % 2 == 0 {
            assert_eq!(publish_journal(path).unwrap(), 0);
        } else {
            drop(open(path));
        }
        let found = contents(path);
        assert!(found.starts_with(&acknowledged), "killed after {left} steps");
        // At most the batch under way is there too, whole.
        let more = found.len() - acknowledged.len();
        assert!(more == 0 || (0..6).any(|round| more == 5 + round * 20), "killed after {left} steps");

        let mut next = writer(path);
        next.append(&mut Disk, batch("next", 3)).unwrap();
        drop(next);
        drop(open(path));
        assert_eq!(contents(path), [found, batch("next", 3)].concat(), "killed after {left} steps");
        assert_eq!(verify_log(path, None).unwrap().extras, []);
        if outcome.is_ok() && disk.left > 0 {
            assert!(disk.done > 60, "the steps were not counted");
            return;
        }
    }
}

#[test]
fn an_append_is_one_write_and_one_flush() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let mut writer = writer(root);
    let mut recorder = Recorder::default();
    let mut appended = |recorder: &mut Recorder| {
        recorder.0.clear();
        writer.append(&mut Recording { root, recorder }, batch("new", 50)).unwrap();
        recorder.0.clone()
    };
    let first = appended(&mut recorder);
    assert_eq!(first, ["create journal/00000000000000000000", "append", "flush data", "flush journal"]);
    assert_eq!(appended(&mut recorder), ["append", "flush data"]);
    assert_eq!(appended(&mut recorder), ["append", "flush data"]);
}

#[test]
fn a_failed_append_is_none_and_the_next_one_goes_on() {
    for left in 0..6 {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = writer(directory.path());
        let mut published = Ledger::open_read_only(directory.path()).unwrap();
        let first = writer.append(&mut Disk, batch("first", 2)).unwrap().unwrap();
        let failed = writer.append(&mut Dying { left, done: 0 }, batch("failed", 2));
        let next = writer.append(&mut Disk, batch("next", 2)).unwrap().unwrap();
        let mut waiting = vec![first.recorded];
        let mut expected = batch("first", 2);
        match failed {
            Ok(appended) => {
                expected.extend(batch("failed", 2));
                waiting.push(appended.unwrap().recorded);
            }
            // The flush failed, and so did cutting the record off: it may stay.
            Err(_) if next.recorded.first() == 4 => expected.extend(batch("failed", 2)),
            Err(_) => assert_eq!(next.recorded.first(), 2),
        }
        expected.extend(batch("next", 2));
        waiting.push(next.recorded);
        publish(&mut Disk, &mut published, &waiting).unwrap();
        assert_eq!(contents(directory.path()), expected, "failed after {left} steps");
    }
}

#[test]
fn at_every_cut_of_the_tail_the_records_before_it_are_published() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).append(&batch("old", 255)).unwrap();
    left_behind(directory.path(), &[batch("one", 1), batch("two", 2)]);
    let path = only_segment(directory.path());
    let bytes = std::fs::read(&path).unwrap();
    // Where the first record ends.
    let end = crate::parse_journal(&bytes).unwrap().records[1].offset;
    for cut in 0..bytes.len() {
        let copy = tempfile::tempdir().unwrap();
        copy_ledger(directory.path(), copy.path());
        std::fs::write(only_segment(copy.path()), &bytes[..cut]).unwrap();
        let expected = if cut < end { 0 } else { 1 };
        assert_eq!(verify_log(copy.path(), None).unwrap().waiting, expected, "cut at {cut}");
        let mut next = writer(copy.path());
        assert_eq!(next.ledger.size(), 255 + expected, "cut at {cut}");
        assert!(segments(copy.path()).unwrap().is_empty());
        if cut % 100 == 0 {
            next.append(&mut Disk, batch("next", 1)).unwrap();
            assert_eq!(publish_journal(copy.path()).unwrap(), 0);
            assert_eq!(contents(copy.path()).len() as u64, 256 + expected);
        }
    }
}

fn copy_ledger(from: &Path, to: &Path) {
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_ledger(&item.path(), &target);
        } else {
            std::fs::copy(item.path(), target).unwrap();
        }
    }
}

#[test]
fn every_changed_byte_of_the_journal_is_an_error_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    left_behind(directory.path(), &[batch("one", 1), batch("two", 2)]);
    let path = only_segment(directory.path());
    let bytes = std::fs::read(&path).unwrap();
    let second = crate::parse_journal(&bytes).unwrap().records[1].offset;
    for position in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[position] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        let place = |error: LedgerError| match error {
            LedgerError::Journal { path: found, offset, .. } if found == path => offset,
            other => panic!("byte {position}: {other}"),
        };
        let offset = place(Ledger::open(directory.path(), "", &mut no_entropy).unwrap_err());
        assert_eq!(offset >= second, position >= second, "byte {position}");
        assert_eq!(place(verify_log(directory.path(), None).unwrap_err()), offset);
        assert_eq!(place(publish_journal(directory.path()).unwrap_err()), offset);
    }
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(publish_journal(directory.path()).unwrap(), 0);
    assert_eq!(contents(directory.path()), [batch("one", 1), batch("two", 2)].concat());
}

/// What a journal says that is well formed, but not of this ledger.
#[test]
fn records_that_do_not_continue_the_ledger_are_refused() {
    #[track_caller]
    fn refused(directory: &Path, words: &str) {
        for error in [
            Ledger::open(directory, "", &mut no_entropy).unwrap_err(),
            verify_log(directory, None).unwrap_err(),
        ] {
            assert!(
                matches!(error, LedgerError::Journal { .. }) && error.to_string().contains(words),
                "{error}"
            );
        }
    }
    let made = |first: u64, seed: u8, entries: &[Vec<u8>]| {
        let directory = tempfile::tempdir().unwrap();
        let mut entropy = |bytes: &mut [u8]| {
            bytes.fill(seed);
            Ok(())
        };
        let mut ledger = Ledger::open(directory.path(), "example.org/log", &mut entropy).unwrap();
        ledger.append(&batch("old", first)).unwrap();
        let mut writer = JournalWriter::new(&mut Disk, ledger).unwrap();
        writer.append(&mut Disk, entries.to_vec()).unwrap();
        directory
    };
    let ledger = made(2, 7, &batch("new", 2));
    let target = only_segment(ledger.path());
    let replace = |by: &Path| std::fs::write(&target, std::fs::read(only_segment(by)).unwrap()).unwrap();
    replace(made(3, 7, &batch("new", 2)).path());
    refused(ledger.path(), "begins with entry 3");
    replace(made(1, 7, &batch("new", 2)).path());
    refused(ledger.path(), "begins with entry 1");
    replace(made(2, 8, &batch("new", 2)).path());
    refused(ledger.path(), "no signature by the expected key");
    replace(made(1, 7, &batch("new", 1)).path());
    refused(ledger.path(), "other entries were published");
    let other = tempfile::tempdir().unwrap();
    let mut history = open(other.path());
    history.append(&batch("different", 2)).unwrap();
    JournalWriter::new(&mut Disk, history).unwrap().append(&mut Disk, batch("new", 2)).unwrap();
    replace(other.path());
    refused(ledger.path(), "the entries give the root");
    std::fs::write(target.with_file_name("notes.txt"), "").unwrap();
    refused(ledger.path(), "no journal has a file of this name");
}

#[test]
fn a_torn_record_before_another_segment_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = writer(directory.path()).with_limit(1);
    for label in ["one", "two"] {
        writer.append(&mut Disk, batch(label, 2)).unwrap();
    }
    let found = segments(directory.path()).unwrap();
    assert_eq!(found.len(), 2);
    let bytes = std::fs::read(&found[0]).unwrap();
    std::fs::write(&found[0], &bytes[..bytes.len() - 1]).unwrap();
    let error = Ledger::open(directory.path(), "", &mut no_entropy).unwrap_err();
    assert!(error.to_string().contains("a later segment follows"), "{error}");
    std::fs::write(&found[0], &bytes).unwrap();
    drop(open(directory.path()));
    assert_eq!(contents(directory.path()), [batch("one", 2), batch("two", 2)].concat());
}

#[test]
fn others_may_append_between_two_appends() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = JournaledLedger::open(open(directory.path())).unwrap();
    let mut command = open(directory.path());
    let mut second = JournaledLedger::open(open(directory.path())).unwrap();
    let mut expected = Vec::new();
    for round in 0..20_u64 {
        let mut append =
            |label: &str,
             append: &mut dyn FnMut(Vec<Vec<u8>>) -> Result<Vec<crate::Receipt>, LedgerError>| {
                let entries = batch(&format!("{label} {round}"), 1 + round % 3);
                let receipts = append(entries.clone()).unwrap();
                assert_eq!(receipts[0].index, expected.len() as u64, "{label} {round}");
                expected.extend(entries);
            };
        append("server", &mut |entries| server.append(entries));
        append("server again", &mut |entries| server.append(entries));
        if round % 2 == 0 {
            append("command", &mut |entries| command.append(&entries));
        }
        if round % 5 == 0 {
            append("second", &mut |entries| second.append(entries));
        }
    }
    server.publication().wait().unwrap();
    second.publication().wait().unwrap();
    assert_eq!(contents(directory.path()), expected);
    drop((server, second));
    assert!(segments(directory.path()).unwrap().is_empty());
    assert_eq!(verify_log(directory.path(), None).unwrap().extras, []);
}

#[test]
fn readers_publish_without_disturbing_the_writer() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = writer(directory.path());
    let mut published = Ledger::open_read_only(directory.path()).unwrap();
    let mut waiting = Vec::new();
    for round in 0..3 {
        waiting
            .push(writer.append(&mut Disk, batch(&format!("round {round}"), 2)).unwrap().unwrap().recorded);
        assert_eq!(Ledger::open_read_only(directory.path()).unwrap().waiting().unwrap(), 2);
        assert_eq!(publish_journal(directory.path()).unwrap(), 0);
        assert_eq!(contents(directory.path()).len(), 2 * (round + 1));
    }
    // All in one segment, which stayed; the integrator finds its work done.
    assert!(only_segment(directory.path()).ends_with("00000000000000000000"));
    publish(&mut Disk, &mut published, &waiting).unwrap();
    assert_eq!(published.size(), 6);
}

#[test]
fn a_writer_that_does_not_know_the_journal_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let recorded = left_behind(directory.path(), &[batch("new", 2)]);
    // Without the lock of the journal, as an older program would.
    let mut old = Ledger::open_read_only(directory.path()).unwrap();
    old.signer = crate::keyfiles::read_signer(directory.path()).unwrap();
    old.publish(&mut Disk, &batch("other", 2), None).unwrap();
    let mut published = Ledger::open_read_only(directory.path()).unwrap();
    let error = publish(&mut Disk, &mut published, &recorded).unwrap_err();
    assert!(error.to_string().contains("does not know its journal"), "{error}");
    let error = Ledger::open(directory.path(), "", &mut no_entropy).unwrap_err();
    assert!(error.to_string().contains("other entries were published"), "{error}");
}

#[test]
fn a_journal_that_was_removed_is_a_rollback() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = writer(directory.path());
    writer.append(&mut Disk, batch("new", 2)).unwrap();
    std::fs::remove_file(only_segment(directory.path())).unwrap();
    let error = writer.append(&mut Disk, batch("more", 2)).unwrap_err();
    assert!(matches!(error, LedgerError::History { known_size: 2, size: 0, .. }), "{error}");
}

#[test]
fn entries_that_cannot_be_published_stay_recorded_and_are_published_later() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = JournaledLedger::open(open(directory.path())).unwrap();
    std::fs::write(directory.path().join("tile"), "in the way").unwrap();
    ledger.append(batch("new", 2)).unwrap();
    let publication = ledger.publication();
    let error = publication.wait().unwrap_err();
    assert!(matches!(error, LedgerError::NotPublished { .. }), "{error}");
    assert!(publication.failure().is_some() && !publication.is_complete());
    ledger.append(batch("more", 2)).unwrap();
    std::fs::remove_file(directory.path().join("tile")).unwrap();
    publication.wait().unwrap();
    assert_eq!(publication.failure(), None);
    assert_eq!(contents(directory.path()), [batch("new", 2), batch("more", 2)].concat());
}

#[test]
fn too_much_for_one_record_is_refused_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = JournaledLedger::open(open(directory.path())).unwrap();
    let error = ledger.append(vec![vec![b'x'; 65_535]; 1100]).unwrap_err();
    assert!(matches!(error, LedgerError::BatchTooLarge { .. }), "{error}");
    let error = ledger.append(vec![vec![b'x'; 65_536]]).unwrap_err();
    assert!(matches!(error, LedgerError::EntryTooLarge { position: 0, .. }), "{error}");
    assert_eq!(ledger.append(Vec::new()).unwrap(), []);
    // Several large ones wait for each other.
    for _ in 0..5 {
        ledger.append(vec![vec![b'x'; 65_535]; 400]).unwrap();
    }
    ledger.settle().unwrap();
    assert!(segments(directory.path()).unwrap().is_empty());
    assert_eq!(Ledger::open_read_only(directory.path()).unwrap().size(), 2000);
    ledger.append(batch("next", 1)).unwrap();
    drop(ledger);
    assert_eq!(Ledger::open_read_only(directory.path()).unwrap().size(), 2001);
}

#[test]
fn a_ledger_opened_to_read_has_no_journal() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let ledger = Ledger::open_read_only(directory.path()).unwrap();
    assert!(matches!(JournaledLedger::open(ledger), Err(LedgerError::KeyMissing { .. })));
    assert!(!directory.path().join("journal").exists());
}
