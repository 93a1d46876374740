//! Policies: the validated form, and how a file becomes one.

use std::collections::{BTreeMap, BTreeSet};

use hullmark_types::{Action, CanonicalError, Digest, Severity, Stage, Subject, digest_of};
use serde::Serialize;

use crate::condition::Condition;
use crate::durations;
use crate::error::{PolicyErrors, Problems};
use crate::facts::{self, Field};
use crate::glob;
use crate::message::Template;
use crate::reader::{Fields, header, items, number, text, texts, word};
use crate::yaml::{self, Node, Yaml};

/// What a rule is evaluated for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleSubject {
    /// Each finding.
    Vulnerability,
    /// Each package.
    Package,
    /// Each declared licence of each package.
    License,
    /// The image, once.
    Image,
    /// The coverage of the scan, once.
    Coverage,
    /// Each kind of drift in a running container; see [`runtime_actions`](crate::runtime_actions).
    Runtime,
}

impl RuleSubject {
    /// All subjects.
    pub const ALL: [Self; 6] =
        [Self::Vulnerability, Self::Package, Self::License, Self::Image, Self::Coverage, Self::Runtime];

    /// The word after `on:`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vulnerability => "vulnerability",
            Self::Package => "package",
            Self::License => "license",
            Self::Image => "image",
            Self::Coverage => "coverage",
            Self::Runtime => "runtime",
        }
    }
}

/// Subjects of the policy model that nothing in Hullmark feeds yet. A rule on them would never match.
const NOT_YET: [&str; 3] = ["secret", "check", "signature"];

/// From when days of grace are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GraceFrom {
    /// From the date of the fix; where no source says it, from the publication.
    Fix,
    /// From the publication of the advisory.
    Publication,
}

/// For how long a failure is only a warning, by severity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Grace {
    /// Milliseconds by severity.
    pub periods: BTreeMap<Severity, i64>,
    /// From when they are counted.
    pub from: GraceFrom,
}

/// The images a rule is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scope {
    /// Patterns of image references; one has to match.
    pub images: Vec<String>,
    /// Patterns of image references; none may match.
    pub exclude_images: Vec<String>,
    /// Labels the image must have, each with a pattern of its value.
    pub labels: BTreeMap<String, String>,
}

impl Default for Scope {
    fn default() -> Self {
        Self { images: vec!["*".to_owned()], exclude_images: Vec::new(), labels: BTreeMap::new() }
    }
}

/// The names by which patterns find an image: as the user named it, and its references.
pub(crate) fn names_of(subject: &Subject) -> Vec<String> {
    std::iter::once(&subject.name).chain(&subject.references).cloned().collect()
}

impl Scope {
    /// Whether the rule is for an image with these names and labels.
    pub(crate) fn includes(&self, names: &[String], labels: &BTreeMap<String, String>) -> bool {
        let label = |(name, pattern): (&String, &String)| {
            labels.get(name).is_some_and(|value| glob::matches(pattern, value))
        };
        glob::any(&self.images, names)
            && !glob::any(&self.exclude_images, names)
            && self.labels.iter().all(label)
    }
}

/// One rule, validated.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Name, unique in the policy.
    pub name: String,
    /// What it is evaluated for.
    pub on: RuleSubject,
    /// 0 to 10; sorts only.
    pub threat: u8,
    /// What it does at each stage; a stage that is missing is [`Action::None`].
    pub actions: BTreeMap<Stage, Action>,
    /// The images it is for.
    pub scope: Scope,
    /// Days of grace, for rules on vulnerabilities.
    pub grace: Option<Grace>,
    pub(crate) when: Condition,
    pub(crate) message: Option<Template>,
}

impl Rule {
    /// The condition, as written.
    pub fn when(&self) -> &str {
        &self.when.text
    }

    /// The message, as written.
    pub fn message(&self) -> Option<&str> {
        self.message.as_ref().map(|message| message.text.as_str())
    }

    /// What it does at `stage`.
    pub fn action(&self, stage: Stage) -> Action {
        self.actions.get(&stage).copied().unwrap_or_default()
    }
}

/// A validated policy. Rules are sorted by name: their order in the file means nothing.
#[derive(Debug, Clone)]
pub struct Policy {
    name: String,
    description: String,
    rules: Vec<Rule>,
}

impl Policy {
    /// `metadata.name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `metadata.description`; empty when there is none.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The rules, sorted by name.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

/// The parts of a rule that its identity is made of.
#[derive(Serialize)]
struct CanonicalRule<'a> {
    name: &'a str,
    on: RuleSubject,
    when: &'a str,
    threat: u8,
    actions: BTreeMap<&'static str, Action>,
    scope: &'a Scope,
    grace: Option<&'a Grace>,
    message: Option<&'a str>,
}

