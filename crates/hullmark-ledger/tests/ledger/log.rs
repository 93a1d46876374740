//! The ledger on disk: growth over the edges of tiles, reading, searching, proving, keys.

use crate::common::{ORIGIN, entries, entropy, entry, open, tile_names};
use hullmark_ledger::merkle::verify_consistency;
use hullmark_ledger::{Extra, Ledger, LedgerError, NodeHash, verify_log, verify_proof};
use hullmark_types::Digest;

/// Grows a ledger through `sizes` and checks everything about it at each.
fn grow(sizes: &[u64], names_at: &[(u64, &[&str])]) {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = open(directory.path());
    let mut history = vec![(0, ledger.checkpoint().root())];
    for &size in sizes {
        let receipts = ledger.append(&entries(ledger.size()..size)).unwrap();
        assert_eq!(ledger.size(), size);
        let last = receipts.last().unwrap();
        assert_eq!((last.index, last.size, last.leaf), (size - 1, size, NodeHash::of_leaf(&entry(size - 1))));
        let report = verify_log(directory.path(), None).unwrap();
        assert_eq!((report.size, report.root, report.extras.len()), (size, last.root, 0), "{report:?}");
        if let Some((_, names)) = names_at.iter().find(|(at, _)| *at == size) {
            assert_eq!(tile_names(directory.path()), *names, "files at {size}");
        }
        for index in
            [0, 1, size / 3, size / 2, size.saturating_sub(2), size - 1].map(|index| index.min(size - 1))
        {
            assert_eq!(ledger.entry(index).unwrap(), entry(index));
            let proof = ledger.prove(index).unwrap().to_text();
            let proven = verify_proof(proof.as_bytes(), &entry(index), ledger.verifier_key()).unwrap();
            assert_eq!((proven.index, proven.size, proven.root), (index, size, last.root));
        }
        history.push((size, last.root));
        for (old, old_root) in &history {
            let path = ledger.prove_consistency(*old).unwrap();
            assert!(verify_consistency(*old, *old_root, size, last.root, &path), "{old} to {size}");
        }
    }
}

#[test]
fn a_ledger_grows_over_the_edges_of_its_tiles() {
    grow(
        &[1, 2, 3, 127, 128, 129, 254, 255, 256, 257, 511, 512, 513, 1024, 1100],
        &[
            (1, &["tile/0/000.p/1", "tile/entries/000.p/1"]),
            (255, &["tile/0/000.p/255", "tile/entries/000.p/255"]),
            (256, &["tile/0/000", "tile/1/000.p/1", "tile/entries/000"]),
            (
                257,
                &[
                    "tile/0/000",
                    "tile/0/001.p/1",
                    "tile/1/000.p/1",
                    "tile/entries/000",
                    "tile/entries/001.p/1",
                ],
            ),
            (512, &["tile/0/000", "tile/0/001", "tile/1/000.p/2", "tile/entries/000", "tile/entries/001"]),
        ],
    );
}

#[test]
fn a_ledger_grows_over_the_edge_of_the_second_level() {
    grow(&[65_280, 65_535, 65_536, 65_537], &[]);
}

#[test]
fn appending_reads_and_writes_only_the_right_edge() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = open(directory.path());
    ledger.append(&entries(0..100_000)).unwrap();
    // Everything left of the edge is taken away: an append does not miss it.
    for name in tile_names(directory.path()) {
        let edge = name.contains(".p/");
        if !edge {
            std::fs::remove_file(directory.path().join(name)).unwrap();
        }
    }
    ledger.append(&entries(100_000..100_001)).unwrap();
    assert_eq!(ledger.entry(100_000).unwrap(), entry(100_000));
    let error = verify_log(directory.path(), None).unwrap_err();
    assert!(matches!(error, LedgerError::Missing { first: 0, last: 255, .. }), "{error}");
}

#[test]
fn entries_of_every_length_up_to_the_limit_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = open(directory.path());
    let batch = vec![vec![], vec![0], vec![255; 65_535], "é\n\0".as_bytes().to_vec()];
    ledger.append(&batch).unwrap();
    let read: Vec<_> = ledger.entries().map(|item| item.unwrap().1).collect();
    assert_eq!(read, batch);
    let error = ledger.append(&[vec![], vec![0; 65_536]]).unwrap_err();
    assert_eq!(error.to_string(), "entry 1 of the batch has 65536 bytes, the limit is 65535");
    assert_eq!(ledger.append(&[]).unwrap(), []);
    assert_eq!(verify_log(directory.path(), None).unwrap().size, 4);
}

