//! Trails and evidence bundles, through the command and through the verifier in Python.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::process::Command;

use common::Place;
use common::lifecycle::live;
use hullmark_engine::check_evidence;
use hullmark_ledger::parse_evidence;
use hullmark_testkit::{Answer, Server, workspace_root};
use serde_json::Value;

/// The text with one space for several.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_life_of_an_image_is_shown_by_any_of_its_digests() {
    let place = Place::new();
    let life = live(&place);
    let mut answers = Vec::new();
    for digest in [&life.manifest, &life.config] {
        let answer = place.ok(&["ledger", "show", &digest.to_string()]);
        for what in [
            "(server)",
            "(policy change)",
            "build verdict failed",
            "(exception change)",
            "build verdict warned",
            "gate decision allowed, 2 more",
            "admission allowed",
            "start allowed",
            "runtime alert denied",
            "exceptions used: EX-7",
            "9 of 11 entries of the ledger `hullmark.dev/ledger`",
        ] {
            assert!(squeezed(&answer.stdout()).contains(what), "{what}\n{}", answer.stdout());
        }
        assert!(!answer.stdout().contains("registry.example/shop/other:7"));
        answers.push(answer.stdout());
    }
    assert_eq!(answers[0], answers[1]);
    let json = place.ok(&["ledger", "show", &life.config.to_string(), "--format", "json"]).stdout();
    let json: Value = serde_json::from_str(&json).unwrap();
    let entries: Vec<_> =
        json["entries"].as_array().unwrap().iter().map(|e| e["entry"].as_u64().unwrap()).collect();
    assert_eq!(entries, [0, 1, 2, 4, 5, 6, 8, 9, 10]);
    assert_eq!(json["manifests"], serde_json::json!([life.manifest]));
    assert_eq!(json["entries"][0]["relation"], "basis");
    // A digest that is of no image leads to the entries that name it, and to no others.
    let policy = json["entries"][2]["record"]["inputs"]["policy"].as_str().unwrap().to_owned();
    place.ok(&["ledger", "show", &policy]).check(0, "8 of 11 entries");
    place.run(&["ledger", "show", &policy.replace('0', "1")]).check(2, "no entry of the ledger is about");
    place.run(&["ledger", "show", "latest"]).check(2, "expected the number of an entry, or a digest");
}

#[test]
fn a_bundle_is_exported_and_verified_offline() {
    let place = Place::new();
    let life = live(&place);
    let config = life.config.to_string();
    let export = ["ledger", "export", &config, "--output", "evidence.json", "--attach", "report.json"];
    place.ok(&export).check(0, "`evidence.json`: 9 entries, 3 documents");
    let verify = ["verify", "--bundle", "evidence.json"];
    let answer = place.ok(&verify);
    answer.check(0, "proved: these 9 entries are in the ledger `hullmark.dev/ledger`");
    answer.check(0, "6 about the image, 3 that those rest on");
    answer.check(0, "not proved: that the ledger has no other entries about the image");
    answer.check(0, "the key is the bundle's own; compare it with one obtained elsewhere");
    assert!(squeezed(&answer.stdout()).contains("runtime alert denied"));
    let with_key = place.ok(&["verify", "--bundle", "evidence.json", "--key", "ledger/ledger.pub"]);
    assert!(!with_key.stderr().contains("the key is the bundle's own"));

    place.run(&["scan", "web.tar", "--ledger", "elsewhere"]);
    place
        .run(&["verify", "--bundle", "evidence.json", "--key", "elsewhere/ledger.pub"])
        .check(2, "the bundle is of the key");
    let text = std::fs::read_to_string(place.path("evidence.json")).unwrap();
    place.put("forged.json", text.replacen(&config, &life.other.to_string(), 1));
    place.run(&["verify", "--bundle", "forged.json"]).check(2, "no entry is about");
    place.put("forged.json", text.replacen("\"index\": 4", "\"index\": 3", 1));
    place.run(&["verify", "--bundle", "forged.json"]).check(2, "the proof of entry 3 does not hold");
    place.put("forged.json", "{}");
    place.run(&["verify", "--bundle", "forged.json"]).check(2, "missing field");

    place
        .run(&["ledger", "export", &config.replace('0', "1"), "-o", "none.json"])
        .check(2, "is about an image");
    place.put("unnamed.txt", "unnamed");
    let mut unnamed = export;
    unnamed[6] = "unnamed.txt";
    place.run(&unnamed).check(2, "no entry names `unnamed.txt` by digest");
    place.run(&["verify"]).check(2, "--bundle");
    place.run(&["verify", "--proof", "entry.proof"]).check(2, "--key");
}

