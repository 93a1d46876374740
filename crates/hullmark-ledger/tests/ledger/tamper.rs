//! Every change of every file is noticed, and the entry it is about is named.

use std::path::Path;

use hullmark_ledger::{Culprit, LedgerError, SignerKey, parse_bundle, verify_log};

use crate::common::{ORIGIN, entries, entry, files, open, tile_names};

/// What verification must say after byte `position` of a file was changed.
fn check(name: &str, original: &[u8], position: usize, error: &LedgerError) {
    let place = format!("byte {position} of {name}: {error}");
    match name {
        "tile/0/000" | "tile/0/001.p/44" => {
            let first = if name.ends_with("44") { 256 } else { 0 };
            let index = first + (position / 32) as u64;
            assert_eq!(error.entries(), Some((index, index)), "{place}");
            let LedgerError::EntryMismatch(mismatch) = error else { panic!("{place}") };
            assert_eq!(mismatch.culprit, Culprit::Hash, "{place}");
            assert_eq!(mismatch.hash_offset, (position / 32 * 32) as u64, "{place}");
        }
        "tile/1/000.p/1" => assert_eq!(error.entries(), Some((0, 255)), "{place}"),
        "tile/entries/000" | "tile/entries/001.p/44" => {
            let first = if name.ends_with("44") { 256 } else { 0 };
            let (mut index, mut end) = (first, 0);
            for entry in parse_bundle(original).unwrap() {
                end += 2 + entry.len();
                if position < end {
                    break;
                }
                index += 1;
            }
            assert_eq!(error.entries(), Some((index, index)), "{place}");
            match error {
                LedgerError::EntryMismatch(mismatch) => {
                    assert_eq!(mismatch.culprit, Culprit::Entry, "{place}");
                }
                LedgerError::BundleMalformed { .. } => {}
                _ => panic!("{place}"),
            }
        }
        "checkpoint" => {
            let expected = 1 + original[..position].iter().filter(|byte| **byte == b'\n').count();
            let line = match error {
                LedgerError::CheckpointSignature { line, .. } => *line,
                LedgerError::CheckpointMalformed { source, .. } => source.line,
                _ => panic!("{place}"),
            };
            assert_eq!(line, expected, "{place}");
        }
        "ledger.pub" | "ledger.key" => {
            assert!(
                matches!(error, LedgerError::KeyMalformed { path, .. } if path.ends_with(name)),
                "{place}"
            );
        }
        _ => panic!("an unexpected file {name}"),
    }
}

/// Changes every byte of some files, one at a time. Returns how many bytes there were.
fn change_every_byte(directory: &Path, part: usize, parts: usize) -> usize {
    let mut count = 0;
    for (name, original) in files(directory) {
        let path = directory.join(&name);
        for position in (part..original.len()).step_by(parts) {
            for change in [0x01, 0xff] {
                let mut changed = original.clone();
                changed[position] ^= change;
                std::fs::write(&path, &changed).unwrap();
                match verify_log(directory, None) {
                    Ok(_) => panic!("byte {position} of {name} changed by {change:#x} was not noticed"),
                    Err(error) => check(&name, &original, position, &error),
                }
            }
            count += 1;
        }
        std::fs::write(&path, &original).unwrap();
    }
    verify_log(directory, None).unwrap();
    count
}

