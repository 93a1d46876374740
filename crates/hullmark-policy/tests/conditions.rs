//! What conditions are accepted, what is wrong with the others and where.

use hullmark_policy::parse_policy;

/// A policy with one rule whose condition, written as given, stands on line 7 from column 11.
fn with_condition(on: &str, when: &str) -> String {
    format!(
        "apiVersion: hullmark.dev/v1\nkind: Policy\nmetadata: {{ name: t }}\nrules:\n  - name: r\n    on: {on}\n    \
         when: {when}\n    actions: {{ build: fail }}\n"
    )
}

fn problems(text: &str) -> Vec<String> {
    match parse_policy("p.yaml", text) {
        Ok(_) => Vec::new(),
        Err(errors) => errors
            .errors
            .iter()
            .map(|one| {
                let hint = one.hint.as_ref().map(|hint| format!(" | {hint}")).unwrap_or_default();
                format!("{}:{}: {}{hint}", one.line, one.column, one.message)
            })
            .collect(),
    }
}

#[track_caller]
fn check(on: &str, when: &str, expected: &[&str]) {
    let found = problems(&with_condition(on, when));
    assert_eq!(found.len(), expected.len(), "{when}: {found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{when}\n     found {found}\n  expected {expected}");
    }
}

#[test]
fn conditions_that_fit_the_facts_are_accepted() {
    for when in [
        "true",
        "vuln.kev",
        "vuln.severity >= HIGH && vuln.fix_available",
        "vuln.severity == UNRATED ? vuln.kev : vuln.severity > LOW",
        "vuln.cvss_score >= 7.5 || vuln.cvss_score > 7",
        "vuln.published_days > 30 && vuln.published_days % 7 == 0",
        "vuln.aliases.exists(a, a.startsWith(\"GHSA-\"))",
        "\"GHSA-1\" in vuln.aliases",
        "vuln.id in [\"CVE-1\", \"CVE-2\"]",
        "package.licenses.all(l, l.matches(\"^(MIT|Apache-2.0)$\"))",
        "size(package.licenses) == 0 || package.licenses.size() > 3",
        "package.licenses.filter(l, l != \"\").map(l, size(l)).exists(n, n > 9)",
        "package.licenses.exists_one(l, l == \"MIT\")",
        "\"PATH\" in image.env && image.env[\"PATH\"].contains(\"/tmp\")",
        "has(image.labels.maintainer) && image.labels.maintainer != \"\"",
        "image.layers > 3 && double(image.layers) < 9.5 && int(vuln.cvss_score) == 9",
        "!(vuln.malicious) && -vuln.published_days < 0",
        "package.name + \"@\" + package.version == \"a@1\"",
        "[] == vuln.aliases",
    ] {
        let quoted = format!("'{when}'");
        check(
            "vulnerability",
            if when.starts_with(['"', '!', '[']) || when.contains(": ") { &quoted } else { when },
            &[],
        );
    }
    check("coverage", "coverage.undetermined > 0 || coverage.feed_age > duration(\"48h\")", &[]);
    check(
        "coverage",
        "coverage.feed_age - duration(\"1d\") > duration(\"0\") && \"no-feed\" in coverage.codes",
        &[],
    );
    check("license", "license.name.contains(\"GPL\") && package.type == \"npm\"", &[]);
    check("image", "image.runs_as_root || image.exposed_ports.exists(p, p == \"22/tcp\")", &[]);
    check("package", "package.layer == 0", &[]);
}

