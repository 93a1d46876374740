//! `hullmark cache`, and the cache that commands use which read images.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Context;
use crate::cli::{Cache as Command, CacheArguments};
use crate::environment;
use crate::output;
use crate::size::ByteSize;

/// Runs the command.
pub fn run(context: &Context<'_>, command: Command) -> Result<()> {
    match command {
        Command::Info(arguments) => {
            let cache = open(context, arguments.cache)?;
            let usage = cache.usage()?;
            output::to_stdout(|out| {
                let size = ByteSize(usage.bytes);
                writeln!(out, "directory  {}", cache.directory().display())?;
                writeln!(out, "entries    {}", usage.entries)?;
                writeln!(out, "size       {size}")
            })
        }
        Command::Prune(arguments) => {
            let cache = open(context, arguments.directory.cache)?;
            let age = Duration::from_secs(u64::from(arguments.max_age) * 24 * 60 * 60);
            let pruned = cache.prune(arguments.max_size.0, Some(age))?;
            output::to_stdout(|out| {
                let (removed, left) = (ByteSize(pruned.removed.bytes), ByteSize(pruned.left.bytes));
                writeln!(out, "removed {} entries, {removed}", pruned.removed.entries)?;
                writeln!(out, "left    {} entries, {left}", pruned.left.entries)
            })
        }
    }
}

fn open(context: &Context<'_>, given: Option<PathBuf>) -> Result<hullmark_cache::Cache> {
    let directory = environment::results_directory(given)
        .context("neither HOME nor XDG_CACHE_HOME is set; give --cache")?;
    Ok(hullmark_cache::Cache::open(&directory, environment::now(context.global.now))?)
}

/// Whether there is no room for the directory.
fn is_full(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<hullmark_cache::CacheError>();
    error
        .is_some_and(|error| matches!(error.source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
}

/// The cache for reading an image. Without a directory that can be used there is none, which costs time and nothing else; one
/// that was asked for must be usable, but for a disk that is full.
pub fn of_scan(context: &Context<'_>, arguments: &CacheArguments) -> Result<Option<hullmark_cache::Cache>> {
    if arguments.no_cache {
        return Ok(None);
    }
    match (open(context, arguments.cache.clone()), &arguments.cache) {
        (Ok(cache), _) => Ok(Some(cache)),
        (Err(error), Some(_)) if !is_full(&error) => Err(error),
        (Err(_), _) => Ok(None),
    }
}
