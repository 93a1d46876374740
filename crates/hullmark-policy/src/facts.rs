//! The facts that conditions and messages may name. [`FIELDS`] is the one list: conditions are checked against it, the
//! values are read through it, and the reference for people is made from it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use cel::Value;
use cel::objects::{Key, Map};
use hullmark_types::{AdvisoryKind, DriftKind, Finding, Inventory, Package, PackageKey, Severity};
use jiff::Timestamp;

use crate::RuleSubject;
use crate::coverage::Coverage;
use crate::durations;

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int,
    Double,
    Text,
    Duration,
    Severity,
    Texts,
    TextMap,
}

impl Kind {
    /// The word of the reference.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Double => "double",
            Self::Text => "string",
            Self::Duration => "duration",
            Self::Severity => "severity",
            Self::Texts => "list of strings",
            Self::TextMap => "map of strings",
        }
    }
}

/// The value of a field for one subject.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fact {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    /// Milliseconds.
    Duration(i64),
    Severity(Severity),
    Texts(Vec<String>),
    TextMap(BTreeMap<String, String>),
}

impl Fact {
    /// The value as CEL computes with it: durations in milliseconds, severities as their rank.
    pub(crate) fn to_value(&self) -> Value {
        let text = |text: &String| Value::String(Arc::new(text.clone()));
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) | Self::Duration(value) => Value::Int(*value),
            Self::Double(value) => Value::Float(*value),
            Self::Text(value) => text(value),
            Self::Severity(level) => Value::Int(rank(*level)),
            Self::Texts(values) => Value::List(Arc::new(values.iter().map(text).collect())),
            Self::TextMap(values) => map(values.iter().map(|(name, value)| (name.as_str(), text(value)))),
        }
    }

    /// The value in a message.
    pub(crate) fn display(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Double(value) => format!("{value:.1}"),
            Self::Text(value) => value.clone(),
            Self::Duration(value) if *value >= Coverage::UNKNOWN_AGE => "unknown".to_owned(),
            Self::Duration(value) => durations::display(*value),
            Self::Severity(level) => level.to_string(),
            Self::Texts(values) => values.join(", "),
            Self::TextMap(values) => {
                values.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// A CEL map with text keys.
pub(crate) fn map<'a>(entries: impl Iterator<Item = (&'a str, Value)>) -> Value {
    Value::Map(Map { map: Arc::new(entries.map(|(name, value)| (Key::from(name), value)).collect()) })
}

/// The number that stands for a severity in conditions: its position in [`Severity::ALL`].
pub(crate) fn rank(severity: Severity) -> i64 {
    Severity::ALL.iter().position(|level| *level == severity).map_or(0, |position| position as i64)
}

/// Name of the constant that stands for a severity in conditions: `HIGH`.
pub(crate) fn constant(severity: Severity) -> String {
    severity.name().to_ascii_uppercase()
}

/// What a rule looks at in one evaluation.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) inventory: &'a Inventory,
    pub(crate) coverage: &'a Coverage,
    pub(crate) now: Timestamp,
    pub(crate) finding: Option<&'a Finding>,
    pub(crate) key: Option<&'a PackageKey>,
    pub(crate) package: Option<&'a Package>,
    pub(crate) license: Option<&'a str>,
    pub(crate) drift: Option<DriftKind>,
}

