//! Those who read a file as its bytes pass, and the memory that they hold of it.

use hullmark_image::{Held, Pool};

use crate::extractor::Passing;
use crate::layer::KEPT_BUFFER;
use crate::{Extraction, Extractor};

/// The extractors that read one file as it passes.
pub(crate) struct Passengers<'a> {
    members: Vec<(&'static dyn Extractor, Box<dyn Passing>)>,
    pool: &'a Pool,
    held: Option<Held<'a>>,
    /// The memory that they hold is accounted for, by `held` or by who made this.
    is_accounted: bool,
}

impl<'a> Passengers<'a> {
    /// Takes what the `members` hold from `pool`, once it is worth it.
    pub(crate) fn new(members: Vec<(&'static dyn Extractor, Box<dyn Passing>)>, pool: &'a Pool) -> Self {
        Self { members, pool, held: None, is_accounted: false }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The most that all together may come to hold.
    pub(crate) fn max_kept(&self) -> u64 {
        self.members.iter().map(|(_, passing)| passing.max_kept()).fold(0, u64::saturating_add)
    }

    /// Someone else has taken [`max_kept`](Self::max_kept) from the pool: who holds a part of it must not wait for another.
    pub(crate) fn accounted(self) -> Self {
        Self { is_accounted: true, ..self }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let mut kept = 0_u64;
        for (_, passing) in &mut self.members {
            passing.bytes(bytes);
            kept = kept.saturating_add(passing.kept());
        }
        if kept > KEPT_BUFFER && !self.is_accounted {
            self.is_accounted = true;
            self.held = self.pool.take(self.max_kept().min(self.pool.size()));
        }
    }

    /// What each found in the file at `path`, which has ended.
    pub(crate) fn finish(self, path: &str) -> Vec<(&'static dyn Extractor, Extraction)> {
        let Self { members, held, .. } = self;
        let found =
            members.into_iter().map(|(extractor, passing)| (extractor, passing.finish(path))).collect();
        drop(held);
        found
    }
}
