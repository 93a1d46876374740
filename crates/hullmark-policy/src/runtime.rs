//! Rules on `runtime`: what is done about a program that a running container executes and its image does not contain.
//!
//! They are settled before the container starts, once for each kind of drift, so that nothing has to be evaluated when it
//! happens: the agent on the node is handed a table.

use std::collections::BTreeMap;

use hullmark_types::{Action, DriftKind, Inventory, Stage};
use jiff::Timestamp;

use crate::condition::{self, object_value};
use crate::coverage::Coverage;
use crate::exceptions::{Candidate, Exceptions};
use crate::facts::{self, Facts};
use crate::policy::{Policy, RuleSubject, names_of};

/// The strictest action at stage `run` of all rules on `runtime` that match and are not excused, for each kind of drift.
/// Pure. A condition that cannot be evaluated counts as true, as in [`evaluate`](crate::evaluate).
pub fn runtime_actions(
    policy: &Policy,
    exceptions: &Exceptions,
    inventory: &Inventory,
    now: Timestamp,
) -> BTreeMap<DriftKind, Action> {
    let fields = facts::fields();
    let names = names_of(&inventory.subject);
    let none = BTreeMap::new();
    let labels = inventory.config.as_ref().map_or(&none, |config| &config.labels);
    let excused = |rule: &str| {
        let candidate = Candidate { rule, identifiers: Vec::new(), package: None };
        let active = exceptions.list().iter().filter(|one| one.created <= now && now < one.expires);
        active.into_iter().any(|exception| exception.matches.covers(&candidate, &names))
    };
    let rules: Vec<_> = policy
        .rules()
        .iter()
        .filter(|rule| rule.on == RuleSubject::Runtime && rule.scope.includes(&names, labels))
        .filter(|rule| !excused(&rule.name))
        .collect();
    let coverage = Coverage::default();
    let of = |drift| {
        let facts = Facts {
            inventory,
            coverage: &coverage,
            now,
            finding: None,
            key: None,
            package: None,
            license: None,
            drift: Some(drift),
        };
        let mut scope = condition::root_scope();
        scope.add_variable_from_value("image", object_value("image", &fields, &facts));
        condition::bind(&mut scope, RuleSubject::Runtime, &fields, &facts);
        let matching = rules.iter().filter(|rule| rule.when.holds(&scope).unwrap_or(true));
        matching.map(|rule| rule.action(Stage::Run)).max().unwrap_or_default()
    };
    DriftKind::ALL.into_iter().map(|drift| (drift, of(drift))).collect()
}
