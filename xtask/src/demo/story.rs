//! The commands that a user would type, their real output, and what it must show.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::assemble::Images;
use super::changes::{by_package, compare, read};
use crate::Ending;
use crate::debian::fetch::answers;
use crate::process;
use crate::workspace::{cargo, root, target};

/// The feeds that speak for the image, and those that add to any finding.
const FEEDS: &[&str] = &["debian-archive/bookworm-security", "kev"];

/// A public registry, and an image in it that is old enough to lack updates.
pub(super) const PUBLIC: (&str, &str) =
    ("https://registry-1.docker.io/v2/", "registry:docker.io/library/debian:bookworm-20240110-slim");

/// Where the commands are typed and what they work on.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    /// The `hullmark` binary.
    pub(super) binary: PathBuf,
    /// The directory of the demo, relative to the workspace or absolute.
    pub(super) directory: &'a Path,
    /// Whether to take every feed instead of [`FEEDS`].
    pub(super) full_feeds: bool,
    /// A public registry to look for, with an image in it.
    pub(super) public: Option<(&'static str, &'static str)>,
}

/// The binary to show: the given one, or the release build of this workspace.
///
/// # Errors
/// When it does not exist or cannot be built.
pub(super) fn binary(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(given) = given {
        return fs::canonicalize(given).with_context(|| format!("no binary {}", given.display()));
    }
    let mut command = cargo();
    command.args(["build", "--release", "--locked", "--package", "hullmark"]);
    println!("$ {}", process::show(&command));
    let status = command.stdin(Stdio::null()).status().context("cannot start cargo")?;
    if !status.success() {
        bail!("the release build ended with {status}");
    }
    Ok(target().join("release").join(format!("hullmark{}", std::env::consts::EXE_SUFFIX)))
}

/// Type the commands, check what they show, and say what does not hold.
///
/// # Errors
/// When a command cannot be started, or a file that it wrote cannot be read.
pub(super) fn tell(stage: &Stage<'_>, images: &Images) -> Result<Ending> {
    let mut wrong: Vec<String> = Vec::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            wrong.push(what.to_owned());
        }
    };
    let place = |name: &str| stage.directory.join(name).to_string_lossy().into_owned();
    let (database, ledger, proof) = (place("advisories.db"), place("ledger"), place("verdict.proof"));
    clear(stage)?;

    chapter("Fetch the advisories");
    let mut update = vec!["db", "update", "--db", &database];
    if !stage.full_feeds {
        update.extend(FEEDS.iter().flat_map(|feed| ["--only", feed]));
    }
    if stage.hullmark(&update)? != Some(0) {
        bail!("no advisories: the feeds above cannot be reached, and the demo cannot go on without them");
    }
    stage.hullmark(&["db", "status", "--db", &database])?;

    let scan = |image: &Path, report: &str| -> Result<Option<i32>> {
        let image = image.strip_prefix(root()).unwrap_or(image);
        let image = format!("docker-archive:{}", image.display());
        let words = ["--db", &database, "--ledger", &ledger, "--format", "json", "--output", report];
        stage.hullmark(&[&["scan", &image], words.as_slice()].concat())
    };
    let (first, second) = (place("before.json"), place("after.json"));

    chapter("Scan the image without its security updates: the built-in policy fails it");
    expect(
        scan(&images.before, &first)? == Some(1),
        "the policy must fail the image without updates: exit code 1",
    );
    let before = read(&root().join(&first))?;
    let outdated = before.keys().any(|(package, _)| images.updated.contains(package));
    expect(outdated, "the first scan must find a package that has a security update");

    chapter("Apply the security updates as a second layer, and scan again");
    let code = scan(&images.after, &second)?;
    expect(matches!(code, Some(0 | 1)), "the second scan must come to a verdict: exit code 0 or 1");
    let after = read(&root().join(&second))?;
    expect(after.len() < before.len(), "the updates must leave fewer findings");

    chapter("What changed");
    let changes = compare(&before, &after);
    println!("{} findings before, {} after", before.len(), after.len());
    for (word, keys) in [("gone", &changes.gone), ("left", &changes.left), ("new", &changes.new)] {
        println!("{word}: {}", keys.len());
        for line in by_package(keys) {
            println!("  {line}");
        }
    }

    if let Some((registry, image)) = stage.public {
        chapter("Scan an old image of a public registry, where one answers");
        if answers(registry) {
            // What a public registry answers is not for the demo to promise: its verdict is shown, not checked.
            stage.hullmark(&["scan", image, "--db", &database, "--ledger", &ledger])?;
        } else {
            println!("{registry} does not answer from here: left out");
        }
    }

    chapter("Prove it: the ledger is whole, and one verdict can be proved without it");
    expect(stage.hullmark(&["ledger", "verify", "--ledger", &ledger])? == Some(0), "the ledger must verify");
    stage.hullmark(&["ledger", "show", "--ledger", &ledger])?;
    let prove = ["ledger", "prove", "0", "--ledger", &ledger, "--output", &proof];
    expect(stage.hullmark(&prove)? == Some(0), "the first verdict must be provable");
    let key = place("ledger/ledger.pub");
    let verify = ["verify", "--proof", &proof, "--key", &key];
    expect(stage.hullmark(&verify)? == Some(0), "the proof must verify");

    chapter("Change one byte of a copy of the ledger: it is noticed");
    let forged = place("ledger-changed");
    change_one_byte(&root().join(&ledger), &root().join(&forged))?;
    let code = stage.hullmark(&["ledger", "verify", "--ledger", &forged])?;
    expect(code.is_some_and(|code| code != 0), "a changed ledger must not verify");

    for what in &wrong {
        println!("\nFAILED: {what}");
    }
    Ok(if wrong.is_empty() { Ending::Passed } else { Ending::Failed })
}

