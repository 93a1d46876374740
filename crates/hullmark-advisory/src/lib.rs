//! The advisory database: format, builder, lookup, one directory per feed.
//!
//! A database is one immutable file. [`Database`] opens it by memory map and looks packages up; [`Builder`] writes it,
//! the same bytes for the same input; the file is only ever replaced as a whole, by rename. [`update`] reads all
//! configured feeds ([`config`]) through a [`Fetch`] into a builder.

pub mod config;
mod database;
pub mod feeds;
mod fetch;
mod http;
mod update;

pub use config::{ConfigError, FeedConfig};
pub use database::{BuildError, Builder, Database, DatabaseError, FeedData, Records, unfinished_prefix};
pub use fetch::{Fetch, FetchError, Fetched, LocalFetcher, is_remote};
pub use http::HttpFetcher;
pub use update::{FeedOutcome, FeedReport, NoProgress, UpdateOptions, UpdateProgress, UpdateReport, update};
