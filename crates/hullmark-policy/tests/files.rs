//! What files of policies and exceptions are accepted, what is wrong with the others and where; and their schemas.

use hullmark_policy::{
    DEFAULT_POLICY, FailOn, RuleSubject, default_policy, exceptions_schema, fail_on, field_reference,
    parse_exceptions, parse_policy, policy_schema,
};

const HEAD: &str = "apiVersion: hullmark.dev/v1\nkind: Policy\nmetadata: { name: t, description: d }\n";
const RULE: &str =
    "rules:\n  - name: r\n    on: vulnerability\n    when: vuln.kev\n    actions: { build: fail }\n";
const EXCEPTIONS: &str = "apiVersion: hullmark.dev/v1\nkind: Exceptions\nexceptions:\n  - id: E\n    \
                          match: { vulnerability: CVE-1 }\n    owner: a\n    approver: b\n    reason: r\n    \
                          created: 2026-11-01\n    expires: 2026-12-31\n";

fn lines(errors: &hullmark_policy::PolicyErrors) -> Vec<String> {
    errors
        .errors
        .iter()
        .map(|one| {
            let hint = one.hint.as_ref().map(|hint| format!(" | {hint}")).unwrap_or_default();
            format!("{}:{}: {}{hint}", one.line, one.column, one.message)
        })
        .collect()
}

#[track_caller]
fn check(found: &[String], expected: &[&str]) {
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "\n   found {found}\nexpected {expected}");
    }
}

#[track_caller]
fn policy_with(text: &str, expected: &[&str]) {
    check(&parse_policy("p", text).err().map(|errors| lines(&errors)).unwrap_or_default(), expected);
}

/// A rule with more keys, the first of which stands on line 9.
#[track_caller]
fn rule_with(keys: &str, expected: &[&str]) {
    policy_with(&format!("{HEAD}{RULE}    {keys}\n"), expected);
}

#[test]
fn rules_take_these_keys() {
    rule_with("threat: 10", &[]);
    rule_with("message: \"{vuln.id} {{}} {package.name} {image.name}\"", &[]);
    rule_with("grace: { critical: 0d, high: 14d, medium: 1w, low: 36h, from: fix }", &[]);
    rule_with("grace: { critical: 0, from: publication }", &[]);
    rule_with("scope: { images: [\"*\"], exclude_images: [\"a\"], labels: {}, namespaces: [\"*\"] }", &[]);
    rule_with("scope: { images: [\"*\"], exclude_images: [], labels: { a: \"*\" } }", &[]);
    rule_with("message:", &[]);
}

#[test]
fn mistakes_in_rules_have_their_place_and_a_hint() {
    rule_with("thret: 3", &["9:5: unknown key `thret` in a rule | did you mean `threat`?"]);
    rule_with(
        "severity: HIGH",
        &["9:5: unknown key `severity` in a rule | known keys are `actions`, `grace`"],
    );
    rule_with(
        "threat: 11",
        &["9:13: expected a whole number from 0 to 10 for `threat`, found the number `11`"],
    );
    rule_with("threat: -1", &["9:13: expected a whole number"]);
    rule_with("threat: 1.5", &["9:13: expected a whole number"]);
    rule_with("threat: high", &["9:13: expected a whole number from 0 to 10 for `threat`, found `high`"]);
    rule_with(
        "message: 3",
        &["9:14: expected a text for `message`, found the number `3` | put it in quotes"],
    );
    rule_with(
        "message: \"{vuln.idd}\"",
        &["9:14: unknown fact `{vuln.idd}` in the message | did you mean `{vuln.id}`?"],
    );
    rule_with("message: \"{coverage.gaps}\"", &["9:14: unknown fact `{coverage.gaps}` in the message"]);
    rule_with("message: \"{vuln.id\"", &["9:14: `{` in the message is not closed"]);
    rule_with(
        "grace: { high: 14 }",
        &["9:20: expected a duration for `high`, found the number `14` | write days"],
    );
    rule_with("grace: { high: soon }", &["9:20: expected a duration for `high`, found `soon`"]);
    rule_with("grace: { from: fix }", &["9:12: `grace` names no severity"]);
    rule_with("grace: { high: 1d, from: now }", &["9:30: expected one of `fix`, `publication` for `from`"]);
    rule_with(
        "scope: { images: \"*\" }",
        &["9:22: expected a list for `images`, found `*` | put it in `[...]`"],
    );
    rule_with(
        "scope: { image: [\"*\"] }",
        &["9:14: unknown key `image` in `scope` | did you mean `images`?"],
    );
    rule_with("scope: { namespaces: [\"prod\"] }", &["9:26: scopes by namespace are not supported yet"]);
    rule_with("scope: [\"*\"]", &["9:12: expected `scope` to be a mapping, found a list"]);
    rule_with("scope: {}\n    grace: {}", &["10:12: `grace` names no severity"]);
    rule_with("threat: 3\n    threat: 4", &["10:5: not a valid YAML file"]);
}