/// A declared field.
pub(crate) struct Field {
    pub(crate) object: &'static str,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) meaning: &'static str,
    pub(crate) get: fn(&Facts<'_>) -> Fact,
}

fn text(value: impl Into<String>) -> Fact {
    Fact::Text(value.into())
}

fn of_finding(facts: &Facts<'_>, get: impl Fn(&Finding) -> Fact, missing: Fact) -> Fact {
    facts.finding.map_or(missing, get)
}

fn of_package(facts: &Facts<'_>, get: impl Fn(&Package) -> Option<String>) -> Fact {
    text(facts.package.and_then(get).unwrap_or_default())
}

fn of_key(facts: &Facts<'_>, get: impl Fn(&PackageKey) -> String) -> Fact {
    text(facts.key.map(get).unwrap_or_default())
}

fn of_config(facts: &Facts<'_>, get: impl Fn(&hullmark_types::ImageConfig) -> Fact, missing: Fact) -> Fact {
    facts.inventory.config.as_ref().map_or(missing, get)
}

fn count(number: usize) -> Fact {
    Fact::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn field(
    object: &'static str,
    name: &'static str,
    kind: Kind,
    meaning: &'static str,
    get: fn(&Facts<'_>) -> Fact,
) -> Field {
    Field { object, name, kind, meaning, get }
}

/// The objects, and what each is.
pub(crate) const OBJECTS: [(&str, &str); 6] = [
    ("vuln", "the finding: a vulnerability or malicious package in one installed package"),
    ("package", "the installed package"),
    ("license", "one declared licence of the package"),
    ("image", "the image"),
    ("coverage", "what could and could not be assessed"),
    ("runtime", "what happened in a running container"),
];

/// The objects that a rule on `subject` may name.
pub(crate) fn objects_of(subject: RuleSubject) -> &'static [&'static str] {
    match subject {
        RuleSubject::Vulnerability => &["vuln", "package", "image"],
        RuleSubject::Package => &["package", "image"],
        RuleSubject::License => &["license", "package", "image"],
        RuleSubject::Image => &["image"],
        RuleSubject::Coverage => &["coverage", "image"],
        RuleSubject::Runtime => &["runtime", "image"],
    }
}

/// Every field.
pub(crate) fn fields() -> Vec<Field> {
    let mut fields = finding_fields();
    fields.extend(package_fields());
    fields.extend(image_fields());
    fields.extend(coverage_fields());
    fields.extend(runtime_fields());
    fields
}

fn finding_fields() -> Vec<Field> {
    use Kind::{Bool, Double, Int, Severity as Level, Text, Texts};
    vec![
        field("vuln", "id", Text, "the identifier shown: the CVE id where there is one", |facts| {
            of_finding(facts, |finding| text(&finding.id), text(""))
        }),
        field("vuln", "aliases", Texts, "all other identifiers", |facts| {
            of_finding(facts, |finding| Fact::Texts(finding.aliases.clone()), Fact::Texts(Vec::new()))
        }),
        field("vuln", "kind", Text, "`vulnerability` or `malicious`", |facts| {
            let word = |malicious| text(if malicious { "malicious" } else { "vulnerability" });
            of_finding(facts, |finding| word(finding.kind == AdvisoryKind::Malicious), word(false))
        }),
        field("vuln", "malicious", Bool, "the package itself is malicious", |facts| {
            let of = |finding: &Finding| Fact::Bool(finding.kind == AdvisoryKind::Malicious);
            of_finding(facts, of, Fact::Bool(false))
        }),
        field("vuln", "severity", Level, "the level; `UNRATED` is below all others", |facts| {
            of_finding(facts, |finding| Fact::Severity(finding.severity), Fact::Severity(Severity::Unrated))
        }),
        field("vuln", "severity_source", Text, "whose rating that is; empty when unrated", |facts| {
            of_finding(facts, |finding| text(finding.severity_source.clone().unwrap_or_default()), text(""))
        }),
        field("vuln", "cvss_score", Double, "CVSS base score; 0.0 when no vector is known", |facts| {
            let score = |finding: &Finding| f64::from(finding.cvss_score_tenths.unwrap_or(0)) / 10.0;
            of_finding(facts, |finding| Fact::Double(score(finding)), Fact::Double(0.0))
        }),
        field("vuln", "kev", Bool, "in CISA's catalogue of known exploited vulnerabilities", |facts| {
            of_finding(facts, |finding| Fact::Bool(finding.known_exploited.is_some()), Fact::Bool(false))
        }),
        field(
            "vuln",
            "ransomware",
            Bool,
            "known to be used in ransomware campaigns, says that catalogue",
            |facts| {
                let used = |finding: &Finding| {
                    finding.known_exploited.as_ref().is_some_and(|entry| entry.ransomware)
                };
                of_finding(facts, |finding| Fact::Bool(used(finding)), Fact::Bool(false))
            },
        ),
        field("vuln", "fix_available", Bool, "a version without it is known", |facts| {
            of_finding(facts, |finding| Fact::Bool(finding.fixed_version.is_some()), Fact::Bool(false))
        }),
        field(
            "vuln",
            "fixed_version",
            Text,
            "the version to upgrade to; empty when there is none",
            |facts| {
                of_finding(facts, |finding| text(finding.fixed_version.clone().unwrap_or_default()), text(""))
            },
        ),
        field(
            "vuln",
            "published_days",
            Int,
            "whole days since it was published; -1 when not known",
            |facts| {
                let days = facts.finding.and_then(|finding| finding.published).map(|published| {
                    facts.now.as_second().saturating_sub(published.as_second()).max(0) / 86_400
                });
                Fact::Int(days.unwrap_or(-1))
            },
        ),
        field("vuln", "summary", Text, "one line about it", |facts| {
            of_finding(facts, |finding| text(&finding.summary), text(""))
        }),
    ]
}

fn package_fields() -> Vec<Field> {
    use Kind::{Int, Text, Texts};
    vec![
        field("package", "name", Text, "name", |facts| of_key(facts, |key| key.name.clone())),
        field(
            "package",
            "version",
            Text,
            "installed version; empty when the image does not say it",
            |facts| of_key(facts, |key| key.version.clone()),
        ),
        field(
            "package",
            "type",
            Text,
            "type of its package URL: `apk`, `deb`, `pypi`, `npm`, `golang`",
            |facts| of_key(facts, |key| key.kind.purl_type().to_owned()),
        ),
        field(
            "package",
            "ecosystem",
            Text,
            "ecosystem, such as `Debian:12`; empty when not known",
            |facts| of_package(facts, |package| package.ecosystem.clone()),
        ),
        field("package", "purl", Text, "package URL", |facts| of_key(facts, |key| key.purl.clone())),
        field(
            "package",
            "path",
            Text,
            "first file that gave evidence of it, without a leading `/`",
            |facts| of_key(facts, |key| key.path.clone()),
        ),
        field("package", "layer", Int, "layer that brought it, counted from 0 at the base", |facts| {
            Fact::Int(facts.key.map_or(0, |key| key.layer.into()))
        }),
        field(
            "package",
            "origin",
            Text,
            "`base` when the base image brought it, `own` when a layer on top of it did, `unknown` when the base image is not \
             known",
            |facts| text(facts.inventory.origin(facts.key.map_or(0, |key| key.layer)).name()),
        ),
        field("package", "licenses", Texts, "licences as declared", |facts| {
            Fact::Texts(facts.package.map(|package| package.licenses.clone()).unwrap_or_default())
        }),
        field("package", "vendor", Text, "maintainer or vendor as declared", |facts| {
            of_package(facts, |package| package.vendor.clone())
        }),
        field(
            "package",
            "owner_purl",
            Text,
            "package URL of the system package that owns its files",
            |facts| of_package(facts, |package| package.owner.clone()),
        ),
        field("package", "source_name", Text, "source package of a system package", |facts| {
            of_package(facts, |package| package.source.as_ref().map(|source| source.name.clone()))
        }),
        field("package", "source_version", Text, "version of the source package", |facts| {
            of_package(facts, |package| package.source.as_ref().map(|source| source.version.clone()))
        }),
        field("package", "architecture", Text, "processor architecture", |facts| {
            of_package(facts, |package| package.architecture.clone())
        }),
        field("license", "name", Text, "the licence as declared: an SPDX expression or free text", |facts| {
            text(facts.license.unwrap_or_default())
        }),
    ]
}

fn image_fields() -> Vec<Field> {
    use Kind::{Bool, Int, Text, TextMap, Texts};
    vec![
        field("image", "name", Text, "the target as named in the command", |facts| {
            text(&facts.inventory.subject.name)
        }),
        field("image", "references", Texts, "`registry/repository:tag` references known for it", |facts| {
            Fact::Texts(facts.inventory.subject.references.clone())
        }),
        field(
            "image",
            "has_config",
            Bool,
            "there is an image configuration; a root file system has none",
            |facts| Fact::Bool(facts.inventory.config.is_some()),
        ),
        field("image", "user", Text, "user it runs as; empty means root", |facts| {
            of_config(facts, |config| text(&config.user), text(""))
        }),
        field("image", "runs_as_root", Bool, "it has a configuration and its user is root", |facts| {
            of_config(facts, |config| Fact::Bool(is_root(&config.user)), Fact::Bool(false))
        }),
        field("image", "env", TextMap, "environment variables by name", |facts| {
            of_config(facts, |config| Fact::TextMap(environment(&config.env)), Fact::TextMap(BTreeMap::new()))
        }),
        field("image", "labels", TextMap, "labels by name", |facts| {
            of_config(facts, |config| Fact::TextMap(config.labels.clone()), Fact::TextMap(BTreeMap::new()))
        }),
        field("image", "exposed_ports", Texts, "exposed ports, such as `80/tcp`", |facts| {
            let ports = |config: &hullmark_types::ImageConfig| Fact::Texts(config.exposed_ports.clone());
            of_config(facts, ports, Fact::Texts(Vec::new()))
        }),
        field("image", "entrypoint", Texts, "entry point", |facts| {
            of_config(facts, |config| Fact::Texts(config.entrypoint.clone()), Fact::Texts(Vec::new()))
        }),
        field("image", "cmd", Texts, "command", |facts| {
            of_config(facts, |config| Fact::Texts(config.cmd.clone()), Fact::Texts(Vec::new()))
        }),
        field("image", "architecture", Text, "processor architecture, such as `amd64`", |facts| {
            text(platform(facts).map(|platform| platform.architecture.clone()).unwrap_or_default())
        }),
        field("image", "os", Text, "operating system, such as `linux`", |facts| {
            text(platform(facts).map(|platform| platform.os.clone()).unwrap_or_default())
        }),
        field(
            "image",
            "base",
            Text,
            "name of the image that it was built on; empty when not known",
            |facts| text(facts.inventory.base.as_ref().map_or("", |base| &base.name)),
        ),
        field("image", "layers", Int, "number of layers", |facts| count(facts.inventory.layers.len())),
        field("image", "size", Int, "bytes of all layers as stored, as far as known", |facts| {
            let sizes = facts.inventory.layers.iter().filter_map(|layer| layer.size);
            let total = sizes.fold(0_u64, u64::saturating_add);
            Fact::Int(i64::try_from(total).unwrap_or(i64::MAX))
        }),
        field(
            "image",
            "distribution",
            Text,
            "id of the distribution, such as `alpine`; empty when not known",
            |facts| {
                text(facts.inventory.distribution.as_ref().map(|known| known.id.clone()).unwrap_or_default())
            },
        ),
        field("image", "distribution_version", Text, "version of the distribution", |facts| {
            let version = facts.inventory.distribution.as_ref().and_then(|known| known.version.clone());
            text(version.unwrap_or_default())
        }),
    ]
}

fn coverage_fields() -> Vec<Field> {
    use Kind::{Duration, Int, Texts};
    vec![
        field("coverage", "packages", Int, "packages in the inventory", |facts| {
            Fact::Int(facts.coverage.packages)
        }),
        field("coverage", "covered", Int, "packages that at least one feed speaks for", |facts| {
            Fact::Int(facts.coverage.covered)
        }),
        field("coverage", "undetermined", Int, "answers that could not be found out", |facts| {
            Fact::Int(facts.coverage.undetermined)
        }),
        field("coverage", "not_covered", Int, "ecosystems in the image that no feed speaks for", |facts| {
            Fact::Int(facts.coverage.not_covered)
        }),
        field("coverage", "gaps", Int, "parts of the image that could not be read", |facts| {
            Fact::Int(facts.coverage.gaps)
        }),
        field(
            "coverage",
            "feed_age",
            Duration,
            "age of the oldest feed that speaks for the image; 100 years when a feed has no date, 0 when no feed speaks",
            |facts| Fact::Duration(facts.coverage.feed_age),
        ),
        field("coverage", "feeds", Texts, "names of the feeds that speak for the image", |facts| {
            Fact::Texts(facts.coverage.feeds.clone())
        }),
        field(
            "coverage",
            "codes",
            Texts,
            "codes of the gaps and of the undetermined answers, each once",
            |facts| Fact::Texts(facts.coverage.codes.clone()),
        ),
    ]
}

fn runtime_fields() -> Vec<Field> {
    use Kind::Text;
    let drift: fn(&Facts<'_>) -> Fact = |facts| text(facts.drift.map_or("", DriftKind::name));
    vec![
        field(
            "runtime",
            "event",
            Text,
            "`drift`: a program is executed that the image does not contain",
            |_| text("drift"),
        ),
        field(
            "runtime",
            "how",
            Text,
            "`file` or `script`, written or changed in the container; `memfd`, an anonymous file in memory; \
             `outside-image`, on another file system such as a volume",
            drift,
        ),
    ]
}

fn platform<'a>(facts: &Facts<'a>) -> Option<&'a hullmark_types::Platform> {
    facts.inventory.subject.platform.as_ref()
}

/// `user[:group]` of an image configuration means root when the user is empty, `root` or 0.
fn is_root(user: &str) -> bool {
    let name = user.split(':').next().unwrap_or_default().trim();
    name.is_empty() || name == "root" || name.bytes().all(|digit| digit == b'0')
}

fn environment(entries: &[String]) -> BTreeMap<String, String> {
    let pair = |entry: &String| match entry.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (entry.clone(), String::new()),
    };
    entries.iter().map(pair).collect()
}

