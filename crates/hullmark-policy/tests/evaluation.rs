//! What verdicts policies and exceptions give.

#![expect(clippy::panic, reason = "a fixture that does not parse ends the test")]

mod support;

use hullmark_policy::{
    Evaluation, Exceptions, FailOn, default_policy, evaluate, exceptions_digest, fail_on, parse_exceptions,
    policy_digest,
};
use hullmark_types::{Action, AdvisoryKind, ExceptionStatus, Outcome, PackageKind, Severity, Stage};
use support::*;

const ANY: &str = "name: any\non: vulnerability\nwhen: true\nactions: { build: fail }";

fn exceptions(entries: &[&str]) -> Exceptions {
    let defaults = "owner: team, approver: security, reason: r, created: 2026-11-01";
    let lines: Vec<_> = entries.iter().map(|entry| format!("  - {{ {entry}, {defaults} }}\n")).collect();
    let text = format!("apiVersion: hullmark.dev/v1\nkind: Exceptions\nexceptions:\n{}", lines.concat());
    parse_exceptions("e.yaml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn the_outcome_is_the_strictest_action_of_all_rules_that_match() {
    let musl = package(PackageKind::Apk, "musl", "1.1.18-r3");
    let (inventory, found) =
        (inventory(vec![musl.clone()]), matches(vec![finding(&musl, "CVE-1", Severity::High, None)]));
    let warn =
        "name: w\non: vulnerability\nwhen: vuln.severity == HIGH\nactions: { build: warn, deploy: fail }";
    let never = "name: n\non: vulnerability\nwhen: vuln.kev\nactions: { build: fail }";
    for (rules, outcome) in [
        (vec![never], Outcome::Passed),
        (vec![warn], Outcome::Warned),
        (vec![warn, never], Outcome::Warned),
        (vec![warn, ANY, never], Outcome::Failed),
        (vec![ANY, never, warn], Outcome::Failed),
    ] {
        assert_eq!(
            verdict(&inventory, &found, &policy(&rules), &Exceptions::none()).outcome,
            outcome,
            "{rules:?}"
        );
    }
    let policy = policy(&[warn]);
    let none = Exceptions::none();
    let at = |stage| {
        let input = Evaluation {
            inventory: &inventory,
            matches: &found,
            policy: &policy,
            exceptions: &none,
            stage,
            now: now(),
        };
        evaluate(&input).unwrap().outcome
    };
    assert_eq!(Stage::ALL.map(at), [Outcome::Warned, Outcome::Passed, Outcome::Failed, Outcome::Passed]);
}

#[test]
fn reasons_say_the_fix_and_are_sorted_by_what_matters() {
    let musl = package(PackageKind::Apk, "musl", "1.1.18-r3");
    let zlib = package(PackageKind::Apk, "zlib", "1");
    let found = matches(vec![
        finding(&zlib, "CVE-3", Severity::Low, None),
        finding(&musl, "CVE-2", Severity::Low, Some("1.1.18-r4")),
        finding(&musl, "CVE-1", Severity::Critical, Some("1.1.18-r4")),
    ]);
    let with_message = "name: m\non: vulnerability\nwhen: vuln.severity == CRITICAL\nthreat: 9\nactions: { build: fail }\n\
                        message: \"{vuln.id} {{x}} {vuln.severity} in {package.name}: take {vuln.fixed_version}\"";
    let plain = "name: p\non: vulnerability\nwhen: true\nactions: { build: fail }";
    let verdict =
        verdict(&inventory(vec![musl, zlib]), &found, &policy(&[plain, with_message]), &Exceptions::none());
    let said: Vec<_> =
        verdict.reasons.iter().map(|reason| format!("{} {}", reason.rule, reason.message)).collect();
    assert_eq!(
        said,
        [
            "m CVE-1 {x} critical in musl: take 1.1.18-r4",
            "p CVE-1 in musl 1.1.18-r3 (critical); upgrade musl from 1.1.18-r3 to 1.1.18-r4",
            "p CVE-2 in musl 1.1.18-r3 (low); upgrade musl from 1.1.18-r3 to 1.1.18-r4",
            "p CVE-3 in zlib 1 (low); no fix is known",
        ]
    );
}

#[test]
fn grace_suppresses_only_failures_and_shows_the_days_left() {
    let musl = package(PackageKind::Apk, "musl", "1");
    let rule = |period: &str, action: &str| {
        policy(&[&format!(
            "name: g\non: vulnerability\nwhen: true\nactions: {{ build: {action} }}\ngrace: {{ high: {period}, from: fix }}"
        )])
    };
    // Published ten days before now.
    for (severity, period, action, expected) in [
        (Severity::High, "14d", "fail", (Action::Warn, Some(4))),
        (Severity::High, "241h", "fail", (Action::Warn, Some(1))),
        (Severity::High, "10d", "fail", (Action::Fail, None)),
        (Severity::High, "0", "fail", (Action::Fail, None)),
        (Severity::High, "14d", "warn", (Action::Warn, None)),
        (Severity::Critical, "14d", "fail", (Action::Fail, None)),
        (Severity::Unrated, "14d", "fail", (Action::Fail, None)),
    ] {
        let found = matches(vec![finding(&musl, "CVE-1", severity, None)]);
        let verdict =
            verdict(&inventory(vec![musl.clone()]), &found, &rule(period, action), &Exceptions::none());
        let reason = &verdict.reasons[0];
        assert_eq!((reason.action, reason.grace_days_left), expected, "{severity} {period} {action}");
    }
    let mut undated = finding(&musl, "CVE-1", Severity::High, None);
    undated.published = None;
    let verdict = verdict(
        &inventory(vec![musl.clone()]),
        &matches(vec![undated]),
        &rule("14d", "fail"),
        &Exceptions::none(),
    );
    assert_eq!(verdict.outcome, Outcome::Failed, "a finding without a date has no grace");
}

#[test]
fn exceptions_excuse_what_they_match() {
    let musl = package(PackageKind::Apk, "musl", "1.1.18-r3");
    let inventory = inventory(vec![musl.clone()]);
    for (exception, fixed, excused) in [
        ("match: { vulnerability: CVE-1 }", None, true),
        ("match: { vulnerability: cve-1 }", None, true),
        ("match: { vulnerability: GHSA-CVE-1 }", None, true),
        ("match: { vulnerability: CVE-10 }", None, false),
        ("match: { rule: any }", None, true),
        ("match: { rule: other }", None, false),
        ("match: { package: musl }", None, true),
        ("match: { package: mus }", None, false),
        ("match: { package: musl@1.1.18-r3 }", None, true),
        ("match: { package: musl@1.1.18-r4 }", None, false),
        ("match: { package: \"pkg:apk/alpine/musl\" }", None, true),
        ("match: { package: \"pkg:apk/alpine/musl@1.1.18-r3\" }", None, true),
        ("match: { package: \"pkg:apk/alpine/musl@1.1.18\" }", None, false),
        ("match: { vulnerability: CVE-1, package: zlib }", None, false),
        ("match: { vulnerability: CVE-1, images: [\"registry.example/team/*\"] }", None, true),
        ("match: { vulnerability: CVE-1, images: [\"registry.example/other/*\"] }", None, false),
        ("match: { vulnerability: CVE-1 }, until_fix_available: true", None, true),
        ("match: { vulnerability: CVE-1 }, until_fix_available: true", Some("2"), false),
        ("match: { vulnerability: CVE-1 }, until_fix_available: false", Some("2"), true),
    ] {
        let found = matches(vec![finding(&musl, "CVE-1", Severity::High, fixed)]);
        let by = exceptions(&[&format!("id: E, {exception}, expires: 2027-12-31")]);
        let verdict = verdict(&inventory, &found, &policy(&[ANY]), &by);
        let expected = match excused {
            true => (Outcome::Passed, 0, 1, ExceptionStatus::Used, 1),
            false => (Outcome::Failed, 1, 0, ExceptionStatus::Unused, 0),
        };
        let fate = &verdict.exceptions[0];
        assert_eq!(
            (verdict.outcome, verdict.reasons.len(), verdict.excused.len(), fate.status, fate.excused),
            expected,
            "{exception}"
        );
        if excused {
            assert_eq!(verdict.excused[0].exception.as_deref(), Some("E"));
            assert_eq!(verdict.excused[0].action, Action::Fail);
        }
    }
}

#[test]
fn exceptions_end_and_are_reported() {
    let musl = package(PackageKind::Apk, "musl", "1");
    let found = matches(vec![finding(&musl, "CVE-1", Severity::High, None)]);
    // It is 2026-11-24T12:00:00Z.
    for (expires, status, outcome) in [
        ("2026-11-23", ExceptionStatus::Expired, Outcome::Failed),
        ("2026-11-24", ExceptionStatus::ExpiringSoon, Outcome::Passed),
        ("2026-11-24T12:00:00Z", ExceptionStatus::Expired, Outcome::Failed),
        ("2026-11-24T12:00:01Z", ExceptionStatus::ExpiringSoon, Outcome::Passed),
        ("2026-12-07", ExceptionStatus::ExpiringSoon, Outcome::Passed),
        ("2026-12-09", ExceptionStatus::Used, Outcome::Passed),
    ] {
        let by = exceptions(&[&format!("id: E, match: {{ vulnerability: CVE-1 }}, expires: {expires}")]);
        let verdict = verdict(&inventory(vec![musl.clone()]), &found, &policy(&[ANY]), &by);
        assert_eq!((verdict.exceptions[0].status, verdict.outcome), (status, outcome), "{expires}");
    }
    let text = "apiVersion: hullmark.dev/v1\nkind: Exceptions\nexceptions:\n  - { id: E, match: { rule: any }, owner: a, \
                approver: b, reason: r, created: 2026-11-25, expires: 2026-12-31 }\n";
    let early = parse_exceptions("e.yaml", text).unwrap();
    let verdict = verdict(&inventory(vec![musl.clone()]), &found, &policy(&[ANY]), &early);
    assert_eq!((verdict.outcome, verdict.exceptions[0].status), (Outcome::Failed, ExceptionStatus::Unused));
}

#[test]
fn scopes_choose_images_by_reference_and_label() {
    let musl = package(PackageKind::Apk, "musl", "1");
    let found = matches(vec![finding(&musl, "CVE-1", Severity::High, None)]);
    for (scope, expected) in [
        ("{ images: [\"*\"] }", Outcome::Failed),
        ("{ images: [\"registry.example/team/*\"] }", Outcome::Failed),
        ("{ images: [\"docker.io/*\", \"app.tar\"] }", Outcome::Failed),
        ("{ images: [\"docker.io/*\"] }", Outcome::Passed),
        ("{ exclude_images: [\"registry.example/team/app:*\"] }", Outcome::Passed),
        ("{ exclude_images: [\"registry.example/team/api:*\"] }", Outcome::Failed),
        ("{ labels: { team: \"pay*\" } }", Outcome::Failed),
        ("{ labels: { team: web } }", Outcome::Passed),
        ("{ labels: { owner: \"*\" } }", Outcome::Passed),
        ("{ namespaces: [\"*\"] }", Outcome::Failed),
    ] {
        let rule = format!("{ANY}\nscope: {scope}");
        let verdict = verdict(&inventory(vec![musl.clone()]), &found, &policy(&[&rule]), &Exceptions::none());
        assert_eq!(verdict.outcome, expected, "{scope}");
    }
}

#[test]
fn rules_see_the_facts_of_what_they_are_on() {
    let mut musl = package(PackageKind::Apk, "musl", "1");
    musl.licenses = vec!["MIT".to_owned(), "GPL-3.0-only".to_owned()];
    let requests = package(PackageKind::Pypi, "requests", "2");
    let mut high = exploited(finding(&musl, "CVE-1", Severity::High, Some("2")));
    high.cvss_score_tenths = Some(81);
    let mut found = matches(vec![high]);
    found.undetermined.push(undetermined(&requests, "no-feed"));
    found.packages_covered = 1;
    let mut inventory = inventory(vec![musl, requests]);
    inventory.diagnostics.push(gap("malformed-package-database"));
    for (on, when, count) in [
        ("vulnerability", "vuln.severity >= HIGH && vuln.severity < CRITICAL && vuln.severity == HIGH", 1),
        ("vulnerability", "vuln.severity >= UNRATED && !(vuln.severity <= LOW)", 1),
        ("vulnerability", "vuln.cvss_score == 8.1 && vuln.cvss_score >= 8 && vuln.cvss_score < 9", 1),
        (
            "vulnerability",
            "vuln.kev && vuln.ransomware && vuln.fix_available && vuln.fixed_version == '2'",
            1,
        ),
        ("vulnerability", "vuln.published_days == 10 && vuln.published_days % 3 == 1", 1),
        (
            "vulnerability",
            "'GHSA-CVE-1' in vuln.aliases && vuln.aliases.size() == 1 && vuln.aliases[0] != ''",
            1,
        ),
        (
            "vulnerability",
            "vuln.aliases.exists(a, a.startsWith('GHSA')) && vuln.aliases.all(a, a.matches('^GHSA-'))",
            1,
        ),
        ("vulnerability", "vuln.aliases.exists_one(package, package.endsWith('1'))", 1),
        ("vulnerability", "vuln.aliases.filter(a, a != '').map(a, size(a)).exists(n, n > 3)", 1),
        ("vulnerability", "package.ecosystem == 'Alpine:v3.7' && package.source_name == 'musl'", 1),
        ("vulnerability", "vuln.kind == 'vulnerability' && !vuln.malicious", 1),
        ("vulnerability", "vuln.id + '@' + package.name == 'CVE-1@musl' && package.type == 'apk'", 1),
        (
            "vulnerability",
            "-vuln.published_days < 0 && int(vuln.cvss_score) == 8 && double(image.layers) == 1.0",
            1,
        ),
        ("package", "package.type == 'pypi'", 1),
        ("package", "package.name.contains('s')", 2),
        ("license", "license.name.startsWith('GPL')", 1),
        ("license", "license.name == 'MIT'", 2),
        ("image", "image.user == 'app:app' && !image.runs_as_root && image.has_config", 1),
        (
            "image",
            "image.env['PATH'].contains('/bin') && 'team' in image.labels && image.labels.team == 'payments'",
            1,
        ),
        ("image", "has(image.labels.team) && !has(image.labels.owner)", 1),
        (
            "image",
            "image.os == 'linux' && image.architecture == 'amd64' && image.layers == 1 && image.size == 100",
            1,
        ),
        ("image", "image.distribution == 'alpine' && image.distribution_version == '3.7.3'", 1),
        ("image", "'80/tcp' in image.exposed_ports && [] == image.cmd && size(image.env) == 1", 1),
        ("coverage", "coverage.undetermined == 1 && coverage.gaps == 1 && coverage.not_covered == 1", 1),
        ("coverage", "coverage.packages == 2 && coverage.covered == 1", 1),
        ("coverage", "coverage.feed_age == duration('12h') && coverage.feed_age < duration('1d')", 1),
        ("coverage", "coverage.feed_age + duration('1h') > duration('12h30m')", 1),
        ("coverage", "coverage.codes == ['malformed-package-database', 'no-feed']", 1),
        ("coverage", "coverage.feeds == ['feed/Alpine:v3.7']", 1),
    ] {
        let rule = format!("name: r\non: {on}\nwhen: \"{when}\"\nactions: {{ build: warn }}");
        let verdict = verdict(&inventory, &found, &policy(&[&rule]), &Exceptions::none());
        assert_eq!(verdict.reasons.len(), count, "{when}: {:?}", verdict.reasons);
        for reason in &verdict.reasons {
            assert!(!reason.message.contains("could not be evaluated"), "{when}: {}", reason.message);
        }
    }
}

#[test]
fn a_condition_that_cannot_be_evaluated_counts_as_matched() {
    let musl = package(PackageKind::Apk, "musl", "1");
    let found = matches(vec![finding(&musl, "CVE-1", Severity::High, None)]);
    for when in [
        "image.labels['none'] == 'x'",
        "vuln.aliases[7] == 'x'",
        "1 / (vuln.published_days - 10) == 1",
        "vuln.published_days + 9223372036854775807 > 1",
        "vuln.published_days % (vuln.published_days - 10) == 1",
        "-(vuln.published_days - 10 - 9223372036854775807 - 1) > 0",
        "(vuln.published_days - 11 - 9223372036854775807) / -1 > 0",
        "int(9.0e300 + vuln.cvss_score) > 0",
    ] {
        let rule = format!("name: r\non: vulnerability\nwhen: \"{when}\"\nactions: {{ build: fail }}");
        let verdict = verdict(&inventory(vec![musl.clone()]), &found, &policy(&[&rule]), &Exceptions::none());
        assert_eq!(verdict.outcome, Outcome::Failed, "{when}");
        let message = &verdict.reasons[0].message;
        assert!(
            message.starts_with("the rule could not be evaluated, so it counts as matched: "),
            "{when}: {message}"
        );
    }
}

#[test]
fn feeds_that_do_not_say_their_date_count_as_old() {
    let stale = "name: r\non: coverage\nwhen: 'coverage.feed_age > duration(\"48h\")'\nactions: { build: warn }\n\
                 message: \"{coverage.feed_age}\"";
    for (feeds, expected) in [
        (vec![], None),
        (vec![feed("A", Some("2026-11-24T00:00:00Z"))], None),
        (vec![feed("A", Some("2026-11-24T00:00:00Z")), feed("B", Some("2026-11-20T12:00:00Z"))], Some("4d")),
        (vec![feed("A", None), feed("B", Some("2026-11-24T00:00:00Z"))], Some("unknown")),
        (vec![feed("A", Some("2027-11-24T00:00:00Z"))], None),
    ] {
        let mut found = matches(Vec::new());
        found.feeds = feeds;
        let verdict = verdict(&inventory(Vec::new()), &found, &policy(&[stale]), &Exceptions::none());
        assert_eq!(verdict.reasons.first().map(|reason| reason.message.as_str()), expected);
    }
}

#[test]
fn fail_on_counts_unrated_findings_only_for_any() {
    let musl = package(PackageKind::Apk, "musl", "1");
    for severity in Severity::ALL {
        let found = matches(vec![finding(&musl, "CVE-1", severity, Some("2"))]);
        let failed = FailOn::ALL.map(|threshold| {
            let policy = fail_on(threshold).unwrap();
            verdict(&inventory(vec![musl.clone()]), &found, &policy, &Exceptions::none()).outcome
                == Outcome::Failed
        });
        let expected = match severity {
            Severity::Unrated | Severity::Negligible => [true, false, false, false, false],
            Severity::Low => [true, true, false, false, false],
            Severity::Medium => [true, true, true, false, false],
            Severity::High => [true, true, true, true, false],
            Severity::Critical => [true; 5],
        };
        assert_eq!(failed, expected, "{severity}");
    }
    for threshold in FailOn::ALL {
        assert_eq!(threshold.name().parse(), Ok(threshold));
        let policy = fail_on(threshold).unwrap();
        let empty = verdict(&inventory(Vec::new()), &matches(Vec::new()), &policy, &Exceptions::none());
        assert_eq!(empty.outcome, Outcome::Warned, "an image without packages is not clean");
        let clean =
            verdict(&inventory(vec![musl.clone()]), &matches(Vec::new()), &policy, &Exceptions::none());
        assert_eq!(clean.outcome, Outcome::Passed);
    }
    assert!("severe".parse::<FailOn>().is_err());
}

#[test]
fn the_verdict_of_the_default_policy_is_as_it_was() {
    let musl = package(PackageKind::Apk, "musl", "1.1.18-r3");
    let urllib3 = package(PackageKind::Pypi, "urllib3", "1.26.5");
    let evil = package(PackageKind::Pypi, "reqeusts", "1");
    let other = package(PackageKind::Npm, "left-pad", "1");
    let mut malicious = finding(&evil, "MAL-2026-1", Severity::Unrated, None);
    malicious.kind = AdvisoryKind::Malicious;
    let mut found = matches(vec![
        finding(&musl, "CVE-2019-14697", Severity::Unrated, Some("1.1.18-r4")),
        finding(&urllib3, "CVE-2023-43804", Severity::High, Some("1.26.17")),
        exploited(finding(&urllib3, "CVE-2026-1", Severity::Low, None)),
        finding(&urllib3, "CVE-2026-2", Severity::Critical, None),
        finding(&urllib3, "CVE-2026-3", Severity::Medium, Some("1.26.18")),
        malicious,
    ]);
    found.undetermined.push(undetermined(&other, "no-feed"));
    found.feeds.push(feed("PyPI", Some("2026-11-20T00:00:00Z")));
    let mut inventory = inventory(vec![musl, urllib3, evil, other]);
    inventory.config.as_mut().unwrap().user = String::new();
    let verdict = verdict(&inventory, &found, &default_policy().unwrap(), &Exceptions::none());
    let lines: Vec<_> = verdict
        .reasons
        .iter()
        .map(|reason| format!("{:?} {} [{}] {}\n", reason.action, reason.threat, reason.rule, reason.message))
        .collect();
    assert_eq!(format!("{}\n{}", verdict.outcome, lines.concat()), include_str!("golden/default_policy.txt"));
}

#[test]
fn digests_name_what_can_change_a_verdict_and_nothing_else() {
    let one =
        policy_digest(&policy(&[ANY, "name: b\non: image\nwhen: true\nactions: { build: warn }"])).unwrap();
    let other = policy_digest(&policy(&[
        "name: b\non: image\nwhen: 'true'\nactions:\n  build: warn\n  run: none",
        ANY,
    ]));
    assert_eq!(one, other.unwrap(), "order, quoting and what is the default anyway");
    for change in [
        "when: false\nactions: { build: fail }",
        "when: true\nactions: { build: warn }",
        "when: true\nthreat: 1\nactions: { build: fail }",
    ] {
        let changed = policy_digest(&policy(&[&format!("name: any\non: vulnerability\n{change}")])).unwrap();
        assert_ne!(changed, policy_digest(&policy(&[ANY])).unwrap(), "{change}");
    }
    let (a, b) =
        ("id: A, match: { rule: a }, expires: 2027-01-01", "id: B, match: { rule: b }, expires: 2027-01-01");
    let digest = |entries: &[&str]| exceptions_digest(&exceptions(entries)).unwrap();
    assert_eq!(digest(&[a, b]), digest(&[b, a]));
    assert_ne!(digest(&[a, b]), digest(&[a]));
}