#[test]
fn entries_are_found_by_their_digest_and_by_the_digests_in_them() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = open(directory.path());
    let image = Digest::sha256(b"an image");
    let mut batch = entries(0..300);
    batch[7] = format!("{{\"subject\":\"{image}\"}}").into_bytes();
    batch[290] = format!("\u{1}{}\u{2}", image.hex()).into_bytes();
    batch[291] = [b"\xff".as_slice(), image.hex().as_bytes()].concat();
    ledger.append(&batch).unwrap();
    assert_eq!(ledger.find(&image).unwrap(), [7, 290, 291]);
    assert_eq!(ledger.find(&Digest::sha256(&entry(42))).unwrap(), [42]);
    let leaf: Digest = format!("sha256:{}", NodeHash::of_leaf(&entry(43)).to_hex()).parse().unwrap();
    assert_eq!(ledger.find(&leaf).unwrap(), [43]);
    assert_eq!(ledger.find(&Digest::sha256(b"never seen")).unwrap(), [] as [u64; 0]);
}

#[test]
fn reading_starts_anywhere() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = open(directory.path());
    ledger.append(&entries(0..600)).unwrap();
    let read: Vec<_> = ledger.entries_from(254).unwrap().map(|item| item.unwrap().0).collect();
    assert_eq!(read, (254..600).collect::<Vec<_>>());
    let error = ledger.entry(600).unwrap_err();
    assert_eq!(error.to_string(), "there is no entry 600: the ledger has 600 entries");
    assert!(ledger.prove(u64::MAX).is_err());
    assert!(ledger.prove_consistency(601).is_err());
}

#[test]
fn a_ledger_opened_to_read_follows_one_that_grows() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = open(directory.path());
    writer.append(&entries(0..3)).unwrap();
    let mut reader = Ledger::open_read_only(directory.path()).unwrap();
    for (from, to) in [(3, 4), (4, 300), (300, 513)] {
        writer.append(&entries(from..to)).unwrap();
        // Without a refresh the reader still has what it saw, though the files it knew are gone.
        assert_eq!(reader.entries().filter(Result::is_ok).count() as u64, reader.size());
        let index = reader.size() - 1;
        let proof = reader.prove(index).unwrap();
        proof.verify(&entry(index), reader.verifier_key()).unwrap();
        reader.refresh().unwrap();
        assert_eq!(reader.size(), to);
    }
    assert!(matches!(reader.append(&entries(0..1)), Err(LedgerError::KeyMissing { .. })));
}

#[test]
fn the_key_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let key = directory.path().join("ledger.key");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&key), 0o600);
    for wrong in [0o640, 0o604, 0o660, 0o610] {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(wrong)).unwrap();
        let error = Ledger::open(directory.path(), ORIGIN, &mut entropy).unwrap_err();
        assert!(matches!(error, LedgerError::KeyPermissions { mode, .. } if mode == wrong), "{error}");
        assert!(error.to_string().contains("\nhint: chmod 600 "), "{error}");
    }
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o400)).unwrap();
    drop(open(directory.path()));
}

#[test]
fn a_ledger_keeps_its_key_and_name() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let mut never = |_: &mut [u8]| -> std::io::Result<()> { panic!("a key exists already") };
    let ledger = Ledger::open(directory.path(), "another.example/name", &mut never).unwrap();
    assert_eq!(ledger.origin(), ORIGIN);
}

#[test]
fn names_that_no_key_can_have_are_refused_before_anything_is_written() {
    for origin in ["", "a b", "a+b", "a\u{a0}b", "a\nb", "a\u{7f}", &"a".repeat(513)] {
        let directory = tempfile::tempdir().unwrap();
        let error = Ledger::open(directory.path(), origin, &mut entropy).unwrap_err();
        assert!(matches!(error, LedgerError::OriginInvalid { .. }), "{origin:?}: {error}");
        assert_eq!(crate::common::files(directory.path()).into_keys().collect::<Vec<_>>(), ["lock"]);
    }
}

#[test]
fn without_entropy_there_is_no_key() {
    let directory = tempfile::tempdir().unwrap();
    let mut broken = |_: &mut [u8]| Err(std::io::Error::other("no randomness"));
    let error = Ledger::open(directory.path(), ORIGIN, &mut broken).unwrap_err();
    assert!(matches!(error, LedgerError::Io { .. }), "{error}");
    assert!(!directory.path().join("ledger.key").exists());
}

#[test]
fn a_ledger_without_its_key_or_checkpoint_is_not_started_anew() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).append(&entries(0..2)).unwrap();
    let saved = std::fs::read(directory.path().join("checkpoint")).unwrap();
    std::fs::remove_file(directory.path().join("checkpoint")).unwrap();
    let error = Ledger::open(directory.path(), ORIGIN, &mut entropy).unwrap_err();
    assert!(matches!(error, LedgerError::CheckpointRemoved { .. }), "{error}");
    std::fs::write(directory.path().join("checkpoint"), saved).unwrap();
    std::fs::remove_file(directory.path().join("ledger.key")).unwrap();
    let error = Ledger::open(directory.path(), ORIGIN, &mut entropy).unwrap_err();
    assert!(matches!(error, LedgerError::KeyMissing { .. }), "{error}");
    // Reading and verifying need only the public key.
    assert_eq!(Ledger::open_read_only(directory.path()).unwrap().entry(1).unwrap(), entry(1));
    verify_log(directory.path(), None).unwrap();
    std::fs::remove_file(directory.path().join("ledger.pub")).unwrap();
    let error = verify_log(directory.path(), None).unwrap_err();
    assert!(matches!(error, LedgerError::PublicKeyMissing { .. }), "{error}");
}

