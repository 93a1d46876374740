//! Java archives that are built to do harm: each limit is a gap, and what is whole is found.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io::{Cursor, Write};

use hullmark_inventory::extractors::ALL;
use hullmark_inventory::{Extraction, OpenFile};
use zip::write::{SimpleFileOptions, ZipWriter};

fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn read(bytes: &[u8]) -> Extraction {
    let java = ALL.iter().find(|extractor| extractor.name() == "java").unwrap();
    java.extract(&OpenFile { path: "app/outer.war", bytes })
}

fn properties(artifact: &str) -> Vec<u8> {
    format!("groupId=org.example\nartifactId={artifact}\nversion=1.0\n").into_bytes()
}

fn library(artifact: &str) -> Vec<u8> {
    archive(&[(&format!("META-INF/maven/org.example/{artifact}/pom.properties"), &properties(artifact))])
}

fn names(found: &Extraction) -> Vec<&str> {
    found.packages.iter().map(|package| package.name.as_str()).collect()
}

fn codes(found: &Extraction) -> Vec<&str> {
    found.diagnostics.iter().map(|diagnostic| diagnostic.code.as_str()).collect()
}

#[test]
fn archives_in_archives_are_read_to_a_set_depth() {
    let mut bytes = library("innermost");
    for _ in 0..8 {
        bytes = archive(&[("lib/inner.jar", &bytes)]);
    }
    assert_eq!(names(&read(&bytes)), ["org.example:innermost"]);
    let found = read(&archive(&[("a.jar", &bytes), ("b-1.0.jar", &library("b"))]));
    assert_eq!(names(&found), ["org.example:b"]);
    assert_eq!(codes(&found), ["limit-archive-depth"]);
}

#[test]
fn an_archive_that_inflates_to_too_much_is_a_gap_and_its_neighbours_are_read() {
    let zeros = vec![0; 65 * 1024 * 1024];
    let found = read(&archive(&[("bomb.jar", &zeros), ("a-1.0.jar", &library("a"))]));
    assert_eq!(names(&found), ["org.example:a"]);
    assert_eq!(codes(&found), ["limit-archive-member"]);
    let found = read(&archive(&[("META-INF/maven/org.example/x/pom.xml", &zeros)]));
    assert_eq!(codes(&found), ["limit-archive-member"]);
}

#[test]
fn members_that_overlap_are_said() {
    // Two entries of the directory lead to one member.
    let bytes = archive(&[("a-1.0.jar", &library("a")), ("b-1.0.jar", &library("b"))]);
    let entry = |from: usize| from + bytes[from..].windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    let first = entry(0);
    let second = entry(first + 4);
    let mut overlapping = bytes.clone();
    for field in [16..28, 42..46] {
        let copied = bytes[first + field.start..first + field.end].to_vec();
        overlapping[second + field.start..second + field.end].copy_from_slice(&copied);
    }
    let found = read(&overlapping);
    assert_eq!(codes(&found), ["overlapping-archive"]);
    assert_eq!(names(&found), ["org.example:a", "org.example:a"]);
}

#[test]
fn many_artifacts_and_many_archives_are_read_in_linear_time() {
    let merged: Vec<_> = (0..2000)
        .map(|number| {
            let artifact = format!("part{number}");
            (format!("META-INF/maven/org.example/{artifact}/pom.properties"), properties(&artifact))
        })
        .collect();
    let members: Vec<_> = merged.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    assert_eq!(read(&archive(&members)).packages.len(), 2000);
    let library = library("a");
    let libraries: Vec<_> = (0..2000).map(|number| format!("lib/a{number}.jar")).collect();
    let members: Vec<_> = libraries.iter().map(|name| (name.as_str(), library.as_slice())).collect();
    assert_eq!(read(&archive(&members)).packages.len(), 2000);
}
