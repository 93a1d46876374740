//! Reads all configured feeds at once into a database, and keeps what a failing feed brought before.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use hullmark_types::{Advisory, Diagnostic, FeedStatus};
use jiff::Timestamp;

use crate::config::{FeedConfig, kinds};
use crate::database::{Builder, Database, DatabaseError, FeedData};
use crate::feeds::{self, Context, FeedError, FeedOutput};
use crate::fetch::Fetch;

/// Told how an update goes. Called from several threads.
pub trait UpdateProgress: Sync {
    /// A feed has begun.
    fn started(&self, _feed: &str) {}
    /// A feed has come so far: bytes (or, for feeds of many files, packages) done, and their number where it is known.
    fn advanced(&self, _feed: &str, _done: u64, _total: Option<u64>) {}
    /// A feed has ended.
    fn finished(&self, _report: &FeedReport) {}
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl UpdateProgress for NoProgress {}

/// What an update needs beside the list of feeds.
pub struct UpdateOptions<'update> {
    /// Gives the bytes behind an address.
    pub fetcher: &'update dyn Fetch,
    /// The database as it was: a feed that fails keeps its records from there.
    pub previous: Option<&'update Database>,
    /// The time of the update.
    pub now: Timestamp,
    /// How many feeds are read at once, and how many packages a feed of many files fetches at once. At least one.
    pub threads: usize,
    /// A directory in which feeds may keep what makes them faster the next time.
    pub cache: Option<&'update Path>,
    /// Told how it goes.
    pub progress: &'update dyn UpdateProgress,
}

/// What became of a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedOutcome {
    /// It was read.
    Updated {
        /// Its status in the new database.
        status: FeedStatus,
    },
    /// It failed; the records of the previous database were kept.
    KeptPrevious {
        /// Why it failed, with the causes.
        reason: String,
        /// The server that was asked.
        host: Option<String>,
        /// The status of the records that were kept; its dates tell how old they are.
        status: FeedStatus,
    },
    /// It failed, and there were no earlier records.
    Failed {
        /// Why, with the causes.
        reason: String,
        /// The server that was asked.
        host: Option<String>,
    },
    /// The place does not offer it, and need not.
    NotOffered,
}

/// What became of one feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedReport {
    /// Name of the feed.
    pub name: String,
    /// Its address, without credentials.
    pub address: String,
    /// What became of it.
    pub outcome: FeedOutcome,
}

/// What became of all feeds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateReport {
    /// One report for each configured feed, sorted by name.
    pub feeds: Vec<FeedReport>,
    /// What could not be read.
    pub diagnostics: Vec<Diagnostic>,
}

impl UpdateReport {
    /// Whether any feed was read: where none was, there is nothing to write.
    pub fn is_any_updated(&self) -> bool {
        self.feeds.iter().any(|feed| matches!(feed.outcome, FeedOutcome::Updated { .. }))
    }
}

/// Reads all feeds and gives what [`Builder::write_atomically`] writes. The result does not depend on the number of threads
/// or on the order of `configs`. Feeds that are not configured any more are left out.
///
/// # Errors
/// When the previous database is needed and damaged. A feed that fails is no error: the report names it.
pub fn update(
    configs: &[FeedConfig],
    options: &UpdateOptions<'_>,
) -> Result<(Builder, UpdateReport), DatabaseError> {
    let mut ordered: Vec<&FeedConfig> = configs.iter().collect();
    ordered.sort_by(|left, right| left.name.cmp(&right.name));
    ordered.dedup_by(|right, left| right.name == left.name);
    let mut previous = previous_status(options.previous);
    let outcomes = read_all(&ordered, options, &previous);

    let kept: BTreeSet<&str> = ordered
        .iter()
        .zip(&outcomes)
        .filter(|(_, outcome)| outcome.is_err())
        .map(|(config, _)| config.name.as_str())
        .collect();
    let mut advisories = previous_advisories(options.previous, &kept)?;
    let mut builder = Builder::new(options.now);
    let mut report = UpdateReport::default();
    for (config, outcome) in ordered.iter().zip(outcomes) {
        let outcome = match outcome {
            Ok(output) => {
                let status = output.data.status.clone();
                report.diagnostics.extend(output.diagnostics);
                report.diagnostics.extend(builder.add(output.data));
                FeedOutcome::Updated { status }
            }
            Err(error) => {
                let earlier = previous.remove(&config.name);
                if let Some(status) = &earlier {
                    let exploited = match options.previous {
                        Some(database) if config.kind == "kev" => database.all_known_exploited()?,
                        _ => Vec::new(),
                    };
                    let advisories = advisories.remove(&config.name).unwrap_or_default();
                    builder.add(FeedData { status: status.clone(), advisories, exploited });
                }
                failed(config, &error, earlier)
            }
        };
        report.feeds.push(FeedReport {
            name: config.name.clone(),
            address: config.public_address(),
            outcome,
        });
    }
    Ok((builder, report))
}

