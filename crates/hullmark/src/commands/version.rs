//! `hullmark version`: version order as package managers have it.

use std::cmp::Ordering;
use std::io::{BufRead, Read};

use anyhow::{Context as _, Result, bail};
use hullmark_version::{Scheme, compare};

use crate::cli::Version;
use crate::output::to_stdout;

/// The longest line read from standard input, in bytes.
const MAX_LINE: u64 = 16 * 1024;

/// Runs a `version` command.
pub fn run(command: Version) -> Result<()> {
    let Version::Compare { scheme, left, right } = command;
    match (left, right) {
        (Some(left), Some(right)) => {
            let order = compare(scheme, &left, &right)?;
            to_stdout(|out| writeln!(out, "{}", sign(order)))
        }
        _ => compare_lines(scheme),
    }
}

fn sign(order: Ordering) -> char {
    match order {
        Ordering::Less => '<',
        Ordering::Equal => '=',
        Ordering::Greater => '>',
    }
}

/// Answers each line `a<TAB>b` of standard input with one line.
fn compare_lines(scheme: Scheme) -> Result<()> {
    let mut input = std::io::stdin().lock();
    let mut failure = None;
    to_stdout(|out| {
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            let length = (&mut input).take(MAX_LINE + 1).read_until(b'\n', &mut line)?;
            if length == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.strip_suffix('\n').unwrap_or(&text);
            let text = text.strip_suffix('\r').unwrap_or(text);
            if length as u64 > MAX_LINE {
                failure = Some(format!("line {number} of standard input is longer than {MAX_LINE} bytes"));
                break;
            }
            let Some((left, right)) = text.split_once('\t') else {
                failure = Some(format!("line {number} of standard input has no tab: expected `a<TAB>b`"));
                break;
            };
            writeln!(out, "{}", compare(scheme, left, right).map_or('!', sign))?;
        }
        Ok(())
    })
    .context("cannot compare the versions on standard input")?;
    match failure {
        Some(failure) => bail!(failure),
        None => Ok(()),
    }
}
