//! containers-storage: where Podman, Buildah, CRI-O and Skopeo keep images on disk
//! (<https://github.com/containers/storage/tree/main/docs>).
//!
//! The documents of an image are files; each layer is a directory, unpacked. They are read as they are, without a lock and
//! without the engines. What was written by the engine when the image came is taken for the image: of an unpacked layer nobody
//! can tell whether it is what its digest names, and this is said.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hullmark_types::{Diagnostic, Digest, ImageReference, LayerInfo};
use serde::Deserialize;

use crate::documents::{Descriptor, read};
use crate::image::Image;
use crate::rootfs::{Form, Tree};
use crate::source::Source;
use crate::target::Storage;
use crate::{AcquireOptions, ImageError, oci};

/// The largest list of images or layers, in bytes.
const MAX_LIST: u64 = 64 << 20;

/// The driver whose layers can be read: each is a directory with what the layer brings.
const DRIVER: &str = "overlay";

/// Drivers that keep layers in another way.
const OTHER_DRIVERS: [&str; 4] = ["vfs", "btrfs", "zfs", "aufs"];

/// An image in the list of images.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct StoredImage {
    id: String,
    #[serde(default)]
    digest: Option<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
    /// The uppermost layer.
    #[serde(default)]
    layer: String,
    #[serde(default)]
    big_data_digests: Option<BTreeMap<String, Digest>>,
}

/// A layer in the list of layers.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct StoredLayer {
    id: String,
    #[serde(default)]
    parent: Option<String>,
    #[serde(default)]
    diff_digest: Option<Digest>,
}

/// A directory of images, and the driver that wrote it.
#[derive(Debug)]
struct Store<'a> {
    root: &'a Path,
}

/// Opens the image with this name or id.
pub(crate) fn open(storage: &Storage, name: &str, options: &AcquireOptions) -> Result<Image, ImageError> {
    let root = storage.root.as_deref().unwrap_or(&options.engines.containers_storage);
    let store = Store::at(root, storage.driver.as_deref())?;
    let images: Vec<StoredImage> = store.list("images")?;
    let image = choose(root, &images, name)?;
    let place = format!("containers-storage:{name}");

    let manifest = store.document(image, "manifest", options)?;
    let digest = Digest::sha256(&manifest);
    let recorded = image.big_data_digests.as_ref().and_then(|digests| digests.get("manifest"));
    if let Some(expected) = recorded.filter(|expected| **expected != digest) {
        return Err(ImageError::DigestMismatch { place, expected: expected.clone(), got: digest });
    }
    let mut fetch = |descriptor: &Descriptor| store.document(image, &descriptor.digest.to_string(), options);
    let mut described = oci::describe(&place, digest, &manifest, options, &mut fetch)?;
    let trees = store.trees(image, &described.layers, options)?;
    let names = image.names.clone().unwrap_or_default();
    described.subject.name = names.first().cloned().unwrap_or(place);
    described.subject.references = names;
    if !trees.is_empty() {
        let message =
            "the layers are stored unpacked, and it cannot be verified that they are what their digests name";
        described.diagnostics.push(Diagnostic::note("unverified-layers", "", message));
    }
    Ok(described.into_image(Source::Trees(trees), options))
}

impl<'a> Store<'a> {
    fn at(root: &'a Path, driver: Option<&str>) -> Result<Self, ImageError> {
        let has = |driver: &str| root.join(format!("{driver}-images/images.json")).is_file();
        let other = || OTHER_DRIVERS.into_iter().find(|other| has(other) && !has(DRIVER));
        match driver.filter(|driver| *driver != DRIVER).or_else(other) {
            None => Ok(Self { root }),
            Some(driver) => Err(ImageError::Unsupported {
                place: root.display().to_string(),
                form: format!("a store of the driver `{driver}` (and not `{DRIVER}`)"),
            }),
        }
    }

    /// Reads the list of images or of layers.
    fn list<T: for<'de> Deserialize<'de>>(&self, what: &str) -> Result<Vec<T>, ImageError> {
        let path = self.root.join(format!("{DRIVER}-{what}")).join(format!("{what}.json"));
        read(&path.display().to_string(), &bytes(&path, MAX_LIST)?)
    }

