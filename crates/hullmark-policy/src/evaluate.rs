//! The pure function: inventory, matches, policy, exceptions, stage and time become a verdict.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use hullmark_types::{
    Action, CanonicalError, ExceptionStatus, ExceptionUse, Finding, InputDigests, Inventory, Matches,
    Outcome, Package, PackageKey, Reason, Stage, Verdict, digest_of,
};
use jiff::Timestamp;

use crate::condition::{self, object_value};
use crate::coverage::Coverage;
use crate::durations::DAY;
use crate::exceptions::{Candidate, Exception, Exceptions, PackageName, exceptions_digest};
use crate::facts::{self, Facts, Field};
use crate::message::one_line;
use crate::policy::{Policy, Rule, RuleSubject, names_of, policy_digest};

/// Everything a verdict depends on.
#[derive(Clone, Copy)]
pub struct Evaluation<'a> {
    /// What the image holds.
    pub inventory: &'a Inventory,
    /// What the advisories say of it.
    pub matches: &'a Matches,
    /// What is tolerated.
    pub policy: &'a Policy,
    /// What is excused.
    pub exceptions: &'a Exceptions,
    /// Whose actions count.
    pub stage: Stage,
    /// The time for which the verdict is made.
    pub now: Timestamp,
}

/// A verdict could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// An input has no identity.
    #[error("the identity of the {input} cannot be computed")]
    Digest {
        /// Which input.
        input: &'static str,
        /// Why.
        source: CanonicalError,
    },
}

/// An exception that expires within this time is flagged, in milliseconds.
const SOON: i64 = 14 * DAY;

/// Judges an inventory and its matches.
///
/// The outcome is the strictest action of all rules that match and are not excused. The order of rules, findings,
/// packages and exceptions does not change it. A condition that cannot be evaluated (a division by zero, a key that is
/// not there) counts as true, and the reason says so: what could not be judged is not passed in silence.
///
/// # Errors
/// When an input cannot be written as canonical JSON.
pub fn evaluate(input: &Evaluation<'_>) -> Result<Verdict, EvaluateError> {
    let of = |input: &'static str| move |source| EvaluateError::Digest { input, source };
    let inputs = InputDigests {
        inventory: digest_of(input.inventory).map_err(of("inventory"))?,
        matches: digest_of(input.matches).map_err(of("matches"))?,
        policy: policy_digest(input.policy).map_err(of("policy"))?,
        exceptions: exceptions_digest(input.exceptions).map_err(of("exceptions"))?,
        database: input.matches.database.clone(),
    };
    let drafts = Judge::new(input).judge();
    let images = names_of(&input.inventory.subject);
    let (mut reasons, mut excused) = (BTreeSet::new(), BTreeSet::new());
    let mut uses: BTreeMap<&str, u64> = BTreeMap::new();
    for draft in drafts {
        let by =
            input.exceptions.list().iter().filter(|exception| excuses(exception, &draft, &images, input.now));
        let ids: Vec<_> = by.map(|exception| exception.id.as_str()).collect();
        match ids.first() {
            None => {
                reasons.insert(Ranked::from(draft.reason));
            }
            Some(first) => {
                let reason = Reason { exception: Some((*first).to_owned()), ..draft.reason };
                if excused.insert(Ranked::from(reason)) {
                    ids.iter().for_each(|id| *uses.entry(id).or_insert(0) += 1);
                }
            }
        }
    }
    let reasons: Vec<_> = reasons.into_iter().map(|ranked| ranked.reason).collect();
    Ok(Verdict {
        outcome: match reasons.iter().map(|reason| reason.action).max() {
            Some(Action::Fail) => Outcome::Failed,
            Some(Action::Warn) => Outcome::Warned,
            Some(Action::None) | None => Outcome::Passed,
        },
        stage: input.stage,
        policy: input.policy.name().to_owned(),
        reasons,
        excused: excused.into_iter().map(|ranked| ranked.reason).collect(),
        exceptions: input
            .exceptions
            .list()
            .iter()
            .map(|exception| fate(exception, &uses, input.now))
            .collect(),
        inputs,
        evaluated_at: input.now,
    })
}

/// A reason in the order of reports: strictest, most threatening, most severe first; then by finding and package.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Ranked {
    rank: (Reverse<Action>, Reverse<u8>, Reverse<Option<hullmark_types::Severity>>),
    subject: (Option<String>, Option<String>),
    reason: Reason,
}

impl From<Reason> for Ranked {
    fn from(reason: Reason) -> Self {
        Self {
            rank: (Reverse(reason.action), Reverse(reason.threat), Reverse(reason.severity)),
            subject: (reason.finding.clone(), reason.package.clone()),
            reason,
        }
    }
}