#[test]
fn every_byte_of_every_file_is_guarded() {
    let parts = 2;
    let bytes: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..parts)
            .map(|part| {
                scope.spawn(move || {
                    let directory = tempfile::tempdir().unwrap();
                    open(directory.path()).append(&entries(0..300)).unwrap();
                    change_every_byte(directory.path(), part, parts)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert!(bytes > 300 * 32 + 300 * 15, "only {bytes} bytes were changed");
}

/// A ledger of 300 entries, changed by `change`, must fail with a message that contains `expected`.
#[track_caller]
fn refused(change: impl FnOnce(&Path), expected: &str) {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).append(&entries(0..300)).unwrap();
    change(directory.path());
    let error = verify_log(directory.path(), None).unwrap_err();
    let message = error.to_string().replace(&format!("{}/", directory.path().display()), "");
    assert!(message.contains(expected), "{message}");
}

#[test]
fn absent_files_are_named_with_their_entries() {
    let remove = |name: &'static str| move |root: &Path| std::fs::remove_file(root.join(name)).unwrap();
    refused(remove("tile/0/000"), "entries 0 to 255: the file `tile/0/000` is absent");
    refused(
        remove("tile/entries/001.p/44"),
        "entries 256 to 299: the file `tile/entries/001.p/44` is absent",
    );
    refused(remove("tile/1/000.p/1"), "entries 0 to 255: the file `tile/1/000.p/1` is absent");
    refused(remove("checkpoint"), "has entries but no checkpoint");
}

#[test]
fn files_that_were_cut_or_lengthened_are_named_with_their_first_entry() {
    let resize = |name: &'static str, by: i64| {
        move |root: &Path| {
            let file = std::fs::OpenOptions::new().write(true).open(root.join(name)).unwrap();
            let length = i64::try_from(file.metadata().unwrap().len()).unwrap();
            file.set_len(u64::try_from(length + by).unwrap()).unwrap();
        }
    };
    refused(resize("tile/0/001.p/44", -1), "from entry 299 on: the tile `tile/0/001.p/44` has 1407 bytes");
    refused(resize("tile/0/001.p/44", -33), "from entry 298 on: the tile");
    refused(resize("tile/0/000", 1), "`tile/0/000` has more than 8192 bytes");
    refused(resize("tile/0/001.p/44", 32), "has 1440 bytes, expected 1408");
    refused(resize("tile/entries/001.p/44", -1), "entry 299 cannot be read: `tile/entries/001.p/44` at byte");
    refused(resize("tile/entries/001.p/44", -16), "entry 299 cannot be read");
    refused(resize("tile/entries/001.p/44", -18), "entry 298 cannot be read");
    refused(resize("tile/entries/000", 1), "entry 255 cannot be read");
    refused(resize("tile/entries/000", 1 << 40), "`tile/entries/000` has more than 16777472 bytes");
    refused(resize("checkpoint", 1 << 40), "`checkpoint` has more than 262144 bytes");
}

#[test]
fn a_pipe_in_place_of_a_file_does_not_stop_verification() {
    refused(
        |root| {
            std::fs::remove_file(root.join("tile/0/000")).unwrap();
            let made = std::process::Command::new("mkfifo").arg(root.join("tile/0/000")).status().unwrap();
            assert!(made.success());
        },
        "`tile/0/000` is not a regular file",
    );
    refused(
        |root| {
            std::fs::remove_file(root.join("tile/0/000")).unwrap();
            std::os::unix::fs::symlink("/dev/zero", root.join("tile/0/000")).unwrap();
        },
        "`tile/0/000` is not a regular file",
    );
}

#[test]
fn swapped_entries_are_noticed() {
    refused(
        |root| {
            let path = root.join("tile/entries/000");
            let mut bytes = std::fs::read(&path).unwrap();
            // `{"verdict":10}` and `{"verdict":20}` have the same length.
            let at = |n: u64, bytes: &[u8]| {
                let text = entry(n);
                bytes.windows(text.len()).position(|window| window == text).unwrap()
            };
            let (a, b) = (at(10, &bytes), at(20, &bytes));
            bytes[a..a + 14].copy_from_slice(&entry(20));
            bytes[b..b + 14].copy_from_slice(&entry(10));
            std::fs::write(path, bytes).unwrap();
        },
        "entry 10 does not match its hash: the entry was changed (the tree confirms the recorded hash)",
    );
}

#[test]
fn a_ledger_written_anew_without_the_key_is_noticed() {
    // Someone makes a whole new consistent ledger with other entries and keeps only the signed checkpoint.
    let forged = tempfile::tempdir().unwrap();
    let mut other = entries(0..300);
    other[17] = b"{\"verdict\":1700}".to_vec();
    open(forged.path()).append(&other).unwrap();
    refused(
        |root| {
            for name in tile_names(forged.path()) {
                std::fs::copy(forged.path().join(&name), root.join(&name)).unwrap();
            }
        },
        "the 300 entries (0 to 299) are not those that were signed",
    );
    // The entry and its hash only: the level above tells which 256.
    refused(
        |root| {
            for name in ["tile/0/000", "tile/entries/000"] {
                std::fs::copy(forged.path().join(name), root.join(name)).unwrap();
            }
        },
        "entries 0 to 255 do not match hash 0 of `tile/1/000.p/1`",
    );
}

#[test]
fn a_ledger_signed_by_another_key_is_refused_by_who_knows_the_right_one() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    let trusted = ledger.verifier_key().clone();
    verify_log(directory.path(), Some(&trusted)).unwrap();
    let forger = SignerKey::from_seed(ORIGIN, &[66; 32]).unwrap();
    let error = verify_log(directory.path(), Some(forger.verifier())).unwrap_err();
    assert!(matches!(error, LedgerError::KeyMismatch { .. }), "{error}");
    // Also when the public key beside it is replaced or gone.
    std::fs::remove_file(directory.path().join("ledger.pub")).unwrap();
    std::fs::remove_file(directory.path().join("ledger.key")).unwrap();
    verify_log(directory.path(), Some(&trusted)).unwrap();
    let error = verify_log(directory.path(), Some(forger.verifier())).unwrap_err();
    assert!(matches!(error, LedgerError::CheckpointSignature { .. }), "{error}");
}

#[test]
fn a_changed_checkpoint_is_explained() {
    let replace = |from: &'static str, to: &'static str| {
        move |root: &Path| {
            let path = root.join("checkpoint");
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(from));
            std::fs::write(path, text.replacen(from, to, 1)).unwrap();
        }
    };
    refused(replace("\n300\n", "\n299\n"), "line 2: the size is 299, but there are more entries");
    refused(replace("\n300\n", "\n301\n"), "line 2: the size is 301, which does not fit");
    refused(
        replace("\n300\n", "\n9223372036854775807\n"),
        "line 2: the size is 9223372036854775807, which does not fit",
    );
    refused(replace(ORIGIN, "example.org/other"), "line 1: the origin is `example.org/other`");
}
