//! Ranges of versions: which versions they hold, and where they end.
//!
//! Events are sorted by the version order first, as the OSV schema asks. `introduced: 0` is before every version. Where an
//! introduction meets an end at the same version, nothing changes there: an open range stays open (1.0 to 1.5 and 1.5 to
//! 2.0 are one range), a closed one stays closed (1.0 to 1.0 is empty; for `last_affected` it is that one version). A range
//! with ends but without an introduction begins before every version.

use std::cmp::Ordering;

use hullmark_types::RangeEvent;
use hullmark_version::{Scheme, VersionError, compare};

/// Where an interval ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End<'a> {
    /// Nowhere.
    Open,
    /// Before this version.
    Fixed(&'a str),
    /// After this version.
    LastAffected(&'a str),
}

/// Affected versions without a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interval<'a> {
    /// The first version; `None` is before every version.
    pub(crate) from: Option<&'a str>,
    pub(crate) end: End<'a>,
}

/// A range made ready for questions.
#[derive(Debug, Clone)]
pub(crate) struct Range<'a> {
    scheme: Scheme,
    intervals: Vec<Interval<'a>>,
    limits: Vec<&'a str>,
}

/// Whether the events hold every version there is, whatever the order.
pub(crate) fn is_everything(events: &[RangeEvent]) -> bool {
    !events.is_empty()
        && events.iter().all(|event| matches!(event, RangeEvent::Introduced(from) if from == "0"))
}

/// The events as their source writes them, for people.
pub(crate) fn describe_events(events: &[RangeEvent]) -> String {
    const MOST: usize = 12;
    let mut words: Vec<_> = events
        .iter()
        .take(MOST)
        .map(|event| match event {
            RangeEvent::Introduced(version) => format!("introduced {}", shorten(version)),
            RangeEvent::Fixed(version) => format!("fixed {}", shorten(version)),
            RangeEvent::LastAffected(version) => format!("last affected {}", shorten(version)),
            RangeEvent::Limit(version) => format!("limit {}", shorten(version)),
        })
        .collect();
    if events.len() > MOST {
        words.push("...".to_owned());
    }
    words.join(", ")
}

/// The first characters of a text that somebody else wrote.
pub(crate) fn shorten(text: &str) -> String {
    text.chars().take(100).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

impl Interval<'_> {
    fn holds(&self, scheme: Scheme, version: &str) -> Result<bool, VersionError> {
        let begun = match self.from {
            Some(from) => compare(scheme, version, from)? != Ordering::Less,
            None => true,
        };
        Ok(begun
            && match self.end {
                End::Open => true,
                End::Fixed(end) => compare(scheme, version, end)? == Ordering::Less,
                End::LastAffected(end) => compare(scheme, version, end)? != Ordering::Greater,
            })
    }

    /// In words such as `introduced 0, fixed 1.1.18-r4`.
    pub(crate) fn describe(&self) -> String {
        let from = shorten(self.from.unwrap_or("0"));
        match self.end {
            End::Open => format!("introduced {from}"),
            End::Fixed(end) => format!("introduced {from}, fixed {}", shorten(end)),
            End::LastAffected(end) => format!("introduced {from}, last affected {}", shorten(end)),
        }
    }
}

/// What happens at one version.
#[derive(Clone, Copy)]
struct Boundary<'a> {
    version: Option<&'a str>,
    introduced: bool,
    fixed: bool,
    last_affected: bool,
}

