//! Pages of the documentation whose commands are run, and show what is printed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use hullmark_testkit::workspace_root;

use super::{NOW, Place};

/// A line of the page.
#[derive(Debug)]
enum Line {
    /// Not in a block of commands.
    Text(String),
    /// A command, without the prompt.
    Command(String),
    /// A part of what the page says that the command before prints.
    Output,
}

fn lines(page: &str) -> Vec<Line> {
    let mut inside = false;
    page.lines()
        .map(|line| match (inside, line) {
            (false, "```console") | (true, "```") => {
                inside = !inside;
                Line::Text(line.to_owned())
            }
            (false, line) => Line::Text(line.to_owned()),
            (true, line) => match line.strip_prefix("$ ") {
                Some(command) => Line::Command(command.to_owned()),
                None => Line::Output,
            },
        })
        .collect()
}

/// The page with what its commands print now.
pub fn run_page(page: &str, run: impl Fn(&str) -> String) -> String {
    let mut made = String::new();
    for line in lines(page) {
        match line {
            Line::Text(text) => made.push_str(&format!("{text}\n")),
            Line::Command(command) => made.push_str(&format!("$ {command}\n{}", run(&command))),
            Line::Output => {}
        }
    }
    made
}

/// Hexadecimal digits and base64 that stand for a hash or a key are replaced by as many `#`, so that columns stay where
/// they are.
pub fn normalised(text: &str) -> String {
    let is_hex = |word: &str| word.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let is_hash_like = |word: &str| {
        let hex = word.len() >= 12 && is_hex(word);
        let base64 = word.len() == 44 && word.ends_with('=');
        hex || base64
    };
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let mut made = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = match is_part(first) {
            true => rest.find(|c| !is_part(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (word, after) = rest.split_at(end);
        match (is_hash_like(word), word.rsplit_once('+')) {
            (true, _) => made.push_str(&"#".repeat(word.len())),
            // The name and the id of a key.
            (false, Some((name, id))) if id.len() == 8 && is_hex(id) => {
                made.push_str(&format!("{name}+########"))
            }
            (false, _) => made.push_str(word),
        }
        rest = after;
    }
    made
}

/// Runs commands by a shell, in the place.
pub struct Session<'a> {
    pub place: &'a Place,
    pub variables: BTreeMap<&'static str, String>,
}

impl Session<'_> {
    /// What the command prints, as a terminal shows it, and its exit code when it is not 0.
    pub fn run(&self, command: &str) -> String {
        let binary = Path::new(env!("CARGO_BIN_EXE_hullmark")).parent().unwrap().display().to_string();
        let path = format!("{binary}:{}", std::env::var("PATH").unwrap());
        let output = Command::new("sh")
            .args(["-c", &format!("exec 2>&1; {command}")])
            .env_clear()
            .envs(&self.variables)
            .env("PATH", path)
            .env("HOME", self.place.directory.path())
            .env("HULLMARK_DB", "a.db")
            .env("HULLMARK_LEDGER", "ledger")
            .env("HULLMARK_NOW", NOW)
            .env("HULLMARK_PROGRESS", "none")
            .env("USER", "tester")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(self.place.directory.path())
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        match output.status.code().unwrap() {
            0 => printed,
            code => format!("{printed}[exit code {code}]\n"),
        }
    }
}

/// Runs the commands of a page in `docs/`, and checks that they print what it shows; with `HULLMARK_UPDATE_GOLDEN=1` it shows
/// what they print.
pub fn check_page(name: &str, session: &Session<'_>) {
    let path = workspace_root().join("docs").join(name);
    let page = std::fs::read_to_string(&path).unwrap();
    let made = run_page(&page, |command| session.run(command));
    if normalised(&made) == normalised(&page) {
        return;
    }
    if std::env::var_os("HULLMARK_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, made).unwrap();
        return;
    }
    let (page, made) = (normalised(&page), normalised(&made));
    let line = page.lines().zip(made.lines()).position(|(page, made)| page != made);
    assert!(
        page == made,
        "the page differs from line {} on; HULLMARK_UPDATE_GOLDEN=1 rewrites it\n--- made\n{made}",
        line.map_or(0, |line| line + 1)
    );
}
