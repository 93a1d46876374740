//! Feeds from servers on the loopback interface: Debian's archive, layouts below a URL, failures of servers.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use hullmark_advisory::{
    Database, FeedConfig, FeedOutcome, HttpFetcher, NoProgress, UpdateOptions, UpdateReport, config, update,
};
use hullmark_http::{Client, ClientOptions};
use hullmark_testkit::{Answer, FeedBuilder, Server, TarBuilder};
use hullmark_types::{Digest, RangeEvent};

const SUITE: &str = "dists/bookworm-security";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn ar(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, content) in members {
        out.extend_from_slice(
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", content.len()).as_bytes(),
        );
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(2), b'\n');
    }
    out
}

fn deb(data_name: &str, data: Vec<u8>) -> Vec<u8> {
    ar(&[("debian-binary", b"2.0\n".to_vec()), ("control.tar.xz", b"odd".to_vec()), (data_name, data)])
}

fn changelog(package: &str, entries: &[(&str, &str)]) -> Vec<u8> {
    let entry = |(version, text): &(&str, &str)| {
        format!(
            "{package} ({version}) bookworm-security; urgency=high\n\n  * {text}\n\n \
             -- A <a@example.org>  Sun, 06 Oct 2024 22:15:28 +0200\n\n"
        )
    };
    gzip(entries.iter().map(entry).collect::<String>().as_bytes())
}

/// The tar of a package with a changelog, and a file before it.
fn documented(package: &str, changelog: &[u8]) -> Vec<u8> {
    TarBuilder::new()
        .dir("./")
        .file("./usr/bin/tool", vec![7; 5000])
        .file(&format!("./usr/share/doc/{package}/changelog.Debian.gz"), changelog)
        .finish()
}

struct Binary {
    name: &'static str,
    stanza: &'static str,
    bytes: Vec<u8>,
}

fn archive() -> Vec<Binary> {
    let curl =
        changelog("curl", &[("7.88.1-10+deb12u8", "Fix CVE-2024-8096"), ("7.88.1-1", "CVE-2023-23914")]);
    let upstream = gzip(b"Changes in 1.0\n\n * fixed CVE-2001-0001\n");
    let native = TarBuilder::new()
        .file("usr/share/doc/native/changelog.gz", upstream)
        .file("usr/share/doc/native/changelog.Debian.gz", changelog("native", &[("2", "CVE-2024-0002")]))
        .finish();
    let link = TarBuilder::new().symlink("./usr/share/doc/curl", "libcurl4").finish();
    let binary = |name, stanza, bytes| Binary { name, stanza, bytes };
    vec![
        binary("curl", "Version: 7.88.1-10+deb12u8\n", deb("data.tar.gz", gzip(&link))),
        binary("curl-decoy", "Source: curl\nVersion: 7.88.1-10+deb12u8\n", deb("data.tar", vec![0; 9000])),
        binary("libcurl4", "Source: curl\nVersion: 7.88.1-10+deb12u8\n", {
            let mut data = documented("libcurl4", &curl);
            data.resize(data.len() + 20_000, 0);
            deb("data.tar", data)
        }),
        binary("native", "Version: 2\n", deb("data.tar.xz", xz(&native))),
        binary("rebuilt", "Source: origin (1-2)\nVersion: 1-2+b1\n", {
            let log = changelog("origin", &[("1-2", "CVE-2024-0003"), ("1-1", "CVE-2024-0003, half a fix")]);
            deb("data.tar.zst", zstd::encode_all(documented("rebuilt", &log).as_slice(), 1).unwrap())
        }),
    ]
}

/// Writes an archive below `root`; gives the path of each package.
fn write_archive(root: &Path, binaries: &[Binary]) {
    let write = |path: &str, bytes: &[u8]| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let mut packages = String::new();
    for Binary { name, stanza, bytes } in binaries {
        let digest = Digest::sha256(bytes);
        packages.push_str(&format!(
            "Package: {name}\n{stanza}Description: x\n more\nFilename: pool/{name}.deb\nSize: {}\nSHA256: {}\n\n",
            bytes.len(),
            digest.hex()
        ));
        write(&format!("pool/{name}.deb"), bytes);
    }
    let index = xz(packages.as_bytes());
    let release = format!(
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\nVersion: 12\nCodename: bookworm-security\n\
         Date: Sat, 21 Nov 2026 00:53:02 UTC\nValid-Until: Sat, 28 Nov 2026 00:53:02 UTC\nSHA256:\n {} {} \
         main/binary-amd64/Packages.xz\n-----BEGIN PGP SIGNATURE-----\n\nxxxx\n-----END PGP SIGNATURE-----\n",
        Digest::sha256(&index).hex(),
        index.len()
    );
    write(&format!("{SUITE}/main/binary-amd64/Packages.xz"), &index);
    write(&format!("{SUITE}/InRelease"), release.as_bytes());
}

