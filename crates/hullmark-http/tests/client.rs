//! The client against servers that are busy, slow, broken or hostile. All of them on the loopback interface.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hullmark_http::{Client, ClientOptions, HttpError, PlainHttp, Response, Secret};
use hullmark_testkit::{Answer, Server};

fn options() -> ClientOptions {
    ClientOptions { retries: 3, sleep: |_| {}, ..ClientOptions::default() }
}

fn client() -> Client {
    Client::new(options()).unwrap()
}

fn get(client: &Client, address: &str) -> Result<Response, HttpError> {
    client.get(address).send()
}

fn fails(client: &Client, address: &str, expected: &str) {
    match get(client, address) {
        Ok(response) => panic!("{address} answered {}", response.status()),
        Err(error) => assert!(error.to_string().contains(expected), "{error}"),
    }
}

/// Answers with `status` some times, then with success.
fn busy(status: u16, times: usize, retry_after: &'static str) -> Server {
    let count = AtomicUsize::new(0);
    Server::new(move |_| match count.fetch_add(1, Ordering::Relaxed) < times {
        true => Answer::new(status, "busy").header("Retry-After", retry_after),
        false => Answer::new(200, "done"),
    })
}

#[test]
fn a_busy_server_is_asked_again_after_the_wait_it_asks_for() {
    static WAITED: AtomicU64 = AtomicU64::new(0);
    let sleep = |time: Duration| {
        WAITED.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    };
    let client = Client::new(ClientOptions { sleep, ..options() }).unwrap();
    for status in [429, 500, 502, 503, 504] {
        let server = busy(status, 2, "4");
        let response = get(&client, &server.url()).unwrap();
        assert_eq!((response.status(), server.asked().len()), (200, 3));
        assert_eq!(WAITED.swap(0, Ordering::Relaxed), 8000);
    }
}

#[test]
fn a_server_that_stays_busy_is_left_alone_and_its_answer_given() {
    let server = busy(503, 100, "1");
    let response = get(&client(), &server.url()).unwrap();
    assert_eq!((response.status(), server.asked().len()), (503, 4));
    assert_eq!(response.read_limited(100).unwrap(), b"busy");
}

#[test]
fn answers_that_will_not_change_are_not_asked_for_again() {
    for status in [400, 401, 403, 404, 410] {
        let server = busy(status, 100, "1");
        assert_eq!(get(&client(), &server.url()).unwrap().status(), status);
        assert_eq!(server.asked().len(), 1, "{status}");
    }
}

#[test]
fn a_connection_that_is_dropped_is_made_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let accepted = std::thread::spawn(move || (0..4).filter(|_| listener.accept().is_ok()).count());
    fails(&client(), &address, "cannot reach `127.0.0.1`: ");
    assert_eq!(accepted.join().unwrap(), 4);
}

#[test]
fn a_server_that_is_not_there_is_named_with_the_cause() {
    fails(&client(), "http://127.0.0.1:1/", "cannot reach `127.0.0.1`: Connection refused");
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let silent = ClientOptions { read_timeout: Duration::from_millis(100), retries: 1, ..options() };
    fails(&Client::new(silent).unwrap(), &address, "cannot reach `127.0.0.1`: no answer in time");
}

#[test]
fn a_server_without_tls_is_not_spoken_to_as_if_it_had() {
    let server = busy(200, 0, "");
    let address = server.url().replace("http://", "https://");
    fails(&client(), &address, "cannot reach `127.0.0.1`: ");
    assert!(server.asked().iter().all(|asked| !asked.path.starts_with('/')), "{:?}", server.asked());
}

#[test]
fn offline_contacts_no_other_machine() {
    let offline = Client::new(ClientOptions { offline: true, ..options() }).unwrap();
    fails(
        &offline,
        "https://feeds.example/a",
        "`feeds.example` was not contacted, because `--offline` is set",
    );
    let server = Server::new(|_| Answer::new(302, "").header("Location", "https://feeds.example/a"));
    fails(&offline, &server.url(), "`feeds.example` was not contacted");
}

#[test]
fn plain_http_is_for_this_machine_unless_allowed() {
    fails(
        &client(),
        "http://feeds.example/a?token=secret",
        "`http://feeds.example/a?token=***` is plain HTTP",
    );
    let server = Server::new(|_| Answer::new(302, "").header("Location", "http://feeds.example/b"));
    fails(&client(), &server.url(), "`http://feeds.example/b` is plain HTTP");
    for address in ["ftp://feeds.example/", "file:///etc/passwd", "feeds.example", "https://", ""] {
        assert!(matches!(get(&client(), address), Err(HttpError::Address { .. })), "{address}");
    }
}

#[test]
fn redirects_are_followed_and_counted() {
    let server = Server::new(|asked| match asked.path.as_str() {
        "/a" => Answer::new(301, "").header("Location", "b"),
        "/b" => Answer::new(307, "").header("Location", "/c?x=1"),
        "/c?x=1" => Answer::new(200, "done"),
        _ => Answer::new(302, "").header("Location", "/again"),
    });
    let response = get(&client(), &format!("{}/a", server.url())).unwrap();
    assert_eq!(response.address(), format!("{}/c?x=***", server.url()));
    fails(&client(), &format!("{}/again", server.url()), "redirects more than 10 times");
    assert_eq!(server.asked().len(), 3 + 11);
}

