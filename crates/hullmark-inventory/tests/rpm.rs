//! The databases of rpm: each store read whole, the same as rpm itself lists, and survived when it is damaged.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use hullmark_inventory::extractors::rpm::parse;
use hullmark_inventory::{Extraction, MAX_OWNED_BYTES, OpenFile};
use hullmark_testkit::{RpmHeader, rpm_berkeley, rpm_ndb, rpm_sqlite, rpm_tag};
use proptest::prelude::*;

/// A store: where it is, what rpm calls it, and bytes.
struct Store {
    name: String,
    path: &'static str,
    backend: &'static str,
    bytes: Vec<u8>,
}

/// The same packages in each store, with small and large pages, of either byte order.
fn stores(headers: &[Vec<u8>]) -> Vec<Store> {
    let store = |name: String, path, backend, bytes| Store { name, path, backend, bytes };
    let mut stores =
        vec![store("NDB".to_owned(), "usr/lib/sysimage/rpm/Packages.db", "ndb", rpm_ndb(headers))];
    for page in [512, 4096, 65_536] {
        for big_endian in [false, true] {
            let name = format!("Berkeley DB, pages of {page}, big-endian: {big_endian}");
            let bytes = rpm_berkeley(headers, page, big_endian);
            stores.push(store(name, "var/lib/rpm/Packages", "bdb_ro", bytes));
        }
        let name = format!("SQLite, pages of {page}");
        stores.push(store(name, "var/lib/rpm/rpmdb.sqlite", "sqlite", rpm_sqlite(headers, page)));
    }
    stores
}

fn read(store: &Store) -> Extraction {
    parse(&OpenFile { path: store.path, bytes: &store.bytes })
}

/// A signature of version 4 by RSA and SHA-256: when it was made is signed, who made it is not.
const SIGNATURE: &[u8] = &[
    0x88, 29, 4, 0, 1, 8, 0, 6, 5, 2, 0x5e, 0, 0, 0, 0, 10, 9, 16, 0x19, 0x9e, 0x2f, 0x91, 0xfd, 0x43, 0x1d,
    0x51, 0xab, 0xcd, 0, 8, 0xff,
];

/// Packages with all there is, some larger than any page.
fn packages() -> Vec<Vec<u8>> {
    let plain = RpmHeader::new("bash", "5.1.8", "6.el9", "x86_64")
        .text(rpm_tag::SOURCERPM, "bash-5.1.8-6.el9.src.rpm")
        .text(rpm_tag::VENDOR, "Red Hat, Inc.")
        .data(rpm_tag::LICENSE, 6, 1, b"GPLv3+\0")
        .text(rpm_tag::MODULARITYLABEL, "")
        .binary(rpm_tag::SIGMD5, &[0xab; 16])
        .binary(rpm_tag::RSAHEADER, SIGNATURE)
        .texts(rpm_tag::PAYLOADDIGEST, &["00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"])
        .numbers(rpm_tag::PAYLOADDIGESTALGO, &[8])
        .files(&["/usr/bin/bash", "/usr/bin/sh", "/etc/skel", "/"]);
    let module = RpmHeader::new("nodejs", "18.1.0", "3.module+el8", "x86_64")
        .numbers(rpm_tag::EPOCH, &[1])
        .text(rpm_tag::SOURCERPM, "nodejs-18.1.0-3.module+el8.src.rpm")
        .text(rpm_tag::MODULARITYLABEL, "nodejs:18:8060020220523160029:ad008a3a");
    let key = RpmHeader::new("gpg-pubkey", "fd431d51", "4ae0493b", "(none)");
    let mut headers = vec![plain.bytes(), module.bytes(), key.bytes()];
    for number in 0..60 {
        let name = format!("large-{number}");
        let paths: Vec<_> =
            (0..number * 40).map(|file| format!("/opt/{name}/{}/file-{file}", file / 7)).collect();
        let paths: Vec<_> = paths.iter().map(String::as_str).collect();
        let header = RpmHeader::new(&name, "1", "2", "noarch").numbers(rpm_tag::EPOCH, &[0]);
        let header = if paths.is_empty() { header } else { header.files(&paths) };
        headers.push(header.bytes());
    }
    headers
}

