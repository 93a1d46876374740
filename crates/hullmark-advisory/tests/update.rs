//! Updates: every feed is tried, what fails keeps its records, and the result depends on the data alone.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::sync::Mutex;

use hullmark_advisory::{
    Database, FeedConfig, FeedOutcome, FeedReport, Fetch, FetchError, Fetched, UpdateOptions, UpdateProgress,
    UpdateReport, update,
};

/// Addresses and their bytes; what is not here is unreachable, what is empty does not exist.
#[derive(Default, Clone)]
struct Servers(BTreeMap<String, Vec<u8>>);

impl Fetch for Servers {
    fn fetch(&self, address: &str) -> Result<Fetched, FetchError> {
        match self.0.get(address) {
            Some(bytes) if bytes.is_empty() => Err(FetchError::NotFound { address: address.to_owned() }),
            Some(bytes) => Ok(Fetched {
                body: Box::new(Cursor::new(bytes.clone())) as Box<dyn Read + Send>,
                length: Some(bytes.len() as u64),
                last_modified: Some("2024-01-01T00:00:00Z".parse().unwrap()),
                remote: true,
            }),
            None => Err(FetchError::Remote {
                address: address.to_owned(),
                host: "feeds.example".to_owned(),
                source: "connection refused".into(),
            }),
        }
    }
}

fn zip(records: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, record) in records {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(record.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

const PYPI: &str = "https://feeds.example/osv/PyPI/all.zip";
const ALPINE: &str = "https://feeds.example/alpine/v3.7/main.json";
const KEV: &str = "https://feeds.example/kev.json";

fn servers() -> Servers {
    let record = r#"{"id": "PYSEC-1", "aliases": ["CVE-2024-1000"], "modified": "2024-02-03T00:00:00Z",
        "affected": [{"package": {"ecosystem": "PyPI", "name": "Flask_Thing"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2"}]}]},
        {"package": {"ecosystem": "npm", "name": "flask"}}]}"#;
    let secdb = r#"{"packages": [{"pkg": {"name": "musl", "secfixes": {"1.1.18-r4": ["CVE-2019-14697"]}}}]}"#;
    let kev = r#"{"dateReleased": "2024-03-01T00:00:00Z",
        "vulnerabilities": [{"cveID": "CVE-2024-1000", "dateAdded": "2024-02-29"}]}"#;
    Servers(BTreeMap::from([
        (PYPI.to_owned(), zip(&[("PYSEC-1.json", record), ("PYSEC-2.json", "{broken")])),
        (ALPINE.to_owned(), secdb.into()),
        (KEV.to_owned(), kev.into()),
    ]))
}

fn feeds() -> Vec<FeedConfig> {
    let text = format!(
        "[[feed]]\nname = \"osv/PyPI\"\nkind = \"osv\"\naddress = \"{PYPI}\"\necosystem = \"PyPI\"\n\
         [[feed]]\nname = \"alpine/v3.7/main\"\nkind = \"secdb\"\naddress = \"{ALPINE}\"\necosystem = \"Alpine:v3.7\"\n\
         [[feed]]\nname = \"kev\"\nkind = \"kev\"\naddress = \"{KEV}\"\n"
    );
    hullmark_advisory::config::parse(&text).unwrap()
}

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl UpdateProgress for Heard {
    fn finished(&self, report: &FeedReport) {
        self.0.lock().unwrap().push(report.name.clone());
    }
}

fn run(
    servers: &Servers,
    feeds: &[FeedConfig],
    previous: Option<&Database>,
    now: &str,
) -> (Database, UpdateReport) {
    let heard = Heard::default();
    let options = UpdateOptions {
        fetcher: servers,
        previous,
        now: now.parse().unwrap(),
        threads: 4,
        cache: None,
        progress: &heard,
    };
    let (builder, report) = update(feeds, &options).unwrap();
    assert_eq!(heard.0.lock().unwrap().len(), feeds.len(), "every feed is reported when it ends");
    let mut bytes = Vec::new();
    builder.write(&mut bytes).unwrap();
    (Database::from_bytes(bytes).unwrap(), report)
}

fn outcome<'report>(report: &'report UpdateReport, name: &str) -> &'report FeedOutcome {
    &report.feeds.iter().find(|feed| feed.name == name).unwrap().outcome
}

