//! Matching: an inventory and a read-only source of advisories become [`Matches`](hullmark_types::Matches).
//!
//! [`match_inventory`] answers for each package and each vulnerability that an advisory names it for: affected, not
//! affected, or undetermined with a reason. Nothing is skipped in silence: a version that does not parse, an ecosystem
//! without a feed or without a version order is undetermined, never "not affected".
//!
//! The rules, and where they are decided:
//! - which versions a range holds, and which version fixes one: `range`;
//! - what one advisory says of a version: `answer`;
//! - which advisories are about the same vulnerability, and what follows when they disagree: `group`;
//! - ratings: `rating`;
//! - system packages, language packages and who owns whose files: `package`.

mod answer;
mod error;
mod group;
mod identifier;
mod lookup;
mod package;
mod range;
mod rating;
mod source;

use hullmark_types::{Inventory, Matches};

pub use error::MatchError;
pub use source::AdvisorySource;

/// Matches every package of `inventory` against the advisories of `source`.
///
/// All lists of the result are sorted; it does not depend on the order of packages, feeds, advisories or events.
///
/// # Errors
/// When the source could not answer, such as a damaged database file. Doubt about a package is no error: it is
/// undetermined.
pub fn match_inventory<S: AdvisorySource>(inventory: &Inventory, source: &S) -> Result<Matches, MatchError> {
    let mut lookup = lookup::Lookup::new(source);
    let mut matches = Matches {
        database: source.digest(),
        feeds: lookup.feeds_for(inventory),
        findings: Vec::new(),
        not_affected: Vec::new(),
        undetermined: Vec::new(),
        packages_covered: 0,
    };
    let owners = package::Owners::of(inventory);
    for package in &inventory.packages {
        package::assess(package, inventory, &owners, &mut lookup, &mut matches)?;
    }
    matches.findings.sort();
    matches.findings.dedup();
    matches.not_affected.sort();
    matches.not_affected.dedup();
    matches.undetermined.sort();
    matches.undetermined.dedup();
    Ok(matches)
}
