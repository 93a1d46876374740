//! Where the bytes of layers are: in files, in an archive, in a registry.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use crate::ImageError;
use crate::archive::{Archive, Place};
use crate::lazy::Parts;
use crate::oci::Blob;
use crate::registry::Repository;
use crate::rootfs::Tree;
use crate::streamed::Stream;

/// Where the bytes of the layers are.
#[derive(Debug)]
pub(crate) enum Source {
    /// Where each can be read on its own.
    Blobs(Box<dyn LayerSource>),
    /// Members of a compressed archive, which are read in the order in which they stand; nowhere for layers that are stored
    /// elsewhere than the image.
    Sequence { archive: Archive, places: Vec<Option<Place>> },
    /// Directories, one for each layer.
    Trees(Vec<Tree>),
    /// What comes once; `None` when it has come.
    Streamed(Option<Box<Stream>>),
}

/// Layers as stored, which can be read in any order and from several threads.
pub(crate) trait LayerSource: std::fmt::Debug + Send + Sync {
    /// Opens the bytes of a layer as stored; `None` for a layer that is stored elsewhere than the image.
    fn open(&self, index: usize) -> Result<Option<Box<dyn Read + Send + '_>>, ImageError>;

    /// Names where the bytes of a layer come from, for errors.
    fn place(&self, index: usize) -> String;

    /// A layer of which parts can be fetched.
    fn parts(&self, index: usize) -> Option<Box<dyn Parts + '_>> {
        let _ = index;
        None
    }
}

/// Layers in files.
#[derive(Debug)]
pub(crate) struct Files(pub(crate) Vec<Option<PathBuf>>);

impl LayerSource for Files {
    fn open(&self, index: usize) -> Result<Option<Box<dyn Read + Send + '_>>, ImageError> {
        let Some(path) = self.0.get(index).and_then(Option::as_ref) else { return Ok(None) };
        let file = File::open(path).map_err(|source| ImageError::Io { path: path.clone(), source })?;
        Ok(Some(Box::new(file)))
    }

    fn place(&self, index: usize) -> String {
        self.0.get(index).and_then(Option::as_ref).map(|path| path.display().to_string()).unwrap_or_default()
    }
}

/// Layers in an archive that is not compressed.
#[derive(Debug)]
struct Members {
    archive: Archive,
    places: Vec<Option<Place>>,
}

impl LayerSource for Members {
    fn open(&self, index: usize) -> Result<Option<Box<dyn Read + Send + '_>>, ImageError> {
        let Some(place) = self.places.get(index).copied().flatten() else { return Ok(None) };
        Ok(Some(Box::new(self.archive.at(place)?)))
    }

    fn place(&self, _index: usize) -> String {
        self.archive.path().display().to_string()
    }
}

/// Layers in a registry.
#[derive(Debug)]
pub(crate) struct RegistryLayers {
    pub(crate) repository: Box<Repository>,
    pub(crate) blobs: Vec<Blob>,
}

impl LayerSource for RegistryLayers {
    fn open(&self, index: usize) -> Result<Option<Box<dyn Read + Send + '_>>, ImageError> {
        let Some(Blob { digest, foreign, .. }) = self.blobs.get(index) else { return Ok(None) };
        match self.repository.layer(digest) {
            Err(ImageError::Registry { status: 404, .. }) if *foreign => Ok(None),
            Err(error) => Err(error),
            Ok(blob) => Ok(Some(Box::new(blob))),
        }
    }

    fn place(&self, index: usize) -> String {
        let digest = self.blobs.get(index).map(|blob| blob.digest.to_string()).unwrap_or_default();
        format!("{}@{digest}", self.repository.name())
    }

    fn parts(&self, index: usize) -> Option<Box<dyn Parts + '_>> {
        let blob = self.blobs.get(index)?;
        Some(Box::new(RegistryParts { repository: &self.repository, blob }))
    }
}

/// A layer in a registry, of which parts can be fetched.
struct RegistryParts<'a> {
    repository: &'a Repository,
    blob: &'a Blob,
}

impl Parts for RegistryParts<'_> {
    fn size(&self) -> u64 {
        self.blob.size
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.blob.annotations.get(name).map(String::as_str)
    }

    fn part(&self, first: u64, length: u64) -> Result<Box<dyn Read + Send + '_>, ImageError> {
        Ok(Box::new(self.repository.part(&self.blob.digest, first, length)?))
    }
}

impl Source {
    /// Layers that are members of an archive.
    pub(crate) fn archive(archive: Archive, places: Vec<Option<Place>>) -> Self {
        match archive.is_compressed() {
            true => Self::Sequence { archive, places },
            false => Self::Blobs(Box::new(Members { archive, places })),
        }
    }
}