#[test]
fn a_directory_without_a_ledger_is_said_to_be_one() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    for path in [directory.path(), &missing] {
        assert!(matches!(Ledger::open_read_only(path), Err(LedgerError::NotALedger { .. })));
        assert!(matches!(verify_log(path, None), Err(LedgerError::NotALedger { .. })));
    }
}

#[test]
fn a_ledger_that_was_set_back_is_not_appended_to() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = open(directory.path());
    ledger.append(&entries(0..2)).unwrap();
    let earlier = crate::common::files(directory.path());
    ledger.append(&entries(2..5)).unwrap();
    for (name, content) in earlier {
        std::fs::write(directory.path().join(name), content).unwrap();
    }
    let error = ledger.append(&entries(5..6)).unwrap_err();
    assert!(matches!(error, LedgerError::History { known_size: 5, size: 2, .. }), "{error}");
    assert!(ledger.refresh().is_err());
}

#[test]
fn nothing_is_signed_on_top_of_a_damaged_edge() {
    for name in ["tile/0/000.p/3", "tile/entries/000.p/3"] {
        let directory = tempfile::tempdir().unwrap();
        let mut ledger = open(directory.path());
        ledger.append(&entries(0..3)).unwrap();
        let path = directory.path().join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[20] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let before = std::fs::read(directory.path().join("checkpoint")).unwrap();
        let error = ledger.append(&entries(3..4)).unwrap_err();
        assert!(
            matches!(error, LedgerError::RootMismatch { .. } | LedgerError::EntryMismatch(_)),
            "{name}: {error}"
        );
        assert_eq!(std::fs::read(directory.path().join("checkpoint")).unwrap(), before);
    }
}

#[test]
fn files_that_are_not_of_the_ledger_are_listed_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).append(&entries(0..300)).unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    put("notes.txt", b"x");
    put("tile/9/000", b"x");
    put("tile/0/readme", b"x");
    put("tile/0/002", b"x");
    put("tile/0/001.p/44.tmp", b"x");
    let older = std::fs::read(directory.path().join("tile/0/001.p/44")).unwrap()[..64].to_vec();
    put("tile/0/001.p/2", &older);
    let report = verify_log(directory.path(), None).unwrap();
    let listed: Vec<_> = report.extras.iter().map(|extra| (extra.path.as_str(), extra.reason)).collect();
    assert_eq!(
        listed,
        [
            ("notes.txt", Extra::Unknown),
            ("tile/0/001.p/2", Extra::Superseded),
            ("tile/0/001.p/44.tmp", Extra::Temporary),
            ("tile/0/002", Extra::AheadOfCheckpoint),
            ("tile/0/readme", Extra::Unknown),
            ("tile/9/000", Extra::AheadOfCheckpoint),
        ]
    );
    // The next writer clears what a writer may have left, and nothing else.
    drop(open(directory.path()));
    let report = verify_log(directory.path(), None).unwrap();
    let left: Vec<_> = report.extras.iter().map(|extra| extra.path.as_str()).collect();
    assert_eq!(left, ["notes.txt", "tile/0/readme"]);
}

#[test]
fn an_older_version_of_a_file_must_agree_with_the_present_one() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).append(&entries(0..300)).unwrap();
    for (name, present, length) in
        [("tile/0/001.p/2", "tile/0/001.p/44", 64), ("tile/entries/001.p/2", "tile/entries/001.p/44", 34)]
    {
        let older = std::fs::read(directory.path().join(present)).unwrap()[..length].to_vec();
        let path = directory.path().join(name);
        for position in 0..length {
            let mut changed = older.clone();
            changed[position] ^= 0x80;
            std::fs::write(&path, &changed).unwrap();
            let error = verify_log(directory.path(), None).unwrap_err();
            let expected = 256 + (position * 2 / length) as u64;
            assert_eq!(error.entries(), Some((expected, expected)), "byte {position} of {name}: {error}");
        }
        std::fs::write(&path, &older[..length - 1]).unwrap();
        assert_eq!(verify_log(directory.path(), None).unwrap_err().entries(), Some((257, 257)));
        std::fs::write(&path, &older).unwrap();
        assert_eq!(verify_log(directory.path(), None).unwrap().extras.len(), 1);
        std::fs::remove_file(&path).unwrap();
    }
}
