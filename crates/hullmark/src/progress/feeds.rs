//! The progress of an update of the advisories.

use std::collections::BTreeMap;
use std::sync::Mutex;

use hullmark_advisory::{FeedOutcome, FeedReport, UpdateProgress};
use hullmark_report::ProgressEvent;
use indicatif::{MultiProgress, ProgressBar};

use super::style;
use crate::output::Talk;

/// A bar for each feed that is being fetched, or a line or an event for each that ended.
pub struct FeedBars<'a> {
    bars: MultiProgress,
    talk: &'a Talk,
    feeds: Mutex<BTreeMap<String, ProgressBar>>,
}

impl<'a> FeedBars<'a> {
    /// Bars for one update.
    pub fn new(talk: &'a Talk) -> Self {
        Self { bars: super::bars(talk), talk, feeds: Mutex::new(BTreeMap::new()) }
    }
}

impl UpdateProgress for FeedBars<'_> {
    fn started(&self, feed: &str) {
        self.talk.event(&ProgressEvent::FeedStarted { feed: feed.to_owned() });
        let bar = self.bars.add(ProgressBar::no_length());
        bar.set_style(style("{msg:36!} {wide_bar} {human_pos:>12}"));
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
        let (records, problem) = match &report.outcome {
            FeedOutcome::Updated { status } => (status.records, None),
            FeedOutcome::KeptPrevious { reason, status, .. } => (status.records, Some(reason)),
            FeedOutcome::Failed { reason, .. } => (0, Some(reason)),
            FeedOutcome::NotOffered => (0, None),
        };
        let feed = report.name.clone();
        let problem = problem.map(ToString::to_string);
        if self.talk.event(&ProgressEvent::FeedFinished { feed, records, problem }) {
            return;
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
