//! Spans of time as policies write them: `48h`, `14d`, `1h30m`.

/// Milliseconds of a day.
pub(crate) const DAY: i64 = 24 * HOUR;
const HOUR: i64 = 3_600_000;

const UNITS: [(&str, i64); 6] =
    [("w", 7 * DAY), ("d", DAY), ("h", HOUR), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a duration into milliseconds: whole numbers with the units w, d, h, m, s or ms, one after the other, and `0`.
///
/// These are the units of CEL without fractions, micro- and nanoseconds, plus days and weeks.
pub(crate) fn parse(text: &str) -> Option<i64> {
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at_checked(digits)?;
        let letters = after.bytes().take_while(u8::is_ascii_lowercase).count();
        let (unit, after) = after.split_at_checked(letters)?;
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(*factor)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

/// A duration for people, in its largest whole units: `3d 4h`, `48h` is `2d`.
pub(crate) fn display(milliseconds: i64) -> String {
    let (days, hours) = (milliseconds / DAY, milliseconds % DAY / HOUR);
    let minutes = milliseconds % HOUR / 60_000;
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{}s", milliseconds / 1_000),
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, 0) => format!("{hours}h"),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, 0, _) => format!("{days}d"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, expected) in [
            ("48h", Some(2 * DAY)),
            ("14d", Some(14 * DAY)),
            ("0d", Some(0)),
            ("0", Some(0)),
            ("1h30m", Some(5_400_000)),
            ("2w", Some(14 * DAY)),
            ("15ms", Some(15)),
            ("", None),
            ("h", None),
            ("12", None),
            ("-1h", None),
            ("1.5h", None),
            ("1 h", None),
            ("9223372036854775807w", None),
            ("99999999999999999999d", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn durations_are_shown_in_large_units() {
        for (milliseconds, expected) in [
            (0, "0s"),
            (61_000, "1m"),
            (HOUR, "1h"),
            (HOUR + 60_000, "1h 1m"),
            (49 * HOUR, "2d 1h"),
            (2 * DAY, "2d"),
        ] {
            assert_eq!(display(milliseconds), expected);
        }
    }
}
