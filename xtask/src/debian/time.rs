//! The date of a release of an archive, as files and images carry dates.

use anyhow::{Context, Result};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A moment in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Seconds since 1970, for files.
    pub(crate) seconds: u64,
    /// RFC 3339, for images.
    pub(crate) text: String,
}

impl Moment {
    /// Read the form of the `Date` field of a `Release` file: `Sat, 11 Jul 2026 10:16:37 UTC`.
    ///
    /// # Errors
    /// When the text has another form.
    pub(crate) fn parse(text: &str) -> Result<Moment> {
        parse(text).with_context(|| format!("`{text}` is not a date such as `Sat, 11 Jul 2026 10:16:37 UTC`"))
    }
}

fn parse(text: &str) -> Option<Moment> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [_, day, month, year, clock, "UTC" | "GMT" | "+0000"] = words.as_slice() else { return None };
    let day: u64 = day.parse().ok().filter(|day| (1..=31).contains(day))?;
    let month = 1 + u64::try_from(MONTHS.iter().position(|name| name == month)?).ok()?;
    let year: u64 = year.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let mut clock = clock.split(':').map(|part| part.parse::<u64>().ok().filter(|part| *part < 60));
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(Moment {
        seconds,
        text: format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"),
    })
}

/// Days from 1970-01-01 in the Gregorian calendar, counting years from March so that leap days come last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let before_year = year * 365 + year / 4 - year / 100 + year / 400;
    before_year + (153 * month_from_march + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_release_files() {
        let check = |text: &str, expected: Option<(u64, &str)>| {
            let found = parse(text);
            assert_eq!(
                found.as_ref().map(|moment| (moment.seconds, moment.text.as_str())),
                expected,
                "{text}"
            );
        };
        check("Thu, 01 Jan 1970 00:00:00 UTC", Some((0, "1970-01-01T00:00:00Z")));
        check("Tue, 29 Feb 2000 23:59:59 UTC", Some((951_868_799, "2000-02-29T23:59:59Z")));
        check("Sat, 11 Jul 2026 10:16:37 UTC", Some((1_783_764_997, "2026-07-11T10:16:37Z")));
        check("2026-07-11", None);
        check("Sat, 11 Foo 2026 10:16:37 UTC", None);
        check("Sat, 11 Jul 2026 10:16 UTC", None);
    }
}