fn feed(server: &Server) -> Vec<FeedConfig> {
    let text = format!(
        "[[feed]]\nname = \"debian-archive/bookworm-security\"\nkind = \"debian-archive\"\naddress = \"{}\"\n\
         suite = \"bookworm-security\"\n",
        server.url()
    );
    config::parse(&text).unwrap()
}

fn run(configs: &[FeedConfig], cache: Option<&Path>, now: &str) -> (Database, UpdateReport) {
    let options =
        ClientOptions { retries: 0, connect_timeout: Duration::from_secs(5), ..ClientOptions::default() };
    let options = UpdateOptions {
        fetcher: &HttpFetcher::new(Client::new(options).unwrap()),
        previous: None,
        now: now.parse().unwrap(),
        threads: 3,
        cache,
        progress: &NoProgress,
    };
    let (builder, report) = update(configs, &options).unwrap();
    let mut bytes = Vec::new();
    builder.write(&mut bytes).unwrap();
    (Database::from_bytes(bytes).unwrap(), report)
}

const NOW: &str = "2026-11-24T00:00:00Z";

fn fixes(database: &Database, name: &str) -> Vec<(String, String)> {
    let advisories = database.lookup("Debian:12", name).unwrap();
    let fix = |advisory: &hullmark_types::Advisory| match advisory.affected[0].ranges[0].events.as_slice() {
        [RangeEvent::Introduced(_), RangeEvent::Fixed(version)] => (advisory.id.clone(), version.clone()),
        other => panic!("{other:?}"),
    };
    advisories.iter().map(fix).collect()
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(id, version)| ((*id).to_owned(), (*version).to_owned())).collect()
}

#[test]
fn the_changelogs_of_an_archive_become_advisories() {
    let directory = tempfile::tempdir().unwrap();
    write_archive(directory.path(), &archive());
    let server = Server::files(directory.path().to_owned());
    let (database, report) = run(&feed(&server), None, NOW);
    assert_eq!(report.diagnostics, []);
    let status = &database.feeds()[0];
    assert_eq!((status.records, status.skipped), (4, 0));
    assert_eq!(status.ecosystems, ["Debian:12"]);
    assert_eq!(status.data_date, Some("2026-11-21T00:53:02Z".parse().unwrap()));
    let curl = [("CVE-2023-23914", "7.88.1-1"), ("CVE-2024-8096", "7.88.1-10+deb12u8")];
    assert_eq!(fixes(&database, "curl"), owned(&curl));
    assert_eq!(fixes(&database, "native"), owned(&[("CVE-2024-0002", "2")]));
    assert_eq!(fixes(&database, "origin"), owned(&[("CVE-2024-0003", "1-1")]), "the oldest entry counts");
    assert_eq!(fixes(&database, "rebuilt"), [], "advisories name the source package");
    let asked: Vec<_> = server.asked().into_iter().map(|asked| asked.path).collect();
    assert!(
        !asked.contains(&"/pool/curl-decoy.deb".to_owned()),
        "a link leads to the package that has it: {asked:?}"
    );
}

#[test]
fn what_was_read_once_is_not_fetched_again() {
    let directory = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    write_archive(directory.path(), &archive());
    let server = Server::files(directory.path().to_owned());
    let (first, _) = run(&feed(&server), Some(cache.path()), NOW);
    let before = server.asked().len();
    let (second, report) = run(&feed(&server), Some(cache.path()), NOW);
    assert_eq!(first.digest(), second.digest());
    assert_eq!(report.diagnostics, []);
    assert_eq!(server.asked().len() - before, 2, "the release file and the index");

    let file = std::fs::read_dir(cache.path()).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, b"{damaged").unwrap();
    let (third, _) = run(&feed(&server), Some(cache.path()), NOW);
    assert_eq!(first.digest(), third.digest(), "a damaged cache is read anew");
}

#[test]
fn packages_that_are_not_what_the_index_says_are_left_out_and_named() {
    let directory = tempfile::tempdir().unwrap();
    write_archive(directory.path(), &archive());
    let other = deb("data.tar", documented("native", &changelog("native", &[("2", "CVE-2024-9999")])));
    std::fs::write(directory.path().join("pool/native.deb"), other).unwrap();
    let cut = std::fs::read(directory.path().join("pool/rebuilt.deb")).unwrap();
    std::fs::write(directory.path().join("pool/rebuilt.deb"), &cut[..cut.len() / 2]).unwrap();
    let server = Server::files(directory.path().to_owned());
    let (database, report) = run(&feed(&server), None, NOW);
    assert_eq!((database.feeds()[0].records, database.feeds()[0].skipped), (2, 2));
    assert_eq!(fixes(&database, "native"), []);
    let paths: Vec<_> = report.diagnostics.iter().map(|diagnostic| diagnostic.path.as_str()).collect();
    assert_eq!(paths, ["native 2", "origin 1-2"], "{report:?}");
}

