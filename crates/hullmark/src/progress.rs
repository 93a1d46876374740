//! What the command is doing, as [`Manner`] says: bars, lines, events for machines, or nothing.
//!
//! [`ScanBars`] is told by a scan, [`FeedBars`] by an update of the advisories.

mod feeds;
mod scan;

pub use feeds::FeedBars;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
pub use scan::ScanBars;

use crate::interrupt;
use crate::output::{Manner, Talk};

/// A set of bars on standard error; hidden where there are none to be.
fn bars(talk: &Talk) -> MultiProgress {
    let bars = MultiProgress::with_draw_target(match talk.manner() {
        Manner::Bars => ProgressDrawTarget::stderr(),
        Manner::Lines | Manner::Json | Manner::Silent => ProgressDrawTarget::hidden(),
    });
    interrupt::show(&bars);
    bars
}

/// How a bar looks.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A bar of bytes, with rate and time left when the total is known.
fn byte_bar(bars: &MultiProgress, name: &str, total: Option<u64>) -> ProgressBar {
    let template = match total {
        Some(_) => "{msg:24!} {bar:30} {bytes:>10} of {total_bytes:10} {bytes_per_sec:>12} {eta:>4}",
        None => "{msg:24!} {spinner} {bytes:>10} {bytes_per_sec:>12}",
    };
    let bar = bars.add(total.map_or_else(ProgressBar::no_length, ProgressBar::new));
    bar.set_style(style(template));
    bar.set_message(name.to_owned());
    bar
}
