//! Read-only memory maps.
