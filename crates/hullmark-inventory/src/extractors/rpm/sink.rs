//! Where the readers of the stores put what they find, and the limits that hold for all of them.

use std::fmt::Display;

use hullmark_types::Diagnostic;

use super::package;
use crate::{Extraction, MAX_OWNED_BYTES};

const OWNED_LIMIT: &str = "the paths of installed files take too much memory; the rest was not taken";

/// Takes the headers of packages.
pub(super) struct Sink<'a> {
    path: &'a str,
    found: Extraction,
    /// How many bytes of headers may still come. A store holds each byte for one package only; one that is cut off says more.
    headers: usize,
    /// How many bytes of paths may still come.
    owned: usize,
}

impl<'a> Sink<'a> {
    /// For the store at `path`, which is `size` bytes long.
    pub(super) fn new(path: &'a str, size: usize) -> Self {
        Self { path, found: Extraction::default(), headers: size.saturating_mul(2), owned: MAX_OWNED_BYTES }
    }

    pub(super) fn finish(self) -> Extraction {
        self.found
    }

    /// Whether a header of `length` bytes may come; that it may not is said. To be asked before its parts are put together.
    pub(super) fn allows(&mut self, length: usize) -> bool {
        match self.headers.checked_sub(length) {
            Some(left) => {
                self.headers = left;
                true
            }
            None => {
                self.headers = 0;
                let message = "the packages are more than twice as large together as the database: it is cut off, or they overlap; the rest was not taken";
                self.found.report_once(Diagnostic::gap("limit-database-size", self.path, message));
                false
            }
        }
    }

    /// Takes the header that is at `place` in the store.
    pub(super) fn header(&mut self, place: impl Display, blob: &[u8]) {
        match package::read(blob) {
            Ok(Some(read)) => {
                let count = self.found.packages.len();
                self.found.add_package(self.path, read.package);
                // One that was refused owns nothing.
                if self.found.packages.len() > count {
                    self.owned(read.owned);
                }
            }
            Ok(None) => {}
            Err(error) => self.broken(format!("the package at {place} cannot be read: {error}")),
        }
    }

    fn owned(&mut self, owned: package::Owned<'_>) {
        match owned.collect(&mut self.owned) {
            Ok(files) if files.files.is_empty() => {}
            Ok(files) => self.found.owned.push(files),
            Err(package::OwnedError::Limit(files)) => {
                self.found.owned.push(files);
                self.found.report_once(Diagnostic::gap("limit-owned-files", self.path, OWNED_LIMIT));
            }
            Err(package::OwnedError::Malformed(files)) => {
                let message = format!("the list of files of `{}` is malformed", files.package);
                self.found.owned.push(files);
                self.broken(message);
            }
        }
    }

    /// Says something of the store that makes nothing of it unreadable.
    pub(super) fn note(&mut self, code: &str, message: impl Into<String>) {
        self.found.note(code, self.path, message);
    }

    /// Says that something of the store cannot be read.
    pub(super) fn broken(&mut self, message: impl Into<String>) {
        self.found.gap("malformed-package-database", self.path, message);
    }

    /// Says that all of the store cannot be read.
    pub(super) fn unsupported(&mut self, message: impl Into<String>) {
        self.found.gap("unsupported-package-database", self.path, message);
    }
}
