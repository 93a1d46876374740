//! What policies say about programs that a container executes and its image does not contain.

mod support;

use hullmark_policy::{Exceptions, default_policy, parse_exceptions, parse_policy, runtime_actions};
use hullmark_types::{Action, DriftKind};
use support::{inventory, now, policy};

const BLOCK: &str = "name: drift\non: runtime\nwhen: runtime.event == \"drift\"\nactions: { run: fail }";
const ALERT_SCRIPTS: &str =
    "name: scripts\non: runtime\nwhen: runtime.how == \"script\"\nactions: { run: warn }";

fn actions(rules: &[&str], exceptions: &Exceptions) -> Vec<(DriftKind, Action)> {
    runtime_actions(&policy(rules), exceptions, &inventory(Vec::new()), now()).into_iter().collect()
}

#[test]
fn the_strictest_rule_decides_for_each_kind_of_drift() {
    let none = Exceptions::none();
    let all = |action| DriftKind::ALL.map(|kind| (kind, action)).to_vec();
    assert_eq!(actions(&[BLOCK], &none), all(Action::Fail));
    assert_eq!(actions(&[ALERT_SCRIPTS, BLOCK], &none), all(Action::Fail));
    let mut scripts = all(Action::None);
    scripts[1].1 = Action::Warn;
    assert_eq!(actions(&[ALERT_SCRIPTS], &none), scripts);
}

#[test]
fn scope_exceptions_and_broken_conditions_count_as_elsewhere() {
    let elsewhere = format!("{BLOCK}\nscope: {{ images: [\"other/*\"] }}");
    assert!(actions(&[&elsewhere], &Exceptions::none()).iter().all(|(_, action)| *action == Action::None));
    let text = "apiVersion: hullmark.dev/v1\nkind: Exceptions\nexceptions:\n  - { id: E-1, match: { rule: drift }, \
                owner: team, approver: security, reason: r, created: 2026-11-01, expires: 2030-01-01 }\n";
    let excused = parse_exceptions("e.yaml", text).unwrap();
    assert!(actions(&[BLOCK], &excused).iter().all(|(_, action)| *action == Action::None));
    let broken = "name: b\non: runtime\nwhen: image.labels[\"absent\"] == \"x\"\nactions: { run: fail }";
    assert!(actions(&[broken], &Exceptions::none()).iter().all(|(_, action)| *action == Action::Fail));
}

#[test]
fn the_built_in_policy_blocks_drift_and_other_stages_are_refused() {
    let policy = default_policy().unwrap();
    let settled = runtime_actions(&policy, &Exceptions::none(), &inventory(Vec::new()), now());
    assert!(settled.values().all(|action| *action == Action::Fail));
    let text = "apiVersion: hullmark.dev/v1\nkind: Policy\nmetadata: { name: x }\nrules:\n  - name: a\n    on: runtime\n    \
                when: true\n    actions: { build: fail }\n";
    let error = parse_policy("p.yaml", text).unwrap_err().to_string();
    assert!(error.contains("a rule on `runtime` does nothing at stage `build`"), "{error}");
}