fn failed(config: &FeedConfig, error: &FeedError, earlier: Option<FeedStatus>) -> FeedOutcome {
    let (reason, host) = (chain(error), error.host().map(str::to_owned));
    match earlier {
        Some(status) => FeedOutcome::KeptPrevious { reason, host, status },
        None if config.optional && error.is_not_found() => FeedOutcome::NotOffered,
        None => FeedOutcome::Failed { reason, host },
    }
}

fn previous_status(previous: Option<&Database>) -> BTreeMap<String, FeedStatus> {
    let feeds = previous.map(Database::feeds).unwrap_or_default();
    feeds.iter().map(|status| (status.name.clone(), status.clone())).collect()
}

/// The records of the feeds in `names`.
fn previous_advisories(
    previous: Option<&Database>,
    names: &BTreeSet<&str>,
) -> Result<BTreeMap<String, Vec<Advisory>>, DatabaseError> {
    let mut found: BTreeMap<String, Vec<Advisory>> = BTreeMap::new();
    if let Some(database) = previous.filter(|_| !names.is_empty()) {
        for advisory in database.records() {
            let advisory = advisory?;
            if names.contains(advisory.feed.as_str()) {
                found.entry(advisory.feed.clone()).or_default().push(advisory);
            }
        }
    }
    Ok(found)
}

/// Reads the feeds on `options.threads` threads; gives what each brought, in their order.
fn read_all(
    configs: &[&FeedConfig],
    options: &UpdateOptions<'_>,
    previous: &BTreeMap<String, FeedStatus>,
) -> Vec<Result<FeedOutput, FeedError>> {
    let threads = options.threads.clamp(1, configs.len().max(1));
    let next = AtomicUsize::new(0);
    let finished = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((position, config)) = claim(&next, configs) {
                    let output = read_one(config, options);
                    options.progress.finished(&FeedReport {
                        name: config.name.clone(),
                        address: config.public_address(),
                        outcome: match &output {
                            Ok(output) => FeedOutcome::Updated { status: output.data.status.clone() },
                            Err(error) => failed(config, error, previous.get(&config.name).cloned()),
                        },
                    });
                    let mut finished = finished.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    finished.insert(position, output);
                }
            });
        }
    });
    finished.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).into_values().collect()
}

fn claim<'config>(
    next: &AtomicUsize,
    configs: &[&'config FeedConfig],
) -> Option<(usize, &'config FeedConfig)> {
    let position = next.fetch_add(1, Ordering::Relaxed);
    configs.get(position).map(|config| (position, *config))
}

fn read_one(config: &FeedConfig, options: &UpdateOptions<'_>) -> Result<FeedOutput, FeedError> {
    options.progress.started(&config.name);
    let feed = feeds::find(&config.kind).ok_or_else(|| FeedError::UnknownKind {
        name: config.name.clone(),
        kind: config.kind.clone(),
        expected: kinds(),
    })?;
    let context = Context {
        fetcher: options.fetcher,
        now: options.now,
        threads: options.threads.max(1),
        cache: options.cache,
        progress: &|done, total| options.progress.advanced(&config.name, done, total),
    };
    feed.read(config, &context)
}

/// An error and its causes, on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
