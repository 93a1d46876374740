//! Arguments about the cache of layers that were read before.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::size::ByteSize;

/// Which cache of layers that were read before.
#[derive(Debug, Args)]
pub struct CacheArguments {
    /// Directory for what was found in layers, so that they are not read again [default: hullmark/results in the user's
    /// cache directory]
    #[arg(long, value_name = "DIRECTORY", env = "HULLMARK_CACHE")]
    pub cache: Option<PathBuf>,
    /// Read every layer, and keep nothing
    #[arg(long, conflicts_with = "cache")]
    pub no_cache: bool,
}

/// The cache of layers that were read before.
#[derive(Debug, Subcommand)]
pub enum Cache {
    /// Print where the cache is and how much it holds
    Info(CacheDirectory),
    /// Remove what was not used for the longest time
    Prune(CachePrune),
}

/// The directory of the cache.
#[derive(Debug, Args)]
pub struct CacheDirectory {
    /// Directory of the cache [default: hullmark/results in the user's cache directory]
    #[arg(long, value_name = "DIRECTORY", env = "HULLMARK_CACHE")]
    pub cache: Option<PathBuf>,
}

/// How much is kept.
#[derive(Debug, Args)]
pub struct CachePrune {
    /// Which cache.
    #[command(flatten)]
    pub directory: CacheDirectory,
    /// Keep at most this much
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    pub max_size: ByteSize,
    /// Remove what was not used for so many days
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub max_age: u32,
}
