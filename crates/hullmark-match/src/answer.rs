//! What one advisory says of one version of a package.

use std::cmp::Ordering;

use hullmark_types::{Advisory, Affected, Evidence, RangeKind, VersionRange};
use hullmark_version::{Scheme, compare};

use crate::range::{Range, describe_events, is_everything, shorten};

/// The answer for one package in one advisory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The version is affected.
    Affected,
    /// The version lies outside of everything that the advisory names.
    Outside,
    /// The source says that no version was ever affected.
    NeverAffected,
    /// It cannot be told.
    Undetermined {
        /// A stable kebab-case word.
        code: &'static str,
        /// Why, in a sentence.
        reason: String,
    },
}

/// An answer with what it rests on.
pub(crate) struct Assessment<'a> {
    pub(crate) advisory: &'a Advisory,
    pub(crate) answer: Answer,
    pub(crate) evidence: Vec<Evidence>,
    /// All ranges that could be read, for the search of a fix.
    pub(crate) ranges: Vec<Range<'a>>,
    /// The version is listed by itself, or affected whatever the order: no end of a range is a fix.
    pub(crate) listed: bool,
}

/// The package in question, as advisories name it.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) ecosystem: &'a str,
    pub(crate) name: &'a str,
    /// Empty when the image does not say it.
    pub(crate) version: &'a str,
}

/// Assesses a version against one advisory, whose entries are all of the package in question.
///
/// Several entries, several ranges and the listed versions are OR-ed: one that holds the version makes it affected. A part
/// that cannot be read makes the answer undetermined unless another part says affected. A range of Git commits cannot be
/// assessed from versions; it counts only when nothing else is there to decide.
pub(crate) fn assess<'a>(advisory: &'a Advisory, question: Question<'_>) -> Assessment<'a> {
    let mut assessment = Assessment {
        advisory,
        answer: Answer::Outside,
        evidence: Vec::new(),
        ranges: Vec::new(),
        listed: false,
    };
    let mut affected = false;
    let mut never = false;
    let mut listed_only = true;
    let mut doubts = Vec::new();
    for entry in &advisory.affected {
        let mut parts = Parts::default();
        let range = if entry.never_affected {
            never = true;
            "never affected".to_owned()
        } else {
            parts.read(entry, question);
            assessment.ranges.append(&mut parts.ranges);
            affected |= parts.holds.is_some();
            listed_only &= !parts.in_range;
            match (parts.holds, parts.doubts.is_empty()) {
                (Some(range), _) => range,
                (None, true) => format!("outside {}", parts.described),
                (None, false) => parts.described,
            }
        };
        doubts.append(&mut parts.doubts);
        assessment.evidence.push(Evidence {
            advisory: advisory.id.clone(),
            feed: advisory.feed.clone(),
            ecosystem: question.ecosystem.to_owned(),
            name: question.name.to_owned(),
            compared: question.version.to_owned(),
            range,
            scheme: Scheme::for_ecosystem(question.ecosystem).map_or("none", Scheme::name).to_owned(),
        });
    }
    assessment.listed = affected && listed_only;
    doubts.sort();
    assessment.answer = match doubts.into_iter().next() {
        _ if never => Answer::NeverAffected,
        _ if affected => Answer::Affected,
        Some((code, reason)) => Answer::Undetermined { code, reason },
        None => Answer::Outside,
    };
    assessment
}

/// The parts of one entry.
#[derive(Default)]
struct Parts<'a> {
    /// What holds the version, in words.
    holds: Option<String>,
    /// It is a range with an order, which has an end.
    in_range: bool,
    described: String,
    doubts: Vec<(&'static str, String)>,
    ranges: Vec<Range<'a>>,
}