/// All facts in a Markdown page, made from the list that conditions are checked against.
pub fn field_reference() -> String {
    let mut page = String::from(
        "# Facts for policies\n\nConditions (`when`) and messages (`{...}`) of a policy may name these facts. A rule \
         sees the objects of what it is on:\n\n| on | objects |\n|---|---|\n",
    );
    for subject in RuleSubject::ALL {
        let objects: Vec<_> = objects_of(subject).iter().map(|object| format!("`{object}`")).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| `{}` | {} |", subject.name(), objects.join(", "));
    }
    let all = fields();
    for (object, meaning) in OBJECTS {
        let _ = write!(
            page,
            "\n## {object}\n\n`{object}` is {meaning}.\n\n| fact | type | meaning |\n|---|---|---|\n"
        );
        for field in all.iter().filter(|field| field.object == object) {
            let _ =
                writeln!(page, "| `{object}.{}` | {} | {} |", field.name, field.kind.name(), field.meaning);
        }
    }
    let constants: Vec<_> = Severity::ALL.iter().map(|level| format!("`{}`", constant(*level))).collect();
    let _ = write!(
        page,
        "\n## Constants, operators and functions\n\nSeverities, mildest first: {}. They compare with severities only; \
         `UNRATED` meets no threshold.\n\nOperators: `&&`, `||`, `!`, `==`, `!=`, `<`, `<=`, `>`, `>=`, `+`, `-`, `*`, \
         `/`, `%`, `in`, `a ? b : c`, `list[0]`, `map[\"key\"]`.\n\nFunctions: {}. `duration(\"48h\")` takes the units \
         w, d, h, m, s and ms. Test `\"key\" in map` before `map[\"key\"]`: a key that is missing is an error.\n\nA \
         condition that cannot be evaluated counts as true, and the reason says so: what could not be judged is not \
         passed in silence.\n",
        constants.join(", "),
        crate::check::FUNCTIONS.map(|function| format!("`{function}`")).join(", ")
    );
    page
}