impl<'a> Range<'a> {
    /// Sorts `events` and makes intervals of them.
    ///
    /// # Errors
    /// When a version among the events does not parse.
    pub(crate) fn new(scheme: Scheme, events: &'a [RangeEvent]) -> Result<Self, VersionError> {
        let mut limits = Vec::new();
        let mut boundaries: Vec<Boundary<'a>> = Vec::new();
        for event in events {
            let none = Boundary { version: None, introduced: false, fixed: false, last_affected: false };
            let (version, boundary) = match event {
                RangeEvent::Introduced(version) if version == "0" => {
                    boundaries.push(Boundary { introduced: true, ..none });
                    continue;
                }
                RangeEvent::Introduced(version) => (version, Boundary { introduced: true, ..none }),
                RangeEvent::Fixed(version) => (version, Boundary { fixed: true, ..none }),
                RangeEvent::LastAffected(version) => (version, Boundary { last_affected: true, ..none }),
                RangeEvent::Limit(version) if version == "*" => continue,
                RangeEvent::Limit(version) => {
                    hullmark_version::validate(scheme, version)?;
                    limits.push(version.as_str());
                    continue;
                }
            };
            hullmark_version::validate(scheme, version)?;
            boundaries.push(Boundary { version: Some(version), ..boundary });
        }
        // Every version parses by now, so the order is total and the fallback is never taken.
        let order = |left: &Boundary<'_>, right: &Boundary<'_>| match (left.version, right.version) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(left), Some(right)) => compare(scheme, left, right).unwrap_or(Ordering::Equal),
        };
        // By text after equal order: which of two spellings is shown must not depend on the order of events.
        boundaries.sort_by(|left, right| order(left, right).then_with(|| left.version.cmp(&right.version)));
        let mut merged: Vec<Boundary<'a>> = Vec::with_capacity(boundaries.len());
        for boundary in boundaries {
            match merged.last_mut() {
                Some(last) if order(last, &boundary) == Ordering::Equal => {
                    last.introduced |= boundary.introduced;
                    last.fixed |= boundary.fixed;
                    last.last_affected |= boundary.last_affected;
                }
                _ => merged.push(boundary),
            }
        }
        Ok(Self { scheme, intervals: intervals(&merged), limits })
    }

    /// The interval that holds `version`.
    ///
    /// # Errors
    /// When `version` does not parse.
    pub(crate) fn interval_of(&self, version: &str) -> Result<Option<&Interval<'a>>, VersionError> {
        hullmark_version::validate(self.scheme, version)?;
        if !self.limits.is_empty() {
            let mut within = false;
            for limit in &self.limits {
                within |= compare(self.scheme, version, limit)? == Ordering::Less;
            }
            if !within {
                return Ok(None);
            }
        }
        for interval in &self.intervals {
            if interval.holds(self.scheme, version)? {
                return Ok(Some(interval));
            }
        }
        Ok(None)
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Number of intervals; a search for a fix visits each at most once.
    pub(crate) fn len(&self) -> usize {
        self.intervals.len()
    }
}

fn intervals<'a>(boundaries: &[Boundary<'a>]) -> Vec<Interval<'a>> {
    let mut intervals = Vec::new();
    let begins = boundaries.iter().any(|boundary| boundary.introduced);
    // The outer option: inside an interval or not; the inner: its first version.
    let mut open: Option<Option<&'a str>> = (!begins && !boundaries.is_empty()).then_some(None);
    for at in boundaries {
        let end = match at.version {
            Some(version) if at.fixed => Some(End::Fixed(version)),
            Some(version) if at.last_affected => Some(End::LastAffected(version)),
            _ => None,
        };
        match (open, at.introduced, end) {
            (None, true, None) => open = Some(at.version),
            (None, true, Some(_)) => {
                if let (Some(version), true) = (at.version, at.last_affected) {
                    intervals.push(Interval { from: Some(version), end: End::LastAffected(version) });
                }
            }
            (Some(from), false, Some(end)) => {
                intervals.push(Interval { from, end });
                open = None;
            }
            (Some(_), true, _) | (None, false, _) | (Some(_), false, None) => {}
        }
    }
    if let Some(from) = open {
        intervals.push(Interval { from, end: End::Open });
    }
    intervals
}