/// A reason before exceptions, with what exceptions look at.
struct Draft<'a> {
    reason: Reason,
    finding: Option<&'a Finding>,
    key: Option<PackageName<'a>>,
}

fn excuses(exception: &Exception, draft: &Draft<'_>, images: &[String], now: Timestamp) -> bool {
    let finding = draft.finding;
    let fixed = finding.is_some_and(|finding| finding.fixed_version.is_some());
    let identifiers = finding
        .map(|finding| std::iter::once(&finding.id).chain(&finding.aliases).map(String::as_str).collect())
        .unwrap_or_default();
    let candidate = Candidate { rule: &draft.reason.rule, identifiers, package: draft.key };
    let active = exception.created <= now && now < exception.expires;
    active && !(exception.until_fix_available && fixed) && exception.matches.covers(&candidate, images)
}

fn fate(exception: &Exception, uses: &BTreeMap<&str, u64>, now: Timestamp) -> ExceptionUse {
    let excused = uses.get(exception.id.as_str()).copied().unwrap_or(0);
    let left = exception.expires.as_millisecond().saturating_sub(now.as_millisecond());
    let status = match excused {
        _ if exception.expires <= now => ExceptionStatus::Expired,
        0 => ExceptionStatus::Unused,
        _ if left <= SOON => ExceptionStatus::ExpiringSoon,
        _ => ExceptionStatus::Used,
    };
    ExceptionUse { id: exception.id.clone(), status, expires: Some(exception.expires), excused }
}

struct Judge<'a> {
    input: &'a Evaluation<'a>,
    fields: Vec<Field>,
    coverage: Coverage,
    rules: Vec<&'a Rule>,
}

impl<'a> Judge<'a> {
    fn new(input: &'a Evaluation<'a>) -> Self {
        let names = names_of(&input.inventory.subject);
        let none = BTreeMap::new();
        let labels = input.inventory.config.as_ref().map_or(&none, |config| &config.labels);
        let applies =
            |rule: &&Rule| rule.action(input.stage) != Action::None && rule.scope.includes(&names, labels);
        Self {
            input,
            fields: facts::fields(),
            coverage: Coverage::of(input.inventory, input.matches, input.now),
            rules: input.policy.rules().iter().filter(applies).collect(),
        }
    }

    fn judge(&self) -> Vec<Draft<'a>> {
        let inventory = self.input.inventory;
        let nothing = Facts {
            inventory,
            coverage: &self.coverage,
            now: self.input.now,
            finding: None,
            key: None,
            package: None,
            license: None,
            drift: None,
        };
        let mut root = condition::root_scope();
        root.add_variable_from_value("image", object_value("image", &self.fields, &nothing));
        let mut drafts = Vec::new();
        let mut on = |subject: RuleSubject,
                      facts: Facts<'_>,
                      key: Option<PackageName<'a>>,
                      finding: Option<&'a Finding>| {
            let mut scope = root.new_inner_scope();
            condition::bind(&mut scope, subject, &self.fields, &facts);
            for rule in self.rules.iter().filter(|rule| rule.on == subject) {
                let broken = match rule.when.holds(&scope) {
                    Ok(true) => None,
                    Ok(false) => continue,
                    Err(error) => Some(error),
                };
                drafts.push(Draft { reason: self.reason(rule, &facts, broken), finding, key });
            }
        };
        if self.any_on(RuleSubject::Vulnerability) {
            let packages = index(inventory);
            for finding in &self.input.matches.findings {
                let key = &finding.package;
                let package = packages.get(&(key.purl.as_str(), key.path.as_str(), key.layer)).copied();
                let facts = Facts { finding: Some(finding), key: Some(key), package, ..nothing };
                on(RuleSubject::Vulnerability, facts, Some(name_of(key)), Some(finding));
            }
        }
        for subject in [RuleSubject::Package, RuleSubject::License] {
            if !self.any_on(subject) {
                continue;
            }
            for package in &inventory.packages {
                let key = key_of(package);
                let facts = Facts { key: Some(&key), package: Some(package), ..nothing };
                let name =
                    PackageName { name: &package.name, version: &package.version, purl: &package.purl };
                if subject == RuleSubject::Package {
                    on(subject, facts, Some(name), None);
                    continue;
                }
                for license in &package.licenses {
                    on(subject, Facts { license: Some(license), ..facts }, Some(name), None);
                }
            }
        }
        for subject in [RuleSubject::Image, RuleSubject::Coverage] {
            if self.any_on(subject) {
                on(subject, nothing, None, None);
            }
        }
        drafts
    }

    fn any_on(&self, subject: RuleSubject) -> bool {
        self.rules.iter().any(|rule| rule.on == subject)
    }

    fn reason(&self, rule: &Rule, facts: &Facts<'_>, broken: Option<String>) -> Reason {
        let action = rule.action(self.input.stage);
        let days_left = match action {
            Action::Fail => grace_days_left(rule, facts),
            _ => None,
        };
        Reason {
            rule: rule.name.clone(),
            on: rule.on.name().to_owned(),
            action: if days_left.is_some() { Action::Warn } else { action },
            threat: rule.threat,
            finding: facts.finding.map(|finding| finding.id.clone()),
            severity: facts.finding.map(|finding| finding.severity),
            package: facts.key.map(|key| key.purl.clone()),
            fixed_version: facts.finding.and_then(|finding| finding.fixed_version.clone()),
            known_exploited: facts.finding.is_some_and(|finding| finding.known_exploited.is_some()),
            message: match broken {
                Some(error) => {
                    one_line(&format!("the rule could not be evaluated, so it counts as matched: {error}"))
                }
                None => self.message(rule, facts),
            },
            grace_days_left: days_left,
            exception: None,
        }
    }

    fn message(&self, rule: &Rule, facts: &Facts<'_>) -> String {
        let filled = match &rule.message {
            Some(template) => template.fill(&self.fields, facts),
            None => default_message(facts),
        };
        let added = match (facts.finding, rule.on) {
            (Some(finding), _) => fix_of(finding).filter(|_| !names_fix(&filled, finding)),
            (None, RuleSubject::Coverage) if asks_for_shortcomings(rule) => {
                Some(self.coverage.details.join("; ")).filter(|details| !details.is_empty())
            }
            _ => None,
        };
        match added {
            Some(added) => one_line(&format!("{filled}; {added}")),
            None => one_line(&filled),
        }
    }
}