#[test]
fn credentials_stay_with_the_host_they_are_for() {
    let other = Server::new(|_| Answer::new(200, ""));
    let elsewhere = other.url();
    let server = Server::new(move |asked| match asked.path.as_str() {
        "/here" => Answer::new(302, "").header("Location", "/there"),
        _ => Answer::new(302, "").header("Location", &elsewhere),
    });
    let secret = Secret::new("Bearer abc");
    let client = client();
    let request = client.get(&format!("{}/here", server.url())).authorization(&secret).accept("text/plain");
    assert_eq!(request.send().unwrap().status(), 200);
    let sent: Vec<_> =
        server.asked().iter().map(|asked| asked.headers.get("authorization").cloned()).collect();
    assert_eq!(sent, [Some("Bearer abc".to_owned()), Some("Bearer abc".to_owned())]);
    let asked = other.asked();
    assert_eq!(asked[0].headers.get("authorization"), None);
    assert_eq!(asked[0].headers.get("accept").map(String::as_str), Some("text/plain"));
}

#[test]
fn credentials_are_never_shown() {
    let secret = Secret::new("Bearer abc");
    let client = client();
    let request = client.get("http://user:password@127.0.0.1:1/?token=abc").authorization(&secret);
    let shown = format!("{request:?}");
    assert!(!shown.contains("Bearer abc"), "{shown}");
    let error = request.send().unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("password") && !shown.contains("abc"), "{shown}");
}

#[test]
fn bodies_are_bounded_and_must_be_whole() {
    let server = Server::new(|asked| match asked.path.as_str() {
        "/cut" => Answer { cut: Some(5), ..Answer::new(200, "0123456789") },
        _ => Answer::new(200, "0123456789"),
    });
    let read = |path: &str, limit| {
        get(&client(), &format!("{}{path}", server.url()))
            .unwrap()
            .read_limited(limit)
            .map_err(|e| e.to_string())
    };
    assert_eq!(read("/", 10).unwrap(), b"0123456789");
    assert!(read("/", 9).unwrap_err().ends_with("is larger than 9 bytes"));
    assert!(read("/cut", 10).unwrap_err().contains("broke off"));
    let mut response = get(&client(), &format!("{}/cut", server.url())).unwrap();
    assert_eq!(response.content_length(), Some(10));
    let error = response.read_to_end(&mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("broke off"), "{error}");
}

#[test]
fn a_body_that_comes_a_byte_at_a_time_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let client =
        Client::new(ClientOptions { read_timeout: Duration::from_millis(300), ..options() }).unwrap();
    let error = get(&client, &address).unwrap().read_limited(2_000_000).unwrap_err().to_string();
    assert!(error.ends_with("broke off: it comes too slowly"), "{error}");
}

#[test]
fn a_server_that_states_too_large_a_body_is_not_listened_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n");
        std::thread::sleep(Duration::from_secs(2));
    });
    let error = get(&client(), &address).unwrap().read_limited(100).unwrap_err().to_string();
    assert!(error.ends_with("is larger than 100 bytes"), "{error}");
}

/// Names for tests; no name server is asked.
fn lookup(host: &str) -> std::io::Result<Vec<IpAddr>> {
    static REBOUND: AtomicUsize = AtomicUsize::new(0);
    let address = match host {
        "here.example" => "127.0.0.1",
        "inside.example" => "10.0.0.1",
        "metadata.example" => "169.254.169.254",
        // On the internet when it is looked at, on this machine when it is contacted.
        "rebinding.example" if REBOUND.fetch_add(1, Ordering::Relaxed) == 0 => "1.1.1.1",
        "rebinding.example" => "127.0.0.1",
        _ => return Err(std::io::Error::other("no such name")),
    };
    Ok(vec![address.parse().unwrap()])
}

#[test]
fn redirects_lead_no_further_inside_than_the_server_that_was_asked() {
    let options = ClientOptions { plain_http: PlainHttp::Allowed, lookup, retries: 0, ..options() };
    let client = Client::new(options).unwrap();
    let server = Server::new(|asked| {
        let target = asked
            .path
            .trim_start_matches('/')
            .replace("PORT", asked.headers["host"].rsplit(':').next().unwrap());
        match asked.path.as_str() {
            "/done" => Answer::new(200, "done"),
            _ => Answer::new(302, "").header("Location", &target),
        }
    });
    let port = server.url().rsplit(':').next().unwrap().to_owned();
    // A server on this machine may lead to this machine, by name and by address.
    for target in
        ["http://here.example:PORT/done", "http://127.0.0.1:PORT/done", "http://localhost:PORT/done"]
    {
        let response = get(&client, &format!("http://here.example:{port}/{target}")).unwrap();
        assert_eq!(response.read_limited(10).unwrap(), b"done", "{target}");
    }
    for target in
        ["http://169.254.169.254/", "http://[fe80::1]/", "http://0.0.0.0:PORT/", "http://[::ffff:a9fe:a9fe]/"]
    {
        fails(
            &client,
            &format!("http://here.example:{port}/{target}"),
            "which is not a public address, and is not followed",
        );
    }
    fails(
        &client,
        &format!("http://here.example:{port}/http://metadata.example/"),
        "cannot reach `metadata.example`: it leads to 169.254.169.254, which is not a public address",
    );
    // A name that leads elsewhere at its second look-up is held to what the first one said.
    fails(
        &client,
        &format!("http://rebinding.example:{port}/done"),
        "cannot reach `rebinding.example`: it leads to 127.0.0.1, which is not a public address",
    );
    assert!(server.asked().iter().all(|asked| !asked.headers["host"].contains("rebinding")));
}

