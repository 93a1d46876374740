//! What could and could not be assessed, as facts for rules on `coverage`.

use std::collections::{BTreeMap, BTreeSet};

use hullmark_types::{DiagnosticLevel, Inventory, Matches};
use jiff::Timestamp;

use crate::durations::DAY;

/// The facts of the object `coverage`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Coverage {
    pub(crate) packages: i64,
    pub(crate) covered: i64,
    pub(crate) undetermined: i64,
    pub(crate) not_covered: i64,
    pub(crate) gaps: i64,
    pub(crate) feed_age: i64,
    pub(crate) feeds: Vec<String>,
    pub(crate) codes: Vec<String>,
    /// The first of each sort of shortcoming, in words, for messages.
    pub(crate) details: Vec<String>,
}

/// How many shortcomings a message names.
const MAX_DETAILS: usize = 4;

impl Coverage {
    /// The age of a feed without a date: old enough for every threshold.
    pub(crate) const UNKNOWN_AGE: i64 = 36_500 * DAY;

    pub(crate) fn of(inventory: &Inventory, matches: &Matches, now: Timestamp) -> Self {
        let speaking = || matches.feeds.iter().filter(|feed| !feed.ecosystems.is_empty());
        let gaps: Vec<_> = inventory
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.level == DiagnosticLevel::Gap)
            .collect();
        let ecosystem_of: BTreeMap<_, _> =
            inventory.packages.iter().map(|package| (&package.purl, package.ecosystem.as_deref())).collect();
        let not_covered: BTreeSet<_> = matches
            .undetermined
            .iter()
            .filter(|answer| {
                answer.id.is_none() && matches!(answer.code.as_str(), "no-feed" | "unknown-distribution")
            })
            .map(|answer| {
                let ecosystem = ecosystem_of.get(&answer.package.purl).copied().flatten();
                ecosystem.unwrap_or(answer.package.kind.purl_type())
            })
            .collect();
        let age = |date: Option<Timestamp>| match date {
            Some(date) => now.as_millisecond().saturating_sub(date.as_millisecond()).max(0),
            None => Self::UNKNOWN_AGE,
        };
        let codes: BTreeSet<&str> = gaps
            .iter()
            .map(|gap| gap.code.as_str())
            .chain(matches.undetermined.iter().map(|answer| answer.code.as_str()))
            .collect();
        Self {
            packages: number(inventory.packages.len()),
            covered: i64::try_from(matches.packages_covered).unwrap_or(i64::MAX),
            undetermined: number(matches.undetermined.len()),
            not_covered: number(not_covered.len()),
            gaps: number(gaps.len()),
            feed_age: speaking().map(|feed| age(feed.data_date.or(feed.fetched))).max().unwrap_or(0),
            feeds: speaking().map(|feed| feed.name.clone()).collect::<BTreeSet<_>>().into_iter().collect(),
            codes: codes.into_iter().map(str::to_owned).collect(),
            details: details(inventory, matches),
        }
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// One sentence per code, with the first case of it and how many there are.
fn details(inventory: &Inventory, matches: &Matches) -> Vec<String> {
    let mut cases: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    let gaps = inventory
        .diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.level == DiagnosticLevel::Gap)
        .map(|gap| (gap.code.as_str(), gap.message.as_str()));
    let answers = matches.undetermined.iter().map(|answer| (answer.code.as_str(), answer.reason.as_str()));
    for (code, message) in gaps.chain(answers) {
        let case = cases.entry(code).or_insert((0, message));
        case.0 += 1;
        // The least in order, so that the order of the inputs does not show.
        case.1 = case.1.min(message);
    }
    cases
        .into_iter()
        .take(MAX_DETAILS)
        .map(|(code, (count, message))| match count {
            1 => format!("{code}: {message}"),
            _ => format!("{code} ({count} times): {message}"),
        })
        .collect()
}