/// Whether a rule is about what could not be assessed, and not only about the age of feeds.
fn asks_for_shortcomings(rule: &Rule) -> bool {
    ["undetermined", "gaps", "not_covered", "codes"].iter().any(|fact| rule.when().contains(fact))
}

fn default_message(facts: &Facts<'_>) -> String {
    match (facts.finding, facts.key, facts.license) {
        (Some(finding), _, _) => {
            let key = &finding.package;
            format!("{} in {} {} ({})", finding.id, key.name, key.version, finding.severity)
        }
        (None, Some(key), Some(license)) => format!("{} {} has the licence {license}", key.name, key.version),
        (None, Some(key), None) => format!("{} {} in {}", key.name, key.version, key.path),
        (None, None, _) => "the condition of the rule holds".to_owned(),
    }
}

/// What to do about a finding. A malicious package has no version to trust.
fn fix_of(finding: &Finding) -> Option<String> {
    let key = &finding.package;
    let malicious = finding.kind == hullmark_types::AdvisoryKind::Malicious;
    match &finding.fixed_version {
        Some(fixed) => Some(format!("upgrade {} from {} to {fixed}", key.name, key.version)),
        None if malicious => Some(format!("remove {}", key.name)),
        None => Some("no fix is known".to_owned()),
    }
}

/// Whether a message says already what to do.
fn names_fix(message: &str, finding: &Finding) -> bool {
    match &finding.fixed_version {
        Some(fixed) => message.contains(fixed.as_str()),
        None => {
            message.contains("no fix is known")
                || message.contains("none is known yet")
                || message.contains("remove it")
        }
    }
}

/// Days until the failure counts, rounded up; `None` when there is no grace or it is over. No source at hand dates
/// fixes, so grace `from: fix` counts from the publication too; what has no date has no grace.
fn grace_days_left(rule: &Rule, facts: &Facts<'_>) -> Option<u32> {
    let finding = facts.finding?;
    let period = rule.grace.as_ref()?.periods.get(&finding.severity)?;
    let end = finding.published?.as_millisecond().checked_add(*period)?;
    let left = end.saturating_sub(facts.now.as_millisecond());
    (left > 0).then(|| u32::try_from(left.saturating_add(DAY - 1) / DAY).unwrap_or(u32::MAX))
}

/// The packages by what names them in findings.
fn index(inventory: &Inventory) -> BTreeMap<(&str, &str, u32), &Package> {
    inventory
        .packages
        .iter()
        .map(|package| {
            let path = package.locations.first().map_or("", |location| location.path.as_str());
            ((package.purl.as_str(), path, package.layer), package)
        })
        .collect()
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

fn name_of(key: &PackageKey) -> PackageName<'_> {
    PackageName { name: &key.name, version: &key.version, purl: &key.purl }
}
