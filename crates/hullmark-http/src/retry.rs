//! When to try again, and after how long.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;

/// Waits. Passed in, so that tests do not.
pub type Sleep = fn(Duration);

/// The longest wait, whatever a server asks for.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Whether an answer says that the same request may succeed later.
pub(crate) fn is_transient(status: u16) -> bool {
    matches!(status, 429 | 500 | 502 | 503 | 504)
}

/// The wait before attempt number `attempt` (from 1): what the server asks for in `Retry-After`, as seconds or as a date that
/// is compared with the server's own `Date` (RFC 9110, sections 10.2.3 and 6.6.1), else half a second doubling.
pub(crate) fn wait(attempt: u32, retry_after: Option<&str>, date: Option<&str>) -> Duration {
    let asked = retry_after.and_then(|text| match text.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let until = timestamp(text)?.duration_since(timestamp(date?)?);
            Some(until.try_into().unwrap_or(Duration::ZERO))
        }
    });
    let backoff = Duration::from_millis(500).saturating_mul(1 << attempt.saturating_sub(1).min(10));
    asked.unwrap_or(backoff).min(MAX_WAIT)
}

fn timestamp(text: &str) -> Option<Timestamp> {
    rfc2822::parse(text.trim()).ok().map(|date| date.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(attempt: u32, asked: Option<&str>, expected: f64) {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(wait(attempt, asked, date).as_secs_f64(), expected, "{attempt} {asked:?}");
    }

    #[test]
    fn waits_double_and_are_bounded() {
        for (attempt, expected) in [(1, 0.5), (2, 1.0), (3, 2.0), (30, 60.0)] {
            check(attempt, None, expected);
        }
    }

    #[test]
    fn what_the_server_asks_for_is_honoured_within_bounds() {
        check(1, Some("7"), 7.0);
        check(1, Some("99999"), 60.0);
        check(1, Some("soon"), 0.5);
        check(1, Some("Sun, 06 Nov 1994 08:49:57 GMT"), 20.0);
        check(1, Some("Sun, 06 Nov 1994 08:49:00 GMT"), 0.0);
        check(1, Some("Sat, 06 Nov 2094 08:49:37 GMT"), 60.0);
        assert_eq!(wait(1, Some("Sun, 06 Nov 1994 08:49:57 GMT"), None).as_secs_f64(), 0.5);
    }
}
