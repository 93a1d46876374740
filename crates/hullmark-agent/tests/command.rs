//! The command line: what is data, what is talk, and the exit codes.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::process::{Command, Output};

fn agent(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hullmark-agent")).args(arguments).output().unwrap()
}

fn fails(arguments: &[&str], expected: &str) {
    let output = agent(arguments);
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{talk}");
    assert!(output.stdout.is_empty());
    assert!(talk.contains(expected), "{talk}");
}

#[test]
fn the_probe_says_the_tier_and_why() {
    let output = agent(&["probe", "--format", "json"]);
    assert!(output.status.success());
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(["A", "B", "C", "None"].contains(&found["tier"].as_str().unwrap()), "{found}");
    for feature in found["features"].as_array().unwrap() {
        assert_eq!(feature["available"] == false, feature.get("reason").is_some(), "{feature}");
    }
    let text = String::from_utf8(agent(&["probe"]).stdout).unwrap();
    assert!(text.starts_with("tier "), "{text}");
}

#[test]
fn what_cannot_work_ends_with_two_and_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.toml");
    let config = path.display().to_string();
    fails(&["run", "--config", &config], "cannot read the configuration");
    fs::write(&path, "node = 'n'\nstandalone = true\nsokcet = '/x'\n").unwrap();
    fails(&["run", "--config", &config], "unknown field `sokcet`");
    let socket = directory.path().join("nobody.sock").display().to_string();
    fails(&["status", "--socket", &socket], "nobody.sock");
    fails(&["walk"], "unrecognized subcommand");
}
