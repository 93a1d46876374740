//! Dates as OSV records have them.

use jiff::Timestamp;

/// Reads RFC 3339 with `T` or a space. The zero date of some sources (year 1) and what does not parse are no date.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    text.trim().parse::<Timestamp>().ok().filter(|date| *date > Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_in_use_is_read() {
        for (text, expected) in [
            ("2023-10-04 17:15:00+00:00", Some("2023-10-04T17:15:00Z")),
            ("2023-10-10 14:28:19.389317+00:00", Some("2023-10-10T14:28:19.389317Z")),
            ("2026-01-07T00:00:00Z", Some("2026-01-07T00:00:00Z")),
            ("2024-05-06T07:08:09.123Z", Some("2024-05-06T07:08:09.123Z")),
            ("2024-05-06T07:08:09+02:00", Some("2024-05-06T05:08:09Z")),
            ("0001-01-01T00:00:00Z", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expected.map(|date| date.parse().unwrap()), "{text}");
        }
    }
}
