//! The policies that need no file: the default, and `--fail-on`.

use std::fmt;
use std::str::FromStr;

use crate::error::PolicyErrors;
use crate::policy::{Policy, parse_policy};

/// The built-in policy, as printed by `hullmark policy default`.
pub const DEFAULT_POLICY: &str = include_str!("default_policy.yaml");

/// The built-in policy.
///
/// # Errors
/// None that a release can give: a test holds the built-in policy valid.
pub fn default_policy() -> Result<Policy, PolicyErrors> {
    parse_policy("default_policy.yaml", DEFAULT_POLICY)
}

/// The threshold of the short form `--fail-on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailOn {
    /// Every finding, also unrated ones.
    Any,
    /// Low and above.
    Low,
    /// Medium and above.
    Medium,
    /// High and above.
    High,
    /// Critical.
    Critical,
}

impl FailOn {
    /// All thresholds.
    pub const ALL: [Self; 5] = [Self::Any, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for FailOn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// A word that is not a threshold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a threshold: expected any, low, medium, high or critical")]
pub struct UnknownFailOn(pub String);

impl FromStr for FailOn {
    type Err = UnknownFailOn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|threshold| threshold.name() == text);
        found.ok_or_else(|| UnknownFailOn(text.chars().take(100).collect()))
    }
}

/// The policy that fails at every stage on findings from `threshold` up, and warns of what could not be assessed.
///
/// # Errors
/// None that a release can give: a test holds the policy of each threshold valid.
pub fn fail_on(threshold: FailOn) -> Result<Policy, PolicyErrors> {
    let (condition, said) = match threshold {
        FailOn::Any => ("true".to_owned(), "any finding fails".to_owned()),
        _ => {
            let word = threshold.name();
            (format!("vuln.severity >= {}", word.to_ascii_uppercase()), format!("{word} and above fails"))
        }
    };
    let text = format!(
        r#"apiVersion: hullmark.dev/v1
kind: Policy
metadata:
  name: fail-on-{threshold}
rules:
  - name: fail-on-{threshold}
    on: vulnerability
    when: {condition}
    threat: 5
    actions: {{ build: fail, ship: fail, deploy: fail, run: fail }}
    message: "{{vuln.id}} in {{package.name}} is {{vuln.severity}}: {said}"
  - name: must-be-covered
    on: coverage
    when: coverage.undetermined > 0 || coverage.gaps > 0 || coverage.packages == 0 || coverage.feed_age > duration("48h")
    actions: {{ build: warn, ship: warn, deploy: warn, run: warn }}
    message: "not everything could be assessed: {{coverage.undetermined}} undetermined, {{coverage.gaps}} gaps, oldest feed {{coverage.feed_age}} old, {{coverage.packages}} packages"
"#
    );
    parse_policy("--fail-on", &text)
}
