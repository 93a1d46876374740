//! A small image in place of Debian's, and one advisory about it, so that the whole story can be told in seconds and without
//! any network: the form that the tests run. Its programs are real: busybox, and one that executes a file from memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::super::image::{Layer, write};
use super::Images;
use crate::debian::time::Moment;
use crate::debian::tree::{Entry, Tree};
use crate::{process, system};

/// Programs that busybox is, by the names used in the story.
const APPLETS: &[&str] = &["sh", "ls", "cp", "cat", "chmod", "sleep", "echo", "printf", "true", "id"];

/// Executes the file that it is given, from memory: what an attacker does to leave no file behind.
const FROM_MEMORY: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
int main(int count, char **words) {
    if (count < 2) return 2;
    int from = open(words[1], O_RDONLY), to = memfd_create("memory", MFD_CLOEXEC);
    char buffer[65536];
    for (ssize_t length; (length = read(from, buffer, sizeof buffer)) > 0;)
        if (write(to, buffer, length) != length) return 2;
    fexecve(to, words + 1, environ);
    perror("fexecve");
    return 126;
}
"#;

/// The versions of the package with and without the vulnerability.
const VERSIONS: [&str; 2] = ["1.35.0-r0", "1.35.0-r9"];

/// Builds both images and lays out the feed.
///
/// # Errors
/// When busybox or a C compiler that links statically is not at hand.
pub(super) fn images(directory: &Path) -> Result<Images> {
    let busybox = busybox()?;
    let from_memory = compile(directory)?;
    let image = |name: &str, tag: &str, version: &str| -> Result<PathBuf> {
        let moment = Moment::parse("Thu, 01 Jan 2026 00:00:00 UTC")?;
        let program = |content: &[u8]| Entry { mode: 0o755, ..Entry::file(content.to_vec(), 0) };
        let text = |content: String| Entry::file(content.into_bytes(), 0);
        let mut tree = Tree::skeleton(0);
        tree.insert("bin/busybox", program(&busybox));
        for applet in APPLETS {
            let kind = crate::debian::tree::Kind::Symlink("busybox".to_owned());
            tree.insert(&format!("bin/{applet}"), Entry { kind, mode: 0o777, ..Entry::file(Vec::new(), 0) });
        }
        tree.insert("bin/from-memory", program(&from_memory));
        let release =
            "ID=alpine\nVERSION_ID=3.18.0\nPRETTY_NAME=\"Alpine Linux v3.18 (made for a demonstration)\"\n";
        tree.insert("etc/os-release", text(release.to_owned()));
        tree.insert("etc/passwd", text("root:x:0:0:root:/:/bin/sh\n".to_owned()));
        tree.insert(
            "lib/apk/db/installed",
            text(format!(
                "P:busybox\nV:{version}\nA:x86_64\no:busybox\nL:GPL-2.0-only\nF:bin\nR:busybox\n\n"
            )),
        );
        tree.insert("tmp/.keep", text(String::new()));
        let layer = Layer::new(&tree, "COPY busybox and its links", &moment)?;
        let path = directory.join(format!("{tag}.tar"));
        write(&path, name, &[layer])?;
        Ok(path)
    };
    let feed = serde_json::json!({
        "distroversion": "v3.18", "reponame": "main", "urlprefix": "https://example.invalid/alpine", "archs": ["x86_64"],
        "apkurl": "{{urlprefix}}/{{distroversion}}/{{reponame}}/{{arch}}/{{pkg.name}}-{{pkg.ver}}.apk",
        "packages": [{"pkg": {"name": "busybox", "secfixes": {VERSIONS[1]: ["CVE-2026-0001"]}}}],
    });
    let place = directory.join("feeds/alpine/v3.18");
    fs::create_dir_all(&place)?;
    fs::write(place.join("main.json"), serde_json::to_vec(&feed)?)?;
    Ok(Images {
        bad: image("shop/app:1.0", "bad", VERSIONS[0])?,
        good: image("shop/app:1.1", "good", VERSIONS[1])?,
        feeds: Some("feeds"),
        shell: "/bin/sh",
        from_memory: vec!["/bin/from-memory", "/tmp/echo", "from memory"],
    })
}

fn busybox() -> Result<Vec<u8>> {
    if process::find("busybox").is_none() {
        system::install(&["busybox-static"]);
    }
    let path = process::find("busybox").context("busybox is not at hand; install busybox-static")?;
    fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
}

fn compile(directory: &Path) -> Result<Vec<u8>> {
    let (source, program) = (directory.join("from-memory.c"), directory.join("from-memory"));
    fs::write(&source, FROM_MEMORY)?;
    let output = Command::new("cc").args(["-O1", "-static", "-o"]).arg(&program).arg(&source).output();
    let output = output.context("cannot start cc")?;
    if !output.status.success() {
        bail!("cc failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    fs::read(&program).with_context(|| format!("cannot read {}", program.display()))
}
