//! When to try again, and after how long.

use std::time::Duration;

/// Waits. Passed in, so that tests do not.
pub type Sleep = fn(Duration);

/// The longest wait, whatever a server asks for.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Whether an answer says that the same request may succeed later.
pub(crate) fn is_transient(status: u16) -> bool {
    matches!(status, 429 | 500 | 502 | 503 | 504)
}

/// The wait before attempt number `attempt` (from 1): what the server asks for, else half a second doubling.
pub(crate) fn wait(attempt: u32, retry_after: Option<&str>) -> Duration {
    let asked = retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let backoff = Duration::from_millis(500).saturating_mul(1 << attempt.saturating_sub(1).min(10));
    asked.unwrap_or(backoff).min(MAX_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_are_bounded() {
        let seconds = |attempt, asked| wait(attempt, asked).as_secs_f64();
        assert_eq!(
            [seconds(1, None), seconds(2, None), seconds(3, None), seconds(30, None)],
            [0.5, 1.0, 2.0, 60.0]
        );
        assert_eq!(
            [seconds(1, Some("7")), seconds(1, Some("99999")), seconds(1, Some("soon"))],
            [7.0, 60.0, 0.5]
        );
    }
}
