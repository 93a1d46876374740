//! Documents that are made from the code, and kept fresh.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::Place;
use common::lifecycle::live;
use hullmark_testkit::{golden, workspace_root};

fn check(name: &str, text: &str) {
    golden(&workspace_root().join("docs").join(name), text);
}

fn schema(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}

#[test]
fn the_reference_is_fresh() {
    let place = Place::bare();
    check("reference/cli.md", &place.ok(&["man", "--markdown"]).stdout());
    let fields = place.ok(&["policy", "fields"]).stdout();
    check("reference/policy-fields.md", &fields);
    check("reference/coverage.md", &place.ok(&["coverage", "--format", "markdown"]).stdout());
    let mut schemes = String::from("# Version orders\n\n| `--scheme` | order |\n|---|---|\n");
    for scheme in hullmark_version::Scheme::ALL {
        schemes.push_str(&format!("| `{scheme}` | {} |\n", scheme.description()));
    }
    check("reference/version-orders.md", &schemes);
    check("schema/policy.schema.json", &place.ok(&["policy", "schema"]).stdout());
    check("schema/exceptions.schema.json", &place.ok(&["policy", "schema", "--exceptions"]).stdout());
    check("schema/server.schema.json", &place.ok(&["server", "schema"]).stdout());
    check("reference/server-configuration.md", &place.ok(&["server", "reference"]).stdout());
    check("schema/report.schema.json", &schema(&hullmark_report::json_schema()));
    check("schema/platforms-report.schema.json", &schema(&hullmark_report::platforms_schema()));
    check("schema/progress.schema.json", &schema(&hullmark_report::progress_schema()));
    check("schema/ledger-record.schema.json", &schema(&hullmark_engine::record_schema()));
}

#[test]
fn every_record_of_the_ledger_is_as_its_schema_says() {
    let place = Place::new();
    live(&place);
    let validator = jsonschema::validator_for(&hullmark_engine::record_schema()).unwrap();
    let entries = place.ok(&["ledger", "show", "--format", "json"]).stdout();
    let mut kinds = std::collections::BTreeSet::new();
    for line in entries.lines() {
        let mut entry: serde_json::Value = serde_json::from_str(line).unwrap();
        let record = &mut entry["record"];
        let problems: Vec<_> = validator.iter_errors(record).map(|error| error.to_string()).collect();
        assert!(problems.is_empty(), "{record:#}\n{problems:#?}");
        kinds.insert(record["kind"].as_str().unwrap().to_owned());
        record["unheard-of"] = true.into();
        assert!(!validator.is_valid(record));
    }
    assert_eq!(
        Vec::from_iter(kinds),
        ["alert", "decision", "exception", "policy", "server", "start", "verdict"]
    );
}

#[test]
fn completions_and_manual_are_written() {
    let place = Place::bare();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        place.ok(&["completions", shell]).check(0, "hullmark");
    }
    place.ok(&["man"]).check(0, ".TH");
}

#[test]
fn every_command_says_what_it_does() {
    let place = Place::bare();
    for command in ["scan", "sbom", "db", "policy", "ledger", "verify", "version", "completions", "man"] {
        place.ok(&[command, "--help"]).check(0, "Usage");
    }
    place.run(&["sacn"]).check(2, "scan");
}

#[test]
fn versions_are_compared_from_arguments_and_from_standard_input() {
    use std::io::Write;

    let place = Place::bare();
    place.ok(&["version", "compare", "--scheme", "apk", "1.1.18-r3", "1.1.18-r4"]).check(0, "<\n");
    place.run(&["version", "compare", "--scheme", "deb", "1_2", "1"]).check(2, "1_2");
    let mut child = place
        .command()
        .args(["version", "compare", "--scheme", "pep440"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"1.0\t1.0.0\n1.0rc1\t1.0\nx y\t1\n2\t1.9\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "=\n<\n!\n>\n");
}
