//! What packages need, by their positions in the inventory.

use std::collections::{BTreeMap, BTreeSet};

use hullmark_types::{Inventory, Package};

/// The positions of packages by their package URLs. Several packages may have one, in several places.
pub(crate) struct Needed<'a> {
    positions: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> Needed<'a> {
    pub(crate) fn new(inventory: &'a Inventory) -> Self {
        let mut positions: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (position, package) in inventory.packages.iter().enumerate() {
            positions.entry(&package.purl).or_default().push(position);
        }
        Self { positions }
    }

    /// The positions of what a package needs directly, each once.
    pub(crate) fn by(&self, package: &Package) -> BTreeSet<usize> {
        let needs = package.dependencies.iter().filter_map(|purl| self.positions.get(purl.as_str()));
        needs.flatten().copied().collect()
    }
}
