//! The tracked containers on disk, so that an agent that starts again takes up where it was killed.

use std::path::PathBuf;
use std::{fs, io};

use hullmark_types::Digest;

use super::ContainerRecord;
use crate::files::write_atomically;

/// The directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the record of a tracked container, `{}`: {source}", path.display())]
pub struct StateError {
    /// The file or directory.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// One file for each tracked container.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
}

impl StateDirectory {
    /// Opens or makes the directory.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(path: PathBuf) -> Result<Self, StateError> {
        fs::create_dir_all(&path).map_err(|source| StateError { path: path.clone(), source })?;
        Ok(Self { path })
    }

    fn file(&self, id: &str) -> PathBuf {
        // Ids are chosen by whoever runs the container; a digest is a safe name.
        self.path.join(format!("{}.json", Digest::sha256(id.as_bytes()).hex()))
    }

    /// Keeps a record.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, record: &ContainerRecord) -> Result<(), StateError> {
        let path = self.file(&record.id);
        let written = serde_json::to_vec(record)
            .map_err(io::Error::from)
            .and_then(|bytes| write_atomically(&path, &bytes));
        written.map_err(|source| StateError { path, source })
    }

    /// Removes a record.
    pub fn forget(&self, id: &str) {
        let path = self.file(id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "cannot remove the record of a container that is gone");
            }
            _ => {}
        }
    }

    /// All records. One that cannot be read is said and passed over.
    pub fn all(&self) -> Vec<ContainerRecord> {
        let mut records = Vec::new();
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match fs::read(&path).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?)) {
                Ok(record) => records.push(record),
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "the record of a container cannot be read");
                }
            }
        }
        records
    }
}
