//! The security databases of Alpine, Wolfi and Chainguard: which version of a package fixed what.
//!
//! Format: <https://secdb.alpinelinux.org/>, `license.txt` and the JSON beside it. They list fixes only: a package that
//! has an unfixed vulnerability does not appear. The fix version `0` says that no version was ever affected.

mod parse;

use hullmark_types::FeedStatus;

use super::{Context, Feed, FeedError, FeedOutput, Skipped};
use crate::config::FeedConfig;
use crate::database::FeedData;
pub use parse::{Fix, parse};

/// The kind `secdb`.
pub struct Secdb;

const MAX_DOCUMENT: u64 = 256 * 1024 * 1024;

impl Feed for Secdb {
    fn kind(&self) -> &'static str {
        "secdb"
    }

    fn about(&self) -> &'static str {
        "the security database of Alpine, Wolfi or Chainguard: one JSON document for each repository"
    }

    fn read(&self, config: &FeedConfig, context: &Context<'_>) -> Result<FeedOutput, FeedError> {
        let ecosystem = config.required("ecosystem", self.kind(), config.ecosystem.as_deref())?;
        let document = context.document(&config.address, MAX_DOCUMENT)?;
        let (fixes, problems) = parse(&document.bytes).map_err(|error| FeedError::Malformed {
            address: config.address.clone(),
            expected: "a security database (secdb)",
            reason: error.to_string(),
        })?;
        let mut skipped = Skipped::default();
        for problem in problems {
            skipped.add("skipped-advisory", &config.address, problem);
        }
        skipped.check(&config.address, fixes.len())?;
        let (skipped, diagnostics) = skipped.finish(&config.address);
        let advisories = parse::advisories(fixes, ecosystem, &config.name);
        let status = FeedStatus {
            name: config.name.clone(),
            address: config.public_address(),
            ecosystems: vec![ecosystem.to_owned()],
            digest: document.digest,
            data_date: context.believable(document.last_modified),
            fetched: document.remote.then_some(context.now),
            records: advisories.len() as u64,
            skipped,
        };
        Ok(FeedOutput { data: FeedData { status, advisories, exploited: Vec::new() }, diagnostics })
    }
}
