//! Acquire and unpack images: sources, layers, whiteouts, limits.
//!
//! [`Target`] says where an image is, [`open`] makes an [`Image`] of it (subject, configuration, layers), and
//! [`Image::walk`] hands the entries of each layer to an [`ImageVisitor`], in one streaming pass with every digest
//! verified. Hostile input is the normal case: see [`Limits`]. [`RegistryClient`] is for those who pass on what a registry
//! holds; [`open_blobs`] takes apart what they have fetched.

mod access;
mod archive;
mod auth;
mod blob;
mod certificates;
mod challenge;
mod client;
mod compression;
mod containerd;
mod containers_storage;
mod credentials;
mod daemon;
mod docker_archive;
mod documents;
mod endpoint;
mod engines;
mod error;
mod filled;
mod helper;
mod image;
mod lazy;
mod limits;
mod memory;
mod oci;
mod path;
mod platforms;
mod process;
mod registry;
mod rootfs;
mod source;
mod streamed;
mod tar;
mod target;
mod unix;
mod unpack;
mod walk;
mod zstd_frames;

pub use access::{ClientCertificate, CredentialSources, Mirror, MirrorError, RegistryAccess};
pub use blob::Blob;
pub use client::{Document, DocumentHead, Page, RegistryClient, RegistryOptions};
pub use compression::Compression;
pub use engines::LocalEngines;
pub use error::{ImageError, TargetError};
pub use image::{AcquireOptions, Image, NoProgress, Progress, open, open_blobs};
pub use limits::Limits;
pub use memory::{DEFAULT_MEMORY, Held, MIN_MEMORY, Memory, Pool};
pub use platforms::{ManifestPath, PlatformImage, platforms};
pub use streamed::open_stream;
pub use target::{ArchiveKind, Storage, Target};
pub use walk::{Entry, EntryKind, ImageVisitor, LayerOutcome, LayerVisitor, Recalled, walk_layer};
