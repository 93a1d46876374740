//! Find the software in an image: from layers to an [`Inventory`](hullmark_types::Inventory).
//!
//! An [`Extractor`] selects files and parses them into an [`Extraction`]. A [`LayerCollector`] offers it the files of
//! one layer; the [`LayerInventory`] that results depends on that layer alone. [`merge()`] puts the layers on top of each
//! other, so that what a layer hides is gone, and names for each package the layer that brought it. [`build`] does all
//! of it for an image. [`MergedView`] says which files there are, which layer brought each, and what was removed.
//!
//! Programs are digested on the way: the same pass gives the [`ImageProfile`](hullmark_types::ImageProfile) that the agent
//! holds a running container to.
//!
//! What cannot be read is a diagnostic in the inventory, with its path; there is never a silent absence.

mod base;
mod coverage;
mod distribution;
mod extraction;
mod extractor;
pub mod extractors;
mod known;
mod layer;
mod license_text;
mod merge;
mod nix_store;
mod nuget;
mod ownership;
mod passing;
mod program;
mod project;
mod provided;
mod purl;
mod repeated;
mod requirements;
mod root;
mod text;
mod third_party;
mod unrecognised;
mod unsupported;
mod view;
mod visitor;
mod xml;
mod zip;

pub use base::{BaseIndex, BaseIndexError, KnownBase, attribute_base};
pub use coverage::{KindCoverage, kind_coverage};
pub use extraction::{
    Details, DistributionClue, Extraction, FoundPackage, MAX_DIAGNOSTICS, MAX_OWNED_BYTES, MAX_PACKAGES,
    OwnedFiles, Requirement,
};
pub use extractor::{DEFAULT_MAX_FILE_SIZE, Evidence, Extractor, FileFacts, HEAD_LENGTH, OpenFile, Passing};
pub use extractors::{extractor_set_version, recognised_programs, reference_table};
pub use layer::{LayerCollector, LayerInventory};
pub use merge::merge;
pub use project::ProjectPart;
pub use view::{DeletedEntry, MergedView, Removal, ViewEntry, ViewKind};
pub use visitor::{InventoryVisitor, build, build_with_profile};