#[test]
fn feeds_become_a_database() {
    let (database, report) = run(&servers(), &feeds(), None, "2024-05-01T00:00:00Z");
    let FeedOutcome::Updated { status } = outcome(&report, "osv/PyPI") else { panic!("{report:?}") };
    assert_eq!((status.records, status.skipped), (1, 1));
    assert_eq!(status.data_date, Some("2024-02-03T00:00:00Z".parse().unwrap()));
    assert_eq!(status.fetched, Some("2024-05-01T00:00:00Z".parse().unwrap()));
    assert_eq!(status.ecosystems, ["PyPI"], "one record of npm does not make a feed of npm");
    assert_eq!(report.diagnostics.len(), 1);
    assert_eq!(report.diagnostics[0].path, format!("{PYPI}!PYSEC-2.json"));
    assert!(report.is_any_updated());

    let found = database.lookup("PyPI", "flask-thing").unwrap();
    assert_eq!((found.len(), found[0].feed.as_str()), (1, "osv/PyPI"));
    assert_eq!(database.lookup("Alpine:v3.7", "musl").unwrap().len(), 1);
    assert!(database.known_exploited("CVE-2024-1000").unwrap().is_some());
    let alpine = database.feeds().iter().find(|feed| feed.name.starts_with("alpine")).unwrap();
    assert_eq!(alpine.data_date, Some("2024-01-01T00:00:00Z".parse().unwrap()), "from Last-Modified");
}

#[test]
fn a_feed_that_fails_keeps_its_records_and_says_why() {
    let (first, _) = run(&servers(), &feeds(), None, "2024-05-01T00:00:00Z");
    let mut broken = servers();
    broken.0.remove(PYPI);
    broken.0.insert(KEV.to_owned(), b"<html>maintenance</html>".to_vec());
    let (second, report) = run(&broken, &feeds(), Some(&first), "2024-06-01T00:00:00Z");

    let FeedOutcome::KeptPrevious { reason, host, status } = outcome(&report, "osv/PyPI") else {
        panic!("{report:?}")
    };
    assert!(reason.contains("connection refused"), "{reason}");
    assert_eq!(host.as_deref(), Some("feeds.example"));
    assert_eq!(status.fetched, Some("2024-05-01T00:00:00Z".parse().unwrap()), "the old date stays");
    let FeedOutcome::KeptPrevious { reason, .. } = outcome(&report, "kev") else { panic!("{report:?}") };
    assert!(reason.contains("line 1 column 1") && reason.contains(KEV), "{reason}");
    assert!(matches!(outcome(&report, "alpine/v3.7/main"), FeedOutcome::Updated { .. }));

    for (ecosystem, name) in [("PyPI", "flask-thing"), ("Alpine:v3.7", "musl")] {
        assert_eq!(second.lookup(ecosystem, name).unwrap(), first.lookup(ecosystem, name).unwrap());
    }
    assert!(second.known_exploited("CVE-2024-1000").unwrap().is_some());
    assert_eq!(second.feeds().len(), 3);
}

#[test]
fn without_earlier_records_a_failure_is_a_failure() {
    let (database, report) = run(&Servers::default(), &feeds(), None, "2024-05-01T00:00:00Z");
    assert!(report.feeds.iter().all(|feed| matches!(feed.outcome, FeedOutcome::Failed { .. })), "{report:?}");
    assert!(!report.is_any_updated() && !database.covers("PyPI"));
}

#[test]
fn what_a_place_need_not_offer_is_no_failure_but_is_said() {
    let mut servers = servers();
    servers.0.insert(KEV.to_owned(), Vec::new());
    let mut configs = feeds();
    let (_, report) = run(&servers, &configs, None, "2024-05-01T00:00:00Z");
    assert!(matches!(outcome(&report, "kev"), FeedOutcome::Failed { .. }));
    configs.iter_mut().for_each(|config| config.optional = true);
    let (_, report) = run(&servers, &configs, None, "2024-05-01T00:00:00Z");
    assert_eq!(outcome(&report, "kev"), &FeedOutcome::NotOffered);
}

#[test]
fn a_zip_of_which_nothing_can_be_read_does_not_replace_what_was_known() {
    let (first, _) = run(&servers(), &feeds(), None, "2024-05-01T00:00:00Z");
    let mut broken = servers();
    broken.0.insert(PYPI.to_owned(), zip(&[("PYSEC-1.json", "{"), ("PYSEC-2.json", "{")]));
    let (second, report) = run(&broken, &feeds(), Some(&first), "2024-06-01T00:00:00Z");
    assert!(matches!(outcome(&report, "osv/PyPI"), FeedOutcome::KeptPrevious { .. }));
    assert_eq!(second.lookup("PyPI", "flask-thing").unwrap().len(), 1);
}

#[test]
fn the_order_of_the_configuration_does_not_change_the_database() {
    let mut reversed = feeds();
    reversed.reverse();
    let (first, first_report) = run(&servers(), &feeds(), None, "2024-05-01T00:00:00Z");
    let (second, second_report) = run(&servers(), &reversed, None, "2024-05-01T00:00:00Z");
    assert_eq!((first.digest(), first_report), (second.digest(), second_report));
}

#[test]
fn dates_in_the_future_do_not_make_a_feed_young() {
    let (database, _) = run(&servers(), &feeds(), None, "2024-02-01T00:00:00Z");
    let python = database.feeds().iter().find(|feed| feed.name == "osv/PyPI").unwrap();
    assert_eq!(python.data_date, Some("2024-01-01T00:00:00Z".parse().unwrap()));
}
