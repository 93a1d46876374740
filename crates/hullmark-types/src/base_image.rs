//! Base images: what an image was built on.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// How a base image is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BaseEvidence {
    /// The image begins with the layers of the base, which are known.
    Layers,
    /// The image says so, and the layers of the base are not known.
    Declared,
}

/// The image that an image was built on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BaseImage {
    /// Its name: under which it was made known, or that the image declares. A digest where no name is said.
    pub name: String,
    /// Digest of its manifest or index, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// How many of the layers are its, from the first; `None` where the layers of the base are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<u32>,
    /// How it is known.
    pub known_by: BaseEvidence,
}

/// Who brought something into an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The base image.
    Base,
    /// The layers on top of it.
    Own,
    /// The base image, or its layers, are not known.
    Unknown,
}

impl Origin {
    /// Its name, as in policies and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Own => "own",
            Self::Unknown => "unknown",
        }
    }
}
