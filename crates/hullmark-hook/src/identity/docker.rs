//! The storage of Docker: `containers/ID/config.v2.json` under its root directory.
//!
//! Docker itself runs no hooks. This is for runtimes registered with it that do.

use std::io;
use std::path::{Path, PathBuf};

use hullmark_types::{Digest, ImageIdentity};
use serde::Deserialize;

use super::IdentityError;
use crate::bounded;
use crate::oci::State;

const LIMIT: u64 = 16 * 1024 * 1024;

/// Where Docker keeps everything unless it is told otherwise.
const DEFAULT_ROOT: &str = "/var/lib/docker";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    image: String,
    /// The manifest of the platform that was chosen; only with the image store of containerd.
    #[serde(default)]
    image_manifest: Option<Descriptor>,
    #[serde(default)]
    config: Option<Config>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: Digest,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    image: String,
}

/// The image of a container of Docker; `None` when it is none of Docker's.
///
/// # Errors
/// When it is, and its file does not tell.
pub fn find(state: &State, root: Option<&Path>) -> Result<Option<ImageIdentity>, IdentityError> {
    let Some(path) = configuration(state, root) else { return Ok(None) };
    let bytes = bounded::read_trusted_file(&path, LIMIT)
        .map_err(|source| IdentityError::Read { path: path.clone(), source })?;
    let container: Container = serde_json::from_slice(&bytes)
        .map_err(|source| IdentityError::Malformed { path: path.clone(), source })?;
    if container.id != state.id {
        return Err(IdentityError::NoContainer { path, container: state.id.clone() });
    }
    let name = container.config.map(|config| config.image).unwrap_or_default();
    let image = container.image.parse::<Digest>().ok();
    // With the image store of containerd the id of an image is what its name was resolved to; else it is the digest of its
    // configuration.
    let identity = match container.image_manifest {
        Some(manifest) if image.as_ref() == Some(&manifest.digest) => {
            ImageIdentity { name, manifest: image, ..ImageIdentity::default() }
        }
        Some(manifest) => {
            ImageIdentity { name, index: image, manifest: Some(manifest.digest), ..ImageIdentity::default() }
        }
        None => ImageIdentity { name, config: image, ..ImageIdentity::default() },
    };
    match identity.config.is_some() || identity.manifest.is_some() {
        true => Ok(Some(identity)),
        false => Err(IdentityError::NoImage),
    }
}

/// The file about the container: under a directory above its root file system, or in the usual place when the bundle is one
/// that Docker gave to containerd.
fn configuration(state: &State, root: Option<&Path>) -> Option<PathBuf> {
    let of_docker = state.bundle.components().any(|part| part.as_os_str() == "moby");
    let above = root.into_iter().flat_map(Path::ancestors).skip(1);
    above
        .chain(of_docker.then_some(Path::new(DEFAULT_ROOT)))
        .map(|directory| directory.join("containers").join(&state.id).join("config.v2.json"))
        .find(|path| !matches!(path.symlink_metadata(), Err(error) if absent(&error)))
}

fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
