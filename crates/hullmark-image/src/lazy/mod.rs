//! Layers that are read by their table of contents: only what is wanted of them is fetched.
//!
//! The manifest names the digest of the table of contents, and the table of contents names the digest of each part of a file.
//! Each part is verified before anyone gets to see a byte of it. That the rest of the layer is as the table of contents says
//! is verified by nobody, which is why all of this is for those who ask for it.

mod contents;
mod locate;
mod stream;

use std::io::{BufRead, Read};
use std::sync::atomic::Ordering;

use contents::{Contents, File};
use stream::{FileContent, Stream};

use crate::walk::{Reading, Walk};
use crate::{Entry, EntryKind, ImageError, LayerOutcome, LayerVisitor};

/// A layer of which parts can be fetched.
pub(crate) trait Parts: Sync {
    /// How many bytes it has, by the manifest's word.
    fn size(&self) -> u64;

    /// What the manifest says of it.
    fn annotation(&self, name: &str) -> Option<&str>;

    /// Fetches `length` bytes from `first` on.
    fn part(&self, first: u64, length: u64) -> Result<Box<dyn Read + Send + '_>, ImageError>;
}

/// Why a layer is not read by its table of contents.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    /// The manifest names no table of contents.
    #[error("the manifest names no table of contents that could be verified")]
    NoContents,
    /// The table of contents is not there, or is not what it should be.
    #[error("the table of contents {0}")]
    Contents(String),
    /// Its bytes are not those that the manifest names.
    #[error("the table of contents has not the digest that the manifest names")]
    Damaged,
    /// It would be no gain.
    #[error("hardly anything would be saved")]
    NoGain,
    /// What comes of it needs too much memory.
    #[error("what has to be kept of it needs more memory than there is")]
    Memory,
    /// A part could not be fetched.
    #[error("a part cannot be fetched: {0}")]
    Fetch(String),
    /// A part is not what the table of contents says.
    #[error("the part at byte {offset} {problem}")]
    Part {
        /// Where it begins in the layer.
        offset: u64,
        /// What is wrong with it.
        problem: String,
    },
}

/// How a layer is read by its table of contents.
#[derive(Clone, Copy)]
pub(crate) struct Lazy<'a> {
    pub(crate) parts: &'a dyn Parts,
    pub(crate) reading: &'a Reading<'a>,
    /// Whether it is of no use to go on.
    pub(crate) is_over: &'a (dyn Fn() -> bool + Sync),
    /// Is told of bytes that were fetched.
    pub(crate) fetched: &'a (dyn Fn(u64) + Sync),
}

impl Lazy<'_> {
    /// Hands the entries to the visitor in the order of the table of contents. After an error what the visitor was told is of
    /// no use.
    pub(crate) fn walk(
        &self,
        wants: &dyn Fn(&Entry) -> bool,
        planned: &dyn Fn(u64),
        visitor: &mut dyn LayerVisitor,
    ) -> Result<LayerOutcome, Unfit> {
        let located = locate::find(self)?;
        let Contents { files } = located.contents;
        let wanted = self.wanted(&files, wants);
        let chosen = files.iter().zip(&wanted).filter(|(_, wanted)| **wanted).map(|(file, _)| file);
        let mut stream = Stream::plan(self, chosen, located.compression)?;
        let total = located.fetched.saturating_add(stream.planned());
        let size = self.parts.size();
        // A whole layer is verified as a whole, which is worth something.
        if size.saturating_sub(total) < size / 8 {
            return Err(Unfit::NoGain);
        }
        planned(total);
        let mut walk = Walk::new(self.reading, visitor);
        let result = files.iter().zip(&wanted).try_for_each(|(file, wanted)| {
            walk.entries += 1;
            let Some(entry) = walk.entry_of(&file.member()) else { return Ok(()) };
            let mut content = FileContent::new(&mut stream, file);
            let is_file = entry.kind == EntryKind::File;
            // An empty file has nothing that could be fetched.
            let content: Option<&mut dyn BufRead> =
                (is_file && (*wanted || file.size == 0)).then_some(&mut content);
            walk.visit(&entry, content);
            stream.failure()?;
            if walk.keeps_too_much() { Err(Unfit::Memory) } else { Ok(()) }
        });
        if let Err(error) = result {
            let totals = self.reading.totals;
            totals.size.fetch_sub(stream.uncompressed, Ordering::Relaxed);
            totals.kept.fetch_sub(walk.kept, Ordering::Relaxed);
            return Err(error);
        }
        Ok(LayerOutcome {
            entries: walk.entries,
            diagnostics: walk.diagnostics,
            digest: None,
            diff_id: None,
            stored_size: located.fetched.saturating_add(stream.fetched),
            size: stream.uncompressed,
            kept: walk.kept,
            compression: Some(located.compression),
        })
    }

    /// Which files are wanted.
    fn wanted(&self, files: &[File], wants: &dyn Fn(&Entry) -> bool) -> Vec<bool> {
        struct Nobody;
        impl LayerVisitor for Nobody {
            fn entry(&mut self, _: &Entry, _: &mut dyn BufRead) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut nobody = Nobody;
        // What is to be said of an entry is said when it is handed over.
        let mut walk = Walk::new(self.reading, &mut nobody);
        let wanted = files.iter().map(|file| {
            file.is_regular()
                && walk
                    .entry_of(&file.member())
                    .is_some_and(|entry| entry.kind == EntryKind::File && wants(&entry))
        });
        wanted.collect()
    }
}
