//! `hullmark ledger` and `hullmark verify`: what was recorded, and that it was.

mod evidence;
mod show;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use hullmark_ledger::{Ledger as Log, MAX_ENTRY_SIZE, VerifierKey, parse_proof, publish_journal};
use hullmark_types::Digest;

use super::remote::Remote;
use super::{Context, read_limited};
use crate::cli::{Ledger, Verify};
use crate::environment;
use crate::output::{to_file_or_stdout, to_stdout};

/// The largest file with a public key, in bytes.
const MAX_KEY: u64 = 4096;

/// The largest proof, in bytes; the form itself allows less.
const MAX_PROOF: u64 = 1024 * 1024;

/// The file with the public key in the directory of a ledger.
const PUBLIC_KEY_FILE: &str = "ledger.pub";

/// Runs a `ledger` command.
pub fn run(context: &Context<'_>, command: Ledger) -> Result<()> {
    match command {
        Ledger::Verify { ledger, proof, entry, key } => {
            let directory = environment::ledger_path(ledger.ledger)?;
            match proof {
                Some(proof) => {
                    let key = key.unwrap_or_else(|| directory.join(PUBLIC_KEY_FILE));
                    verify_proof(&proof, entry.as_deref(), &key)
                }
                None => verify_log(&directory, key.as_deref()),
            }
        }
        Ledger::Show { ledger, server, digest, format } => match Remote::open(context, &server)? {
            Some(remote) => show::remote(&remote, digest.as_deref(), format),
            None => {
                let log = open(context, ledger.ledger)?;
                match digest {
                    Some(wanted) => show::local(&log, &wanted, format),
                    None => show::list(&log, format),
                }
            }
        },
        Ledger::Export { ledger, server, key, digest, output, attach } => {
            let evidence = match Remote::open(context, &server)? {
                Some(remote) => evidence::of_server(&remote, &digest, key.as_deref())?,
                None => evidence::of_ledger(&open(context, ledger.ledger)?, &digest)?,
            };
            evidence::export(context, evidence, &output, &attach)
        }
        Ledger::Prove { ledger, entry, output } => {
            let log = open(context, ledger.ledger)?;
            let index = match find(&log, &entry)?.as_slice() {
                [index] => *index,
                [] => bail!("no entry of the ledger is `{entry}`"),
                several => bail!("`{entry}` names {} entries; give a number: {several:?}", several.len()),
            };
            let mut proof = log.prove(index)?;
            // The entry travels with its proof, so that one file is enough to check both.
            proof.extra = Some(log.entry(index)?);
            to_file_or_stdout(output.as_deref(), |out| out.write_all(proof.to_text().as_bytes()))
        }
    }
}

/// Runs `hullmark verify`.
pub fn verify(context: &Context<'_>, arguments: &Verify) -> Result<()> {
    match (&arguments.evidence.proof, &arguments.evidence.bundle, &arguments.key) {
        (_, Some(bundle), key) => evidence::verify(context, bundle, key.as_deref()),
        (Some(proof), None, Some(key)) => verify_proof(proof, arguments.entry.as_deref(), key),
        _ => bail!("give --bundle, or --proof and --key"),
    }
}

/// Opens the ledger to read it, once what waits in its journal is published; says how much is not.
fn open(context: &Context<'_>, given: Option<PathBuf>) -> Result<Log> {
    let path = environment::ledger_path(given)?;
    let what = || format!("cannot open the ledger `{}`", path.display());
    let waiting = publish_journal(&path).with_context(what)?;
    if waiting > 0 {
        context.talk.note(format!(
            "{waiting} more entries of `{}` wait in its journal, which this user may not publish; they are not shown",
            path.display()
        ));
    }
    Log::open_read_only(&path).with_context(what)
}

fn read_key(path: &Path) -> Result<VerifierKey> {
    let text = String::from_utf8_lossy(&read_limited(path, MAX_KEY)?).into_owned();
    VerifierKey::parse(text.trim()).with_context(|| format!("`{}` holds no public key", path.display()))
}

fn verify_log(directory: &Path, key: Option<&Path>) -> Result<()> {
    let key = key.map(read_key).transpose()?;
    // What is wrong with the journal, the verification finds too, and says more exactly.
    let _verified_next = publish_journal(directory);
    let report = hullmark_ledger::verify_log(directory, key.as_ref())
        .with_context(|| format!("the ledger `{}` is not whole", directory.display()))?;
    to_stdout(|out| {
        writeln!(out, "ledger `{}` is whole", directory.display())?;
        writeln!(out, "  origin   {}", report.origin)?;
        writeln!(out, "  entries  {}", report.size)?;
        writeln!(out, "  root     {}", report.root.to_hex())?;
        if report.waiting > 0 {
            writeln!(out, "  waiting  {} in the journal, signed, not yet published", report.waiting)?;
        }
        for extra in &report.extras {
            writeln!(out, "  beside   {} ({:?})", extra.path.escape_default(), extra.reason)?;
        }
        match report.extras_not_listed {
            0 => Ok(()),
            more => writeln!(out, "  beside   {more} more files"),
        }
    })
}

/// Verifies a proof, and prints the entry that it proves.
fn verify_proof(proof: &Path, entry: Option<&Path>, key: &Path) -> Result<()> {
    let key = read_key(key)?;
    let name = || format!("`{}`", proof.display());
    let proof = parse_proof(&read_limited(proof, MAX_PROOF)?)
        .with_context(|| format!("{} is not a proof", name()))?;
    let entry = match entry {
        Some(path) => read_limited(path, MAX_ENTRY_SIZE as u64)?,
        None => proof.extra.clone().with_context(|| format!("{} carries no entry; give --entry", name()))?,
    };
    let proven =
        proof.verify(&entry, &key).with_context(|| format!("{} does not prove its entry", name()))?;
    to_stdout(|out| {
        writeln!(out, "proved: entry {} of {} in the ledger `{}`", proven.index, proven.size, proven.origin)?;
        out.write_all(&entry)?;
        out.write_all(b"\n")
    })
}

/// The entries that `wanted` names: by number, or by a digest that is the entry's own or stands in it.
fn find(log: &Log, wanted: &str) -> Result<Vec<u64>> {
    if let Ok(index) = wanted.parse::<u64>() {
        if index >= log.size() {
            bail!("the ledger has {} entries, counted from 0; there is no entry {index}", log.size());
        }
        return Ok(vec![index]);
    }
    let digest: Digest = wanted.parse().context("expected the number of an entry, or a digest")?;
    Ok(log.find(&digest)?)
}