#[test]
fn mistakes_are_found_at_load_with_their_place() {
    for (on, when, expected) in [
        (
            "vulnerability",
            "vuln.sverity >= HIGH",
            "7:15: unknown fact `vuln.sverity` | did you mean `vuln.severity`?",
        ),
        (
            "vulnerability",
            "vuln.kev || vuln.epss > 0.5",
            "7:27: unknown fact `vuln.epss` | EPSS is not supported yet",
        ),
        ("vulnerability", "vulnn.kev", "7:11: unknown name `vulnn` | did you mean `vuln`?"),
        ("vulnerability", "vuln.severity >= HIHG", "7:28: unknown name `HIHG` | did you mean `HIGH`?"),
        ("vulnerability", "coverage.gaps > 0", "7:11: a rule on `vulnerability` does not see `coverage`"),
        ("image", "vuln.kev", "7:11: a rule on `image` does not see `vuln`"),
        (
            "vulnerability",
            "vuln.severity >= 7",
            "7:25: `>=` does not take severity and int | severities compare with UNRATED",
        ),
        ("vulnerability", "vuln.severity == \"high\"", "7:25: `==` does not take severity and string"),
        ("vulnerability", "vuln.severity > vuln.cvss_score", "7:25: `>` does not take severity and double"),
        ("vulnerability", "vuln.kev == 1", "7:20: `==` does not take bool and int"),
        ("vulnerability", "vuln.kev && vuln.id", "7:20: `&&` does not take bool and string"),
        ("vulnerability", "vuln.id", "7:15: a condition has to be a bool, this is string"),
        ("vulnerability", "vuln", "7:11: a condition has to be a bool, this is `vuln`"),
        ("vulnerability", "vuln == vuln", "7:16: `==` does not take"),
        ("vulnerability", "vuln.id.lenght() > 1", "7:25: unknown function `lenght`"),
        ("vulnerability", "timestamp(vuln.id) == vuln.id", "7:20: unknown function `timestamp`"),
        ("vulnerability", "vuln.id.matches(\"(\")", "7:27: not a regular expression"),
        (
            "vulnerability",
            "vuln.id.matches(vuln.summary)",
            "7:31: a regular expression has to be a text in quotes",
        ),
        ("vulnerability", "vuln.aliases.exists(a, a > 3)", "7:36: `>` does not take string and int"),
        ("vulnerability", "vuln.aliases.exists(a, a)", "7:"),
        ("vulnerability", "vuln.id.exists(a, true)", "7:"),
        (
            "vulnerability",
            "vuln.published_days + 1.5 > 2.0",
            "7:31: `+` does not take int and double | turn one into",
        ),
        ("vulnerability", "image.labels[1] == \"a\"", "7:23: `[ ]` does not take"),
        ("vulnerability", "vuln.id == null", "7:22: null values have no use"),
        ("vulnerability", "vuln.published_days == 1u", "7:34: unsigned numbers have no use"),
        ("vulnerability", "vuln.kev &&", "7:2"),
        ("vulnerability", "vuln.kev true", "7:20"),
        (
            "coverage",
            "coverage.feed_age > \"48h\"",
            "7:29: `>` does not take duration and string | write a duration as",
        ),
        ("coverage", "coverage.feed_age > 48", "7:29: `>` does not take duration and int"),
        (
            "coverage",
            "coverage.feed_age > duration(\"48\")",
            "7:40: `48` is not a duration | write a number and a unit",
        ),
        ("coverage", "coverage.feed_age > duration(\"1.5h\")", "7:40: `1.5h` is not a duration"),
    ] {
        check(on, when, &[expected]);
    }
}

#[test]
fn one_equals_sign_is_an_error() {
    check("vulnerability", "vuln.kev = true", &["7:20: not a CEL condition", "7:22: not a CEL condition"]);
}

#[test]
fn all_mistakes_of_a_condition_are_named() {
    check(
        "vulnerability",
        "vuln.kve && vuln.sverity >= HIGH",
        &["7:15: unknown fact `vuln.kve`", "7:27: unknown fact"],
    );
}

#[test]
fn places_are_exact_in_quoted_and_literal_texts() {
    check("vulnerability", "\"vuln.kve\"", &["7:16: unknown fact `vuln.kve`"]);
    check("vulnerability", "'vuln.kve'", &["7:16: unknown fact `vuln.kve`"]);
    check("vulnerability", "|\n      vuln.kev &&\n        vuln.kve", &["9:13: unknown fact `vuln.kve`"]);
    check("vulnerability", "'\"\u{e9}\u{1f512}\" == vuln.idd'", &["7:24: unknown fact `vuln.idd`"]);
}

#[test]
fn conditions_that_would_cost_too_much_are_refused() {
    let long = format!("vuln.kev{}", " || vuln.kev".repeat(400));
    let deep = format!("{}vuln.kev{}", "(".repeat(400), ")".repeat(400));
    let chain = format!("size(vuln.id) > 1{}", " + 1".repeat(450));
    let negated = format!("{}vuln.kev", "!".repeat(1500));
    let dotted = format!("vuln{}", ".a".repeat(900));
    let ternary = format!("{}true", "vuln.kev ? true : ".repeat(100));
    let lists = format!("{}{} == []", "[".repeat(900), "]".repeat(900));
    let minus = format!("{}1 == 1", "- ".repeat(900));
    let loops = "vuln.aliases.all(a, vuln.aliases.all(b, vuln.aliases.all(c, a + b == c)))";
    for when in [&long, &deep, &chain, &negated, &dotted, &ternary, &lists, &minus, loops] {
        assert!(!problems(&with_condition("vulnerability", &format!("'{when}'"))).is_empty(), "{when}");
    }
}

#[test]
fn the_longest_conditions_that_are_accepted_are_evaluated_on_a_small_stack() {
    let wide = format!("vuln.kev{}", " || vuln.kev".repeat(150));
    let sum = format!("vuln.published_days{} > 1", " + 1".repeat(70));
    for when in [wide, sum] {
        let text = with_condition("vulnerability", &when);
        let found =
            std::thread::Builder::new().stack_size(1 << 20).spawn(move || problems(&text)).unwrap().join();
        assert_eq!(found.unwrap(), Vec::<String>::new(), "{when}");
    }
}