/// The identity of a policy: the digest of its validated form. Layout, comments, quoting and the order of rules do not
/// change it; every part that can change a verdict or its words does.
///
/// # Errors
/// When the form cannot be written as JSON, which no validated policy gives cause for.
pub fn policy_digest(policy: &Policy) -> Result<Digest, CanonicalError> {
    let rules: Vec<_> = policy
        .rules
        .iter()
        .map(|rule| CanonicalRule {
            name: &rule.name,
            on: rule.on,
            when: rule.when(),
            threat: rule.threat,
            actions: Stage::ALL.into_iter().map(|stage| (stage.name(), rule.action(stage))).collect(),
            scope: &rule.scope,
            grace: rule.grace.as_ref(),
            message: rule.message(),
        })
        .collect();
    digest_of(&("hullmark-policy-1", &policy.name, &policy.description, rules))
}

/// Reads and validates the policy `text`; `name` is the file's name for messages.
///
/// # Errors
/// Everything that is wrong with the file, each with line, column and what to do: not YAML, unknown or missing keys,
/// conditions that do not parse or do not fit the facts, subjects that are not supported yet.
pub fn parse_policy(name: &str, text: &str) -> Result<Policy, PolicyErrors> {
    let root = yaml::parse(name, text)?;
    let mut problems = Problems::default();
    let policy = validate(&root, text, &mut problems);
    match policy {
        Some(policy) if problems.is_empty() => Ok(policy),
        _ => {
            if problems.is_empty() {
                problems.add(root.place, "the file is not a policy", None);
            }
            Err(problems.into_errors(name))
        }
    }
}

fn validate(root: &Node, source: &str, problems: &mut Problems) -> Option<Policy> {
    let mut top = Fields::of(root, "the policy", problems)?;
    header(&mut top, "Policy", problems);
    let metadata = top.required("metadata", "{ name: baseline }", problems);
    let (name, description) = metadata.and_then(|node| metadata_of(node, problems)).unwrap_or_default();
    let rules = top.required("rules", "[...]", problems).and_then(|node| items(node, "rules", problems));
    top.finish(problems);
    let fields = facts::fields();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for node in rules.unwrap_or_default() {
        let Some(rule) = rule_of(node, source, &fields, problems) else { continue };
        if !seen.insert(rule.name.clone()) {
            let message = format!("the rule name `{}` is taken", yaml::shorten(&rule.name));
            problems.add(
                node.place,
                message,
                Some("names are unique: reports and exceptions use them".to_owned()),
            );
        }
        found.push(rule);
    }
    if rules.is_some_and(<[Node]>::is_empty) {
        problems.add(root.place, "the policy has no rules, so it would pass everything", None);
    }
    found.sort_by(|left, right| left.name.cmp(&right.name));
    Some(Policy { name, description, rules: found })
}

fn metadata_of(node: &Node, problems: &mut Problems) -> Option<(String, String)> {
    let mut fields = Fields::of(node, "`metadata`", problems)?;
    let name = fields.required("name", "baseline", problems).and_then(|node| text(node, "name", problems));
    let description = fields.optional("description").and_then(|node| text(node, "description", problems));
    fields.finish(problems);
    Some((name?, description.unwrap_or_default()))
}

fn rule_of(node: &Node, source: &str, fields: &[Field], problems: &mut Problems) -> Option<Rule> {
    let mut keys = Fields::of(node, "a rule", problems)?;
    let name = keys.required("name", "a-name", problems).and_then(|node| text(node, "name", problems));
    let on = keys.required("on", "vulnerability", problems).and_then(|node| subject_of(node, problems));
    let when = keys.required("when", "a CEL condition", problems);
    let threat = match keys.optional("threat") {
        Some(node) => number(node, "threat", 10, problems),
        None => Some(0),
    };
    let actions = keys.required("actions", "{ build: fail }", problems);
    let actions = actions.and_then(|node| actions_of(node, problems));
    let scope = match keys.optional("scope") {
        Some(node) => scope_of(node, problems),
        None => Some(Scope::default()),
    };
    let grace_at = keys.optional("grace");
    let grace = grace_at.map(|node| grace_of(node, problems));
    let message = keys.optional("message");
    keys.finish(problems);
    let on = on?;
    if let Some((stage, _)) = actions.iter().flatten().find(|(stage, action)| {
        on == RuleSubject::Runtime && **stage != Stage::Run && **action != Action::None
    }) {
        let message = format!("a rule on `runtime` does nothing at stage `{stage}`");
        problems.add(node.place, message, Some("only `run` counts: warn alerts, fail blocks".to_owned()));
    }
    if let Some(node) = grace_at
        && on != RuleSubject::Vulnerability
    {
        problems.add(node.place, "`grace` is for rules on vulnerabilities only", None);
    }
    let message = message.map(|node| {
        let template = text(node, "message", problems)?;
        Template::parse(on, fields, &template, node.place, problems)
    });
    let when = when.and_then(|node| match &node.value {
        // `when: true` is a whole condition.
        Yaml::Bool(value) => Condition::compile(on, fields, &value.to_string(), node, source, problems),
        _ => text(node, "when", problems).and_then(|condition| {
            Condition::compile(on, fields, condition.trim_end(), node, source, problems)
        }),
    });
    Some(Rule {
        name: name?,
        on,
        threat: threat?,
        actions: actions?,
        scope: scope?,
        grace: match grace {
            Some(grace) => Some(grace?),
            None => None,
        },
        when: when?,
        message: match message {
            Some(message) => Some(message?),
            None => None,
        },
    })
}

