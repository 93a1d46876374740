//! Time, processor time and peak memory of one program.
//!
//! The kernel tells them for all children that a process has waited for. So this process runs one program and is done;
//! and it is small, since a program's peak counts from what it was forked from.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde_json::{Value, json};

/// Run a program, its standard output dropped, and tell what it took.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<Value> {
    let start = Instant::now();
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("cannot start `{program}`"))?;
    let wall = start.elapsed();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("cannot read the usage of the program")?;
    let microseconds = |time: nix::sys::time::TimeVal| time.num_microseconds();
    let said = String::from_utf8_lossy(&output.stderr);
    Ok(json!({
        "exit": output.status.code(),
        "wall": wall.as_micros() as u64,
        "user": microseconds(usage.user_time()),
        "system": microseconds(usage.system_time()),
        // Linux counts in kibibytes.
        "peak": usage.max_rss() * 1024,
        "said": said.lines().last().unwrap_or_default(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_measured() {
        let result = run("sh", &["-c", "echo gone >&2; exit 3"]).unwrap();
        assert_eq!((&result["exit"], &result["said"]), (&json!(3), &json!("gone")));
        assert!(result["peak"].as_i64().unwrap() > 0 && result["wall"].as_u64().unwrap() > 0);
        assert!(run("/no/such/program", &[]).is_err());
    }
}