#[test]
fn every_store_is_read_whole() {
    let headers = packages();
    let mut all = stores(&headers).into_iter().map(|store| {
        let mut found = read(&store);
        assert_eq!(found.diagnostics, [], "{}", store.name);
        found.packages.sort();
        found.owned.sort_by(|one, other| one.package.cmp(&other.package));
        (store.name, found)
    });
    let (_, first) = all.next().unwrap();
    assert_eq!(first.packages.len(), headers.len() - 1);
    assert_eq!(
        first.owned.iter().map(|owned| owned.files.len()).sum::<usize>(),
        3 + (0..60).map(|n| n * 40).sum::<usize>()
    );
    for (name, found) in all {
        assert!(found == first, "{name} differs");
    }
    let shown = |name: &str| {
        let package = first.packages.iter().find(|package| package.name == name).unwrap();
        serde_json::to_string(package).unwrap()
    };
    assert_eq!(
        shown("bash"),
        r#"{"kind":"rpm","name":"bash","version":"5.1.8-6.el9","source":{"name":"bash","version":"5.1.8-6.el9"},"architecture":"x86_64","licenses":["GPLv3+"],"vendor":"Red Hat, Inc.","checksums":[{"algorithm":"md5","value":"abababababababababababababababab"},{"algorithm":"sha256","value":"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"}],"properties":{"rpm:module":"","rpm:signature-key":"199e2f91fd431d51"}}"#
    );
    assert_eq!(
        shown("nodejs"),
        r#"{"kind":"rpm","name":"nodejs","version":"1:18.1.0-3.module+el8","source":{"name":"nodejs","version":"18.1.0-3.module+el8"},"architecture":"x86_64","properties":{"rpm:module":"nodejs:18:8060020220523160029:ad008a3a"}}"#
    );
    assert_eq!(
        shown("large-3"),
        r#"{"kind":"rpm","name":"large-3","version":"1-2","architecture":"noarch"}"#
    );
}

/// What `rpm` prints for the database in a directory; `None`, said, when there is no `rpm`, or it has not this kind of store.
fn rpm(directory: &Path, backend: &str, format: &str) -> Option<BTreeSet<String>> {
    let output = Command::new("rpm")
        .args([
            "--dbpath",
            directory.to_str().unwrap(),
            "--define",
            &format!("_db_backend {backend}"),
            "--nosignature",
            "--nodigest",
            "-qa",
            "--qf",
            format,
        ])
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else {
        eprintln!("skipped: there is no rpm");
        return None;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{backend}: {errors}");
    if errors.contains("dummy database") {
        eprintln!("skipped: rpm is built without {backend}");
        return None;
    }
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

/// Names, epochs, versions, architectures, source packages and modules as rpm lists them.
const PACKAGE: &str = r"%{NAME} %|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE} %{ARCH} %{SOURCERPM} %|MODULARITYLABEL?{<%{MODULARITYLABEL}>}:{-}|\n";
const FILE: &str = r"[%{=NAME} %{FILENAMES}\n]";

fn listed(found: &Extraction) -> (BTreeSet<String>, BTreeSet<String>) {
    let none = || "(none)".to_owned();
    let packages = found.packages.iter().map(|package| {
        let source = package.source.as_ref();
        format!(
            "{} {} {} {} {}",
            package.name,
            package.version,
            package.architecture.clone().unwrap_or_else(none),
            source.map_or_else(none, |source| format!("{}-{}.src.rpm", source.name, source.version)),
            package.properties.get("rpm:module").map_or("-".to_owned(), |label| format!("<{label}>")),
        )
    });
    let files = found
        .owned
        .iter()
        .flat_map(|owned| owned.files.iter().map(|file| format!("{} /{file}", owned.package)));
    (packages.collect(), files.collect())
}

fn check_with_rpm(name: &str, directory: &Path, backend: &str, found: &Extraction) -> bool {
    let Some(packages) = rpm(directory, backend, PACKAGE) else { return false };
    // An epoch of 0 is the same as none; keys are no packages; the root of all files is nobody's.
    let packages: BTreeSet<_> = packages
        .into_iter()
        .filter(|line| !line.starts_with("gpg-pubkey "))
        .map(|line| line.replace(" 0:", " "))
        .collect();
    let files = rpm(directory, backend, FILE).unwrap();
    let files: BTreeSet<_> = files.into_iter().filter(|line| !line.ends_with(" /")).collect();
    assert!(!packages.is_empty(), "{name}");
    let (found, owned) = listed(found);
    assert_eq!(found, packages, "{name}");
    assert!(owned == files, "{name}: {:?}", owned.symmetric_difference(&files).take(5).collect::<Vec<_>>());
    true
}

#[test]
fn rpm_lists_the_same_in_the_stores_of_the_test_kit() {
    // rpm wants more tables than one in a database of SQLite; those are made by rpm itself below.
    for store in stores(&packages()).into_iter().filter(|store| store.backend != "sqlite") {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(store.path.rsplit_once('/').unwrap().1), &store.bytes).unwrap();
        check_with_rpm(&store.name, directory.path(), store.backend, &read(&store));
    }
}

#[test]
fn sqlite_reads_the_databases_of_the_test_kit() {
    let headers = packages();
    for page in [512, 1024, 65_536] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("rpmdb.sqlite");
        fs::write(&file, rpm_sqlite(&headers, page)).unwrap();
        let program = "import sqlite3, sys\n\
            database = sqlite3.connect(sys.argv[1])\n\
            print(database.execute('PRAGMA integrity_check').fetchone()[0])\n\
            print(*[blob.hex() for (blob,) in database.execute('SELECT blob FROM Packages ORDER BY hnum')])";
        let Ok(output) = Command::new("python3").args(["-c", program]).arg(&file).output() else {
            return eprintln!("skipped: there is no python3");
        };
        let expected = headers.iter().map(|header| header.iter().map(|byte| format!("{byte:02x}")).collect());
        let expected: Vec<String> = expected.collect();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.stdout == format!("ok\n{}\n", expected.join(" ")).into_bytes(),
            "pages of {page}: {errors}"
        );
    }
}

