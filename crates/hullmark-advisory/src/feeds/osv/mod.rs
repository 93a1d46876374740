//! The OSV database: a zip of JSON records for each ecosystem.
//!
//! Format: <https://ossf.github.io/osv-schema/>; offered as <https://google.github.io/osv.dev/data/#data-dumps>.

mod archive;
mod dates;
mod model;
mod record;

use std::collections::BTreeSet;

use hullmark_types::{Advisory, FeedStatus};

use super::{Context, Feed, FeedError, FeedOutput};
use crate::config::FeedConfig;
use crate::database::FeedData;
pub use record::{Record, RecordError, parse};

/// The kind `osv`.
pub struct Osv;

const MAX_DOCUMENT: u64 = 2 * 1024 * 1024 * 1024;

impl Feed for Osv {
    fn kind(&self) -> &'static str {
        "osv"
    }

    fn about(&self) -> &'static str {
        "the OSV database: one zip of JSON records (all.zip) for each ecosystem"
    }

    fn read(&self, config: &FeedConfig, context: &Context<'_>) -> Result<FeedOutput, FeedError> {
        let ecosystem = config.required("ecosystem", self.kind(), config.ecosystem.as_deref())?;
        let document = context.document(&config.address, MAX_DOCUMENT)?;
        let (records, skipped) = archive::read(&document.bytes, &config.address)?;
        skipped.check(&config.address, records.len())?;
        let (skipped, diagnostics) = skipped.finish(&config.address);

        let data_date = records.iter().filter_map(|record| context.believable(record.newest)).max();
        let mut ecosystems = BTreeSet::from([ecosystem.to_owned()]);
        let mut advisories = Vec::with_capacity(records.len());
        for mut advisory in records.into_iter().filter_map(|record| record.advisory) {
            keep_own(&mut advisory, ecosystem);
            let named = advisory.affected.iter().map(|affected| &affected.ecosystem);
            ecosystems.extend(named.filter(|named| is_own(named, ecosystem)).cloned());
            config.name.clone_into(&mut advisory.feed);
            advisories.push(advisory);
        }
        let status = FeedStatus {
            name: config.name.clone(),
            address: config.public_address(),
            ecosystems: ecosystems.into_iter().collect(),
            digest: document.digest,
            data_date: data_date.or(context.believable(document.last_modified)),
            fetched: document.remote.then_some(context.now),
            records: advisories.len() as u64,
            skipped,
        };
        Ok(FeedOutput { data: FeedData { status, advisories, exploited: Vec::new() }, diagnostics })
    }
}

/// Whether a zip of `feed` speaks for `ecosystem`: it is the same, or a release of it (`Debian:12` in the zip of `Debian`).
fn is_own(ecosystem: &str, feed: &str) -> bool {
    ecosystem.strip_prefix(feed).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

/// A record that names packages of several ecosystems is in the zip of each of them: here only those of this zip are kept.
/// The zip does not speak for the others, some of whose records it happens to hold.
fn keep_own(advisory: &mut Advisory, feed: &str) {
    if advisory.affected.iter().any(|affected| is_own(&affected.ecosystem, feed)) {
        advisory.affected.retain(|affected| is_own(&affected.ecosystem, feed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zip_speaks_for_its_ecosystem_and_its_releases() {
        for (ecosystem, feed, expected) in [
            ("PyPI", "PyPI", true),
            ("Debian:12", "Debian", true),
            ("Debian", "Debian:12", false),
            ("Debian:1", "Debian:12", false),
            ("Gopher", "Go", false),
        ] {
            assert_eq!(is_own(ecosystem, feed), expected, "{ecosystem} in {feed}");
        }
    }
}