#[test]
fn what_a_server_names_is_held_to_where_the_server_is() {
    let client =
        Client::new(ClientOptions { plain_http: PlainHttp::Allowed, lookup, retries: 0, ..options() })
            .unwrap();
    let server = busy(200, 0, "");
    let ask =
        |by: &str, address: &str| client.get(address).named_by(by).send().map(|response| response.status());
    assert_eq!(ask("http://here.example/", &server.url()).unwrap(), 200);
    for by in
        ["http://inside.example/", "http://1.1.1.1/", "http://unknown.example/", "http://metadata.example/"]
    {
        let error = ask(by, &server.url()).unwrap_err();
        assert!(matches!(error, HttpError::LeadsInside { .. }), "{by}: {error}");
    }
    let error = ask("http://1.1.1.1/", "http://inside.example/").unwrap_err().to_string();
    assert!(error.contains("it leads to 10.0.0.1, which is not a public address"), "{error}");
}

#[test]
fn certificate_authorities_come_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    for (text, expected) in [
        (None, "No such file"),
        (Some(""), "found none"),
        (Some("-----BEGIN CERTIFICATE-----\n!"), "cannot be used"),
    ] {
        text.into_iter().for_each(|text| std::fs::write(&path, text).unwrap());
        let error = Client::new(ClientOptions { ca_files: vec![path.clone()], ..options() }).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_head_request_has_no_body() {
    let server = busy(200, 0, "");
    let response = client().head(&server.url()).send().unwrap();
    assert_eq!((response.status(), response.header("content-length")), (200, Some("4")));
    assert_eq!(server.asked()[0].method, "HEAD");
    assert_eq!(response.read_limited(10).unwrap(), b"");
}

#[test]
fn a_range_is_asked_for() {
    let server = Server::new(|asked| Answer::new(206, asked.headers["range"].clone()));
    let response = client().get(&server.url()).range_from(7).send().unwrap();
    assert_eq!(response.read_limited(100).unwrap(), b"bytes=7-");
}

/// Run by [`proxies_of_the_environment_are_used_for_other_machines_only`] in a process of its own, with a proxy.
#[test]
#[ignore = "needs a proxy in its environment"]
fn asks_through_a_proxy() {
    let client = Client::new(ClientOptions { plain_http: PlainHttp::Allowed, ..options() }).unwrap();
    let response = get(&client, "http://feeds.example/a").unwrap();
    assert_eq!(response.read_limited(100).unwrap(), b"from the proxy");
    let here = busy(200, 0, "");
    assert_eq!(get(&client, &here.url()).unwrap().read_limited(100).unwrap(), b"done");
    // Another machine that redirects to this one is not followed.
    fails(
        &client,
        "http://feeds.example/to-loopback",
        "leads to `http://127.0.0.1:1/`, which is not a public address",
    );
}

#[test]
fn proxies_of_the_environment_are_used_for_other_machines_only() {
    let proxy = Server::new(|asked| match asked.path.ends_with("/to-loopback") {
        true => Answer::new(302, "").header("Location", "http://127.0.0.1:1/"),
        false => Answer::new(200, "from the proxy"),
    });
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "asks_through_a_proxy", "--ignored"])
        .env("http_proxy", proxy.url())
        .env_remove("no_proxy")
        .env_remove("NO_PROXY")
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));
    let paths: Vec<String> = proxy.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(paths, ["http://feeds.example/a", "http://feeds.example/to-loopback"]);
}

#[test]
fn what_is_posted_is_sent_once_and_not_to_where_a_redirect_leads() {
    let server = busy(503, 1, "0");
    let response = client().post(&server.url(), "application/json", b"{}".to_vec()).send().unwrap();
    assert_eq!(response.status(), 503);
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].method, "POST");
    assert_eq!(asked[0].headers.get("content-type").map(String::as_str), Some("application/json"));
    assert_eq!(asked[0].body, b"{}");

    let server = Server::new(|_| Answer::new(307, "").header("location", "/elsewhere"));
    assert_eq!(client().post(&server.url(), "text/plain", Vec::new()).send().unwrap().status(), 307);
    assert_eq!(server.asked().len(), 1);
}
