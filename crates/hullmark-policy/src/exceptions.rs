//! Exceptions: what is excused for a time, by whom and why.

use std::collections::BTreeSet;

use hullmark_types::{CanonicalError, Digest, digest_of};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::error::{PolicyErrors, Problems};
use crate::glob;
use crate::reader::{Fields, boolean, header, items, text, texts};
use crate::yaml::{self, Node};

/// What an exception excuses. All parts that are given have to match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExceptionMatch {
    /// An identifier of a vulnerability; it stands for all its aliases.
    pub vulnerability: Option<String>,
    /// Name of a rule.
    pub rule: Option<String>,
    /// `name`, `name@version`, or a package URL with or without version.
    pub package: Option<String>,
    /// Patterns of image references; empty means all images.
    pub images: Vec<String>,
}

/// What an exception is held against.
pub(crate) struct Candidate<'a> {
    pub(crate) rule: &'a str,
    /// The identifier shown and all aliases.
    pub(crate) identifiers: Vec<&'a str>,
    pub(crate) package: Option<PackageName<'a>>,
}

/// A package by name and by package URL.
#[derive(Clone, Copy)]
pub(crate) struct PackageName<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) purl: &'a str,
}

impl ExceptionMatch {
    pub(crate) fn covers(&self, candidate: &Candidate<'_>, images: &[String]) -> bool {
        let vulnerability =
            |id: &String| candidate.identifiers.iter().any(|known| known.eq_ignore_ascii_case(id));
        let package = |pattern: &String| candidate.package.is_some_and(|package| package.is(pattern));
        self.vulnerability.as_ref().is_none_or(vulnerability)
            && self.rule.as_ref().is_none_or(|rule| rule == candidate.rule)
            && self.package.as_ref().is_none_or(package)
            && (self.images.is_empty() || glob::any(&self.images, images))
    }
}

impl PackageName<'_> {
    fn is(&self, pattern: &str) -> bool {
        if pattern.starts_with("pkg:") {
            let plain = self.purl.split(['?', '#']).next().unwrap_or_default();
            let unversioned = plain.rsplit_once('@').map_or(plain, |(name, _)| name);
            return [self.purl, plain, unversioned].contains(&pattern);
        }
        match pattern.rsplit_once('@') {
            Some((name, version)) if !name.is_empty() => name == self.name && version == self.version,
            _ => pattern == self.name,
        }
    }
}

/// One exception, validated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exception {
    /// Identifier, unique in the file.
    pub id: String,
    /// What it excuses.
    #[serde(rename = "match")]
    pub matches: ExceptionMatch,
    /// Who answers for it.
    pub owner: String,
    /// Who approved it; neither the owner nor the requester.
    pub approver: String,
    /// Who asked for it.
    pub requester: Option<String>,
    /// Why.
    pub reason: String,
    /// Ticket.
    pub ticket: Option<String>,
    /// From when on it counts.
    pub created: Timestamp,
    /// From when on it excuses nothing.
    pub expires: Timestamp,
    /// It excuses nothing once a fix is known.
    pub until_fix_available: bool,
}

/// A validated set of exceptions, sorted by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exceptions {
    list: Vec<Exception>,
}

impl Exceptions {
    /// No exceptions.
    pub fn none() -> Self {
        Self::default()
    }

    /// The exceptions, sorted by id.
    pub fn list(&self) -> &[Exception] {
        &self.list
    }
}

/// The identity of a set of exceptions: the digest of its validated form, in which layout and order do not count.
///
/// # Errors
/// When the form cannot be written as JSON, which no validated set gives cause for.
pub fn exceptions_digest(exceptions: &Exceptions) -> Result<Digest, CanonicalError> {
    digest_of(&("hullmark-exceptions-1", &exceptions.list))
}

/// Reads and validates the exceptions `text`; `name` is the file's name for messages.
///
/// # Errors
/// Everything that is wrong with the file, each with line, column and what to do.
pub fn parse_exceptions(name: &str, text: &str) -> Result<Exceptions, PolicyErrors> {
    let root = yaml::parse(name, text)?;
    let mut problems = Problems::default();
    let exceptions = validate(&root, &mut problems);
    match exceptions {
        Some(exceptions) if problems.is_empty() => Ok(exceptions),
        _ => {
            if problems.is_empty() {
                problems.add(root.place, "the file does not hold exceptions", None);
            }
            Err(problems.into_errors(name))
        }
    }
}

