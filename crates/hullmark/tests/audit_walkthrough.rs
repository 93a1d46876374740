//! `docs/audit-walkthrough.md`: every command on the page is run, and what it prints is what the page shows.
//!
//! `HULLMARK_UPDATE_GOLDEN=1` writes what was printed into the page. Digests, which depend on the version of the program,
//! are compared by their length alone.

mod common;

use std::collections::BTreeMap;
use std::process::Command;

use common::Place;
use common::lifecycle::live;
use common::page::{Session, check_page, normalised, run_page};
use hullmark_testkit::workspace_root;

#[test]
fn every_command_of_the_page_prints_what_the_page_shows() {
    let python = Command::new("python3").arg("--version").output();
    if python.is_err() && std::env::var_os("CI").is_none() {
        eprintln!("skipped: python3 cannot be run");
        return;
    }
    let place = Place::new();
    let life = live(&place);
    std::fs::copy(place.path("ledger/ledger.pub"), place.path("auditor.pub")).unwrap();
    std::fs::copy(workspace_root().join("tests/verify_ledger.py"), place.path("verify_ledger.py")).unwrap();
    let variables = BTreeMap::from([("IMAGE", life.manifest.to_string()), ("OTHER", life.other.to_string())]);
    let session = Session { place: &place, variables };

    check_page("audit-walkthrough.md", &session);
}

#[test]
fn the_page_is_compared_by_words_and_not_by_digests() {
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let other = digest.replace('e', "a");
    assert_eq!(normalised(digest), normalised(&other));
    assert_eq!(normalised(digest).len(), digest.len());
    assert_ne!(normalised("failed"), normalised("passed"));
    assert_ne!(normalised("entry 10"), normalised("entry 11"));
    assert_eq!(
        normalised("root 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
        format!("root {}", "#".repeat(44))
    );
    assert_eq!(normalised("a.dev/ledger+2109b228`"), "a.dev/ledger+########`");
    let page = "a\n```console\n$ b\nold\n$ c\n```\nd\n";
    assert_eq!(
        run_page(page, |command| format!("ran {command}\n")),
        "a\n```console\n$ b\nran b\n$ c\nran c\n```\nd\n"
    );
}
