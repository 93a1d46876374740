//! What `cargo xtask bench` runs as an optimised program of its own.
//!
//! - `layer DIRECTORY`: reads a tar from standard input and stores it there as gzip and as zstd, named by digest.
//! - `inflate ARCHIVE [--diff-ids]`: the bare work that no scanner can leave out: reads, digests and inflates every layer of an
//!   image; with `--diff-ids` it also digests what comes out, as one who verifies a layer against its configuration does.
//! - `measure PROGRAM ...`: runs one program; its time, processor time and peak memory.
//!
//! Each prints one line of JSON.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "prints its result to the task that runs it")]

mod hashing;
mod inflate;
mod layer;
#[cfg(unix)]
mod measure;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::Value;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(result) => {
            println!("{result}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(words: &[&str]) -> Result<Value> {
    match words {
        ["layer", directory] => layer::store(&mut std::io::stdin().lock(), Path::new(directory)),
        ["inflate", archive] => inflate::run(Path::new(archive), threads(), false),
        ["inflate", archive, "--diff-ids"] => inflate::run(Path::new(archive), threads(), true),
        #[cfg(unix)]
        ["measure", program, arguments @ ..] => measure::run(program, arguments),
        _ => {
            bail!(
                "usage: hullmark-bench layer DIRECTORY | inflate ARCHIVE [--diff-ids] | measure PROGRAM [ARGUMENT ...]"
            )
        }
    }
}

/// One thread for each processor that this process may use.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
