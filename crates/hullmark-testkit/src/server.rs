//! An HTTP/1.1 server on the loopback interface, on threads of its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use hullmark_types::Digest;

use crate::ImageBuilder;

/// What a server was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `GET`, `HEAD`, ...
    pub method: String,
    /// Path with query.
    pub path: String,
    /// Headers; names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Body, when its length was stated.
    pub body: Vec<u8>,
}

/// What a server answers.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// How many bytes of the body to send before hanging up; all of them when `None`.
    pub cut: Option<usize>,
    /// How long to say nothing before hanging up.
    pub stall: Duration,
}

impl Answer {
    /// An answer without headers.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), cut: None, stall: Duration::ZERO }
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Answer {
    /// The part of the body that is asked for, where it is a part.
    #[must_use]
    pub fn ranged(self, asked: &Asked) -> Self {
        let range =
            asked.headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let (Some((first, last)), 200) = (range, self.status) else { return self };
        let (end, size) = (self.body.len().saturating_sub(1), self.body.len());
        let (first, last) = (first.parse().unwrap_or(usize::MAX), last.parse().unwrap_or(end).min(end));
        match self.body.get(first..=last) {
            None => Self { status: 416, body: Vec::new(), ..self },
            Some(part) => {
                let body = part.to_vec();
                Self { status: 206, body, ..self }
                    .header("Content-Range", &format!("bytes {first}-{last}/{size}"))
            }
        }
    }
}

type Handler = dyn Fn(&Asked) -> Answer + Send + Sync;

/// A server; it stops answering when the test ends.
pub struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Serves what `handler` answers.
    pub fn new(handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, handler): (_, Arc<Handler>) = (Arc::clone(&asked), Arc::new(handler));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, handler) = (Arc::clone(&log), Arc::clone(&handler));
                std::thread::spawn(move || serve(stream, &log, handler.as_ref()));
            }
        });
        Self { address, asked }
    }

    /// Serves the files below a directory, with `Last-Modified`.
    pub fn files(root: PathBuf) -> Self {
        Self::new(move |asked| {
            let path = asked.path.split('?').next().unwrap_or_default();
            let path = path.trim_start_matches('/').replace("%3A", ":");
            if path.split('/').any(|part| part == "..") {
                return Answer::new(400, "");
            }
            match std::fs::read(root.join(path)) {
                Ok(body) => Answer::new(200, body).header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
                Err(_) => Answer::new(404, "not here"),
            }
        })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Everything that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

fn serve(stream: TcpStream, log: &Mutex<Vec<Asked>>, handler: &Handler) {
    let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
    let mut stream = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let method = line.split(' ').next().unwrap_or_default().to_owned();
        let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            match line.trim_end().split_once(": ") {
                Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
                None => break,
            };
        }
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let asked = Asked { method, path, headers, body };
        log.lock().expect("not poisoned").push(asked.clone());
        let answer = handler(&asked);
        let mut head = format!("HTTP/1.1 {} X\r\nContent-Length: {}\r\n", answer.status, answer.body.len());
        for (name, value) in &answer.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let only_head = asked.method == "HEAD";
        let body = &answer.body[..answer.cut.unwrap_or(answer.body.len()).min(answer.body.len())];
        let sent = stream
            .write_all(head.as_bytes())
            .and_then(|()| if only_head { Ok(()) } else { stream.write_all(body) })
            .and_then(|()| stream.flush());
        if sent.is_err() || answer.cut.is_some() {
            std::thread::sleep(answer.stall);
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}

/// Serves an image as the repository `team/app`, tag `1.0`. With credentials (`user`, `password`) it asks for a Bearer token
/// when `bearer` is true, else for Basic authentication.
pub fn registry(image: &ImageBuilder, credentials: Option<(&str, &str)>, bearer: bool) -> Server {
    let mut documents: BTreeMap<String, (String, Vec<u8>)> = BTreeMap::new();
    let manifest = image.manifest();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let base = "/v2/team/app";
    for name in ["1.0".to_owned(), Digest::sha256(&manifest).to_string()] {
        documents.insert(format!("{base}/manifests/{name}"), (media_type.to_owned(), manifest.clone()));
    }
    for blob in image.blobs().into_iter().chain([image.config()]) {
        let name = format!("{base}/blobs/{}", Digest::sha256(&blob));
        documents.insert(name, ("application/octet-stream".to_owned(), blob));
    }
    let basic = credentials.map(|(user, password)| {
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
    });
    Server::new(move |asked| {
        let authorization = asked.headers.get("authorization").cloned();
        let host = asked.headers.get("host").cloned().unwrap_or_default();
        if asked.path.starts_with("/token") {
            return match basic.is_none() || authorization == basic {
                true => Answer::new(200, r#"{"token":"granted","expires_in":60}"#),
                false => Answer::new(401, ""),
            };
        }
        let expected = if bearer { Some("Bearer granted".to_owned()) } else { basic.clone() };
        if expected.is_some() && authorization != expected {
            let challenge = match bearer {
                true => format!("Bearer realm=\"http://{host}/token\",service=\"test\""),
                false => "Basic realm=\"test\"".to_owned(),
            };
            return Answer::new(401, "").header("WWW-Authenticate", &challenge);
        }
        match documents.get(asked.path.as_str()) {
            None if asked.path == "/v2/" => Answer::new(200, "{}"),
            Some((media_type, body)) => Answer::new(200, body.clone()).header("Content-Type", media_type),
            None => {
                Answer::new(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#)
            }
        }
    })
}
