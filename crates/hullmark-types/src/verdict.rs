//! The verdict: what the policy makes of an inventory and its matches.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Digest, Severity};

/// A point in the life of an image where a policy is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// In the build.
    Build,
    /// In the registry.
    Ship,
    /// At deployment.
    Deploy,
    /// While it runs.
    Run,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 4] = [Self::Build, Self::Ship, Self::Deploy, Self::Run];

    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Ship => "ship",
            Self::Deploy => "deploy",
            Self::Run => "run",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// A word that is not a stage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a stage: expected build, ship, deploy or run")]
pub struct UnknownStage(pub String);

impl FromStr for Stage {
    type Err = UnknownStage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|stage| stage.name() == text).ok_or_else(|| UnknownStage(text.to_owned()))
    }
}

/// What a rule does when it matches; ordered by strictness.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Nothing.
    #[default]
    None,
    /// Say it.
    Warn,
    /// Fail.
    Fail,
}

/// The result; ordered by strictness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// No rule matched that is not excused.
    Passed,
    /// The strictest action was `warn`: passed, with warnings.
    Warned,
    /// The policy failed the image.
    Failed,
}

impl Outcome {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Warned => "warned",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// One rule that matched one subject.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reason {
    /// Name of the rule.
    pub rule: String,
    /// What the rule is on: `vulnerability`, `package`, `license`, `image`, `coverage`.
    pub on: String,
    /// The action that counts, after grace and exceptions; for excused reasons the action that was excused.
    pub action: Action,
    /// Threat level, 0 to 10; sorts only.
    pub threat: u8,
    /// Id of the finding, for vulnerabilities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
    /// Severity of the finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Package URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// The version that fixes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_version: Option<String>,
    /// Known to be exploited.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub known_exploited: bool,
    /// What to tell the developer, with the fix.
    pub message: String,
    /// Days of grace left; the failure is suppressed to a warning until they are over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_days_left: Option<u32>,
    /// Id of the exception that excuses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
}

/// What became of an exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExceptionStatus {
    /// It excused at least one reason.
    Used,
    /// It excused at least one reason, and expires within 14 days.
    ExpiringSoon,
    /// It matched nothing.
    Unused,
    /// It has expired and excuses nothing.
    Expired,
}

/// The fate of one exception in one evaluation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExceptionUse {
    /// Id of the exception.
    pub id: String,
    /// What became of it.
    pub status: ExceptionStatus,
    /// When it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// How many reasons it excused.
    pub excused: u64,
}

/// Identities of everything a verdict was made from. With them a verdict can be replayed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InputDigests {
    /// The inventory.
    pub inventory: Digest,
    /// The matches.
    pub matches: Digest,
    /// The policy.
    pub policy: Digest,
    /// The exceptions.
    pub exceptions: Digest,
    /// The advisory database.
    pub database: Digest,
}

/// What the policy makes of an image: a pure function of the inputs named in [`InputDigests`], the stage and the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The result.
    pub outcome: Outcome,
    /// The stage whose actions were taken.
    pub stage: Stage,
    /// Name of the policy.
    pub policy: String,
    /// Rules that matched, strictest and most threatening first.
    pub reasons: Vec<Reason>,
    /// Rules that matched and are excused; they stay visible and counted apart.
    pub excused: Vec<Reason>,
    /// The fate of each exception.
    pub exceptions: Vec<ExceptionUse>,
    /// What the verdict was made from.
    pub inputs: InputDigests,
    /// The time for which it was made.
    pub evaluated_at: Timestamp,
}
