//! The server as a process: set up, served, asked, told to end, killed.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Answer, Place, image};
use hullmark_http::{Client, ClientOptions, Secret};
use serde_json::{Value, json};

/// A place with a configuration of a server, and its first token.
struct Site {
    place: Place,
    admin: String,
}

/// A server that runs.
struct Running {
    child: Child,
    address: String,
    log: Arc<Mutex<String>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Site {
    fn new(server: &str) -> Self {
        let place = Place::new();
        place.put("image.tar", image().docker_archive());
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\ndata_directory = \"{}\"\n{server}\n[database]\nfile = \"{}\"\n\
             [log]\nformat = \"json\"\nlevel = \"debug\"\n",
            place.text("data"),
            place.text("a.db")
        );
        place.put("server.toml", config);
        let made = place.ok(&["server", "init", "--config", "server.toml"]);
        let admin = made.stdout().trim().to_owned();
        assert!(admin.starts_with("hmk_") && !made.stderr().contains(&admin), "{}", made.stderr());
        Self { place, admin }
    }

    fn serve(&self) -> Running {
        let mut child = self
            .place
            .command()
            .args(["serve", "--config", "server.toml"])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let mut address = None;
        let mut line = String::new();
        while address.is_none() {
            line.clear();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the server ended: {}", log.lock().unwrap());
            log.lock().unwrap().push_str(&line);
            let said: Value = serde_json::from_str(&line).unwrap_or_default();
            if said["message"] == "listening" {
                address = Some(said["address"].as_str().unwrap().to_owned());
            }
        }
        let rest = Arc::clone(&log);
        std::thread::spawn(move || {
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|length| length > 0) {
                rest.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        Running { child, address: address.unwrap(), log }
    }

    fn token(&self, role: &str) -> String {
        let name = format!("the-{role}");
        let arguments =
            ["server", "token", "create", "--config", "server.toml", "--name", &name, "--role", role];
        self.place.ok(&arguments).stdout().trim().to_owned()
    }

    /// `hullmark scan` of the image against a server.
    fn scan(&self, url: &str, token: &str, more: &[&str]) -> Answer {
        let mut command = self.place.command();
        command.env("HULLMARK_SERVER_TOKEN", token);
        command.args(["scan", "image.tar", "--server", url]).args(more);
        Answer(command.output().unwrap())
    }

    fn ledger(&self) -> Vec<Value> {
        assert_eq!(hullmark_ledger::publish_journal(&self.place.path("data/ledger")).unwrap(), 0);
        let ledger = hullmark_ledger::Ledger::open_read_only(&self.place.path("data/ledger")).unwrap();
        ledger.entries().map(|entry| serde_json::from_slice(&entry.unwrap().1).unwrap()).collect()
    }
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_server_is_set_up_once_and_starts_only_where_it_was() {
    let place = Place::new();
    place.put(
        "a.toml",
        format!(
            "[server]\ndata_directory = \"{}\"\nplain_http = true\n[database]\nfile = \"a.db\"\n",
            place.text("data")
        ),
    );
    place.run(&["serve", "--config", "a.toml"]).check(2, "hullmark server init");
    place.run(&["server", "token", "list", "--config", "a.toml"]).check(2, "hullmark server init");
    place.ok(&["server", "init", "--config", "a.toml"]);
    place.run(&["server", "init", "--config", "a.toml"]).check(2, "it was set up before");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(place.path("data")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o700);

    place.put("typo.toml", "[server]\ndata_directory = \"data\"\nplain_http = true\nlisten_on = \"x\"\n[database]\nfile = \"a.db\"\n");
    let answer = place.run(&["serve", "--config", "typo.toml"]);
    answer.check(2, "unknown field `listen_on`");
    answer.check(2, "line 4");
    for (name, server, expected) in [
        ("plain", "listen = \"0.0.0.0:8443\"\nplain_http = true", "loopback addresses only"),
        ("bare", "listen = \"127.0.0.1:8443\"", "`server.tls` is missing"),
        ("unit", "plain_http = true\nshutdown_grace = \"10\"", "is not a duration"),
    ] {
        let text = format!("[server]\ndata_directory = \"data\"\n{server}\n[database]\nfile = \"a.db\"\n");
        place.put(&format!("{name}.toml"), text);
        place.run(&["serve", "--config", &format!("{name}.toml")]).check(2, expected);
    }
    place.run(&["serve", "--config", "absent.toml"]).check(2, "absent.toml");
}

#[test]
fn ci_asks_the_server_and_gets_the_same_report() {
    let site = Site::new("plain_http = true");
    let server = site.serve();
    let url = format!("http://{}", server.address);
    let ci = site.token("ci");
    let report = |answer: &Answer| -> Value { serde_json::from_str(&answer.stdout()).unwrap() };
    let remote = site.scan(&url, &ci, &["--format", "json"]);
    let local = site.place.run(&["scan", "image.tar", "--format", "json"]);
    assert_eq!((remote.code(), local.code()), (1, 1), "{}", remote.stderr());
    for part in ["inventory", "matches", "verdict", "tool"] {
        assert_eq!(report(&remote)[part], report(&local)[part], "{part}");
    }
    site.scan(&url, &ci, &[]).check(1, "FAILED by policy `default`");
    // The profile went with it.
    let config = report(&remote)["inventory"]["subject"]["config"].as_str().unwrap().to_owned();
    let client = Client::new(ClientOptions::default()).unwrap();
    let profile = client
        .get(&format!("{url}/api/v1/images/{config}/profile"))
        .authorization(&Secret::new(format!("Bearer {}", site.admin)))
        .send()
        .unwrap();
    assert_eq!(profile.status(), 200);

    let entry =
        &site.ledger()[usize::try_from(report(&remote)["ledger"]["index"].as_u64().unwrap()).unwrap()];
    assert_eq!(
        (&entry["kind"], &entry["asker"]["user"], &entry["asker"]["token"]),
        (&json!("verdict"), &json!("tester"), &json!("the-ci"))
    );
    assert!(entry["binary"].is_string());

    // The server's policy counts, and is not overruled by arguments.
    site.scan(&url, &ci, &["--fail-on", "low"]).check(2, "the policy of the server counts");
    // Wrong and missing tokens.
    let reader = site.token("reader");
    site.scan(&url, &reader, &[]).check(2, "the role `reader`");
    site.scan(&url, "hmk_nonsense", &[]).check(2, "401");
    site.place.put("token", format!("{ci}\n"));
    site.scan(&url, "", &["--server-token-file", "token"]).check(1, "FAILED");
    site.place.ok(&["server", "token", "revoke", "--config", "server.toml", "the-ci"]);
    site.scan(&url, &ci, &[]).check(2, "401");
    site.place.ok(&["server", "token", "list", "--config", "server.toml"]).check(0, "the-ci\tci\t");
    let log = server.log.lock().unwrap().clone();
    for secret in [&ci, &reader, &site.admin] {
        assert!(!log.contains(secret.as_str()), "a token is in the log");
        assert!(!site.ledger().iter().any(|entry| entry.to_string().contains(secret.as_str())));
    }
}

#[test]
fn the_trail_of_an_image_and_its_evidence_come_from_the_server() {
    let site = Site::new("plain_http = true");
    let server = site.serve();
    let url = format!("http://{}", server.address);
    let ci = site.token("ci");
    let report: Value = serde_json::from_str(&site.scan(&url, &ci, &["--format", "json"]).stdout()).unwrap();
    let config = report["inventory"]["subject"]["config"].as_str().unwrap().to_owned();
    site.place.put("token", site.token("reader"));
    let ask = |arguments: &[&str]| {
        let server = ["--server", &url, "--server-token-file", "token"];
        site.place.ok(&[&["ledger"], arguments, &server].concat())
    };
    let shown = ask(&["show", &config]);
    for text in ["build verdict", "(policy change)", "(server)", "as the server says: nothing was verified"] {
        shown.check(0, text);
    }
    ask(&["export", &config, "--output", "evidence.json", "--key", "data/ledger/ledger.pub"]);
    let verify = ["verify", "--bundle", "evidence.json", "--key", "data/ledger/ledger.pub"];
    site.place.ok(&verify).check(0, "1 about the image, 2 that those rest on");

    let validator = jsonschema::validator_for(&hullmark_engine::record_schema()).unwrap();
    for record in site.ledger() {
        let problems: Vec<_> = validator.iter_errors(&record).map(|error| error.to_string()).collect();
        assert!(problems.is_empty(), "{record:#}\n{problems:#?}");
    }
}

#[test]
fn without_the_server_there_is_no_verdict_unless_it_was_asked_for() {
    let site = Site::new("plain_http = true");
    let server = site.serve();
    let url = format!("http://{}", server.address);
    let ci = site.token("ci");
    drop(server);
    let answer = site.scan(&url, &ci, &[]);
    answer.check(2, "127.0.0.1");
    answer.check(2, "refused");
    assert_eq!(answer.stdout(), "");
    let degraded = site.scan(&url, &ci, &["--degraded-local"]);
    degraded.check(1, "degraded      server-unreachable");
    degraded.check(1, "the verdict is made on this machine");
    let json: Value = serde_json::from_str(
        &site.scan(&url, &ci, &["--degraded-local", "--format", "json", "--quiet"]).stdout(),
    )
    .unwrap();
    assert_eq!(json["degraded"], json!(["server-unreachable"]));
    let shown = site.place.ok(&["ledger", "show", "0", "--format", "json"]).stdout();
    assert!(shown.contains("server-unreachable"), "{shown}");
    // A refusal is no failure of the server.
    let server = site.serve();
    let url = format!("http://{}", server.address);
    site.scan(&url, "hmk_nonsense", &["--degraded-local"]).check(2, "401");
}

#[test]
fn tls_is_checked_and_the_end_is_graceful_and_recorded() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let site = Site::new("tls = { certificate = \"cert.pem\", key = \"key.pem\" }");
    site.place.put("cert.pem", made.cert.pem());
    site.place.put("key.pem", made.signing_key.serialize_pem());
    let mut server = site.serve();
    let url = format!("https://localhost:{}", server.address.rsplit(':').next().unwrap());
    let ci = site.token("ci");
    site.scan(&url, &ci, &[]).check(2, "certificate");
    site.scan(&url, &ci, &["--ca-file", "cert.pem"]).check(1, "FAILED by policy `default`");
    // Plain HTTP gets nothing.
    site.scan(&url.replace("https", "http"), &ci, &[]).check(2, "localhost");
    signal(&server.child, "TERM");
    assert!(server.child.wait().unwrap().success(), "{}", server.log.lock().unwrap());
    let ledger = site.ledger();
    let said: Vec<&str> = ledger
        .iter()
        .filter(|entry| entry["kind"] == "server")
        .map(|entry| entry["message"].as_str().unwrap())
        .collect();
    assert_eq!(said, ["the server started", "the server ended"]);
    site.place.ok(&["ledger", "verify", "--ledger", "data/ledger"]).check(0, "is whole");
}

#[test]
fn kill_during_scans_loses_no_verdict_that_was_answered() {
    let site = Site::new("plain_http = true");
    let ci = site.token("ci");
    let report = site.place.run(&["scan", "image.tar", "--format", "json"]);
    let report: Value = serde_json::from_str(&report.stdout()).unwrap();
    let mut answered: BTreeMap<u64, String> = BTreeMap::new();
    for round in 0..4 {
        let mut server = site.serve();
        let count = Arc::new(AtomicUsize::new(0));
        let url = format!("http://{}/api/v1/scans", server.address);
        let threads: Vec<_> = (0..6)
            .map(|number| {
                let (url, token, mut inventory) = (url.clone(), ci.clone(), report["inventory"].clone());
                let count = Arc::clone(&count);
                std::thread::spawn(move || {
                    let client =
                        Client::new(ClientOptions { retries: 0, ..ClientOptions::default() }).unwrap();
                    let mut found = Vec::new();
                    for turn in 0.. {
                        inventory["subject"]["name"] = json!(format!("image-{round}-{number}-{turn}"));
                        let body = json!({ "inventory": inventory, "stage": "build" }).to_string();
                        let sent = client
                            .post(&url, "application/json", body.into_bytes())
                            .authorization(&Secret::new(format!("Bearer {token}")))
                            .send();
                        let Ok(response) = sent else { break };
                        let status = response.status();
                        let Ok(bytes) = response.read_limited(100_000_000) else { break };
                        let answer: Value = serde_json::from_slice(&bytes).unwrap();
                        assert_eq!(status, 200, "{answer}");
                        let receipt = &answer["ledger"];
                        found.push((
                            receipt["index"].as_u64().unwrap(),
                            receipt["entry_digest"].as_str().unwrap().to_owned(),
                        ));
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                    found
                })
            })
            .collect();
        // In the middle of the work, however fast this machine is.
        while count.load(Ordering::SeqCst) < 5 && !threads.iter().all(|thread| thread.is_finished()) {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(7 * round));
        server.child.kill().unwrap();
        server.child.wait().unwrap();
        for thread in threads {
            for (index, digest) in thread.join().unwrap() {
                assert!(answered.insert(index, digest).is_none(), "entry {index} was given twice");
            }
        }
        site.place.ok(&["ledger", "verify", "--ledger", "data/ledger"]).check(0, "is whole");
    }
    assert!(answered.len() >= 20, "only {} verdicts were answered", answered.len());
    let ledger = hullmark_ledger::Ledger::open_read_only(&site.place.path("data/ledger")).unwrap();
    for (index, digest) in &answered {
        assert_eq!(
            hullmark_types::Digest::sha256(&ledger.entry(*index).unwrap()).to_string(),
            *digest,
            "entry {index}"
        );
    }
    // The store is whole, and what it holds of the last rounds is in the ledger.
    let server = site.serve();
    let client = Client::new(ClientOptions::default()).unwrap();
    let get = |path: &str| -> Value {
        let response = client
            .get(&format!("http://{}{path}", server.address))
            .authorization(&Secret::new(format!("Bearer {}", site.admin)))
            .send()
            .unwrap();
        assert_eq!(response.status(), 200, "{path}");
        serde_json::from_slice(&response.read_limited(100_000_000).unwrap()).unwrap()
    };
    assert_eq!(get("/readyz")["ready"], true);
    let config = report["inventory"]["subject"]["config"].as_str().unwrap();
    let rows = get(&format!("/api/v1/verdicts?image={config}&limit=500"));
    let rows = rows["verdicts"].as_array().unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        let entry: Value =
            serde_json::from_slice(&ledger.entry(row["link"]["entry"].as_u64().unwrap()).unwrap()).unwrap();
        assert_eq!(entry["verdict"], row["link"]["verdict"]);
    }
}

#[test]
fn stalled_connections_are_bounded_and_do_not_stop_others() {
    let site = Site::new("plain_http = true");
    let text = std::fs::read_to_string(site.place.path("server.toml")).unwrap();
    site.place.put("server.toml", text + "[limits]\nconnections = 20\n");
    let server = site.serve();
    let stalled: Vec<TcpStream> = (0..19)
        .map(|_| {
            let mut stream = TcpStream::connect(&server.address).unwrap();
            std::io::Write::write_all(&mut stream, b"GET /healthz HTTP/1.1\r\nHost: x\r\n").unwrap();
            stream
        })
        .collect();
    let client = Client::new(ClientOptions { retries: 20, ..ClientOptions::default() }).unwrap();
    let asked = client.get(&format!("http://{}/healthz", server.address)).send().unwrap();
    assert_eq!(asked.status(), 200);
    // More than the limit are closed at once.
    let mut more: Vec<TcpStream> = (0..5).map(|_| TcpStream::connect(&server.address).unwrap()).collect();
    let closed = more
        .iter_mut()
        .filter_map(|stream| {
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            stream.read(&mut [0; 1]).ok()
        })
        .filter(|read| *read == 0)
        .count();
    assert!(closed >= 4, "{closed}");
    // Those that stall lose their connection.
    let mut first = stalled.into_iter().next().unwrap();
    first.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = Vec::new();
    let _ = first.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
}