    /// Reads a document of an image.
    fn document(
        &self,
        image: &StoredImage,
        key: &str,
        options: &AcquireOptions,
    ) -> Result<Vec<u8>, ImageError> {
        let directory = self.root.join(format!("{DRIVER}-images")).join(checked(self.root, &image.id)?);
        // Keys that cannot be the name of a file are encoded.
        let is_plain = key.bytes().all(|byte| matches!(byte, b'.' | b'0'..=b'9' | b'a'..=b'z'));
        let name = if is_plain { key.to_owned() } else { format!("={}", STANDARD.encode(key)) };
        bytes(&directory.join(name), options.limits.max_document_size)
    }

    /// The directories of the layers, base first.
    fn trees(
        &self,
        image: &StoredImage,
        described: &[LayerInfo],
        options: &AcquireOptions,
    ) -> Result<Vec<Tree>, ImageError> {
        let place = || format!("{}, image {}", self.root.display(), image.id);
        let malformed = |problem| ImageError::Malformed { place: place(), problem };
        let layers: Vec<StoredLayer> = match described.is_empty() {
            true => Vec::new(),
            false => self.list("layers")?,
        };
        let layers: BTreeMap<&str, &StoredLayer> =
            layers.iter().map(|layer| (layer.id.as_str(), layer)).collect();
        let mut chain = Vec::new();
        let mut next = Some(image.layer.as_str()).filter(|id| !id.is_empty());
        while let Some(id) = next {
            let layer = layers
                .get(id)
                .ok_or_else(|| ImageError::Missing { place: place(), missing: format!("layer {id}") })?;
            if chain.len() >= options.limits.max_layers {
                return Err(malformed("its layers have no end".to_owned()));
            }
            chain.push(*layer);
            next = layer.parent.as_deref().filter(|parent| !parent.is_empty());
        }
        chain.reverse();
        if chain.len() != described.len() {
            return Err(malformed(format!(
                "{} layers are stored, and the manifest has {}",
                chain.len(),
                described.len()
            )));
        }
        let mut trees = Vec::new();
        for (layer, described) in chain.iter().zip(described) {
            if let (Some(got), Some(expected)) = (&layer.diff_digest, &described.diff_id)
                && got != expected
            {
                return Err(ImageError::DigestMismatch {
                    place: format!("{}, layer {}", place(), layer.id),
                    expected: expected.clone(),
                    got: got.clone(),
                });
            }
            trees.push(self.tree(layer)?);
        }
        Ok(trees)
    }

    fn tree(&self, layer: &StoredLayer) -> Result<Tree, ImageError> {
        let id = checked(self.root, &layer.id)?;
        let directory = self.root.join(DRIVER).join(id);
        if directory.join("composefs-data").exists() {
            return Err(ImageError::Unsupported {
                place: directory.display().to_string(),
                form: "a layer stored as composefs".to_owned(),
            });
        }
        let path = directory.join("diff");
        match path.is_dir() {
            true => Ok(Tree::at(path, Form::Overlay)),
            false => Err(ImageError::Missing {
                place: self.root.display().to_string(),
                missing: format!("directory of the layer {id}"),
            }),
        }
    }
}

/// An id as part of a path.
fn checked<'a>(root: &Path, id: &'a str) -> Result<&'a str, ImageError> {
    match !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        true => Ok(id),
        false => Err(ImageError::Malformed {
            place: root.display().to_string(),
            problem: format!("expected an id, found `{}`", id.escape_debug()),
        }),
    }
}

fn bytes(path: &Path, limit: u64) -> Result<Vec<u8>, ImageError> {
    let failed = |source| ImageError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 > limit {
        true => Err(ImageError::Limit {
            place: path.display().to_string(),
            problem: format!("a document of more than {limit} bytes"),
        }),
        false => Ok(bytes),
    }
}