/// Every changed document with what the verifier in Rust makes of it.
fn changed(text: &str) -> Vec<(Vec<u8>, bool)> {
    let mut documents = vec![text.as_bytes().to_vec()];
    let bytes = text.as_bytes();
    // All of what is around the entries, and every so many bytes of these, which are long.
    let first = text.find("\"entries\"").unwrap();
    let positions = (0..first).step_by(2).chain((first..bytes.len()).step_by(29));
    for (number, position) in positions.enumerate() {
        let mut changed = bytes.to_vec();
        match number % 4 {
            0 => changed[position] ^= 0x01,
            1 => changed[position] ^= 0x20,
            2 => drop(changed.remove(position)),
            _ => changed.insert(position, bytes[position]),
        }
        documents.push(changed);
    }
    let rewritten = |change: fn(&mut Value)| {
        let mut document: Value = serde_json::from_str(text).unwrap();
        change(&mut document);
        document.to_string().into_bytes()
    };
    documents.push(rewritten(|_| ()));
    documents.push(rewritten(|document| drop(document["entries"].as_array_mut().unwrap().remove(2))));
    documents.push(rewritten(|document| drop(document["entries"].as_array_mut().unwrap().pop())));
    documents.push(rewritten(|document| document["entries"].as_array_mut().unwrap().reverse()));
    // Without the verdicts that rest on the policy, the entry about the policy belongs to nothing.
    documents.push(rewritten(|document| {
        document["entries"].as_array_mut().unwrap().retain(|e| e["index"] == 1 || e["index"] == 10)
    }));
    documents
        .push(rewritten(|document| document["entries"].as_array_mut().unwrap().retain(|e| e["index"] == 10)));
    documents.push(rewritten(|document| document["documents"] = serde_json::json!([])));
    documents.push(rewritten(|document| document["entries"] = serde_json::json!([])));
    documents.push(rewritten(|document| document["entries"][0]["index"] = 0.0.into()));
    documents.push(rewritten(|document| document["entries"][1]["index"] = true.into()));
    documents.push(rewritten(|document| document["about"] = document["documents"][0]["digest"].clone()));
    documents.push(text.replacen("\"about\"", "\"about\": \"\", \"about\"", 1).into_bytes());
    documents.push(text.replacen("\"origin\"", "\"other\": \"\", \"origin\"", 1).into_bytes());
    documents.push([text.as_bytes(), b"{}"].concat());
    documents.push(text.replacen("\"key\": \"", "\"key\": \"\\ud800", 1).into_bytes());
    documents.push(vec![b'['; 100_000]);
    documents
        .into_iter()
        .map(|bytes| {
            let holds = holds(&bytes);
            (bytes, holds)
        })
        .collect()
}

/// Whether the verifier in Rust accepts a bundle.
fn holds(bytes: &[u8]) -> bool {
    parse_evidence(bytes)
        .is_ok_and(|evidence| evidence.verify(None).is_ok() && check_evidence(&evidence).is_ok())
}

/// Verifies many bundles in one process: prints a line for each, `True` or `False`.
const PROGRAM: &str = "
import os, sys
sys.path.insert(0, sys.argv[1])
from verify_ledger import Invalid, verify_bundle
for number in range(int(sys.argv[3])):
    with open(os.path.join(sys.argv[2], str(number)), 'rb') as file:
        data = file.read()
    try:
        verify_bundle(data, None, 'bundle')
        print(True)
    except (Invalid, UnicodeEncodeError):
        print(False)
";