#[test]
fn mistakes_in_policies_have_their_place_and_a_hint() {
    policy_with("", &["1:1: "]);
    policy_with("[]", &["1:1: expected the policy to be a mapping, found a list"]);
    policy_with(HEAD, &["1:1: `rules` is missing in the policy | add `rules: [...]`"]);
    policy_with(
        &format!("{HEAD}rules: []\n"),
        &["1:1: the policy has no rules, so it would pass everything"],
    );
    policy_with(&format!("{HEAD}{RULE}extra: 1\n"), &["9:1: unknown key `extra` in the policy"]);
    policy_with(
        &format!("{HEAD}{RULE}").replace("v1", "v2").replace("Policy", "Exceptions"),
        &[
            "1:13: expected `hullmark.dev/v1` for `apiVersion`, found `hullmark.dev/v2`",
            "2:7: expected `Policy`",
        ],
    );
    for subject in ["secret", "check", "signature"] {
        let text = format!("{HEAD}{RULE}").replace("vulnerability", subject);
        policy_with(
            &text,
            &[&format!("6:9: rules on `{subject}` are not supported yet | the rule would never match")],
        );
    }
    policy_with(
        &format!("{HEAD}{RULE}").replace("vulnerability", "vulnerabilities"),
        &[
            "6:9: expected one of `vulnerability`, `package`, `license`, `image`, `coverage`, `runtime` for `on`",
        ],
    );
    policy_with(
        &format!("{HEAD}{RULE}").replace("build: fail", "build: stop, buidl: warn"),
        &[
            "8:23: expected one of `none`, `warn`, `fail` for `build`",
            "8:29: unknown key `buidl` in `actions` | did you mean `build`?",
        ],
    );
    let twice = format!("{HEAD}{RULE}{}", RULE.replace("rules:\n", ""));
    policy_with(&twice, &["9:5: the rule name `r` is taken"]);
    policy_with(
        &format!("{HEAD}rules:\n  - name: r\n  - on: image\n    grace: {{ high: 1d }}\n"),
        &[
            "5:5: `actions` is missing in a rule",
            "5:5: `on` is missing in a rule",
            "5:5: `when` is missing in a rule",
            "6:5: `actions` is missing",
            "6:5: `name` is missing",
            "6:5: `when` is missing",
            "7:12: `grace` is for rules on vulnerabilities only",
        ],
    );
}

