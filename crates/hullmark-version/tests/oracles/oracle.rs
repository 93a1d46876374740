//! Asking a reference implementation, and comparing its answers with Hullmark's.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hullmark_version::{Scheme, compare};

use crate::pairs::Pair;

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where the reference implementations are installed.
pub(crate) fn directory() -> PathBuf {
    std::env::var_os("HULLMARK_ORACLES").map_or_else(|| root().join("target/oracles"), PathBuf::from)
}

/// A script that asks a reference implementation.
pub(crate) fn script(name: &str) -> PathBuf {
    root().join("tests/oracles").join(name)
}

/// Whether a reference implementation must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Where everything must be tested.
    Required,
    /// Nowhere.
    Optional,
}

/// One that works.
pub(crate) struct Oracle {
    scheme: Scheme,
    command: fn() -> Command,
}

impl Oracle {
    /// The reference implementation that `command` starts; `None`, and a word on why, where it does not work.
    pub(crate) fn find(
        scheme: Scheme,
        need: Need,
        probe: (&str, &str),
        command: fn() -> Command,
    ) -> Option<Self> {
        let oracle = Self { scheme, command };
        let probe = (probe.0.to_owned(), probe.1.to_owned());
        let reason = match oracle.ask(&[probe]) {
            Ok(signs) if signs == ["<"] => return Some(oracle),
            Ok(signs) => format!("it answers {signs:?}"),
            Err(reason) => reason,
        };
        let is_set = |name, value| std::env::var(name).is_ok_and(|text| text == value);
        let all_must_be_there = is_set("CI", "true") || is_set("HULLMARK_REQUIRE_ORACLES", "1");
        assert!(
            need == Need::Optional || !all_must_be_there,
            "the {scheme} oracle does not work: {reason}; run tests/oracles/install.sh target/oracles"
        );
        println!("skipped: the {scheme} oracle does not work: {reason}");
        None
    }

    /// Checks that the reference implementation answers for every pair what Hullmark answers.
    pub(crate) fn check(&self, what: &str, pairs: &[Pair]) {
        let scheme = self.scheme;
        // An answer per line: half of them each in a process of its own.
        let (first, second) = pairs.split_at(pairs.len() / 2);
        let answers = std::thread::scope(|scope| {
            let first = scope.spawn(|| self.ask(first));
            let second = self.ask(second).unwrap();
            [first.join().unwrap().unwrap(), second].concat()
        });
        let mut counts = [("<", 0), ("=", 0), (">", 0), ("!", 0)];
        let mut disagreements = Vec::new();
        for ((left, right), answer) in pairs.iter().zip(&answers) {
            let ours = sign(scheme, left, right);
            let backwards = sign(scheme, right, left);
            if ours != answer || backwards != reverse(ours) {
                disagreements.push((left, right, answer, ours, backwards));
            }
            counts.iter_mut().filter(|(sign, _)| sign == answer).for_each(|(_, count)| *count += 1);
        }
        println!("{scheme}, {what}: {} pairs, {counts:?}", pairs.len());
        let mut report = String::new();
        for (left, right, answer, ours, backwards) in disagreements.iter().take(30) {
            let _ = writeln!(report, "  {left:?} {right:?}: {answer}, here {ours}, backwards {backwards}");
        }
        assert!(disagreements.is_empty(), "{} of {} differ:\n{report}", disagreements.len(), pairs.len());
    }

    fn ask(&self, pairs: &[Pair]) -> Result<Vec<String>, String> {
        let mut input = String::new();
        for (left, right) in pairs {
            let _ = writeln!(input, "{left}\t{right}");
        }
        let mut command = (self.command)();
        let shown = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {shown}: {error}"))?;
        let mut stdin = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output().map_err(|error| format!("{shown}: {error}"))?;
        // A program that does not read its input ends with an error of its own.
        let _ = writer.join();
        let answers: Vec<String> =
            String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        if !output.status.success() || answers.len() != pairs.len() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let last = stderr.lines().last().unwrap_or_default();
            return Err(format!(
                "{shown}: {}, {} of {} answers: {last}",
                output.status,
                answers.len(),
                pairs.len()
            ));
        }
        Ok(answers)
    }
}

fn sign(scheme: Scheme, left: &str, right: &str) -> &'static str {
    match compare(scheme, left, right) {
        Ok(Ordering::Less) => "<",
        Ok(Ordering::Equal) => "=",
        Ok(Ordering::Greater) => ">",
        Err(_) => "!",
    }
}

fn reverse(sign: &str) -> &str {
    match sign {
        "<" => ">",
        ">" => "<",
        same => same,
    }
}

/// Checks that there are at least `least` pairs, and enough in each order and with a version that does not parse that a
/// comparison which is wrong would be seen.
pub(crate) fn check_pairs(scheme: Scheme, pairs: &[Pair], least: usize, equal: usize, invalid: usize) {
    assert!(pairs.len() >= least, "{} pairs, expected {least} or more", pairs.len());
    for (wanted, least) in [("<", least / 10), ("=", equal), (">", least / 10), ("!", invalid)] {
        let count = pairs.iter().filter(|(left, right)| sign(scheme, left, right) == wanted).count();
        assert!(count >= least, "{count} pairs with {wanted}, expected {least} or more");
    }
}
