//! The database file: what goes in comes out, the same input gives the same bytes, damage is named and never silent.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use hullmark_advisory::{Builder, Database, DatabaseError, FeedData};
use hullmark_types::{
    Advisory, AdvisoryKind, Affected, Digest, FeedStatus, KnownExploited, RangeEvent, RangeKind, VersionRange,
};
use jiff::Timestamp;
use proptest::prelude::*;

fn affected(ecosystem: &str, name: &str, fixed: &str) -> Affected {
    let events = vec![RangeEvent::Introduced("0".to_owned()), RangeEvent::Fixed(fixed.to_owned())];
    Affected {
        ecosystem: ecosystem.to_owned(),
        name: name.to_owned(),
        ranges: vec![VersionRange { kind: RangeKind::Ecosystem, events }],
        ..Affected::default()
    }
}

fn advisory(id: &str, feed: &str, aliases: &[&str], affected: Vec<Affected>) -> Advisory {
    Advisory {
        id: id.to_owned(),
        feed: feed.to_owned(),
        kind: AdvisoryKind::Vulnerability,
        aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
        affected,
        ..Advisory::default()
    }
}

fn feed(name: &str, ecosystems: &[&str], advisories: Vec<Advisory>) -> FeedData {
    FeedData {
        status: FeedStatus {
            name: name.to_owned(),
            address: format!("https://feeds.example/{name}"),
            ecosystems: ecosystems.iter().map(|ecosystem| (*ecosystem).to_owned()).collect(),
            digest: Digest::sha256(name.as_bytes()),
            data_date: Some(time("2024-01-02T03:04:05Z")),
            fetched: None,
            records: advisories.len() as u64,
            skipped: 0,
        },
        advisories,
        exploited: Vec::new(),
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn sample() -> Vec<FeedData> {
    let mut many: Vec<Advisory> = (0..3000)
        .map(|number| {
            let name = format!("package{}", number % 700);
            advisory(
                &format!("CVE-2020-{number:05}"),
                "alpine/v3.7/main",
                &[],
                vec![affected("Alpine:v3.7", &name, &format!("1.{number}-r0"))],
            )
        })
        .collect();
    many.push(advisory(
        "CVE-2023-43804",
        "alpine/v3.7/main",
        &[],
        vec![affected("Alpine:v3.7", "py-urllib3", "1-r0")],
    ));
    let python = vec![
        advisory(
            "PYSEC-2023-192",
            "osv/PyPI",
            &["CVE-2023-43804", "GHSA-v845-jxx5-vc9f"],
            vec![affected("PyPI", "urllib3", "1.26.17"), affected("PyPI", "urllib3-fork", "2")],
        ),
        advisory("PYSEC-2023-1", "osv/PyPI", &[], vec![affected("PyPI", "urllib3", "1")]),
    ];
    let mut exploited = feed("kev", &[], Vec::new());
    exploited.exploited = vec![KnownExploited {
        cve: "CVE-2023-43804".to_owned(),
        date_added: "2024-02-03".to_owned(),
        due_date: None,
        ransomware: true,
    }];
    vec![feed("alpine/v3.7/main", &["Alpine:v3.7"], many), feed("osv/PyPI", &["PyPI"], python), exploited]
}

fn build(feeds: Vec<FeedData>) -> Vec<u8> {
    let mut builder = Builder::new(time("2024-03-04T00:00:00Z"));
    for feed in feeds {
        assert_eq!(builder.add(feed), []);
    }
    let mut bytes = Vec::new();
    builder.write(&mut bytes).unwrap();
    bytes
}

fn ids(advisories: &[Advisory]) -> Vec<&str> {
    advisories.iter().map(|advisory| advisory.id.as_str()).collect()
}

#[test]
fn what_goes_in_comes_out() {
    let database = Database::from_bytes(build(sample())).unwrap();
    database.verify().unwrap();
    assert_eq!(database.record_count(), 3003);
    assert_eq!(database.built_at(), time("2024-03-04T00:00:00Z"));
    let names: Vec<_> = database.feeds().iter().map(|feed| feed.name.as_str()).collect();
    assert_eq!(names, ["alpine/v3.7/main", "kev", "osv/PyPI"]);

    let mut expected: Vec<Advisory> = sample().into_iter().flat_map(|feed| feed.advisories).collect();
    let mut found: Vec<Advisory> = database.records().map(Result::unwrap).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn packages_are_found_by_ecosystem_and_name() {
    let database = Database::from_bytes(build(sample())).unwrap();
    let found = database.lookup("PyPI", "urllib3").unwrap();
    assert_eq!(ids(&found), ["PYSEC-2023-1", "PYSEC-2023-192"]);
    assert!(
        found.iter().all(|advisory| advisory.affected.len() == 1),
        "entries of other packages are left out"
    );
    for number in 0..700_usize {
        let found = database.lookup("Alpine:v3.7", &format!("package{number}")).unwrap();
        assert_eq!(found.len(), (3000_usize - number).div_ceil(700), "package{number}");
    }
    for (ecosystem, name) in [("PyPI", "urllib"), ("npm", "urllib3"), ("PyPI\0urllib3", ""), ("", "")] {
        assert_eq!(database.lookup(ecosystem, name).unwrap(), [], "{ecosystem} {name}");
    }
}

#[test]
fn ids_and_aliases_lead_to_all_records_and_to_those_that_tell_more() {
    let database = Database::from_bytes(build(sample())).unwrap();
    assert_eq!(ids(&database.by_id("CVE-2023-43804").unwrap()), ["CVE-2023-43804", "PYSEC-2023-192"]);
    let related = database.related("CVE-2023-43804").unwrap();
    assert_eq!(ids(&related), ["PYSEC-2023-192"]);
    assert_eq!(related[0].affected.len(), 2, "the whole record");
    assert!(database.related("CVE-2020-00001").unwrap().is_empty());
    assert!(database.by_id("CVE-1999-0001").unwrap().is_empty());
    assert!(database.known_exploited("CVE-2023-43804").unwrap().unwrap().ransomware);
    assert_eq!(database.known_exploited("CVE-2020-00001").unwrap(), None);
}

#[test]
fn coverage_is_by_ecosystem() {
    let database = Database::from_bytes(build(sample())).unwrap();
    assert!(database.covers("Alpine:v3.7"));
    for ecosystem in ["Alpine:v3.18", "Alpine", "kev", ""] {
        assert!(!database.covers(ecosystem), "{ecosystem}");
    }
}

#[test]
fn the_order_of_feeds_and_advisories_does_not_change_the_bytes() {
    let mut reversed = sample();
    reversed.reverse();
    for feed in &mut reversed {
        feed.advisories.reverse();
    }
    assert!(build(sample()) == build(reversed));
}

#[test]
fn an_empty_database_is_a_database() {
    let database = Database::from_bytes(build(Vec::new())).unwrap();
    database.verify().unwrap();
    assert_eq!(database.lookup("PyPI", "urllib3").unwrap(), []);
    assert_eq!(database.records().count(), 0);
}

#[test]
fn a_file_is_replaced_as_a_whole_while_a_reader_keeps_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sub/advisories.db");
    Builder::new(time("2024-01-01T00:00:00Z")).write_atomically(&path).unwrap();
    let old = Database::open(&path).unwrap();
    let mut builder = Builder::new(time("2024-01-02T00:00:00Z"));
    for feed in sample() {
        builder.add(feed);
    }
    let digest = builder.write_atomically(&path).unwrap();
    let new = Database::open(&path).unwrap();
    assert_eq!(new.digest(), &digest);
    assert_eq!(new.record_count(), 3003);
    old.verify().unwrap();
    assert_eq!(old.record_count(), 0);
    let left: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "no temporary file stays behind: {left:?}");
}

#[test]
fn two_writers_at_once_leave_one_whole_file_and_no_reader_sees_less() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("advisories.db");
    Builder::new(time("2024-01-01T00:00:00Z")).write_atomically(&path).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let mut builder = Builder::new(time("2024-01-02T00:00:00Z"));
                    for feed in sample() {
                        builder.add(feed);
                    }
                    builder.write_atomically(&path).unwrap();
                }
            });
        }
        for _ in 0..50 {
            Database::open(&path).unwrap().verify().unwrap();
        }
    });
    assert_eq!(Database::open(&path).unwrap().record_count(), 3003);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn other_files_and_versions_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("advisories.db");
    let message = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        Database::open(&path).unwrap_err().to_string()
    };
    assert!(message(b"SQLite format 3\0").contains("not an advisory database"));
    assert!(message(b"").contains("not an advisory database"));
    let mut bytes = build(sample());
    bytes[8] = 9;
    let found = message(&bytes);
    assert!(found.contains("format version 9") && found.contains("advisories.db"), "{found}");
    assert!(matches!(Database::open(&directory.path().join("absent")), Err(DatabaseError::Open { .. })));
}

