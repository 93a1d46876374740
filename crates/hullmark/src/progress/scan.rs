//! The progress of a scan.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hullmark_engine::ScanProgress;
use hullmark_image::{Image, Progress};
use hullmark_report::{ProgressEvent, ScanReport, safe_text};
use hullmark_types::{DiagnosticLevel, Inventory, LayerInfo, Outcome};
use indicatif::{HumanBytes, MultiProgress, ProgressBar};

use super::{byte_bar, style};
use crate::output::{Manner, Talk};

/// A layer's progress is told to machines not more often than for so many bytes.
const STEP: u64 = 1 << 20;

/// How many times a layer's progress is told to machines, where its size is known.
const STEPS: u64 = 20;

/// A bar for each layer of an image, or what stands in its place.
pub struct ScanBars<'a> {
    talk: &'a Talk,
    bars: MultiProgress,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The bar of the image.
    image: Option<ProgressBar>,
    /// How many layers the image has.
    count: usize,
    /// How many of them are known from the cache.
    recalled: usize,
    /// Those that are being read.
    layers: BTreeMap<u32, Layer>,
    in_part: InPart,
}

/// A layer that is being read.
struct Layer {
    bar: Option<ProgressBar>,
    size: Option<u64>,
    bytes: u64,
    /// How many bytes were told of.
    told: u64,
}

/// What was fetched of layers that were read by their table of contents.
#[derive(Default, Clone, Copy)]
struct InPart {
    layers: usize,
    fetched: u64,
    size: u64,
}

impl<'a> ScanBars<'a> {
    /// For the scan of one target.
    pub fn new(talk: &'a Talk) -> Self {
        Self { talk, bars: super::bars(talk), state: Mutex::default() }
    }

    /// Takes the bars away for something else to be said.
    pub fn clear(&self) {
        let _ = self.bars.clear();
    }

    /// Takes the bars away, and says how much was saved if layers were to be read in part.
    pub fn end(&self, lazy: bool) {
        let _ = self.bars.clear();
        if lazy {
            self.talk.note(self.in_part());
        }
    }

    /// How much was saved by reading layers in part, in words.
    fn in_part(&self) -> String {
        let InPart { layers, fetched, size } = self.state().in_part;
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of a step, by a line or an event.
    fn step(&self, line: impl FnOnce() -> String, event: impl FnOnce() -> ProgressEvent) {
        match self.talk.manner() {
            Manner::Lines => self.talk.line(&line()),
            Manner::Json => {
                self.talk.event(&event());
            }
            Manner::Bars | Manner::Silent => {}
        }
    }
}

/// `layer 2 of 5`, counted from 1 as in the report for people.
fn name(layer: u32, count: usize) -> String {
    format!("layer {} of {count}", layer.saturating_add(1))
}

/// `, 3.20 MiB`, where the size is known.
fn sized(size: Option<u64>) -> String {
    size.map(|size| format!(", {}", HumanBytes(size))).unwrap_or_default()
}

impl State {
    /// The bar of the image says how far it is.
    fn one_more(&self) {
        if let Some(image) = &self.image {
            if self.recalled > 0 {
                image.set_message(format!("{} from the cache", self.recalled));
            }
            image.inc(1);
        }
    }
}

impl Progress for ScanBars<'_> {
    fn layer_started(&self, layer: &LayerInfo, size: Option<u64>) {
        let mut state = self.state();
        let name = name(layer.index, state.count);
        let bar = (self.talk.manner() == Manner::Bars).then(|| byte_bar(&self.bars, &name, size));
        state.layers.insert(layer.index, Layer { bar, size, bytes: 0, told: 0 });
        drop(state);
        self.step(
            || format!("{name}: reading{}", sized(size)),
            || ProgressEvent::LayerStarted { layer: layer.index, digest: layer.digest.clone(), size },
        );
    }

    fn layer_bytes(&self, layer: u32, bytes: u64) {
        let mut state = self.state();
        let Some(known) = state.layers.get_mut(&layer) else { return };
        known.bytes = known.bytes.saturating_add(bytes);
        if let Some(bar) = known.bar.clone() {
            drop(state);
            return bar.inc(bytes);
        }
        let step = known.size.map_or(STEP, |size| (size / STEPS).max(STEP));
        if self.talk.manner() == Manner::Json && known.bytes - known.told >= step {
            known.told = known.bytes;
            // Within the lock, so that the numbers of a layer only grow.
            self.talk.event(&ProgressEvent::LayerProgress { layer, bytes: known.bytes, size: known.size });
        }
    }