/// Builds and installs packages by the real tools into a root of their own; `None`, said, when they are missing.
fn installed(root: &Path) -> Option<()> {
    let top = root.join("build");
    fs::create_dir_all(&top).unwrap();
    let spec = r"Name: demo
Epoch: 2
Version: 1.5
Release: 3%{?dist}
Summary: A demonstration
License: Apache-2.0 AND MIT
Vendor: An Example
ModularityLabel: demo:1.5:20260101:abcdef
BuildArch: noarch
%description
A demonstration.
%package -n libdemo
Summary: Its library
Version: 4.0
%description -n libdemo
A library.
%package large
Summary: Many files
%description large
Files.
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/usr/lib/demo
echo demo > %{buildroot}/usr/bin/demo
echo library > %{buildroot}/usr/lib/libdemo.txt
for i in $(seq 1 3000); do echo $i > %{buildroot}/usr/lib/demo/file-number-$i; done
%files
/usr/bin/demo
%ghost /var/log/demo
%files -n libdemo
/usr/lib/libdemo.txt
%files large
%dir /usr/lib/demo
/usr/lib/demo/*
";
    fs::write(top.join("demo.spec"), spec).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
        let Ok(output) = output else {
            eprintln!("skipped: there is no {program}");
            return None;
        };
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        Some(())
    };
    let topdir = format!("_topdir {}", top.display());
    run("rpmbuild", &["-bb", "--quiet", "--define", &topdir, top.join("demo.spec").to_str().unwrap()])?;
    let packages = fs::read_dir(top.join("RPMS/noarch")).unwrap().map(|entry| entry.unwrap().path());
    let packages: Vec<_> = packages.map(|path| path.to_str().unwrap().to_owned()).collect();
    let root = root.to_str().unwrap();
    let mut arguments = vec![
        "-i",
        "--root",
        root,
        "--dbpath",
        "/var/lib/rpm",
        "--nodeps",
        "--force-debian",
        "--noscripts",
        "--justdb",
    ];
    arguments.extend(packages.iter().map(String::as_str));
    run("rpm", &arguments)
}

#[test]
fn rpm_lists_the_same_in_a_database_that_it_made() {
    let directory = tempfile::tempdir().unwrap();
    if installed(directory.path()).is_none() {
        return;
    }
    let database = directory.path().join("var/lib/rpm");
    let bytes = fs::read(database.join("rpmdb.sqlite")).unwrap();
    let found = parse(&OpenFile { path: "var/lib/rpm/rpmdb.sqlite", bytes: &bytes });
    assert_eq!(found.diagnostics, []);
    assert!(check_with_rpm("made by rpm", &database, "sqlite", &found));
    let names: BTreeSet<_> =
        found.packages.iter().map(|package| (package.name.as_str(), package.version.as_str())).collect();
    assert_eq!(names.len(), 3);
    assert!(names.contains(&("libdemo", "2:4.0-3")), "{names:?}");
    let large = found.packages.iter().find(|package| package.name == "demo-large").unwrap();
    assert_eq!(large.licenses, ["Apache-2.0 AND MIT"]);
    assert_eq!(large.vendor.as_deref(), Some("An Example"));
    assert_eq!(
        large.checksums.iter().map(|one| one.algorithm.as_str()).collect::<Vec<_>>(),
        ["md5", "sha256"]
    );
    assert_eq!(large.properties.get("rpm:module").map(String::as_str), Some("demo:1.5:20260101:abcdef"));
}

/// Puts a number of 32 bits somewhere.
fn put(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

#[track_caller]
fn check_damage(name: &str, path: &str, bytes: &[u8], packages: usize, expected: &[&str]) {
    let found = parse(&OpenFile { path, bytes });
    let said: Vec<_> = found.diagnostics.iter().map(|one| format!("{}: {}", one.code, one.message)).collect();
    assert_eq!(said, expected, "{name}");
    assert_eq!(found.packages.len(), packages, "{name}");
}

fn small_packages(count: usize) -> Vec<Vec<u8>> {
    let filler = "x".repeat(2000);
    let package =
        |number| RpmHeader::new(&format!("p{number}"), "1", "1", "noarch").text(rpm_tag::VENDOR, &filler);
    (0..count).map(|number| package(number).bytes()).collect()
}

#[test]
fn damaged_hashes_of_berkeley_db_are_said_and_the_rest_is_read() {
    const PATH: &str = "var/lib/rpm/Packages";
    let whole = rpm_berkeley(&small_packages(3), 512, false);
    check_damage("whole", PATH, &whole, 3, &[]);
    // The pages are: metadata, one of the hash, then five of overflow for each package.
    let page = |number: usize| number * 512;
    let damaged = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        bytes
    };
    let in_a_circle = damaged(&|bytes| put(bytes, page(4) + 16, 2));
    let circle = "malformed-package-database: the package at page 1, item 3 cannot be read: the data of tag 1022 in its header is malformed";
    check_damage("a chain in a circle", PATH, &in_a_circle, 2, &[circle]);
    let nothing = damaged(&|bytes| bytes[page(3) + 22..page(3) + 24].fill(0));
    let message = "malformed-package-database: the package at page 1, item 3 is in a page that says that it holds more than it can, or nothing";
    check_damage("a page without content", PATH, &nothing, 2, &[message]);
    let message = "malformed-package-database: the package at page 1, item 3 is in a chain of pages that leads to one of another kind";
    check_damage(
        "a chain beyond the end",
        PATH,
        &damaged(&|bytes| put(bytes, page(3) + 16, u32::MAX)),
        2,
        &[message],
    );
    check_damage("a chain to the hash", PATH, &damaged(&|bytes| put(bytes, page(3) + 16, 1)), 2, &[message]);
    let cut = whole[..page(12)].to_vec();
    let message_3 = message.replace("item 3", "item 7");
    check_damage(
        "cut off",
        PATH,
        &cut,
        2,
        &[
            "malformed-package-database: the database says 17 pages and has 12, so that packages may be missing",
            &message_3,
        ],
    );
    let items = damaged(&|bytes| bytes[page(1) + 20..page(1) + 22].fill(0xff));
    check_damage(
        "absurd items",
        PATH,
        &items,
        0,
        &["malformed-package-database: page 1 says that it has 65535 items"],
    );
    let encrypted = damaged(&|bytes| bytes[24] = 1);
    check_damage(
        "encrypted",
        PATH,
        &encrypted,
        0,
        &["unsupported-package-database: the database is encrypted, or its pages carry checksums"],
    );
    let pages = damaged(&|bytes| put(bytes, 20, 500));
    check_damage(
        "absurd pages",
        PATH,
        &pages,
        0,
        &["malformed-package-database: the first page of the database is malformed"],
    );
}

#[test]
fn a_package_that_is_everywhere_is_taken_as_often_as_there_is_room_for() {
    let limit = "limit-database-size: the packages are more than twice as large together as the database: it is cut off, or they overlap; the rest was not taken";
    let large = RpmHeader::new("p", "1", "1", "noarch").text(rpm_tag::VENDOR, &"x".repeat(100_000)).bytes();
    // Each item of the hash leads to the chain of the first, which begins behind the one page of the hash.
    let headers = [vec![large.clone()], small_packages(7)].concat();
    let mut bytes = rpm_berkeley(&headers, 512, false);
    for item in (3..18).step_by(2) {
        let at = 512 + 26 + 2 * item;
        let start = 512 + usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        assert_eq!(bytes[start], 3);
        put(&mut bytes, start + 4, 2);
        put(&mut bytes, start + 8, large.len() as u32);
    }
    check_damage("Berkeley DB", "var/lib/rpm/Packages", &bytes, 2, &[limit]);
    // Each slot points to the same blob.
    let mut bytes = rpm_ndb(&[large]);
    let slot = bytes[32..48].to_vec();
    (2..256).for_each(|number| bytes[number * 16..(number + 1) * 16].copy_from_slice(&slot));
    check_damage("NDB", "var/lib/rpm/Packages.db", &bytes, 2, &[limit]);
}

#[test]
fn damaged_ndb_stores_are_said_and_the_rest_is_read() {
    const PATH: &str = "usr/lib/sysimage/rpm/Packages.db";
    let whole = rpm_ndb(&small_packages(3));
    check_damage("whole", PATH, &whole, 3, &[]);
    let damaged = |at, number| {
        let mut bytes = whole.clone();
        put(&mut bytes, at, number);
        bytes
    };
    let version = "unsupported-package-database: the database has version 7 of its format, not 0";
    check_damage("another version", PATH, &damaged(4, 7), 0, &[version]);
    let beyond = "malformed-package-database: slot 1 points to offset 68719476720, where its package is not";
    check_damage("a slot beyond the end", PATH, &damaged(56, u32::MAX), 2, &[beyond]);
    let no_mark = "malformed-package-database: slot 0 has no `Slot` mark";
    check_damage("a slot without mark", PATH, &damaged(32, 0), 2, &[no_mark]);
    let length = "malformed-package-database: slot 0 points to offset 4096, where its package is not";
    check_damage("an absurd length", PATH, &damaged(4096 + 12, u32::MAX), 2, &[length]);
    let short = "malformed-package-database: the database ends within its header";
    check_damage("cut within the header", PATH, &whole[..10], 0, &[short]);
}

#[test]
fn damaged_databases_of_sqlite_are_said_and_the_rest_is_read() {
    const PATH: &str = "var/lib/rpm/rpmdb.sqlite";
    let whole = rpm_sqlite(&small_packages(40), 512);
    check_damage("whole", PATH, &whole, 40, &[]);
    // The tree has a root with a page for a few packages each.
    let root = whole.len() - 512;
    assert_eq!(whole[root], 5);
    let first = u16::from_be_bytes([whole[root + 12], whole[root + 13]]) as usize;
    let mut bytes = whole.clone();
    let number = (root / 512 + 1) as u32;
    bytes[root + first..root + first + 4].copy_from_slice(&number.to_be_bytes());
    let found = parse(&OpenFile { path: PATH, bytes: &bytes });
    let said: Vec<_> = found.diagnostics.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(said, [format!("page {number} is in the tree of the database twice")]);
    assert!((30..40).contains(&found.packages.len()));
    check_damage(
        "no table",
        PATH,
        &[&whole[..100], &vec![0; whole.len() - 100]].concat(),
        0,
        &[
            "malformed-package-database: page 1 is no page of a table",
            "malformed-package-database: the database has no table `Packages`",
        ],
    );
    check_damage(
        "a header alone",
        PATH,
        &whole[..16],
        0,
        &["malformed-package-database: the header of the database is malformed"],
    );
    let none =
        "malformed-package-database: it is no database of rpm that is known: Berkeley DB, NDB or SQLite";
    check_damage("something else", PATH, b"something else", 0, &[none]);
    check_damage("nothing", PATH, b"", 0, &[]);
}

#[test]
fn short_names_in_a_long_directory_do_not_multiply() {
    let directory = format!("/{}/", "d".repeat(1024 * 1024));
    let header = RpmHeader::new("p", "1", "1", "noarch")
        .texts(rpm_tag::DIRNAMES, &[&directory])
        .numbers(rpm_tag::DIRINDEXES, &vec![0; 10_000])
        .texts(rpm_tag::BASENAMES, &vec!["a"; 10_000]);
    let found =
        parse(&OpenFile { path: "var/lib/rpm/rpmdb.sqlite", bytes: &rpm_sqlite(&[header.bytes()], 4096) });
    let taken: usize = found.owned.iter().flat_map(|owned| &owned.files).map(String::len).sum();
    assert!(taken <= MAX_OWNED_BYTES, "{taken}");
    assert_eq!(
        found.diagnostics.iter().map(|one| one.code.as_str()).collect::<Vec<_>>(),
        ["limit-owned-files"]
    );
    assert_eq!(found.packages.len(), 1);
}

#[test]
fn a_package_with_a_malformed_list_of_files_is_listed() {
    let header = RpmHeader::new("p", "1", "1", "noarch")
        .texts(rpm_tag::DIRNAMES, &["/usr/"])
        .numbers(rpm_tag::DIRINDEXES, &[0, 7])
        .texts(rpm_tag::BASENAMES, &["a", "b"]);
    let bytes = rpm_ndb(&[header.bytes()]);
    let said = "malformed-package-database: the list of files of `p` is malformed";
    check_damage("an index beyond the end", "var/lib/rpm/Packages.db", &bytes, 1, &[said]);
    let nameless =
        rpm_ndb(&[RpmHeader::default().text(rpm_tag::VERSION, "1").bytes(), small_packages(1).remove(0)]);
    let said = "malformed-package-database: the package at slot 0 cannot be read: its header has no name";
    check_damage("a package without name", "var/lib/rpm/Packages.db", &nameless, 1, &[said]);
}

/// The log of an SQLite database of which no page is in the database itself yet. Only the pages before `committed` are whole.
fn log_of(database: &[u8], page: usize, committed: usize, big_endian: bool) -> Vec<u8> {
    fn add(sum: &mut (u32, u32), bytes: &[u8], big_endian: bool) {
        for pair in bytes.chunks(8) {
            let number = |at: usize| {
                let bytes = pair[at..at + 4].try_into().unwrap();
                if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
            };
            sum.0 = sum.0.wrapping_add(number(0)).wrapping_add(sum.1);
            sum.1 = sum.1.wrapping_add(number(4)).wrapping_add(sum.0);
        }
    }
    let magic = if big_endian { 0x377f_0683 } else { 0x377f_0682 };
    let numbers = [magic, 3_007_000, page as u32, 0, 0x1234_5678, 0x9abc_def0];
    let mut log: Vec<u8> = numbers.iter().flat_map(|number: &u32| number.to_be_bytes()).collect();
    let mut sum = (0, 0);
    add(&mut sum, &log, big_endian);
    log.extend([sum.0.to_be_bytes(), sum.1.to_be_bytes()].concat());
    for (index, content) in database.chunks(page).enumerate() {
        let commit = if index + 1 == committed { database.len() / page } else { 0 };
        let head = [(index as u32 + 1).to_be_bytes(), (commit as u32).to_be_bytes()].concat();
        add(&mut sum, &head, big_endian);
        add(&mut sum, content, big_endian);
        log.extend(head);
        log.extend([0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0]);
        log.extend([sum.0.to_be_bytes(), sum.1.to_be_bytes()].concat());
        log.extend(content);
    }
    log
}

#[test]
fn what_is_only_in_the_log_of_a_database_is_read() {
    let headers = packages();
    for (page, big_endian) in [(512, true), (4096, false), (65_536, true)] {
        let database = rpm_sqlite(&headers, page);
        let pages = database.len() / page;
        let read = |log: &[u8]| parse(&OpenFile { path: "var/lib/rpm/rpmdb.sqlite-wal", bytes: log });
        let whole = parse(&OpenFile { path: "var/lib/rpm/rpmdb.sqlite", bytes: &database });
        let log = log_of(&database, page, pages, big_endian);
        let mut found = read(&log);
        assert_eq!(found.diagnostics.len(), 1);
        assert_eq!(found.diagnostics[0].code, "package-database-log");
        let mut expected = whole.packages.clone();
        expected.sort();
        found.packages.sort();
        assert_eq!(found.packages, expected);
        assert_eq!(found.owned.len(), whole.owned.len());
        // What was never committed, and what follows a frame that is not whole, does not count.
        assert!(read(&log_of(&database, page, 0, big_endian)).is_empty());
        let mut torn = log.clone();
        *torn.last_mut().unwrap() ^= 1;
        assert!(read(&torn).is_empty());
        assert!(read(&log[..log.len() - 1]).is_empty());
        assert!(read(&log[..32]).is_empty());
        assert_eq!(read(&log[..31]).diagnostics[0].code, "malformed-package-database");
        assert!(read(&[]).is_empty());
    }
}

#[test]
fn the_log_that_sqlite_leaves_behind_is_read() {
    let headers = packages();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rpmdb.sqlite");
    fs::write(&file, rpm_sqlite(&headers[..10], 4096)).unwrap();
    let new = RpmHeader::new("new", "1", "1", "noarch").text(rpm_tag::VENDOR, &"v".repeat(30_000)).bytes();
    fs::write(directory.path().join("new"), &new).unwrap();
    let program = "import os, sqlite3, sys\n\
        database = sqlite3.connect(sys.argv[1])\n\
        database.execute('PRAGMA journal_mode=WAL')\n\
        database.execute('INSERT INTO Packages (blob) VALUES (?)', (open(sys.argv[2], 'rb').read(),))\n\
        database.commit()\n\
        os._exit(0)";
    let output =
        Command::new("python3").args(["-c", program]).arg(&file).arg(directory.path().join("new")).output();
    let Ok(output) = output else { return eprintln!("skipped: there is no python3") };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let log = fs::read(directory.path().join("rpmdb.sqlite-wal")).unwrap();
    let found = parse(&OpenFile { path: "var/lib/rpm/rpmdb.sqlite-wal", bytes: &log });
    assert!(found.packages.iter().any(|package| package.name == "new"), "{:?}", found.packages);
    let database = fs::read(&file).unwrap();
    let before = parse(&OpenFile { path: "var/lib/rpm/rpmdb.sqlite", bytes: &database });
    assert!(before.packages.iter().all(|package| package.name != "new"));
    for package in found.packages.iter().filter(|package| package.name != "new") {
        assert!(before.packages.contains(package), "{}", package.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_stores_are_survived(
        which in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..24),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut stores = stores(&small_packages(6)[..]);
        stores.push(Store {
            name: "the log of SQLite".to_owned(),
            path: "var/lib/rpm/rpmdb.sqlite-wal",
            backend: "sqlite",
            bytes: log_of(&rpm_sqlite(&small_packages(6), 512), 512, 30, false),
        });
        let mut store = stores.swap_remove(which.index(stores.len()));
        for (position, value) in changes {
            // Most of what counts is near the beginning.
            let length = if value % 2 == 0 { store.bytes.len() } else { store.bytes.len().min(1200) };
            store.bytes[position.index(length)] = value;
        }
        if let Some(cut) = cut {
            store.bytes.truncate(cut.index(store.bytes.len()));
        }
        let found = read(&store);
        prop_assert!(found.packages.len() <= 200);
    }
}

#[test]
fn a_language_package_that_an_rpm_installed_has_it_as_owner() {
    let header = RpmHeader::new("python3-six", "1.15.0", "9.el9", "noarch")
        .text(rpm_tag::VENDOR, "Rocky Enterprise Software Foundation")
        .files(&["/usr/lib/python3.9/site-packages/six-1.15.0.egg-info/PKG-INFO"]);
    let bytes = rpm_sqlite(&[header.bytes()], 4096);
    let layer = common::Layer::new()
        .file("usr/lib/os-release", "ID=rocky\nVERSION_ID=9.4\n")
        .file_with_mode("usr/lib/sysimage/rpm/rpmdb.sqlite", 0o644, &bytes)
        .link("var/lib/rpm", "../../usr/lib/sysimage/rpm")
        .file("usr/lib/python3.9/site-packages/six-1.15.0.egg-info/PKG-INFO", "Name: six\nVersion: 1.15.0\n");
    let inventory = common::inventory(&[layer]);
    let six = inventory.packages.iter().find(|package| package.name == "six").unwrap();
    assert_eq!(
        six.owner.as_deref(),
        Some("pkg:rpm/rocky/python3-six@1.15.0-9.el9?arch=noarch&distro=rocky-9.4")
    );
    assert_eq!(common::codes(&inventory), [""; 0]);
}
