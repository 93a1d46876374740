//! `hullmark db`: the advisory database.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use hullmark_advisory::{
    Builder, Database, FeedConfig, FeedData, FeedOutcome, HttpFetcher, UpdateOptions, UpdateReport, config,
    update,
};
use hullmark_types::{Advisory, FeedStatus};
use jiff::Timestamp;
use serde_json::json;

use super::{Context, read_limited};
use crate::cli::{Db, TableOrJson};
use crate::environment;
use crate::interrupt;
use crate::output::to_stdout;
use crate::progress::FeedBars;

/// How many feeds are fetched at once.
const THREADS: usize = 8;

/// The largest list of feeds, in bytes.
const MAX_LIST: u64 = 1024 * 1024;

/// Runs a `db` command.
pub fn run(context: &Context<'_>, command: Db) -> Result<()> {
    match command {
        Db::Update { database, feeds, only } => {
            let configs = match feeds {
                Some(path) => read_list(&path)?,
                None => config::defaults(),
            };
            let chosen = choose(configs, &only)?;
            fetch(context, &chosen, &environment::database_path(database.db)?, true, !only.is_empty())
        }
        Db::Build { from, output } => {
            let configs =
                config::layout(&from).with_context(|| format!("cannot read feeds from `{from}`"))?;
            if configs.is_empty() {
                bail!(
                    "`{from}` has no feed: expected `osv/`, `alpine/`, `wolfi/`, `kev/` or `debian-security/` in it"
                );
            }
            fetch(context, &configs, &output, false, false)
        }
        Db::Status { database, format } => {
            let path = environment::database_path(database.db)?;
            let database = super::scan::open_database(Some(path.clone()))?;
            match format {
                TableOrJson::Table => table(&path, &database, environment::now(context.global.now)),
                TableOrJson::Json => json(&database),
            }
        }
        Db::Feeds => {
            let text = config::to_toml(&config::defaults())?;
            to_stdout(|out| out.write_all(text.as_bytes()))
        }
    }
}

fn read_list(path: &Path) -> Result<Vec<FeedConfig>> {
    let text = String::from_utf8(read_limited(path, MAX_LIST)?)
        .with_context(|| format!("`{}` is not UTF-8", path.display()))?;
    config::parse(&text).with_context(|| format!("`{}` is not a list of feeds", path.display()))
}

/// The feeds whose names match one of the patterns; all of them without patterns.
fn choose(configs: Vec<FeedConfig>, only: &[String]) -> Result<Vec<FeedConfig>> {
    if only.is_empty() {
        return Ok(configs);
    }
    for pattern in only {
        if !configs.iter().any(|feed| matches(pattern, &feed.name)) {
            bail!("no feed is named like `{pattern}`; `hullmark db feeds` lists them");
        }
    }
    Ok(configs.into_iter().filter(|feed| only.iter().any(|pattern| matches(pattern, &feed.name))).collect())
}

/// Whether a name matches a pattern in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|name| {
            (0..=name.len()).any(|end| name.get(end..).is_some_and(|remaining| matches(rest, remaining)))
        }),
    }
}

/// Reads the feeds and replaces the database; what of the old one is kept when a feed fails is said.
fn fetch(
    context: &Context<'_>,
    configs: &[FeedConfig],
    path: &Path,
    keep_previous: bool,
    selection: bool,
) -> Result<()> {
    let previous = match keep_previous && path.exists() {
        true => match Database::open(path) {
            Ok(database) => Some(database),
            Err(error) => {
                context.talk.warn(format!("the present database is not used: {error}"));
                None
            }
        },
        false => None,
    };
    let now = environment::now(context.global.now);
    let client = hullmark_http::Client::new(context.client_options())?;
    let fetcher = HttpFetcher::new(client);
    let cache = environment::cache_directory().map(|directory| directory.join("feeds"));
    let bars = FeedBars::new(context.talk);
    for directory in [path.parent(), cache.as_deref()].into_iter().flatten() {
        interrupt::may_leave(directory.to_owned(), hullmark_advisory::unfinished_prefix());
    }
    let options = UpdateOptions {
        fetcher: &fetcher,
        previous: previous.as_ref(),
        now,
        threads: THREADS,
        cache: cache.as_deref(),
        progress: &bars,
    };
    let (mut builder, report) = update(configs, &options)?;
    say(context, &report);
    if !report.is_any_updated() {
        let hosts: BTreeSet<&str> = report.feeds.iter().filter_map(host).collect();
        let hosts = hosts.into_iter().collect::<Vec<_>>().join(", ");
        bail!("no feed could be read, so the database was left as it is; asked: {hosts}");
    }
    if let Some(previous) = previous.as_ref().filter(|_| selection) {
        keep_others(previous, configs, &mut builder)?;
    }
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make `{}`", directory.display()))?;
    }
    let records = builder.record_count();
    let digest = builder
        .write_atomically(path)
        .with_context(|| format!("cannot write the database `{}`", path.display()))?;
    context.talk.note(format!("`{}`: {records} advisories, {digest}", path.display()));
    Ok(())
}

