//! SPDX: writing an inventory as SPDX 2.3 (<https://spdx.github.io/spdx-spec/v2.3/>) and 3.0.1, and reading SPDX 2 and 3.

mod graph;
mod read;
mod tag_value;
mod write;
mod write_graph;

pub(crate) use graph::parse_graph;
pub(crate) use read::parse_json;
pub use tag_value::spdx_tag_value;
pub(crate) use tag_value::{is_tag_value, parse_tag_value};
pub use write::spdx_document;
pub use write_graph::spdx3_document;

/// What annotations begin with that carry what SPDX has no field for; JSON follows.
pub(crate) mod annotation {
    pub(crate) const INVENTORY: &str = "hullmark:inventory ";
    pub(crate) const PACKAGE: &str = "hullmark:package ";
    pub(crate) const DIAGNOSTIC: &str = "hullmark:diagnostic ";
}
