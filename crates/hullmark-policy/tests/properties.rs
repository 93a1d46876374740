//! What holds for every input.

mod support;

use hullmark_policy::{Exceptions, parse_exceptions, parse_policy};
use hullmark_types::{Outcome, PackageKind, Severity};
use proptest::prelude::*;
use support::*;

const RULES: [&str; 6] = [
    "name: a\non: vulnerability\nwhen: vuln.severity >= HIGH\nthreat: 7\nactions: { build: fail }\ngrace: { high: 30d }",
    "name: b\non: vulnerability\nwhen: vuln.fix_available\nthreat: 3\nactions: { build: warn }",
    "name: c\non: package\nwhen: package.name.startsWith('p1')\nactions: { build: warn }",
    "name: d\non: license\nwhen: license.name == 'MIT'\nactions: { build: warn }",
    "name: e\non: coverage\nwhen: coverage.packages > 2\nactions: { build: warn }",
    "name: f\non: vulnerability\nwhen: vuln.aliases[1] == 'x'\nactions: { build: fail }",
];

/// Text that looks like a policy often enough to get past the first checks.
fn policy_like() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("when: ".to_owned()),
        Just("vuln.kev".to_owned()),
        Just("package.name".to_owned()),
        Just(" && ".to_owned()),
        Just("coverage.gaps > ".to_owned()),
        Just("'".to_owned()),
        Just("\"".to_owned()),
        Just("(".to_owned()),
        Just(")".to_owned()),
        Just("[".to_owned()),
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just("\n".to_owned()),
        Just("  - name: r\n    on: image\n".to_owned()),
        Just("actions: { build: fail }\n    ".to_owned()),
        Just("duration(\"48h\")".to_owned()),
        Just(".exists(x, ".to_owned()),
        Just("&a ".to_owned()),
        Just("*a ".to_owned()),
        Just("? ".to_owned()),
        Just("|\n      ".to_owned()),
        Just("1u".to_owned()),
        Just("-9223372036854775808".to_owned()),
        Just("r'".to_owned()),
        Just("`".to_owned()),
        ".{0,3}",
    ];
    (any::<bool>(), proptest::collection::vec(word, 0..25)).prop_map(|(head, words)| {
        let start = "apiVersion: hullmark.dev/v1\nkind: Policy\nmetadata: { name: t }\nrules:\n  - name: q\n    on: vulnerability\n    actions: { build: fail }\n    when: ";
        format!("{}{}", if head { start } else { "" }, words.concat())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn no_text_panics_and_what_is_accepted_can_be_evaluated(text in policy_like()) {
        let _ = parse_exceptions("e", &text);
        if let Ok(policy) = parse_policy("p", &text) {
            let musl = package(PackageKind::Apk, "musl", "1");
            let found = matches(vec![finding(&musl, "CVE-1", Severity::High, None)]);
            let _ = verdict(&inventory(vec![musl]), &found, &policy, &Exceptions::none());
        }
    }

    #[test]
    fn errors_point_into_the_file(text in policy_like()) {
        if let Err(errors) = parse_policy("p", &text) {
            prop_assert!(!errors.errors.is_empty());
            let lines = text.lines().count() as u64;
            for error in errors.errors {
                prop_assert!(error.line >= 1 && error.line <= lines + 1 && error.column >= 1, "{error:?}");
            }
        }
    }

    #[test]
    fn the_order_of_rules_findings_and_packages_does_not_change_the_verdict(
        order in Just(RULES.to_vec()).prop_shuffle(),
        findings in Just((0..8_u8).collect::<Vec<_>>()).prop_shuffle(),
        used in 1..=RULES.len(),
    ) {
        let packages: Vec<_> = (0..4).map(|n| package(PackageKind::Pypi, &format!("p{n}"), "1")).collect();
        let of = |n: &u8| {
            let severity = Severity::ALL[usize::from(n % 6)];
            finding(&packages[usize::from(n % 4)], &format!("CVE-{n}"), severity, n.is_multiple_of(2).then_some("2"))
        };
        let sorted: Vec<u8> = (0..8).collect();
        let chosen = &order[..used];
        let mut straight = chosen.to_vec();
        straight.sort_unstable();
        let one = verdict(&inventory(packages.clone()), &matches(sorted.iter().map(of).collect()), &policy(&straight), &Exceptions::none());
        let mut reversed = packages.clone();
        reversed.reverse();
        let mut other = verdict(&inventory(reversed), &matches(findings.iter().map(of).collect()), &policy(chosen), &Exceptions::none());
        // The identities of the unsorted inputs differ; nothing else may.
        other.inputs = one.inputs.clone();
        prop_assert_eq!(&one, &other);
        prop_assert!(one.outcome != Outcome::Passed || one.reasons.is_empty());
    }
}
