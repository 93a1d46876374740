//! The programs that are recognised: one row each. To add one, add a row to the table that fits, in the order of the names; the
//! tests over the list check it with the sample that stands in it.

mod languages;
mod servers;
mod tools;

use super::Classifier;

/// The tables.
pub(super) static TABLES: &[&[Classifier]] = &[languages::ROWS, servers::ROWS, tools::ROWS];

/// All rows.
pub(super) fn all() -> impl Iterator<Item = &'static Classifier> {
    TABLES.iter().copied().flatten()
}
