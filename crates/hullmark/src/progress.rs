//! Progress: bars on a terminal, nothing otherwise.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};

use hullmark_advisory::{FeedOutcome, FeedReport, UpdateProgress};
use hullmark_types::LayerInfo;
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Talk;

/// A set of bars on standard error; hidden when that is not a terminal, or with `--quiet`.
pub fn bars(talk: &Talk) -> MultiProgress {
    let shown = !talk.is_quiet() && std::io::stderr().is_terminal();
    MultiProgress::with_draw_target(if shown {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    })
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

/// A bar for each layer of an image.
pub struct LayerBars<'a> {
    bars: &'a MultiProgress,
    layers: Mutex<BTreeMap<u32, ProgressBar>>,
    in_part: Mutex<InPart>,
}

/// What was fetched of layers that were read by their table of contents.
#[derive(Default)]
struct InPart {
    layers: usize,
    fetched: u64,
    size: u64,
}

impl<'a> LayerBars<'a> {
    /// Bars for the layers of one image.
    pub fn new(bars: &'a MultiProgress) -> Self {
        Self { bars, layers: Mutex::new(BTreeMap::new()), in_part: Mutex::default() }
    }

    /// Takes the bars away, and says how much was saved if layers were to be read in part.
    pub fn end(&self, talk: &Talk, lazy: bool) {
        let _ = self.bars.clear();
        if lazy {
            talk.note(self.in_part());
        }
    }

    /// How much was saved by reading layers in part, in words.
    fn in_part(&self) -> String {
        let InPart { layers, fetched, size } = *self.in_part.lock().unwrap_or_else(PoisonError::into_inner);
        match layers {
            0 => "no layer was read by its table of contents".to_owned(),
            _ => format!(
                "{layers} {} read by a table of contents: {} of {} fetched, {} saved",
                if layers == 1 { "layer was" } else { "layers were" },
                HumanBytes(fetched),
                HumanBytes(size),
                HumanBytes(size.saturating_sub(fetched))
            ),
        }
    }

    fn with(&self, layer: u32, act: impl FnOnce(&ProgressBar)) {
        if let Some(bar) = self.layers.lock().ok().and_then(|layers| layers.get(&layer).cloned()) {
            act(&bar);
        }
    }
}

impl hullmark_image::Progress for LayerBars<'_> {
    fn layer_started(&self, layer: &LayerInfo, size: Option<u64>) {
        let bar = byte_bar(self.bars, &format!("layer {}", layer.index + 1), size);
        if let Ok(mut layers) = self.layers.lock() {
            layers.insert(layer.index, bar);
        }
    }

    fn layer_bytes(&self, layer: u32, bytes: u64) {
        self.with(layer, |bar| bar.inc(bytes));
    }

    fn layer_fetched_in_part(&self, layer: &LayerInfo, fetched: u64) {
        let mut in_part = self.in_part.lock().unwrap_or_else(PoisonError::into_inner);
        in_part.layers += 1;
        in_part.fetched += fetched;
        in_part.size += layer.size.unwrap_or_default();
    }

    fn layer_finished(&self, layer: u32) {
        self.with(layer, ProgressBar::finish_and_clear);
    }
}

/// A bar for each feed that is being fetched; without a terminal, a line for each that ended.
pub struct FeedBars<'a> {
    bars: MultiProgress,
    talk: &'a Talk,
    feeds: Mutex<BTreeMap<String, ProgressBar>>,
}

impl<'a> FeedBars<'a> {
    /// Bars for one update.
    pub fn new(talk: &'a Talk) -> Self {
        Self { bars: bars(talk), talk, feeds: Mutex::new(BTreeMap::new()) }
    }
}

impl UpdateProgress for FeedBars<'_> {
    fn started(&self, feed: &str) {
        let bar = self.bars.add(ProgressBar::no_length());
        bar.set_style(
            ProgressStyle::with_template("{msg:36!} {wide_bar} {human_pos:>12}")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_message(feed.to_owned());
        if let Ok(mut feeds) = self.feeds.lock() {
            feeds.insert(feed.to_owned(), bar);
        }
    }

    fn advanced(&self, feed: &str, done: u64, total: Option<u64>) {
        if let Some(bar) = self.feeds.lock().ok().and_then(|feeds| feeds.get(feed).cloned()) {
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(done);
        }
    }

    fn finished(&self, report: &FeedReport) {
        if let Some(bar) = self.feeds.lock().ok().and_then(|mut feeds| feeds.remove(&report.name)) {
            bar.finish_and_clear();
        }
        self.bars.suspend(|| match &report.outcome {
            FeedOutcome::Updated { status } => {
                self.talk.note(format!("{}: {} records", report.name, status.records));
            }
            FeedOutcome::KeptPrevious { reason, status, .. } => self.talk.warn(format!(
                "{}: kept the {} records of {}: {reason}",
                report.name,
                status.records,
                status
                    .data_date
                    .or(status.fetched)
                    .map_or_else(|| "an earlier update".to_owned(), |date| date.to_string()),
            )),
            FeedOutcome::Failed { reason, .. } => {
                self.talk.warn(format!("{}: not available: {reason}", report.name))
            }
            FeedOutcome::NotOffered => {}
        });
    }
}