#[test]
fn the_verifiers_in_rust_and_in_python_agree_about_every_change() {
    let place = Place::new();
    let life = live(&place);
    place.ok(&[
        "ledger",
        "export",
        &life.manifest.to_string(),
        "-o",
        "evidence.json",
        "--attach",
        "report.json",
    ]);
    let text = std::fs::read_to_string(place.path("evidence.json")).unwrap();
    let documents = changed(&text);
    assert!(documents[0].1, "the bundle itself holds");
    for (number, (bytes, _)) in documents.iter().enumerate() {
        place.put(&format!("changed/{number}"), bytes);
    }
    let output = Command::new("python3")
        .args(["-B", "-c", PROGRAM])
        .args([workspace_root().join("tests"), place.path("changed")])
        .arg(documents.len().to_string())
        .output();
    let output = match output {
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped: python3 cannot be run: {error}");
            return;
        }
        output => output.unwrap(),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers = String::from_utf8(output.stdout).unwrap();
    assert_eq!(answers.lines().count(), documents.len());
    for (number, (answer, (bytes, holds))) in answers.lines().zip(&documents).enumerate() {
        let beginning = String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).into_owned();
        assert_eq!(answer == "True", *holds, "document {number}: {beginning}");
    }
    let accepted = documents.iter().filter(|(_, holds)| *holds).count();
    // The bundle itself, its rewritten form, those with entries or documents taken out, and changed white space.
    assert!((5..80).contains(&accepted), "{accepted} of {} changed bundles hold", documents.len());

    let script = |arguments: &[&str]| {
        let program = workspace_root().join("tests/verify_ledger.py");
        let output = Command::new("python3")
            .arg(program)
            .args(arguments)
            .current_dir(place.directory.path())
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (code, said) = script(&["--bundle", "evidence.json", "--key", "ledger/ledger.pub"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("9 entries of 11 verified: 6 about"), "{said}");
    let (code, said) = script(&["--bundle", "evidence.json"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("the key is the bundle's own; compare it with one obtained elsewhere: hullmark.dev"),
        "{said}"
    );
    place.run(&["scan", "web.tar", "--ledger", "elsewhere"]);
    let (code, said) = script(&["--bundle", "evidence.json", "--key", "elsewhere/ledger.pub"]);
    assert!(code == Some(1) && said.contains("not of the given one"), "{said}");
}

/// A server of the ledger in `ledger`, for whoever has the token: what `hullmark serve` answers at these paths.
fn server(place: &Place, trail: String) -> Server {
    let root = place.path("ledger");
    Server::new(move |asked| {
        if asked.headers.get("authorization").map(String::as_str) != Some("Bearer hmk_test") {
            return Answer::new(401, r#"{"title":"no token","detail":"a token is needed"}"#);
        }
        match asked.path.strip_prefix("/api/v1").unwrap_or_default() {
            "/ledger/key" => Answer::new(200, std::fs::read(root.join("ledger.pub")).unwrap()),
            path if path.starts_with("/ledger/") => match std::fs::read(root.join(&path[8..])) {
                Ok(bytes) => Answer::new(200, bytes),
                Err(_) => Answer::new(404, ""),
            },
            path if path.ends_with(&format!("{}/trail", "0".repeat(64))) => Answer::new(404, ""),
            path if path.ends_with("/trail") => Answer::new(200, trail.clone()),
            _ => Answer::new(500, "\u{1b}[31m"),
        }
    })
}

#[test]
fn a_server_is_asked_for_trails_and_evidence() {
    let place = Place::new();
    let life = live(&place);
    let image = life.manifest.to_string();
    let trail = place.ok(&["ledger", "show", &image, "--format", "json"]).stdout();
    let server = server(&place, trail.clone());
    place.put("token", "hmk_test\n");
    let url = server.url();
    let with_token = ["--server", &url, "--server-token-file", "token"];
    let show = |digest: &str, options: &[&str]| place.run(&[&["ledger", "show", digest], options].concat());
    let answer = show(&image, &with_token);
    answer.check(
        0,
        "9 of 11 entries of the ledger `hullmark.dev/ledger`, as the server says: nothing was verified",
    );
    answer.check(0, "registry.example/shop/web:1.4.2");
    assert_eq!(show(&image, &[&with_token[..], &["--format", "json"]].concat()).stdout(), trail);
    show(&image, &["--server", &url]).check(2, "answers 401: a token is needed");
    show(&image, &["--server", &url]).check(2, "name the file with your token by --server-token-file");
    show(&format!("sha256:{}", "0".repeat(64)), &with_token).check(2, "the server knows no image");
    show("12", &with_token).check(2, "a server is asked by the digest of an image");
    show(&image, &["--server", "localhost"]).check(2, "is no address of a server");
    // A token is sent, and never shown.
    let wrong = place.put("wrong-token", "hmk_secret");
    let answer = show(&image, &["--server", &url, "--server-token-file", &wrong]);
    answer.check(2, "answers 401");
    assert!(!answer.stderr().contains("hmk_secret"));
    assert!(
        server
            .asked()
            .iter()
            .any(|asked| asked.headers.get("authorization").is_some_and(|sent| sent == "Bearer hmk_secret"))
    );

    let export = |more: &[&str]| {
        place.run(&[&["ledger", "export", &image, "--output", "remote.json"], &with_token[..], more].concat())
    };
    export(&[]).check(0, "9 entries, 0 documents");
    place.ok(&["ledger", "export", &image, "--output", "local.json"]);
    let read = |name: &str| std::fs::read_to_string(place.path(name)).unwrap();
    assert_eq!(read("remote.json"), read("local.json"), "the same evidence");
    export(&["--key", "ledger/ledger.pub"]).check(0, "9 entries");
    place.run(&["scan", "web.tar", "--ledger", "elsewhere"]);
    export(&["--key", "elsewhere/ledger.pub"]).check(2, "no signature by the expected key");

    // A server that adds what does not belong there.
    let mut trail: Value = serde_json::from_str(&trail).unwrap();
    trail["entries"][4]["entry"] = 7.into();
    let liar = self::server(&place, trail.to_string());
    let answer = place.run(&[
        "ledger",
        "export",
        &image,
        "--output",
        "lie.json",
        "--server",
        &liar.url(),
        "--server-token-file",
        "token",
    ]);
    answer.check(2, "entry 7 is not about");
    assert!(!place.path("lie.json").exists());
}
