//! Progress: bars on a terminal, nothing otherwise.

use std::io::IsTerminal;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Talk;

/// A set of bars on standard error; hidden when that is not a terminal, or with `--quiet`.
pub fn bars(talk: &Talk) -> MultiProgress {
    let shown = !talk.is_quiet() && std::io::stderr().is_terminal();
    MultiProgress::with_draw_target(if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() })
}

/// A bar of bytes, with rate and time left when the total is known.
pub fn byte_bar(bars: &MultiProgress, name: &str, total: Option<u64>) -> ProgressBar {
    let template = match total {
        Some(_) => "{msg:24!} {bar:30} {bytes:>10} of {total_bytes:10} {bytes_per_sec:>12} {eta:>4}",
        None => "{msg:24!} {spinner} {bytes:>10} {bytes_per_sec:>12}",
    };
    let bar = bars.add(total.map_or_else(ProgressBar::no_length, ProgressBar::new));
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(name.to_owned());
    bar
}
