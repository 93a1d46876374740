//! Acquire and unpack images: sources, layers, whiteouts, limits.
//!
//! [`Target`] says where an image is, [`open`] makes an [`Image`] of it (subject, configuration, layers), and
//! [`Image::walk`] hands the entries of each layer to an [`ImageVisitor`], in one streaming pass with every digest
//! verified. Hostile input is the normal case: see [`Limits`].

mod compression;
mod limits;
mod path;
mod tar;
mod walk;

pub use compression::Compression;
pub use limits::Limits;
pub use walk::{Entry, EntryKind, ImageVisitor, LayerOutcome, LayerVisitor, walk_layer};
