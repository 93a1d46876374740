//! Which image a container is made from, found out without asking the engine.
//!
//! The engine waits for the hook, so it cannot be asked. Its storage can be read: [`storage`] is that of podman and CRI-O,
//! [`docker`] that of Docker. Both are found from the path of the root file system, which the runtime mounted, and looked up
//! by the id of the container, which the runtime gave. [`annotation`] is what remains for containerd, whose storage cannot
//! be read from outside.
//!
//! Annotations are the word of whoever made the container: `podman run --annotation` sets any of them. So where an engine's
//! storage is found its answer is final, also when the answer is that there is no image.

pub mod annotation;
pub mod docker;
pub mod storage;

use std::io;
use std::path::PathBuf;

use hullmark_types::ImageIdentity;

use crate::oci::{BundleConfiguration, State};

/// Where the identity of an image was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// In the storage of podman or CRI-O.
    ContainersStorage,
    /// In the storage of Docker.
    Docker,
    /// In an annotation of the container.
    Annotation,
}

impl Source {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::ContainersStorage => "containers-storage",
            Self::Docker => "docker-storage",
            Self::Annotation => "annotation",
        }
    }
}

/// The image of a container cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The storage cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The storage does not parse.
    #[error("`{path}` is malformed")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The storage was found and does not know the container.
    #[error("no container `{container}` in `{path}`")]
    NoContainer {
        /// The file.
        path: PathBuf,
        /// Id of the container.
        container: String,
    },
    /// The container is made from no image.
    #[error("the container is not made from an image but from a plain directory")]
    NoImage,
    /// The root file system is not the one that the storage has for the container.
    #[error("the root file system `{root}` is not the one that the engine made for the container")]
    OtherRoot {
        /// The root file system.
        root: PathBuf,
    },
    /// Nothing names the image by a digest.
    #[error("neither the storage of an engine nor an annotation names the image by a digest")]
    Unknown,
}

/// Finds the image of a container.
///
/// # Errors
/// When it cannot be told. What is known of its name is lost then: a name without a digest identifies nothing.
pub fn identify(
    state: &State,
    configuration: &BundleConfiguration,
) -> Result<(ImageIdentity, Source), IdentityError> {
    let root = configuration.root.as_deref();
    if let Some(image) = storage::find(state, root)? {
        return Ok((image, Source::ContainersStorage));
    }
    if let Some(image) = docker::find(state, root)? {
        return Ok((image, Source::Docker));
    }
    match annotation::find(&configuration.annotations) {
        Some(image) => Ok((image, Source::Annotation)),
        None => Err(IdentityError::Unknown),
    }
}
