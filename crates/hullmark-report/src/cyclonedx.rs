//! CycloneDX 1.6 (<https://cyclonedx.org/docs/1.6/json/>): writing an inventory, and reading one back.

mod foreign;
mod read;
mod write;

pub use read::{SbomError, parse_cyclonedx};
pub use write::cyclonedx;

/// Names of the properties that carry what CycloneDX has no field for.
pub(crate) mod property {
    pub(crate) const INVENTORY: &str = "hullmark:inventory";
    pub(crate) const PACKAGE: &str = "hullmark:package";
    pub(crate) const DIAGNOSTIC: &str = "hullmark:diagnostic";
}
