//! One package: where it is looked up, and who has the say about it.

use std::collections::BTreeMap;

use hullmark_types::{Evidence, Inventory, Matches, NotAffected, Package, PackageKey, Undetermined};

use crate::answer::{Question, assess as assess_advisory, no_version};
use crate::group::{Outcome, decide};
use crate::lookup::Lookup;
use crate::{AdvisorySource, MatchError};

/// How many covered releases a reason names.
const MAX_NAMED: usize = 8;

/// The system packages of an inventory by package URL.
pub(crate) struct Owners<'a>(BTreeMap<&'a str, &'a Package>);

impl<'a> Owners<'a> {
    pub(crate) fn of(inventory: &'a Inventory) -> Self {
        let system = inventory.packages.iter().filter(|package| package.kind.is_operating_system());
        Self(system.map(|package| (package.purl.as_str(), package)).collect())
    }

    /// The package of a covered distribution that owns the files of `package`. A third party's package is of no
    /// distribution, so it has no say.
    fn judge_of<S: AdvisorySource>(&self, package: &Package, lookup: &Lookup<'_, S>) -> Option<&'a Package> {
        let owner = self.0.get(package.owner.as_deref()?)?;
        owner.ecosystem.as_deref().filter(|ecosystem| lookup.covers(ecosystem)).map(|_| *owner)
    }
}

/// Assesses one package and puts the answers into `matches`.
pub(crate) fn assess<S: AdvisorySource>(
    package: &Package,
    inventory: &Inventory,
    owners: &Owners<'_>,
    lookup: &mut Lookup<'_, S>,
    matches: &mut Matches,
) -> Result<(), MatchError> {
    let key = key_of(package);
    let Some(ecosystem) = package.ecosystem.as_deref() else {
        matches.undetermined.push(without_ecosystem(key, package, inventory));
        return Ok(());
    };
    if !lookup.covers(ecosystem) {
        matches.undetermined.push(not_covered(key, ecosystem, lookup));
        return Ok(());
    }
    matches.packages_covered += 1;
    let name = package.advisory_name();
    let advisories = lookup.package(ecosystem, &name)?;
    let question = Question { ecosystem, name: &name, version: package.advisory_version() };
    let assessments: Vec<_> = advisories.iter().map(|advisory| assess_advisory(advisory, question)).collect();
    let owner = owners.judge_of(package, lookup);
    let mut nameless = false;
    for outcome in decide(&key, question.version, &assessments, lookup)? {
        match (outcome, owner) {
            (Outcome::Affected(finding), None) => matches.findings.push(*finding),
            (Outcome::Affected(finding), Some(owner)) => {
                let names: Vec<_> =
                    std::iter::once(&finding.id).chain(&finding.aliases).map(String::as_str).collect();
                let evidence = with_verdict(owner, &names, finding.evidence.clone(), lookup)?;
                matches.not_affected.push(overruled(key.clone(), finding.id, evidence));
            }
            (Outcome::Undetermined(answer), Some(owner)) => {
                let id = answer.id.unwrap_or_default();
                let evidence = with_verdict(owner, &[&id], answer.evidence, lookup)?;
                matches.not_affected.push(overruled(key.clone(), id, evidence));
            }
            // One answer for the package and not one for each advisory: they all lack the same.
            (Outcome::Undetermined(answer), None) if answer.code == "no-version" => nameless = true,
            (Outcome::Undetermined(answer), None) => matches.undetermined.push(answer),
            (Outcome::NotAffected(answer), _) => matches.not_affected.push(answer),
        }
    }
    if nameless {
        matches.undetermined.push(Undetermined {
            package: key,
            id: None,
            code: "no-version".to_owned(),
            reason: format!("{}, and {} advisories name it", no_version(&package.name), advisories.len()),
            evidence: Vec::new(),
        });
    }
    Ok(())
}

/// The files of the package are the distribution's, which may have fixed what upstream's version number does not show. What
/// the distribution says is a finding of the owning package where it says affected.
fn overruled(package: PackageKey, id: String, evidence: Vec<Evidence>) -> NotAffected {
    NotAffected { package, id, code: "distribution-verdict".to_owned(), evidence }
}

/// Adds what the distribution's advisories say of the owning package about the same vulnerability.
fn with_verdict<S: AdvisorySource>(
    owner: &Package,
    names: &[&str],
    mut evidence: Vec<Evidence>,
    lookup: &mut Lookup<'_, S>,
) -> Result<Vec<Evidence>, MatchError> {
    let Some(ecosystem) = owner.ecosystem.as_deref() else { return Ok(evidence) };
    let name = owner.advisory_name();
    let question = Question { ecosystem, name: &name, version: owner.advisory_version() };
    for advisory in lookup.package(ecosystem, &name)?.iter() {
        let known = |id: &String| names.contains(&id.as_str());
        if known(&advisory.id) || advisory.aliases.iter().any(known) || advisory.upstream.iter().any(known) {
            evidence.extend(assess_advisory(advisory, question).evidence);
        }
    }
    evidence.sort();
    evidence.dedup();
    Ok(evidence)
}

fn key_of(package: &Package) -> PackageKey {
    PackageKey {
        kind: package.kind,
        name: package.name.clone(),
        version: package.version.clone(),
        purl: package.purl.clone(),
        path: package.locations.first().map(|location| location.path.clone()).unwrap_or_default(),
        layer: package.layer,
    }
}

fn without_ecosystem(key: PackageKey, package: &Package, inventory: &Inventory) -> Undetermined {
    let distribution = inventory.distribution.as_ref();
    let known = distribution.and_then(|distribution| distribution.ecosystem());
    let (code, reason) = match (known, distribution) {
        (Some(ecosystem), _) => (
            "third-party",
            format!(
                "`{}` is not a package of {ecosystem} itself, so no feed of the distribution speaks for it",
                package.name
            ),
        ),
        (None, Some(distribution)) => (
            "unknown-distribution",
            format!("no advisories are known for the distribution `{}`", distribution.display_name()),
        ),
        (None, None) => (
            "unknown-distribution",
            "the image does not say which distribution it is, so no feed can be chosen".to_owned(),
        ),
    };
    Undetermined { package: key, id: None, code: code.to_owned(), reason, evidence: Vec::new() }
}

fn not_covered<S: AdvisorySource>(key: PackageKey, ecosystem: &str, lookup: &Lookup<'_, S>) -> Undetermined {
    let family = lookup.covered_family(ecosystem);
    let named = family.iter().take(MAX_NAMED).copied().collect::<Vec<_>>().join(", ");
    let more = if family.len() > MAX_NAMED { ", ..." } else { "" };
    let reason = match family.is_empty() {
        true => format!("no feed in the database speaks for {ecosystem}"),
        false => format!("no feed in the database speaks for {ecosystem}; it covers {named}{more}"),
    };
    Undetermined { package: key, id: None, code: "no-feed".to_owned(), reason, evidence: Vec::new() }
}
