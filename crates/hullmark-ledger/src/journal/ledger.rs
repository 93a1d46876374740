//! A ledger with a journal: what a server appends to.

use std::thread::JoinHandle;

use crate::append::Receipt;
use crate::checkpoint::Checkpoint;
use crate::error::LedgerError;
use crate::files::Disk;
use crate::journal::integrator::{Publication, integrate};
use crate::journal::writer::JournalWriter;
use crate::ledger::Ledger;

/// A ledger that is appended to by one write and one flush, and published by a thread of its own.
///
/// Readers of the directory see an entry once it is published, at most some tenths of a second later;
/// [`Publication::wait`] waits for that. When it is dropped, all is published first.
#[derive(Debug)]
pub struct JournaledLedger {
    writer: JournalWriter,
    publication: Publication,
    thread: Option<JoinHandle<()>>,
}

impl JournaledLedger {
    /// Goes on with a ledger that was opened for appending, publishes what its journal holds, and starts the thread.
    ///
    /// # Errors
    /// The ledger was opened to read only, its journal or end is damaged, the disk refuses, or there is no thread to be
    /// had.
    pub fn open(ledger: Ledger) -> Result<Self, LedgerError> {
        let writer = JournalWriter::new(&mut Disk, ledger)?;
        let published = Ledger {
            root: writer.ledger.root.clone(),
            signer: None,
            verifier: writer.ledger.verifier.clone(),
            checkpoint: writer.ledger.checkpoint.clone(),
        };
        let publication = Publication::default();
        let shared = publication.clone();
        let thread = std::thread::Builder::new()
            .name("integrator".to_owned())
            .spawn(move || integrate(published, Box::new(Disk), &shared))
            .map_err(LedgerError::io("start the thread that publishes", &writer.ledger.root))?;
        Ok(Self { writer, publication, thread: Some(thread) })
    }

    /// Appends entries, in their order and next to each other. When this returns they are on the disk and signed.
    ///
    /// All or none, also for a process killed at any moment. No entry is no change.
    ///
    /// # Errors
    /// An entry or all together are too long, the disk refuses, the ledger or its journal is damaged, was rolled back or
    /// replaced, or too much waits and cannot be published. After an error the entries count as not appended; only if the
    /// very last flush failed may a later reader find them.
    pub fn append(&mut self, entries: Vec<Vec<u8>>) -> Result<Vec<Receipt>, LedgerError> {
        self.publication.make_room()?;
        let Some(appended) = self.writer.append(&mut Disk, entries)? else { return Ok(Vec::new()) };
        self.publication.push(appended.recorded, appended.closed);
        Ok(appended.receipts)
    }

    /// The name of the ledger.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.writer.ledger.origin()
    }

    /// The checkpoint signed last.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        self.writer.ledger.checkpoint()
    }

    /// Entries by the checkpoint signed last.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.writer.ledger.size()
    }

    /// Tells how far publishing is.
    #[must_use]
    pub fn publication(&self) -> Publication {
        self.publication.clone()
    }

    /// Publishes all and empties the journal; it can be appended to again afterwards.
    ///
    /// # Errors
    /// Something cannot be published.
    pub fn settle(&mut self) -> Result<(), LedgerError> {
        self.publication.wait()?;
        self.writer.release(&mut Disk)
    }
}

impl Drop for JournaledLedger {
    fn drop(&mut self) {
        self.publication.end();
        if let Some(thread) = self.thread.take()
            && thread.join().is_ok()
            && self.publication.is_complete()
        {
            // What stays is published already, and passed over by every reader.
            let _stays = self.writer.release(&mut Disk);
        }
    }
}
