//! The ledger, through the command: what is recorded, proved, verified; also by a program in another language.

mod common;

use std::process::Command;

use common::{Place, image};
use hullmark_testkit::workspace_root;

/// How many scans the log gets.
const SCANS: usize = 1000;

#[test]
fn a_verdict_is_recorded_shown_and_proved() {
    let place = Place::new();
    place.put("image.tar", image().docker_archive());
    let report = place.report("image.tar");
    let digest = report["inventory"]["subject"]["config"].as_str().unwrap();
    place.ok(&["ledger", "show", digest]).check(0, "build verdict  failed");
    place.ok(&["ledger", "show", digest, "--format", "json"]).check(0, "\"outcome\": \"failed\"");
    place.ok(&["ledger", "show"]).check(0, "\tbuild verdict\tfailed\tsha256:");
    let database = report["matches"]["database"].as_str().unwrap();
    place.ok(&["ledger", "show", database]);
    place.report("image.tar");
    place.ok(&["ledger", "show", "1"]).check(0, "\"previous\": 0");
    place.ok(&["ledger", "prove", "0", "-o", "entry.proof"]);
    place
        .ok(&["verify", "--proof", "entry.proof", "--key", "ledger/ledger.pub"])
        .check(0, "proved: entry 0 of 2");
    place.ok(&["ledger", "verify", "--proof", "entry.proof"]).check(0, "proved: entry 0 of 2");
    let proof = std::fs::read_to_string(place.path("entry.proof")).unwrap().replace("index 0", "index 1");
    place.put("other.proof", proof);
    place.run(&["ledger", "verify", "--proof", "other.proof"]).check(2, "does not prove its entry");
    place.run(&["ledger", "show", "7"]).check(2, "there is no entry 7");
    place.run(&["ledger", "verify", "--ledger", "nowhere"]).check(2, "holds no ledger");
}

#[cfg(unix)]
#[test]
fn the_private_key_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let place = Place::new();
    place.put("image.tar", image().docker_archive());
    place.report("image.tar");
    let key = place.path("ledger/ledger.key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    place.run(&["scan", "image.tar"]).check(2, "ledger.key");
}

#[test]
fn a_thousand_scans_verify_and_a_changed_byte_is_noticed() {
    let place = Place::new();
    place.put("image.tar", image().docker_archive());
    for _ in 0..SCANS {
        let answer = place.run(&["--quiet", "scan", "image.tar", "--format", "cyclonedx"]);
        assert_eq!(answer.code(), 1, "{}", answer.stderr());
    }
    place.ok(&["ledger", "verify"]).check(0, &format!("entries  {SCANS}"));
    let python = |arguments: &[&str]| {
        let program = workspace_root().join("tests/verify_ledger.py");
        Command::new("python3").arg(program).args(arguments).current_dir(place.directory.path()).output()
    };
    place.ok(&["ledger", "prove", "700", "-o", "entry.proof"]);
    let entry = place.ok(&["verify", "--proof", "entry.proof", "--key", "ledger/ledger.pub"]).stdout();
    place.put("entry.json", entry.lines().nth(1).unwrap());
    match python(&["ledger"]) {
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped: python3 cannot be run: {error}")
        }
        output => {
            let output = output.unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let output = python(&["ledger", "--proof", "entry.proof", "--entry", "entry.json"]).unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    let bundle = place.path("ledger/tile/entries/001");
    let mut bytes = std::fs::read(&bundle).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&bundle, bytes).unwrap();
    let answer = place.run(&["ledger", "verify"]);
    answer.check(2, "entry 3");
    if let Ok(output) = python(&["ledger"]) {
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn killing_a_scan_at_any_moment_leaves_everything_whole() {
    let place = Place::new();
    place.put("image.tar", image().docker_archive());
    place.report("image.tar");
    for delay in 0..40 {
        let mut child = place
            .command()
            .args(["scan", "image.tar"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(delay));
        let _ = child.kill();
        let _ = child.wait();
        let mut child = place
            .command()
            .args(["db", "build", "--from", "feeds", "--output", "a.db"])
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(delay));
        let _ = child.kill();
        let _ = child.wait();
        place.ok(&["ledger", "verify"]);
        place.ok(&["db", "status"]);
    }
    assert_eq!(place.run(&["scan", "image.tar"]).code(), 1);
}