fn validate(root: &Node, problems: &mut Problems) -> Option<Exceptions> {
    let mut top = Fields::of(root, "the file of exceptions", problems)?;
    header(&mut top, "Exceptions", problems);
    let nodes =
        top.required("exceptions", "[...]", problems).and_then(|node| items(node, "exceptions", problems));
    top.finish(problems);
    let mut seen = BTreeSet::new();
    let mut list = Vec::new();
    for node in nodes? {
        let Some(exception) = exception_of(node, problems) else { continue };
        if !seen.insert(exception.id.clone()) {
            let message = format!("the id `{}` is taken", yaml::shorten(&exception.id));
            problems.add(node.place, message, Some("ids are unique: reports use them".to_owned()));
        }
        list.push(exception);
    }
    list.sort_by(|left, right| left.id.cmp(&right.id));
    Some(Exceptions { list })
}

fn exception_of(node: &Node, problems: &mut Problems) -> Option<Exception> {
    let mut keys = Fields::of(node, "an exception", problems)?;
    let mut required = |name, example, problems: &mut Problems| {
        keys.required(name, example, problems).and_then(|node| text(node, name, problems))
    };
    let id = required("id", "EX-1", problems);
    let owner = required("owner", "who answers for it", problems);
    let approver = required("approver", "who approved it", problems);
    let reason = required("reason", "why", problems);
    let matches = keys.required("match", "{ vulnerability: CVE-2019-14697 }", problems);
    let matches = matches.and_then(|node| match_of(node, problems));
    let created = keys.required("created", "2026-11-01", problems);
    let created = created.and_then(|node| time(node, "created", false, problems));
    let expires_at = keys.required("expires", "2026-12-31", problems);
    let expires = expires_at.and_then(|node| time(node, "expires", true, problems));
    let mut optional =
        |name, problems: &mut Problems| keys.optional(name).and_then(|node| text(node, name, problems));
    let requester = optional("requester", problems);
    let ticket = optional("ticket", problems);
    let until_fix = keys.optional("until_fix_available");
    let until_fix_available =
        until_fix.and_then(|node| boolean(node, "until_fix_available", problems)).unwrap_or(false);
    let approver_at = keys.optional("approver");
    keys.finish(problems);
    if let (Some(approver), Some(at)) = (&approver, approver_at) {
        let same = |person: &String| person.trim().eq_ignore_ascii_case(approver.trim());
        for (role, person) in [("owner", &owner), ("requester", &requester)] {
            if person.as_ref().is_some_and(same) {
                let hint = "somebody else has to approve it";
                problems.add(at.place, format!("the approver is the {role}"), Some(hint.to_owned()));
            }
        }
    }
    if let (Some(created), Some(expires), Some(at)) = (created, expires, expires_at)
        && expires <= created
    {
        problems.add(at.place, "the exception expires before it is created", None);
    }
    Some(Exception {
        id: id?,
        matches: matches?,
        owner: owner?,
        approver: approver?,
        requester,
        reason: reason?,
        ticket,
        created: created?,
        expires: expires?,
        until_fix_available,
    })
}

fn match_of(node: &Node, problems: &mut Problems) -> Option<ExceptionMatch> {
    let mut keys = Fields::of(node, "`match`", problems)?;
    let mut optional =
        |name, problems: &mut Problems| keys.optional(name).and_then(|node| text(node, name, problems));
    let vulnerability = optional("vulnerability", problems);
    let rule = optional("rule", problems);
    let package = optional("package", problems);
    let images = keys.optional("images").and_then(|node| texts(node, "images", problems)).unwrap_or_default();
    keys.finish(problems);
    if vulnerability.is_none() && rule.is_none() && package.is_none() {
        let hint = "name at least one of `vulnerability`, `rule`, `package`";
        problems.add(node.place, "the exception would excuse everything", Some(hint.to_owned()));
    }
    Some(ExceptionMatch { vulnerability, rule, package, images })
}

/// A date (`2026-12-31`, in UTC; the end of that day for `to_the_end`) or a time (`2026-12-31T12:00:00Z`).
fn time(node: &Node, name: &'static str, to_the_end: bool, problems: &mut Problems) -> Option<Timestamp> {
    let found = text(node, name, problems)?;
    let parsed = found.parse::<Timestamp>().ok().or_else(|| {
        let date: Date = (found.len() == 10).then(|| found.parse().ok())??;
        let date = if to_the_end { date.tomorrow().ok()? } else { date };
        TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()
    });
    if parsed.is_none() {
        let message = format!("expected a date for `{name}`, found `{}`", yaml::shorten(&found));
        problems.add(
            node.place,
            message,
            Some("write it as `2026-12-31` or `2026-12-31T12:00:00Z`".to_owned()),
        );
    }
    parsed
}
