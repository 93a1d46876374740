//! Advisories about the same vulnerability, and what follows when they disagree.
//!
//! For one package: where a source says that no version was ever affected, that holds, whatever the others say (a
//! distribution knows what it built). Else one advisory that says affected makes it affected. Else doubt in one of them
//! makes it undetermined. Only when all of them place the version outside is it not affected.

use std::collections::BTreeSet;

use hullmark_types::{Advisory, AdvisoryKind, Evidence, Finding, NotAffected, PackageKey, Undetermined};

use crate::answer::{Answer, Assessment};
use crate::identifier::{choose, is_cve, join};
use crate::lookup::Lookup;
use crate::range::fix_for;
use crate::rating::rate;
use crate::{AdvisorySource, MatchError};

/// How many identifiers of one vulnerability are followed through other advisories.
const MAX_IDENTIFIERS: usize = 64;

/// What a group of advisories says of a package.
pub(crate) enum Outcome {
    Affected(Box<Finding>),
    NotAffected(NotAffected),
    Undetermined(Undetermined),
}

/// Joins the assessments of one package by alias and decides each group.
pub(crate) fn decide<S: AdvisorySource>(
    package: &PackageKey,
    version: &str,
    assessments: &[Assessment<'_>],
    lookup: &mut Lookup<'_, S>,
) -> Result<Vec<Outcome>, MatchError> {
    let mut identifiers: Vec<BTreeSet<String>> =
        assessments.iter().map(|assessment| identifiers_of(assessment.advisory)).collect();
    // Other ecosystems' advisories may know that two identifiers are the same. Only what affects the package, or may, is
    // followed: most advisories of a distribution are about versions of long ago.
    for (assessment, own) in assessments.iter().zip(&mut identifiers) {
        if matches!(assessment.answer, Answer::Affected | Answer::Undetermined { .. }) {
            follow(own, lookup)?;
        }
    }
    let leaders = join(&identifiers);
    let mut outcomes = Vec::new();
    for leader in leaders.iter().copied().collect::<BTreeSet<_>>() {
        let members =
            || leaders.iter().enumerate().filter(move |(_, of)| **of == leader).map(|(position, _)| position);
        let group: Vec<_> = members().filter_map(|position| assessments.get(position)).collect();
        let names: BTreeSet<String> =
            members().filter_map(|position| identifiers.get(position)).flatten().cloned().collect();
        outcomes.push(decide_group(package, version, &group, &names, lookup)?);
    }
    Ok(outcomes)
}

fn identifiers_of(advisory: &Advisory) -> BTreeSet<String> {
    std::iter::once(&advisory.id).chain(&advisory.aliases).filter(|id| !id.is_empty()).cloned().collect()
}

/// Adds the aliases that other advisories know, and theirs in turn.
fn follow<S: AdvisorySource>(
    own: &mut BTreeSet<String>,
    lookup: &mut Lookup<'_, S>,
) -> Result<(), MatchError> {
    let mut waiting: Vec<String> = own.iter().cloned().collect();
    while let Some(id) = waiting.pop() {
        for related in lookup.related(&id)?.iter() {
            let theirs = identifiers_of(related);
            // An advisory that merely covers the vulnerability does not join.
            if !theirs.contains(&id) {
                continue;
            }
            for alias in theirs {
                if own.len() < MAX_IDENTIFIERS && own.insert(alias.clone()) {
                    waiting.push(alias);
                }
            }
        }
    }
    Ok(())
}

fn decide_group<S: AdvisorySource>(
    package: &PackageKey,
    version: &str,
    group: &[&Assessment<'_>],
    identifiers: &BTreeSet<String>,
    lookup: &mut Lookup<'_, S>,
) -> Result<Outcome, MatchError> {
    let (id, aliases) = choose(identifiers);
    let mut evidence: Vec<Evidence> = group.iter().flat_map(|one| one.evidence.iter().cloned()).collect();
    evidence.sort();
    evidence.dedup();
    let any = |wanted: Answer| group.iter().any(|one| one.answer == wanted);
    let package = package.clone();
    if any(Answer::NeverAffected) {
        return Ok(Outcome::NotAffected(NotAffected {
            package,
            id,
            code: "never-affected".to_owned(),
            evidence,
        }));
    }
    if any(Answer::Affected) {
        let finding = finding(package, version, (id, aliases), group, evidence, lookup)?;
        return Ok(Outcome::Affected(Box::new(finding)));
    }
    let doubts = group.iter().filter_map(|one| match &one.answer {
        Answer::Undetermined { code, reason } => Some((*code, reason.clone())),
        _ => None,
    });
    Ok(match doubts.min() {
        Some((code, reason)) => Outcome::Undetermined(Undetermined {
            package,
            id: Some(id),
            code: code.to_owned(),
            reason,
            evidence,
        }),
        None => {
            Outcome::NotAffected(NotAffected { package, id, code: "outside-ranges".to_owned(), evidence })
        }
    })
}

fn finding<S: AdvisorySource>(
    package: PackageKey,
    version: &str,
    (id, aliases): (String, Vec<String>),
    group: &[&Assessment<'_>],
    evidence: Vec<Evidence>,
    lookup: &mut Lookup<'_, S>,
) -> Result<Finding, MatchError> {
    let affected: Vec<_> = group.iter().filter(|one| one.answer == Answer::Affected).collect();
    let own: Vec<&Advisory> = affected.iter().map(|one| one.advisory).collect();
    let covered = own.iter().flat_map(|advisory| &advisory.upstream);
    let known_as: BTreeSet<&String> = std::iter::once(&id).chain(&aliases).chain(covered).collect();
    let mut elsewhere = Vec::new();
    for name in &known_as {
        elsewhere.push(lookup.related(name)?);
    }
    let mut related: Vec<&Advisory> = elsewhere.iter().flat_map(|found| found.iter()).collect();
    related.sort();
    related.dedup();
    // What covers the vulnerability among others describes those, too.
    let same = |advisory: &&&Advisory| {
        std::iter::once(&advisory.id)
            .chain(&advisory.aliases)
            .any(|name| *name == id || aliases.contains(name))
    };
    let described: Vec<&Advisory> = own.iter().copied().chain(related.iter().filter(same).copied()).collect();
    let rating = rate(&own, &rated(&related, &known_as));
    let mut known_exploited = None;
    for cve in known_as.iter().filter(|name| is_cve(name)) {
        known_exploited = match known_exploited {
            None => lookup.known_exploited(cve)?,
            known => known,
        };
    }
    let ranges: Vec<_> = group.iter().flat_map(|one| one.ranges.iter().cloned()).collect();
    let listed = affected.iter().any(|one| one.listed);
    let malicious = own.iter().any(|advisory| advisory.kind == AdvisoryKind::Malicious);
    Ok(Finding {
        package,
        id,
        aliases,
        kind: if malicious { AdvisoryKind::Malicious } else { AdvisoryKind::Vulnerability },
        severity: rating.severity,
        severity_source: rating.source,
        cvss_vector: rating.vector,
        cvss_score_tenths: rating.score_tenths,
        fixed_version: if listed { None } else { fix_for(&ranges, version) },
        known_exploited,
        published: own
            .iter()
            .filter_map(|advisory| advisory.published)
            .min()
            .or_else(|| described.iter().filter_map(|advisory| advisory.published).min()),
        summary: described
            .iter()
            .map(|one| &one.summary)
            .find(|text| !text.is_empty())
            .cloned()
            .unwrap_or_default(),
        url: described.iter().find_map(|advisory| advisory.url.clone()),
        evidence,
    })
}

/// The advisories whose ratings are about the vulnerability itself: those that are known by one of its names. One that
/// covers it among others is left out, for its rating is that of the worst of them.
fn rated<'a>(related: &[&'a Advisory], known_as: &BTreeSet<&String>) -> Vec<&'a Advisory> {
    let named = |advisory: &&&Advisory| {
        known_as.contains(&advisory.id) || advisory.aliases.iter().any(|alias| known_as.contains(alias))
    };
    related.iter().filter(named).copied().collect()
}
