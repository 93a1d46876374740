//! Arguments about base images.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{TableOrJson, TargetArguments};

/// Base images that are known by their layers.
#[derive(Debug, Subcommand)]
pub enum Base {
    /// Make an image known as one that others are built on
    Add(Box<BaseAdd>),
    /// List the base images that are known
    List(BaseList),
    /// Forget the base images of a name
    Remove(BaseRemove),
}

/// Arguments of `hullmark base add`.
#[derive(Debug, Args)]
pub struct BaseAdd {
    /// Which image.
    #[command(flatten)]
    pub target: TargetArguments,
    /// Name that reports call it by [default: the name of the image]
    #[arg(long)]
    pub name: Option<String>,
}

/// Arguments of `hullmark base list`.
#[derive(Debug, Args)]
pub struct BaseList {
    /// Which directory.
    #[command(flatten)]
    pub directory: BaseDirectory,
    /// Form: table or json
    #[arg(long, default_value = "table")]
    pub format: TableOrJson,
}

/// Arguments of `hullmark base remove`.
#[derive(Debug, Args)]
pub struct BaseRemove {
    /// The name, as `hullmark base list` prints it
    pub name: String,
    /// Which directory.
    #[command(flatten)]
    pub directory: BaseDirectory,
}

/// The directory of what is known of base images.
#[derive(Debug, Args)]
pub struct BaseDirectory {
    /// Directory of what is known of base images [default: hullmark/bases in the user's data directory]
    #[arg(long, value_name = "DIRECTORY", env = "HULLMARK_BASES")]
    pub bases: Option<PathBuf>,
}
