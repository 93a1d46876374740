//! Ratings: which of those at hand gives the level, and whose it is.

use cvss::Cvss;
use hullmark_types::{Advisory, Severity, SeverityRating};

/// A rating with its level.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rating {
    pub(crate) severity: Severity,
    pub(crate) source: Option<String>,
    pub(crate) vector: Option<String>,
    pub(crate) score_tenths: Option<u8>,
}

/// The longest CVSS vector: version 4 with all its metrics has some 200 bytes.
const MAX_VECTOR: usize = 512;

/// The level that a group of advisories gets.
///
/// What is said of this very package comes first (a distribution knows its build), then what the advisories say, then what
/// advisories elsewhere say of the same vulnerability. Within one of these, CVSS vectors come before words, and the highest
/// score before lower ones, so that the order of feeds does not matter.
pub(crate) fn rate(own: &[&Advisory], related: &[&Advisory]) -> Rating {
    let of_package =
        own.iter().flat_map(|advisory| advisory.affected.iter().flat_map(|affected| &affected.severities));
    let of_advisories = own.iter().flat_map(|advisory| &advisory.severities);
    let elsewhere = related.iter().flat_map(|advisory| &advisory.severities);
    let words_elsewhere = related
        .iter()
        .flat_map(|advisory| advisory.affected.iter().flat_map(|affected| &affected.severities));
    best(of_package)
        .or_else(|| best(of_advisories))
        .or_else(|| best(elsewhere))
        .or_else(|| best(words_elsewhere))
        .unwrap_or_default()
}

fn best<'a>(ratings: impl Iterator<Item = &'a SeverityRating>) -> Option<Rating> {
    ratings.filter_map(read).max_by(|left, right| {
        let key = |rating: &Rating| (rating.score_tenths.is_some(), rating.severity, rating.score_tenths);
        // At the same score the newest version of CVSS, which sorts last by its text.
        key(left)
            .cmp(&key(right))
            .then_with(|| left.vector.cmp(&right.vector))
            .then_with(|| right.source.cmp(&left.source))
    })
}

/// Reads one rating; `None` when it says nothing.
fn read(rating: &SeverityRating) -> Option<Rating> {
    let value = rating.value.trim();
    if let Some((score, name)) = score_tenths(value) {
        return Some(Rating {
            severity: Severity::from_score_tenths(score),
            source: Some(format!("{} ({name})", rating.source)),
            vector: Some(value.to_owned()),
            score_tenths: Some(score),
        });
    }
    let severity = value.parse::<Severity>().ok().filter(|level| *level != Severity::Unrated)?;
    Some(Rating { severity, source: Some(rating.source.clone()), vector: None, score_tenths: None })
}

/// The base score of a vector in tenths, and the name of its version.
fn score_tenths(vector: &str) -> Option<(u8, &'static str)> {
    if vector.len() > MAX_VECTOR || !vector.is_ascii() || !vector.contains('/') {
        return None;
    }
    let plain = vector.trim_start_matches('(').trim_end_matches(')');
    let parsed: Cvss = plain.parse().ok()?;
    let name = match parsed {
        Cvss::CvssV20(_) => "CVSS 2.0",
        Cvss::CvssV30(_) => "CVSS 3.0",
        Cvss::CvssV31(_) => "CVSS 3.1",
        Cvss::CvssV40(_) => "CVSS 4.0",
        _ => return None,
    };
    let tenths = (parsed.score() * 10.0).round();
    // The range is checked, so the cast keeps the value.
    ((0.0..=100.0).contains(&tenths)).then_some((tenths as u8, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rating(source: &str, value: &str) -> SeverityRating {
        SeverityRating { source: source.to_owned(), value: value.to_owned() }
    }

    /// Scores from the specifications and from the calculators of FIRST and NVD.
    #[test]
    fn scores_are_computed_from_vectors() {
        for (vector, tenths, name) in [
            ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:N", 81, "CVSS 3.1"),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 98, "CVSS 3.1"),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 100, "CVSS 3.1"),
            ("CVSS:3.0/AV:L/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", 62, "CVSS 3.0"),
            ("CVSS:3.1/AV:N/AC:H/PR:H/UI:R/S:U/C:N/I:N/A:N", 0, "CVSS 3.1"),
            ("AV:N/AC:L/Au:N/C:C/I:C/A:C", 100, "CVSS 2.0"),
            ("(AV:N/AC:L/Au:N/C:P/I:P/A:P)", 75, "CVSS 2.0"),
            ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", 100, "CVSS 4.0"),
            ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 93, "CVSS 4.0"),
        ] {
            assert_eq!(score_tenths(vector), Some((tenths, name)), "{vector}");
        }
    }

    #[test]
    fn what_is_not_a_vector_is_no_score() {
        let long = "CVSS:3.1/".to_owned() + &"AV:N/".repeat(200);
        for text in
            ["", "/", "CVSS:3.1/", "CVSS:9.9/AV:N", "AV:N", "high", "CVSS:3.1/AV:N/AV:N", "a/b:c", &long]
        {
            assert_eq!(score_tenths(text), None, "{text}");
        }
    }

    fn advisory(of_package: &[SeverityRating], own: &[SeverityRating]) -> Advisory {
        let affected = hullmark_types::Affected { severities: of_package.to_vec(), ..Default::default() };
        Advisory { severities: own.to_vec(), affected: vec![affected], ..Advisory::default() }
    }

    #[test]
    fn the_nearest_source_gives_the_level() {
        let (low, high) =
            ("CVSS:3.1/AV:N/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:N");
        let none = advisory(&[], &[]);
        for (own, related, severity, source) in [
            (none.clone(), none.clone(), Severity::Unrated, None),
            (
                advisory(&[rating("Debian", "unimportant")], &[rating("NVD", high)]),
                none.clone(),
                Severity::Negligible,
                Some("Debian"),
            ),
            (
                advisory(&[], &[rating("PyPI", high), rating("PyPI", "LOW")]),
                none.clone(),
                Severity::Critical,
                Some("PyPI (CVSS 3.1)"),
            ),
            (
                advisory(&[], &[rating("a", low), rating("b", high)]),
                none.clone(),
                Severity::Critical,
                Some("b (CVSS 3.1)"),
            ),
            (advisory(&[], &[rating("GitHub", "MODERATE")]), none.clone(), Severity::Medium, Some("GitHub")),
            (
                advisory(&[], &[rating("x", "unknown"), rating("x", "bad")]),
                none.clone(),
                Severity::Unrated,
                None,
            ),
            (
                none.clone(),
                advisory(&[], &[rating("PyPI", high)]),
                Severity::Critical,
                Some("PyPI (CVSS 3.1)"),
            ),
            (none.clone(), advisory(&[rating("Ubuntu", "high")], &[]), Severity::High, Some("Ubuntu")),
            (
                advisory(&[], &[rating("GitHub", "LOW")]),
                advisory(&[], &[rating("PyPI", high)]),
                Severity::Low,
                Some("GitHub"),
            ),
        ] {
            let found = rate(&[&own], &[&related]);
            assert_eq!((found.severity, found.source.as_deref()), (severity, source), "{own:?}");
        }
    }
}
