//! A database of real advisory data, where it is at hand beside the project.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use hullmark_advisory::{
    Builder, Database, FeedOutcome, LocalFetcher, NoProgress, UpdateOptions, UpdateReport, config, update,
};
use hullmark_types::RangeEvent;

fn shared_feeds() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/feeds");
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: ../shared is absent");
    None
}

fn read(base: &Path, threads: usize) -> (Builder, UpdateReport) {
    let options = UpdateOptions {
        fetcher: &LocalFetcher,
        previous: None,
        now: "2100-01-01T00:00:00Z".parse().unwrap(),
        threads,
        cache: None,
        progress: &NoProgress,
    };
    update(&config::layout(base.to_str().unwrap()).unwrap(), &options).unwrap()
}

#[test]
fn real_feeds_make_a_database_that_answers() {
    let Some(base) = shared_feeds() else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("advisories.db");
    let begun = Instant::now();
    let (builder, report) = read(&base, 2);
    println!("read in {:?}", begun.elapsed());
    let digest = builder.write_atomically(&path).unwrap();
    println!("built in {:?}, {} bytes", begun.elapsed(), std::fs::metadata(&path).unwrap().len());

    for feed in &report.feeds {
        let FeedOutcome::Updated { status } = &feed.outcome else { panic!("{feed:?}") };
        println!(
            "{}: {} records, {} skipped, {:?}",
            feed.name, status.records, status.skipped, status.data_date
        );
        assert!(status.data_date.is_some(), "{}", feed.name);
    }
    let status = |name: &str| match &report.feeds.iter().find(|feed| feed.name == name).unwrap().outcome {
        FeedOutcome::Updated { status } => status.clone(),
        other => panic!("{other:?}"),
    };
    for (name, records) in [
        ("osv/PyPI", 2651),
        ("osv/Go", 4274),
        ("osv/crates.io", 705),
        ("osv/npm", 462),
        ("osv/Debian:11", 410),
        ("osv/AlmaLinux:9", 1783),
        ("kev", 1404),
    ] {
        assert_eq!((status(name).records, status(name).skipped), (records, 0), "{name}");
    }
    assert_eq!(status("osv/AlmaLinux:9").ecosystems, ["AlmaLinux:9"]);
    assert_eq!(report.diagnostics, [], "nothing in these feeds is unreadable");

    let begun = Instant::now();
    let database = Database::open(&path).unwrap();
    println!("opened in {:?}", begun.elapsed());
    assert_eq!(database.digest(), &digest);
    let begun = Instant::now();
    let musl = database.lookup("Alpine:v3.7", "musl").unwrap();
    println!("looked up in {:?}", begun.elapsed());
    let found = musl.iter().find(|advisory| advisory.id == "CVE-2019-14697").unwrap();
    assert!(found.affected[0].ranges[0].events.contains(&RangeEvent::Fixed("1.1.18-r4".to_owned())));

    let urllib3 = database.lookup("PyPI", "urllib3").unwrap();
    let found = urllib3.iter().find(|advisory| advisory.id == "PYSEC-2023-192").unwrap();
    assert!(found.aliases.contains(&"CVE-2023-43804".to_owned()));
    assert!(
        database.related("CVE-2023-43804").unwrap().iter().any(|advisory| advisory.id == "PYSEC-2023-192")
    );
    assert!(database.covers("Alpine:v3.11") && database.covers("Wolfi") && !database.covers("Alpine:v3.18"));
    assert!(database.known_exploited("CVE-2021-44228").unwrap().unwrap().ransomware);

    let begun = Instant::now();
    let mut names: Vec<(String, String)> = Vec::new();
    for advisory in database.records() {
        let affected = advisory.unwrap().affected.into_iter();
        names.extend(affected.map(|affected| (affected.ecosystem, affected.name)));
    }
    println!("read all {} records in {:?}", database.record_count(), begun.elapsed());
    names.sort_unstable();
    names.dedup();
    let (begun, mut found) = (Instant::now(), 0);
    for (ecosystem, name) in names.iter().step_by(23) {
        let advisories = database.lookup(ecosystem, name).unwrap();
        assert!(!advisories.is_empty(), "{ecosystem} {name}");
        found += advisories.len();
    }
    println!("{} lookups, {found} advisories in {:?}", names.len().div_ceil(23), begun.elapsed());
    let begun = Instant::now();
    database.verify().unwrap();
    println!("verified in {:?}", begun.elapsed());

    let (mut one_thread, mut two_threads) = (Vec::new(), Vec::new());
    read(&base, 1).0.write(&mut one_thread).unwrap();
    read(&base, 2).0.write(&mut two_threads).unwrap();
    assert!(one_thread == two_threads, "the number of threads changes the bytes");
}
