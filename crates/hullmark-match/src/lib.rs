//! Inventory and advisories become matches with evidence.