#[test]
fn mistakes_in_exceptions_have_their_place_and_a_hint() {
    for (from, to, expected) in [
        ("id: E", "id: E", &[][..]),
        ("created: 2026-11-01", "created: 2026-11-01T10:00:00Z", &[]),
        ("reason: r", "reason: r\n    ticket: T-1\n    requester: c\n    until_fix_available: true", &[]),
        ("id: E", "idd: E", &["4:5: `id` is missing in an exception", "4:5: unknown key `idd`"]),
        (
            "approver: b",
            "approver: a",
            &["7:15: the approver is the owner | somebody else has to approve it"],
        ),
        ("approver: b", "approver: A ", &["7:15: the approver is the owner"]),
        ("approver: b", "approver: b\n    requester: b", &["7:15: the approver is the requester"]),
        ("vulnerability: CVE-1", "images: [\"*\"]", &["5:12: the exception would excuse everything"]),
        (
            "vulnerability: CVE-1",
            "cve: CVE-1",
            &["5:12: the exception would excuse everything", "5:14: unknown key `cve`"],
        ),
        (
            "expires: 2026-12-31",
            "expires: 2026-13-31",
            &["10:14: expected a date for `expires`, found `2026-13-31`"],
        ),
        ("expires: 2026-12-31", "expires: never", &["10:14: expected a date for `expires`, found `never`"]),
        (
            "expires: 2026-12-31",
            "expires: 2026-10-31",
            &["10:14: the exception expires before it is created"],
        ),
        ("expires: 2026-12-31", "expires:", &["10:5: `expires` is missing in an exception"]),
        ("reason: r", "reason: \" \"", &["8:13: expected a text for `reason`"]),
        ("reason: r", "reason: r\n    until_fix_available: maybe", &["9:26: expected `true` or `false`"]),
        ("id: E", "id: 17", &["4:9: expected a text for `id`, found the number `17` | put it in quotes"]),
    ] {
        let text = EXCEPTIONS.replace(from, to);
        check(&parse_exceptions("e", &text).err().map(|errors| lines(&errors)).unwrap_or_default(), expected);
    }
    let twice = format!("{EXCEPTIONS}{}", EXCEPTIONS.split("exceptions:\n").nth(1).unwrap());
    check(&lines(&parse_exceptions("e", &twice).unwrap_err()), &["11:5: the id `E` is taken"]);
    let none = "apiVersion: hullmark.dev/v1\nkind: Exceptions\nexceptions: []\n";
    assert!(parse_exceptions("e", none).unwrap().list().is_empty());
}

#[test]
fn errors_read_as_lines_with_file_line_and_column() {
    let error = parse_policy("team/policy.yaml", &format!("{HEAD}{RULE}    thret: 3\n")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "team/policy.yaml:9:5: unknown key `thret` in a rule\n  hint: did you mean `threat`?"
    );
}

#[test]
fn the_schemas_accept_what_the_parsers_accept() {
    let valid = |schema: &serde_json::Value, text: &str| {
        let document: serde_json::Value = serde_saphyr::from_str(text).unwrap();
        jsonschema::validator_for(schema).unwrap().is_valid(&document)
    };
    let schema = policy_schema();
    assert!(valid(&schema, DEFAULT_POLICY));
    assert!(valid(
        &schema,
        &format!("{HEAD}{RULE}    grace: {{ high: 14d, low: 0, from: fix }}\n    threat: 3\n")
    ));
    for broken in
        ["thret: 3", "threat: 11", "message: 3", "grace: { high: soon }", "scope: { namespaces: [prod] }"]
    {
        assert!(!valid(&schema, &format!("{HEAD}{RULE}    {broken}\n")), "{broken}");
    }
    assert!(!valid(&schema, &format!("{HEAD}{RULE}").replace("vulnerability", "secret")));
    assert!(valid(&exceptions_schema(), EXCEPTIONS));
    assert!(!valid(&exceptions_schema(), &EXCEPTIONS.replace("owner: a", "ower: a")));
    assert!(!valid(&exceptions_schema(), &EXCEPTIONS.replace("vulnerability: CVE-1", "images: [a]")));
}

#[test]
fn the_built_in_policies_are_valid() {
    assert_eq!(default_policy().unwrap().name(), "default");
    for threshold in FailOn::ALL {
        assert_eq!(fail_on(threshold).unwrap().name(), format!("fail-on-{threshold}"));
    }
}

#[test]
fn the_reference_names_every_fact_that_conditions_may_use() {
    let page = field_reference();
    for subject in RuleSubject::ALL {
        assert!(page.contains(&format!("| `{}` |", subject.name())), "{}", subject.name());
    }
    let facts: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | ")?.0.split_once('.'))
        .collect();
    assert!(facts.len() > 40, "{} facts", facts.len());
    for (object, name) in facts {
        let on = match object {
            "vuln" => "vulnerability",
            other => other,
        };
        let text = format!("{HEAD}{RULE}")
            .replace("vulnerability", on)
            .replace("when: vuln.kev", &format!("when: '{object}.{name} == {object}.{name}'"))
            .replace("build: fail", if on == "runtime" { "run: fail" } else { "build: fail" });
        policy_with(&text, &[]);
    }
}