/// Keeps the records of the feeds that were not chosen for this update.
fn keep_others(previous: &Database, chosen: &[FeedConfig], builder: &mut Builder) -> Result<()> {
    let is_other = |name: &str| chosen.iter().all(|feed| feed.name != name);
    let mut advisories: BTreeMap<String, Vec<Advisory>> = BTreeMap::new();
    for advisory in previous.records() {
        let advisory = advisory?;
        if is_other(&advisory.feed) {
            advisories.entry(advisory.feed.clone()).or_default().push(advisory);
        }
    }
    for status in previous.feeds().iter().filter(|status| is_other(&status.name)) {
        let exploited = if status.name == "kev" { previous.all_known_exploited()? } else { Vec::new() };
        let advisories = advisories.remove(&status.name).unwrap_or_default();
        builder.add(FeedData { status: status.clone(), advisories, exploited });
    }
    Ok(())
}

fn host(feed: &hullmark_advisory::FeedReport) -> Option<&str> {
    match &feed.outcome {
        FeedOutcome::KeptPrevious { host, .. } | FeedOutcome::Failed { host, .. } => host.as_deref(),
        FeedOutcome::Updated { .. } | FeedOutcome::NotOffered => None,
    }
}

fn say(context: &Context<'_>, report: &UpdateReport) {
    for diagnostic in report.diagnostics.iter().take(20) {
        context.talk.warn(format!("{}: {}: {}", diagnostic.code, diagnostic.path, diagnostic.message));
    }
    if report.diagnostics.len() > 20 {
        context.talk.warn(format!("and {} more records could not be read", report.diagnostics.len() - 20));
    }
}

fn table(path: &Path, database: &Database, now: Timestamp) -> Result<()> {
    to_stdout(|out| {
        writeln!(out, "database  {}", path.display())?;
        writeln!(out, "digest    {}", database.digest())?;
        writeln!(out, "built     {}\n", database.built_at())?;
        let feeds = database.feeds();
        let width = feeds.iter().map(|feed| feed.name.len()).max().unwrap_or(4).max(4);
        writeln!(out, "{:width$}  {:>9}  {:>7}  {:10}  AGE", "FEED", "RECORDS", "SKIPPED", "DATA OF")?;
        for feed in feeds {
            let date = feed
                .data_date
                .map_or_else(|| "unknown".to_owned(), |date| date.strftime("%Y-%m-%d").to_string());
            writeln!(
                out,
                "{:width$}  {:>9}  {:>7}  {date:10}  {}",
                feed.name,
                feed.records,
                feed.skipped,
                age(feed, now)
            )?;
        }
        Ok(())
    })
}

fn age(feed: &FeedStatus, now: Timestamp) -> String {
    match feed.data_date {
        Some(date) if date <= now => match now.duration_since(date).as_hours() {
            hours @ 0..48 => format!("{hours} h"),
            hours => format!("{} d", hours / 24),
        },
        Some(_) => "in the future".to_owned(),
        None => "unknown".to_owned(),
    }
}

fn json(database: &Database) -> Result<()> {
    let document = json!({
        "digest": database.digest(),
        "built_at": database.built_at(),
        "records": database.record_count(),
        "feeds": database.feeds(),
    });
    to_stdout(|out| {
        serde_json::to_writer_pretty(&mut *out, &document)?;
        out.write_all(b"\n")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        assert!(
            matches("osv/*", "osv/PyPI")
                && matches("*", "kev")
                && matches("alpine/*/main", "alpine/v3.7/main")
        );
        assert!(!matches("osv", "osv/PyPI") && !matches("alpine/*/main", "alpine/v3.7/community"));
    }
}
