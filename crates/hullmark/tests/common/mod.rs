//! Runs the command on images and feeds made for the test.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "each test file uses a part of this"
)]

pub mod lifecycle;
pub mod page;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hullmark_testkit::{FeedBuilder, ImageBuilder, TarBuilder};
use serde_json::{Value, json};

/// A directory of its own for a test: feeds, database, ledger, images.
pub struct Place {
    pub directory: tempfile::TempDir,
}

/// The time at which tests run.
pub const NOW: &str = "2026-01-02T00:00:00Z";

impl Place {
    /// A place with a database of the test's feeds.
    pub fn new() -> Self {
        let place = Self::bare();
        feeds(&place.path("feeds"));
        place.ok(&["db", "build", "--from", &place.text("feeds"), "--output", &place.text("a.db")]);
        place
    }

    /// A place with a database of the shared feeds; `None` where they are absent.
    pub fn shared() -> Option<(Self, PathBuf)> {
        let shared = hullmark_testkit::shared_dir()?;
        let place = Self::bare();
        let feeds = shared.join("feeds").display().to_string();
        place.ok(&["db", "build", "--from", &feeds, "--output", &place.text("a.db")]);
        Some((place, shared.join("images")))
    }

    /// A place without a database.
    pub fn bare() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Writes a file; its path.
    pub fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    /// The command, in surroundings that do not depend on the machine.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hullmark"));
        command
            .env_clear()
            .env("HOME", self.directory.path())
            .env("HULLMARK_DB", self.path("a.db"))
            .env("HULLMARK_LEDGER", self.path("ledger"))
            .env("HULLMARK_NOW", NOW)
            .env("HULLMARK_PROGRESS", "none")
            .env("USER", "tester")
            .current_dir(self.directory.path());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Answer {
        Answer(self.command().args(arguments).output().unwrap())
    }

    /// Runs what must end with exit code 0.
    pub fn ok(&self, arguments: &[&str]) -> Answer {
        let answer = self.run(arguments);
        assert_eq!(answer.code(), 0, "{arguments:?}\n{}\n{}", answer.stdout(), answer.stderr());
        answer
    }

    /// Scans and gives the JSON report.
    pub fn report(&self, target: &str) -> Value {
        let answer = self.run(&["scan", target, "--format", "json"]);
        assert_ne!(answer.code(), 2, "{}", answer.stderr());
        serde_json::from_str(&answer.stdout()).unwrap()
    }
}

/// What the command answered.
pub struct Answer(pub Output);

impl Answer {
    pub fn code(&self) -> i32 {
        self.0.status.code().unwrap()
    }

    pub fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }

    /// Checks the exit code, and that a text stands in what was written.
    #[track_caller]
    pub fn check(&self, code: i32, text: &str) {
        assert_eq!(self.code(), code, "{}\n{}", self.stdout(), self.stderr());
        let all = self.stdout() + &self.stderr();
        assert!(all.contains(text), "`{text}` is not in\n{all}");
    }
}

/// An Alpine image with musl 1.1.18-r3, and in a second layer urllib3 1.26.5.
pub fn image() -> ImageBuilder {
    ImageBuilder::new()
        .layer(alpine("3.7.3", "1.1.18-r3"), "ADD rootfs.tar in /")
        .empty_layer("ENV A=b")
        .layer(python("1.26.5"), "RUN pip install urllib3==1.26.5")
}

/// The layer of a small Alpine.
pub fn alpine(release: &str, musl: &str) -> Vec<u8> {
    let database = format!(
        "P:musl\nV:{musl}\nA:x86_64\no:musl\nL:MIT\nF:lib\nR:ld-musl-x86_64.so.1\n\n\
         P:musl-utils\nV:{musl}\nA:x86_64\no:musl\nL:MIT\n\nP:busybox\nV:1.27.2-r11\nA:x86_64\no:busybox\nL:GPL2\n\n"
    );
    TarBuilder::new()
        .file("etc/os-release", format!("ID=alpine\nVERSION_ID={release}\nPRETTY_NAME=\"Alpine Linux\"\n"))
        .file("etc/alpine-release", format!("{release}\n"))
        .file("lib/apk/db/installed", database)
        .finish()
}

/// The layer of an installed urllib3.
pub fn python(version: &str) -> Vec<u8> {
    let directory = format!("usr/lib/python3.6/site-packages/urllib3-{version}.dist-info");
    TarBuilder::new()
        .file(
            &format!("{directory}/METADATA"),
            format!("Metadata-Version: 2.1\nName: urllib3\nVersion: {version}\nLicense: MIT\n\n"),
        )
        .file(&format!("{directory}/RECORD"), "urllib3/__init__.py,,\n")
        .finish()
}

/// Feeds that know of musl and urllib3.
pub fn feeds(root: &Path) {
    let _ = FeedBuilder::new(root)
        .alpine("v3.7", "main", &[("musl", "1.1.18-r4", &["CVE-2019-14697"]), ("busybox", "0", &["CVE-2017-0001"])])
        .osv("PyPI", &[json!({
            "id": "PYSEC-2023-192", "modified": "2023-10-10T14:28:19Z", "published": "2023-10-04T17:15:00Z",
            "aliases": ["CVE-2023-43804", "GHSA-v845-jxx5-vc9f"], "details": "Cookies leak on redirects.",
            "affected": [{
                "package": { "ecosystem": "PyPI", "name": "urllib3" },
                "ranges": [{ "type": "ECOSYSTEM", "events": [
                    { "introduced": "2.0.0" }, { "fixed": "2.0.6" }, { "introduced": "0" }, { "fixed": "1.26.17" },
                ]}],
            }],
            "severity": [{ "type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:N" }],
        })])
        .kev(&["CVE-2000-0001"]);
}