fn subject_of(node: &Node, problems: &mut Problems) -> Option<RuleSubject> {
    if let Yaml::Text(found) = &node.value
        && NOT_YET.contains(&found.as_str())
    {
        let hint = "the rule would never match; leave it out until it is supported";
        problems.add(node.place, format!("rules on `{found}` are not supported yet"), Some(hint.to_owned()));
        return None;
    }
    word(node, "on", &RuleSubject::ALL.map(|subject| (subject.name(), subject)), problems)
}

fn actions_of(node: &Node, problems: &mut Problems) -> Option<BTreeMap<Stage, Action>> {
    let mut fields = Fields::of(node, "`actions`", problems)?;
    let words = [("none", Action::None), ("warn", Action::Warn), ("fail", Action::Fail)];
    let mut actions = BTreeMap::new();
    let mut named = false;
    for stage in Stage::ALL {
        let Some(node) = fields.optional(stage.name()) else { continue };
        named = true;
        if let Some(action) = word(node, stage.name(), &words, problems) {
            actions.insert(stage, action);
        }
    }
    fields.finish(problems);
    if !named {
        let hint = "add a stage, such as `build: fail`";
        problems.add(node.place, "the rule does nothing at any stage", Some(hint.to_owned()));
        return None;
    }
    Some(actions)
}

fn scope_of(node: &Node, problems: &mut Problems) -> Option<Scope> {
    let mut fields = Fields::of(node, "`scope`", problems)?;
    let mut scope = Scope::default();
    if let Some(node) = fields.optional("images") {
        scope.images = texts(node, "images", problems)?;
    }
    if let Some(node) = fields.optional("exclude_images") {
        // An empty list excludes nothing, which is what a template file may well say.
        scope.exclude_images = match &node.value {
            Yaml::List(items) if items.is_empty() => Vec::new(),
            _ => texts(node, "exclude_images", problems)?,
        };
    }
    if let Some(node) = fields.optional("labels") {
        let Yaml::Map(entries) = &node.value else {
            problems.add(node.place, "expected `labels` to be a mapping", None);
            return None;
        };
        for (key, value) in entries {
            scope.labels.insert(key.name.clone(), text(value, "labels", problems)?);
        }
    }
    if let Some(node) = fields.optional("namespaces") {
        let namespaces = texts(node, "namespaces", problems)?;
        if namespaces.iter().any(|pattern| pattern != "*") {
            let hint = "only `namespaces: [\"*\"]` is accepted: no caller names a namespace yet";
            problems.add(node.place, "scopes by namespace are not supported yet", Some(hint.to_owned()));
        }
    }
    fields.finish(problems);
    Some(scope)
}

fn grace_of(node: &Node, problems: &mut Problems) -> Option<Grace> {
    let mut fields = Fields::of(node, "`grace`", problems)?;
    let levels = [
        ("critical", Severity::Critical),
        ("high", Severity::High),
        ("medium", Severity::Medium),
        ("low", Severity::Low),
    ];
    let mut periods = BTreeMap::new();
    let mut named = false;
    for (name, level) in levels {
        let Some(node) = fields.optional(name) else { continue };
        named = true;
        let period = match &node.value {
            Yaml::Text(text) => durations::parse(text),
            Yaml::Integer(0) => Some(0),
            _ => None,
        };
        match period {
            Some(period) => {
                periods.insert(level, period);
            }
            None => {
                let message = format!("expected a duration for `{name}`, found {}", node.value.describe());
                problems.add(node.place, message, Some("write days, such as `14d`".to_owned()));
            }
        }
    }
    let words = [("fix", GraceFrom::Fix), ("publication", GraceFrom::Publication)];
    let from = match fields.optional("from") {
        Some(node) => word(node, "from", &words, problems)?,
        None => GraceFrom::Fix,
    };
    fields.finish(problems);
    if !named {
        problems.add(
            node.place,
            "`grace` names no severity",
            Some("add one, such as `high: 14d`".to_owned()),
        );
    }
    Some(Grace { periods, from })
}
