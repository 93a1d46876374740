//! The advisory database: format, builder, lookup, one directory per feed.
//!
//! A database is one immutable file. [`Database`] opens it by memory map and looks packages up; [`Builder`] writes it,
//! the same bytes for the same input; the file is only ever replaced as a whole, by rename.

mod database;

pub use database::{BuildError, Builder, Database, DatabaseError, FeedData, Records};