    fn layer_fetched_in_part(&self, layer: &LayerInfo, fetched: u64) {
        let mut state = self.state();
        state.in_part.layers += 1;
        state.in_part.fetched += fetched;
        state.in_part.size += layer.size.unwrap_or_default();
        let name = name(layer.index, state.count);
        drop(state);
        self.step(
            || format!("{name}: {} of it fetched{}", HumanBytes(fetched), sized(layer.size)),
            || ProgressEvent::LayerFetchedInPart { layer: layer.index, fetched, size: layer.size },
        );
    }

    fn layer_recalled(&self, layer: &LayerInfo) {
        let mut state = self.state();
        state.recalled += 1;
        let name = name(layer.index, state.count);
        if self.talk.manner() == Manner::Bars {
            let bar = byte_bar(&self.bars, &name, layer.size);
            bar.set_style(style("{msg:24!} from the cache"));
            bar.abandon();
        }
        state.one_more();
        drop(state);
        self.step(
            || format!("{name}: from the cache{}", sized(layer.size)),
            || ProgressEvent::LayerRecalled {
                layer: layer.index,
                digest: layer.digest.clone(),
                size: layer.size,
            },
        );
    }

    fn layer_finished(&self, layer: u32) {
        let mut state = self.state();
        let name = name(layer, state.count);
        let Some(known) = state.layers.remove(&layer) else { return };
        if let Some(bar) = &known.bar {
            bar.finish_and_clear();
            self.bars.remove(bar);
        }
        state.one_more();
        drop(state);
        let bytes = known.bytes;
        self.step(
            || format!("{name}: read, {}", HumanBytes(bytes)),
            || ProgressEvent::LayerFinished { layer, bytes },
        );
    }
}

impl ScanProgress for ScanBars<'_> {
    fn image_opened(&self, image: &Image) {
        let (subject, layers) = (image.subject(), image.layers());
        let size = layers.iter().map(|layer| layer.size).sum::<Option<u64>>();
        let count = layers.len();
        let _ = self.bars.clear();
        let bar = (self.talk.manner() == Manner::Bars).then(|| {
            let bar = self.bars.add(ProgressBar::new(count as u64));
            bar.set_style(style("{prefix:24!} {pos} of {len} layers  {msg}"));
            bar.set_prefix(safe_text(&subject.name));
            bar
        });
        let in_part = self.state().in_part;
        *self.state() = State { image: bar, count, in_part, ..State::default() };
        self.step(
            || {
                let platform = subject.platform.as_ref();
                let platform = platform.map(|platform| format!(", {}", safe_text(&platform.to_string())));
                let layers = if count == 1 { "layer" } else { "layers" };
                let platform = platform.unwrap_or_default();
                format!("{}{platform}: {count} {layers}{}", safe_text(&subject.name), sized(size))
            },
            || ProgressEvent::Image {
                name: subject.name.clone(),
                digest: subject.digest().cloned(),
                platform: subject.platform.clone(),
                layers: count,
                size,
            },
        );
    }

    fn inventory_taken(&self, inventory: &Inventory) {
        let is_gap = |level| level == DiagnosticLevel::Gap;
        let gaps = inventory.diagnostics.iter().filter(|found| is_gap(found.level)).count();
        let packages = inventory.packages.len();
        self.step(
            || {
                let words = if packages == 1 { "package" } else { "packages" };
                let gaps = if gaps > 0 { format!(", {gaps} not assessed") } else { String::new() };
                format!("contents: {packages} {words}{gaps}")
            },
            || ProgressEvent::Inventory { packages, gaps },
        );
    }

    fn recorded(&self, report: &ScanReport) {
        let (outcome, findings) = (report.verdict.outcome, report.matches.findings.len());
        self.step(
            || {
                let outcome = match outcome {
                    Outcome::Passed => "passed",
                    Outcome::Warned => "passed with warnings",
                    Outcome::Failed => "failed",
                };
                let words = if findings == 1 { "finding" } else { "findings" };
                format!("verdict: {outcome}, {findings} {words}")
            },
            || ProgressEvent::Verdict {
                outcome,
                findings,
                worst: report.matches.findings.iter().map(|finding| finding.severity).max(),
            },
        );
    }
}