impl<'a> Parts<'a> {
    fn read(&mut self, entry: &'a Affected, question: Question<'_>) {
        let version = question.version;
        let mut described = Vec::new();
        let mut git = false;
        for range in &entry.ranges {
            if range.kind == RangeKind::Git {
                git = true;
                continue;
            }
            described.push(describe_events(&range.events));
            self.range(range, question);
        }
        if !entry.versions.is_empty() {
            described.push(format!("{} listed versions", entry.versions.len()));
            self.listed(&entry.versions, question);
        }
        if described.is_empty() && self.holds.is_none() {
            let (code, what) = match git {
                true => ("git-range", "names only Git commits"),
                false => ("no-range", "names no versions"),
            };
            described.push(what.to_owned());
            self.doubts
                .push((code, format!("the advisory {what}, so `{}` cannot be compared", shorten(version))));
        }
        self.described = described.join("; ");
    }

    fn range(&mut self, range: &'a VersionRange, question: Question<'_>) {
        let version = question.version;
        if is_everything(&range.events) {
            self.hold("introduced 0".to_owned());
            // A range without an end still bars every fix that another range offers.
            if let Some(scheme) = scheme_of(range.kind, question.ecosystem)
                && let Ok(range) = Range::new(scheme, &range.events)
            {
                self.ranges.push(range);
            }
            return;
        }
        if version.is_empty() {
            self.doubts.push(("no-version", no_version(question.name)));
            return;
        }
        let Some(scheme) = scheme_of(range.kind, question.ecosystem) else {
            let reason = format!(
                "no version order is known for {}, so `{}` cannot be compared with `{}`",
                question.ecosystem,
                shorten(version),
                describe_events(&range.events)
            );
            self.doubts.push(("no-version-order", reason));
            return;
        };
        let unparsable = |error: hullmark_version::VersionError| {
            let reason = format!(
                "`{}` cannot be compared with `{}`: {error}",
                shorten(version),
                describe_events(&range.events)
            );
            ("unparsable-version", reason)
        };
        match Range::new(scheme, &range.events) {
            Ok(range) => {
                match range.interval_of(version) {
                    Ok(Some(interval)) => {
                        self.hold(interval.describe());
                        self.in_range = true;
                    }
                    Ok(None) => {}
                    Err(error) => self.doubts.push(unparsable(error)),
                }
                self.ranges.push(range);
            }
            Err(error) => self.doubts.push(unparsable(error)),
        }
    }

    /// Listed versions are affected one by one. They are compared by text first, then by order: `1.0` and `1.0.0` of PyPI
    /// are one version. A listed version that does not parse equals none that does.
    fn listed(&mut self, versions: &[String], question: Question<'_>) {
        let version = question.version;
        if version.is_empty() {
            self.doubts.push(("no-version", no_version(question.name)));
            return;
        }
        let scheme = Scheme::for_ecosystem(question.ecosystem);
        let same = |listed: &&String| {
            *listed == version
                || scheme.is_some_and(|scheme| compare(scheme, listed, version) == Ok(Ordering::Equal))
        };
        if let Some(listed) = versions.iter().find(same) {
            self.hold(format!("listed version {}", shorten(listed)));
            return;
        }
        let error = scheme.and_then(|scheme| hullmark_version::validate(scheme, version).err());
        if let Some(error) = error {
            let first = versions.first().map(|first| shorten(first)).unwrap_or_default();
            let reason = format!(
                "`{}` cannot be compared with listed versions such as `{first}`: {error}",
                shorten(version)
            );
            self.doubts.push(("unparsable-version", reason));
        }
    }

    fn hold(&mut self, range: String) {
        // The same words whatever the order of ranges.
        self.holds = Some(match self.holds.take() {
            Some(known) if known <= range => known,
            _ => range,
        });
    }
}

pub(crate) fn no_version(name: &str) -> String {
    format!("the image does not say which version of `{}` is installed", shorten(name))
}

/// The order of a range: SemVer ranges of npm and Go take the order of their ecosystem, which knows how versions are
/// written there.
fn scheme_of(kind: RangeKind, ecosystem: &str) -> Option<Scheme> {
    let own = Scheme::for_ecosystem(ecosystem);
    match (kind, own) {
        (RangeKind::Git, _) => None,
        (RangeKind::Ecosystem, own) => own,
        (RangeKind::Semver, Some(Scheme::Npm | Scheme::Go)) => own,
        (RangeKind::Semver, _) => Some(Scheme::Semver),
    }
}