#[test]
fn damage_is_placed() {
    let mut bytes = build(sample());
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let database = Database::from_bytes(bytes).unwrap();
    let error = database.verify().unwrap_err().to_string();
    assert!(error.contains("records at offset"), "{error}");
    let error = database.lookup("PyPI", "urllib3").unwrap_err().to_string();
    assert!(error.contains("records at offset") && error.contains("checksum"), "{error}");
}

/// Every answer of a database, or the error that stands for it.
fn ask_everything(bytes: Vec<u8>) -> Result<Vec<Vec<Advisory>>, DatabaseError> {
    let database = Database::from_bytes(bytes)?;
    let mut answers = vec![
        database.lookup("PyPI", "urllib3")?,
        database.lookup("Alpine:v3.7", "package3")?,
        database.lookup("Alpine:v3.7", "package699")?,
        database.by_id("CVE-2023-43804")?,
        database.related("GHSA-v845-jxx5-vc9f")?,
    ];
    database.known_exploited("CVE-2023-43804")?;
    answers.push(database.records().collect::<Result<_, _>>()?);
    Ok(answers)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// A flipped byte gives the true answers (the byte was not needed for them) or an error, never other answers.
    #[test]
    fn a_flipped_byte_never_changes_an_answer(place in any::<prop::sample::Index>(), flip in 1_u8..=255) {
        let mut bytes = small();
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        if let Ok(answers) = ask_everything(bytes.clone()) {
            prop_assert!(answers == ask_everything(small()).unwrap(), "byte {place}");
        }
        prop_assert!(Database::from_bytes(bytes).and_then(|database| database.verify()).is_err(), "byte {place}");
    }

    #[test]
    fn a_cut_file_is_refused(place in any::<prop::sample::Index>()) {
        let bytes = small();
        let length = place.index(bytes.len());
        prop_assert!(Database::from_bytes(bytes[..length].to_vec()).is_err());
    }

    /// Damage that comes with matching digests (a hostile file) may give wrong answers, but never a panic.
    #[test]
    fn a_forged_file_never_panics(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = small();
        for (place, value) in edits {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        repair_digests(&mut bytes);
        let _ = ask_everything(bytes);
    }
}

/// Makes the digests of the header match the sections again, as far as the header still places them.
fn repair_digests(bytes: &mut [u8]) {
    for section in 0..9 {
        let at = 16 + section * 56;
        let number =
            |from: usize| usize::try_from(u64::from_le_bytes(bytes[from..from + 8].try_into().unwrap()));
        let (Ok(offset), Ok(length)) = (number(at + 8), number(at + 16)) else { continue };
        let Some(content) = offset.checked_add(length).and_then(|end| bytes.get(offset..end)) else {
            continue;
        };
        let digest = Digest::sha256(content);
        for (index, pair) in digest.hex().as_bytes().chunks(2).enumerate() {
            let text = std::str::from_utf8(pair).unwrap();
            bytes[at + 24 + index] = u8::from_str_radix(text, 16).unwrap();
        }
    }
}

/// A database small enough to be built for each case.
fn small() -> Vec<u8> {
    let mut feeds = sample();
    feeds[0].advisories.retain(|advisory| {
        advisory
            .affected
            .iter()
            .any(|affected| ["package3", "package699", "py-urllib3"].contains(&affected.name.as_str()))
    });
    build(feeds)
}
