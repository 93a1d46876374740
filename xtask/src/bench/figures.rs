//! Figures of repeated runs: medians, and ratios of runs that stood side by side.

use serde_json::{Value, json};

/// One run of one program.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figures {
    /// Seconds from start to end.
    pub(super) wall: f64,
    /// Seconds of all processors.
    pub(super) processor: f64,
    /// Bytes of memory at the peak.
    pub(super) peak: f64,
}

impl Figures {
    /// Read what `hullmark-bench measure` prints; times are in microseconds there.
    pub(super) fn read(measured: &Value) -> Option<Figures> {
        let number = |name: &str| measured[name].as_f64();
        Some(Figures {
            wall: number("wall")? / 1e6,
            processor: (number("user")? + number("system")?) / 1e6,
            peak: number("peak")?,
        })
    }

    /// As it is kept among the results.
    pub(super) fn show(&self) -> Value {
        json!({"wall_seconds": self.wall, "processor_seconds": self.processor, "peak_bytes": self.peak})
    }

    /// The inverse of [`Figures::show`].
    pub(super) fn parse(value: &Value) -> Option<Figures> {
        let number = |name: &str| value[name].as_f64();
        Some(Figures {
            wall: number("wall_seconds")?,
            processor: number("processor_seconds")?,
            peak: number("peak_bytes")?,
        })
    }
}

/// The median of some numbers; of an even count, the mean of the middle two.
pub(super) fn median(numbers: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    if numbers.len() % 2 == 1 {
        return numbers.get(middle).copied();
    }
    Some((numbers.get(middle.checked_sub(1)?)? + numbers.get(middle)?) / 2.0)
}

/// The median of the ratios of the wall times of runs of the same round.
pub(super) fn ratio(of: &[Figures], to: &[Figures]) -> Option<f64> {
    median(of.iter().zip(to).map(|(of, to)| of.wall / to.wall))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ratios() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([]), None);
        let figures = |wall| Figures { wall, processor: 1.0, peak: 1.0 };
        // A slow round is slow for both.
        let ratio =
            ratio(&[figures(2.0), figures(20.0), figures(2.2)], &[figures(1.0), figures(10.0), figures(1.0)]);
        assert_eq!(ratio, Some(2.0));
    }

    #[test]
    fn figures_are_kept() {
        let measured = json!({"wall": 1_500_000, "user": 1_000_000, "system": 250_000, "peak": 1024});
        let figures = Figures::read(&measured).unwrap();
        assert_eq!(figures, Figures { wall: 1.5, processor: 1.25, peak: 1024.0 });
        assert_eq!(Figures::parse(&figures.show()), Some(figures));
        assert_eq!(Figures::read(&json!({"wall": 1})), None);
    }
}