#[test]
fn an_index_that_is_not_what_the_release_file_says_fails_the_feed() {
    let directory = tempfile::tempdir().unwrap();
    write_archive(directory.path(), &archive());
    std::fs::write(directory.path().join(SUITE).join("main/binary-amd64/Packages.xz"), xz(b"")).unwrap();
    let server = Server::files(directory.path().to_owned());
    let (_, report) = run(&feed(&server), None, NOW);
    let FeedOutcome::Failed { reason, host } = &report.feeds[0].outcome else { panic!("{report:?}") };
    assert!(reason.contains("Packages.xz is not what") && reason.contains("sha256:"), "{reason}");
    assert_eq!(host.as_deref(), Some(server.host().as_str()));
}

#[test]
fn an_expired_release_file_is_said() {
    let directory = tempfile::tempdir().unwrap();
    write_archive(directory.path(), &archive());
    let server = Server::files(directory.path().to_owned());
    let (_, report) = run(&feed(&server), None, "2027-01-01T00:00:00Z");
    let codes: Vec<_> = report.diagnostics.iter().map(|diagnostic| diagnostic.code.as_str()).collect();
    assert_eq!(codes, ["expired-release-file"]);
}

#[test]
fn a_layout_below_a_url_is_read_and_what_it_lacks_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let record =
        serde_json::json!({"id": "PYSEC-1", "affected": [{"package": {"ecosystem": "PyPI", "name": "a"}}]});
    let _ = FeedBuilder::new(directory.path())
        .osv("PyPI", &[record])
        .alpine("v3.7", "main", &[("musl", "1.1.18-r4", &["CVE-2019-14697"])])
        .kev(&["CVE-2019-14697"]);
    let server = Server::files(directory.path().to_owned());
    let (remote, report) = run(&config::layout(&server.url()).unwrap(), None, NOW);
    for feed in &report.feeds {
        let offered = ["osv/PyPI", "alpine/v3.7/main", "kev"].contains(&feed.name.as_str());
        let expected = if offered {
            matches!(&feed.outcome, FeedOutcome::Updated { .. })
        } else {
            feed.outcome == FeedOutcome::NotOffered
        };
        assert!(expected, "{feed:?}");
    }
    let (local, _) = run(&config::layout(directory.path().to_str().unwrap()).unwrap(), None, NOW);
    assert_eq!(remote.lookup("PyPI", "a").unwrap(), local.lookup("PyPI", "a").unwrap());
    assert_eq!(remote.record_count(), local.record_count());
    let alpine = remote.feeds().iter().find(|feed| feed.name == "alpine/v3.7/main").unwrap();
    assert_eq!(alpine.data_date, Some("2026-01-01T00:00:00Z".parse().unwrap()), "from Last-Modified");
}

#[test]
fn failures_of_servers_name_the_host_and_the_cause() {
    let reason = |server: &Server| {
        let mut configs = config::layout(&server.url()).unwrap();
        configs.retain(|config| config.name == "kev");
        let (_, report) = run(&configs, None, NOW);
        let FeedOutcome::Failed { reason, host } = report.feeds[0].outcome.clone() else {
            panic!("{report:?}")
        };
        assert_eq!(host.as_deref(), Some(server.host().as_str()));
        reason
    };
    assert!(reason(&Server::new(|_| Answer::new(503, "busy"))).contains("status 503"));
    assert!(reason(&Server::new(|_| Answer::new(200, "<html>"))).contains("line 1 column 1"));
    let cut = Server::new(|_| Answer { cut: Some(3), ..Answer::new(200, "{\"vulnerabilities\": []}") });
    assert!(reason(&cut).contains("could not be read to its end"));
    let unreachable = FeedConfig {
        address: "http://127.0.0.1:1/kev.json".to_owned(),
        ..config::layout("http://127.0.0.1:1")
            .unwrap()
            .into_iter()
            .find(|config| config.name == "kev")
            .unwrap()
    };
    let (_, report) = run(&[unreachable], None, NOW);
    let FeedOutcome::Failed { reason, host } = &report.feeds[0].outcome else { panic!("{report:?}") };
    assert!(reason.contains("127.0.0.1") && reason.contains("refused"), "{reason}");
    assert_eq!(host.as_deref(), Some("127.0.0.1:1"));
}
