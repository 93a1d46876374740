//! The storage of podman and CRI-O (containers/storage).
//!
//! Under its root, for a driver such as `overlay`: `overlay/LAYER/merged` is the root file system of a container,
//! `overlay-containers/containers.json` lists containers with their image and layer, `overlay-images/images.json` lists
//! images. Containers that need not outlive a reboot stand in `volatile-containers.json`, beside it or beside the bundle.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use hullmark_types::{Digest, ImageIdentity};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::IdentityError;
use crate::bounded;
use crate::oci::State;

/// The most bytes of one list: some hundred thousand containers or images.
const LIMIT: u64 = 64 * 1024 * 1024;

const LISTS: [&str; 2] = ["containers.json", "volatile-containers.json"];

#[derive(Deserialize)]
struct Container {
    id: String,
    #[serde(default)]
    image: String,
    #[serde(default)]
    layer: String,
    #[serde(default)]
    metadata: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    #[serde(rename = "image-name")]
    image_name: String,
}

#[derive(Deserialize)]
struct Image {
    id: String,
    #[serde(default)]
    digest: Option<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default, rename = "big-data-digests")]
    parts: Option<BTreeMap<String, String>>,
}

/// The image of a container in this storage; `None` when there is no such storage around the root file system.
///
/// # Errors
/// When there is, and it does not tell.
pub fn find(state: &State, root: Option<&Path>) -> Result<Option<ImageIdentity>, IdentityError> {
    let Some(lists) = lists(state, root) else { return Ok(None) };
    let mut container = None;
    for list in &lists.containers {
        let all: Option<Vec<Container>> = read(list)?;
        container = all.into_iter().flatten().find(|entry| entry.id == state.id);
        if container.is_some() {
            break;
        }
    }
    let Some(container) = container else {
        let path = lists.containers.first().cloned().unwrap_or_default();
        return Err(IdentityError::NoContainer { path, container: state.id.clone() });
    };
    if container.image.is_empty() {
        return Err(IdentityError::NoImage);
    }
    // The root file system must be the layer that belongs to the container, not one that it names from elsewhere.
    let root = root.ok_or(IdentityError::Unknown)?;
    let own = !container.layer.is_empty()
        && lists.below_driver.iter().take(2).any(|part| part == container.layer.as_str());
    if !own {
        return Err(IdentityError::OtherRoot { root: root.to_owned() });
    }
    let metadata: Metadata = serde_json::from_str(&container.metadata).unwrap_or_default();
    let images: Option<Vec<Image>> = match &lists.images {
        Some(path) => read(path)?,
        None => None,
    };
    let image = images.into_iter().flatten().find(|image| image.id == container.image);
    let identity = identity(&container.image, image, metadata.image_name);
    match identity.manifest.is_some() || identity.config.is_some() {
        true => Ok(Some(identity)),
        false => Err(IdentityError::Unknown),
    }
}

fn identity(id: &str, image: Option<Image>, asked: String) -> ImageIdentity {
    // The id of an image is the digest of its configuration, except for images that something other than a pull or a
    // build made; those that are listed have the configuration among their parts.
    let config = format!("sha256:{id}").parse::<Digest>().ok();
    let Some(image) = image else {
        return ImageIdentity { name: asked, config, ..ImageIdentity::default() };
    };
    let parts = image.parts.unwrap_or_default();
    let config = config.filter(|config| parts.is_empty() || parts.contains_key(&config.to_string()));
    let first = image.names.unwrap_or_default().into_iter().next().unwrap_or_default();
    ImageIdentity {
        name: if asked.is_empty() { first } else { asked },
        index: None,
        manifest: image.digest.and_then(|digest| digest.parse().ok()),
        config,
    }
}

struct Lists {
    containers: Vec<PathBuf>,
    images: Option<PathBuf>,
    /// The parts of the path of the root file system below the directory of the driver.
    below_driver: Vec<OsString>,
}

/// Looks for the lists beside the bundle, and upwards from the root file system.
///
/// The bundle comes first: where it is, the engine chose, but a root file system can be named by whoever starts a container.
fn lists(state: &State, root: Option<&Path>) -> Option<Lists> {
    let mut lists = Lists { containers: Vec::new(), images: None, below_driver: Vec::new() };
    // The bundle is `DRIVER-containers/ID/userdata`, in the storage (podman) or in its run-time directory (CRI-O).
    let beside = state
        .bundle
        .ancestors()
        .skip(1)
        .take(2)
        .find(|directory| directory.file_name().is_some_and(|name| ends_with(name, "-containers")));
    lists.containers.extend(beside.into_iter().flat_map(|list| LISTS.iter().map(|name| list.join(name))));
    for directory in root.into_iter().flat_map(Path::ancestors) {
        let (Some(driver), Some(storage)) = (directory.file_name(), directory.parent()) else { continue };
        let list = storage.join(suffixed(driver, "-containers"));
        if list.is_dir() {
            if beside != Some(&list) {
                lists.containers.extend(LISTS.iter().map(|name| list.join(name)));
            }
            lists.images = Some(storage.join(suffixed(driver, "-images")).join("images.json"));
            let below = root.and_then(|root| root.strip_prefix(directory).ok())?;
            lists.below_driver = below.components().map(|part| part.as_os_str().to_owned()).collect();
            break;
        }
    }
    let found = lists.containers.iter().any(|list| list.exists());
    found.then_some(lists)
}

fn suffixed(name: &std::ffi::OsStr, suffix: &str) -> OsString {
    let mut name = name.to_owned();
    name.push(suffix);
    name
}

fn ends_with(name: &std::ffi::OsStr, suffix: &str) -> bool {
    name.to_str().is_some_and(|name| name.ends_with(suffix))
}

/// One list; `None` when the file is not there.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, IdentityError> {
    let bytes = match bounded::read_trusted_file(path, LIMIT) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(IdentityError::Read { path: path.to_owned(), source }),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| IdentityError::Malformed { path: path.to_owned(), source })
}