/// Finds an image by its name, which a registry, `library` or a tag may be missing from, by its digest, or by its id.
fn choose<'a>(root: &Path, images: &'a [StoredImage], name: &str) -> Result<&'a StoredImage, ImageError> {
    let mut names = vec![name.to_owned(), format!("localhost/{name}"), format!("localhost/{name}:latest")];
    let reference = name.parse::<ImageReference>().ok();
    names.extend(reference.as_ref().map(ToString::to_string));
    names.push(format!("{name}:latest"));
    for name in &names {
        let named = |image: &&StoredImage| image.names.iter().flatten().any(|other| other == name);
        if let Some(image) = images.iter().find(named) {
            return Ok(image);
        }
    }
    if let Some((_, digest)) = name.split_once('@')
        && let Some(image) = images.iter().find(|image| image.digest.as_deref() == Some(digest))
    {
        return Ok(image);
    }
    let id = name.strip_prefix("sha256:").unwrap_or(name);
    let is_id = id.len() >= 4 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let by_id: Vec<&StoredImage> = images.iter().filter(|image| is_id && image.id.starts_with(id)).collect();
    match by_id.as_slice() {
        [image] => Ok(image),
        [] => {
            Err(ImageError::Missing { place: root.display().to_string(), missing: format!("image {name}") })
        }
        several => Err(ImageError::Ambiguous {
            place: root.display().to_string(),
            choices: several.iter().map(|image| image.id.clone()).collect(),
        }),
    }
}

/// Reads what stands before the name of an image in the form of Skopeo: `[driver@root+run:options]`, of which only the driver
/// and the root count.
pub(crate) fn parse(text: &str) -> Option<(Storage, &str)> {
    let Some(rest) = text.strip_prefix('[') else { return Some((Storage::default(), text)) };
    let (place, name) = rest.split_once(']')?;
    let (driver, place) = match place.split_once('@') {
        Some((driver, place)) => (Some(driver.to_owned()), place),
        None => (None, place),
    };
    let root = place.split(['+', ':']).next().filter(|root| root.starts_with('/'));
    // A word that is no path is a driver.
    let driver = driver.or_else(|| root.is_none().then(|| place.to_owned())).filter(|text| !text.is_empty());
    Some((Storage { driver, root: root.map(PathBuf::from) }, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_written_as_skopeo_writes_it() {
        let storage = |driver: Option<&str>, root: Option<&str>| Storage {
            driver: driver.map(str::to_owned),
            root: root.map(PathBuf::from),
        };
        for (text, expected) in [
            ("alpine:3.18", Some((storage(None, None), "alpine:3.18"))),
            ("[/a]alpine", Some((storage(None, Some("/a")), "alpine"))),
            ("[vfs@/a]alpine", Some((storage(Some("vfs"), Some("/a")), "alpine"))),
            ("[overlay@/a+/run/b:x=y]q/a:1", Some((storage(Some("overlay"), Some("/a")), "q/a:1"))),
            ("[vfs]alpine", Some((storage(Some("vfs"), None), "alpine"))),
            ("[/a", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn images_are_found_by_name_digest_and_id() {
        let image = |id: &str, name: &str| StoredImage {
            id: id.to_owned(),
            digest: Some(format!("sha256:{id}{id}")),
            names: Some(vec![name.to_owned()]),
            layer: String::new(),
            big_data_digests: None,
        };
        let images =
            [image("aaaa1111", "docker.io/library/alpine:3.18"), image("aaaa2222", "localhost/own:latest")];
        let root = Path::new("/store");
        let found = |name: &str| choose(root, &images, name).map(|image| image.id.clone());
        for name in ["alpine:3.18", "docker.io/library/alpine:3.18", "aaaa1", "x@sha256:aaaa1111aaaa1111"] {
            assert_eq!(found(name).unwrap(), "aaaa1111", "{name}");
        }
        assert_eq!(found("own").unwrap(), "aaaa2222");
        assert!(matches!(found("aaaa"), Err(ImageError::Ambiguous { .. })));
        assert!(matches!(found("alpine"), Err(ImageError::Missing { .. })));
    }

    #[test]
    fn an_id_is_no_path() {
        assert!(checked(Path::new("/"), "../../etc").is_err());
        assert!(checked(Path::new("/"), "").is_err());
    }
}