/// The lowest version above `version` that none of `ranges` holds, following the ends of the ranges: upgrading to it fixes
/// all. `None` when a range that holds it has no end, or ends after a version whose successor nobody names.
pub(crate) fn fix_for(ranges: &[Range<'_>], version: &str) -> Option<String> {
    let steps: usize = ranges.iter().map(Range::len).sum();
    let mut candidate = version.to_owned();
    let mut moved = false;
    for _ in 0..=steps {
        let mut next: Option<(Scheme, &str)> = None;
        for range in ranges {
            let Some(interval) = range.interval_of(&candidate).ok()? else { continue };
            let End::Fixed(end) = interval.end else { return None };
            let higher = match next {
                Some((scheme, known)) => compare(scheme, end, known).ok()? == Ordering::Greater,
                None => true,
            };
            if higher {
                next = Some((range.scheme(), end));
            }
        }
        match next {
            Some((_, end)) => {
                candidate = end.to_owned();
                moved = true;
            }
            None => return moved.then_some(candidate),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events(text: &str) -> Vec<RangeEvent> {
        text.split_whitespace()
            .map(|word| {
                let version = word[1..].to_owned();
                match &word[..1] {
                    "i" => RangeEvent::Introduced(version),
                    "f" => RangeEvent::Fixed(version),
                    "l" => RangeEvent::LastAffected(version),
                    _ => RangeEvent::Limit(version),
                }
            })
            .collect()
    }

    /// The versions of `1`, `1.5`, `2`, ... `5` that the events hold.
    fn held(text: &str) -> String {
        let events = events(text);
        let range = Range::new(Scheme::Pep440, &events).unwrap();
        let versions = ["1", "1.5", "2", "2.5", "3", "3.5", "4", "4.5", "5"];
        let holds = |version: &&&str| range.interval_of(version).unwrap().is_some();
        versions.iter().filter(holds).copied().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ranges_hold_the_versions_their_events_say() {
        for (events, expected) in [
            ("i0 f2", "1 1.5"),
            ("i0 l2", "1 1.5 2"),
            ("i2", "2 2.5 3 3.5 4 4.5 5"),
            ("i0", "1 1.5 2 2.5 3 3.5 4 4.5 5"),
            ("i0.0 f2", "1 1.5"),
            ("i2 f3 i4 f5", "2 2.5 4 4.5"),
            // As the source wrote them, not sorted.
            ("f5 i4 f3 i2", "2 2.5 4 4.5"),
            ("f2 i0", "1 1.5"),
            ("i0 f2 f1.5", "1"),
            // An end and an introduction at one version change nothing.
            ("i1 f2 i2 f3", "1 1.5 2 2.5"),
            ("i2 f2", ""),
            ("i2 l2", "2"),
            ("i1 l2 i2 f3", "1 1.5 2 2.5"),
            ("i2 f2.0 i3 f3.5", "3"),
            // Ends without an introduction.
            ("f2", "1 1.5"),
            ("l2", "1 1.5 2"),
            // A stray end.
            ("i3 f2", "3 3.5 4 4.5 5"),
            ("i0 m3", "1 1.5 2 2.5"),
            ("i0 m*", "1 1.5 2 2.5 3 3.5 4 4.5 5"),
            ("i0 f4 m2", "1 1.5"),
            ("i0 m2 m3", "1 1.5 2 2.5"),
            ("", ""),
        ] {
            assert_eq!(held(events), expected, "{events}");
        }
    }

    #[test]
    fn the_fix_is_the_lowest_version_that_no_range_holds() {
        for (ranges, version, expected) in [
            (&["i0 f2"][..], "1", Some("2")),
            (&["i0 f2 i3 f4"], "1", Some("2")),
            (&["i0 f2 i3 f4"], "3", Some("4")),
            (&["i0 f2", "i0 f3"], "1", Some("3")),
            (&["i0 f2", "i1.5 f3"], "1", Some("3")),
            (&["i0 f2", "i3 f4"], "1", Some("2")),
            (&["i0 f2", "i2 f3", "i3 f4"], "1", Some("4")),
            (&["i0 f2", "i0"], "1", None),
            (&["i0 l2"], "1", None),
            (&["i0 f2", "i2 l3"], "1", None),
            (&["i0 f2"], "2", None),
            (&["i1 f2 i2 f3"], "1", Some("3")),
        ] {
            let events: Vec<_> = ranges.iter().map(|text| events(text)).collect();
            let ranges: Vec<_> =
                events.iter().map(|events| Range::new(Scheme::Pep440, events).unwrap()).collect();
            assert_eq!(fix_for(&ranges, version).as_deref(), expected, "{events:?} {version}");
        }
    }

    #[test]
    fn a_version_that_does_not_parse_is_an_error() {
        for text in ["i0 fx!", "ix! f2", "i0 lx!", "i0 mx!"] {
            assert!(Range::new(Scheme::Pep440, &events(text)).is_err(), "{text}");
        }
        let events = events("i0 f2");
        assert!(Range::new(Scheme::Pep440, &events).unwrap().interval_of("x!").is_err());
        let nothing: Vec<RangeEvent> = Vec::new();
        assert!(Range::new(Scheme::Pep440, &nothing).unwrap().interval_of("x!").is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_order_of_events_does_not_matter(
            (one, other) in proptest::collection::vec((0..3_u8, 0..6_u8), 0..8).prop_flat_map(|list| (Just(list.clone()), Just(list).prop_shuffle())),
        ) {
            let text = |list: &[(u8, u8)]| {
                let word = |(kind, version): &(u8, u8)| format!("{}{version}", ["i", "f", "l"][usize::from(*kind)]);
                list.iter().map(word).collect::<Vec<_>>().join(" ")
            };
            prop_assert_eq!(held(&text(&one)), held(&text(&other)));
            let (one, other) = (events(&text(&one)), events(&text(&other)));
            let fix = |events: &[RangeEvent]| fix_for(&[Range::new(Scheme::Pep440, events).unwrap()], "1.5");
            prop_assert_eq!(fix(&one), fix(&other));
            if let Some(fix) = fix(&one) {
                prop_assert!(compare(Scheme::Pep440, &fix, "1.5") == Ok(Ordering::Greater));
                prop_assert!(Range::new(Scheme::Pep440, &one).unwrap().interval_of(&fix).unwrap().is_none());
            }
        }
    }
}