impl Stage<'_> {
    /// Type one `hullmark` command: print it, let it print, print its exit code.
    fn hullmark(&self, words: &[&str]) -> Result<Option<i32>> {
        let mut shown = Command::new("hullmark");
        shown.args(words);
        println!("\n$ {}", process::show(&shown));
        let mut command = Command::new(&self.binary);
        // What a developer has set for daily use is not for the demo.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HULLMARK_") {
                command.env_remove(name);
            }
        }
        let status = command.args(words).current_dir(root()).stdin(Stdio::null()).status();
        let code = status.with_context(|| format!("cannot start {}", self.binary.display()))?.code();
        println!(
            "exit code {}",
            code.map_or_else(|| "none: ended by a signal".to_owned(), |code| code.to_string())
        );
        Ok(code)
    }
}

fn chapter(title: &str) {
    println!("\n{title}\n{}", "-".repeat(title.chars().count()));
}

/// Remove what an earlier demo wrote; images, downloads and advisories are kept.
fn clear(stage: &Stage<'_>) -> Result<()> {
    let directory = root().join(stage.directory);
    for name in ["before.json", "after.json", "verdict.proof", "ledger", "ledger-changed"] {
        let path = directory.join(name);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Copy a ledger and change one byte in the middle of its first bundle of entries.
fn change_one_byte(ledger: &Path, copy: &Path) -> Result<()> {
    copy_directory(ledger, copy)?;
    let bundle = first_file(&copy.join("tile/entries")).context("the ledger has no entries")?;
    let mut bytes = fs::read(&bundle).with_context(|| format!("cannot read {}", bundle.display()))?;
    let middle = bytes.len() / 2;
    let byte = bytes.get_mut(middle).context("the ledger's entries are empty")?;
    *byte ^= 1;
    fs::write(&bundle, bytes).with_context(|| format!("cannot write {}", bundle.display()))?;
    println!("changed byte {middle} of {}", bundle.strip_prefix(root()).unwrap_or(&bundle).display());
    Ok(())
}

fn copy_directory(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make the directory {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let (source, target) = entry.map(|entry| (entry.path(), to.join(entry.file_name())))?;
        if source.is_dir() {
            copy_directory(&source, &target)?;
        } else {
            fs::copy(&source, &target).with_context(|| format!("cannot copy {}", source.display()))?;
        }
    }
    Ok(())
}

/// The first file below a directory, in the order of names.
fn first_file(directory: &Path) -> Option<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(directory).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths.into_iter().find_map(|path| if path.is_dir() { first_file(&path) } else { Some(path) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: &str = r#"
one='{"id": "CVE-1", "package": {"name": "openssl", "version": "1"}}'
two='{"id": "CVE-2", "package": {"name": "bash", "version": "1"}}'
update=0 first=1 left=$two forged=2
"#;

    fn check(change: &str, expected: Result<Ending, &str>) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("settings"), format!("{USUAL}{change}\n")).unwrap();
        let binary = root().join("xtask/fixtures/hullmark");
        let stage = Stage { binary, directory: directory.path(), full_feeds: false, public: None };
        let images = Images {
            before: "before.tar".into(),
            after: "after.tar".into(),
            updated: vec!["openssl".to_owned()],
        };
        match tell(&stage, &images) {
            Ok(ending) => assert_eq!(Ok(ending), expected, "{change}"),
            Err(error) => assert!(error.to_string().contains(expected.unwrap_err()), "{change}: {error:#}"),
        }
    }

    #[test]
    #[cfg(unix)]
    fn the_demo_passes_only_when_it_shows_what_it_promises() {
        check("", Ok(Ending::Passed));
        check("first=0", Ok(Ending::Failed));
        check("left=\"$one, $two\"", Ok(Ending::Failed));
        check("forged=0", Ok(Ending::Failed));
        check("update=2", Err("no advisories"));
    }
}
