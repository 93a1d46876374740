//! Base images: which layers of an image came with the image that it was built on.
//!
//! What is known of base images is a directory with a small file for each name of each: `CHAIN/NAME.json`, where `CHAIN` is the
//! chain id of its layers (<https://github.com/opencontainers/image-spec/blob/main/config.md#layer-chainid>) and `NAME` the
//! digest of its name. An image is looked up by the chain ids of its own layers, from the top down, so the number of base
//! images that are known makes no difference.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use hullmark_cache::Unfinished;
use hullmark_types::{
    BaseEvidence, BaseImage, Diagnostic, Digest, DigestAlgorithm, Hasher, Inventory, LayerInfo, Platform,
    Subject, SubjectKind, canonical_json,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::text::excerpt;

/// The largest file of the index, in bytes.
const MAX_ENTRY: u64 = 1 << 20;

/// The most names of one base image.
const MAX_NAMES: usize = 1000;

/// The longest name of a base image that an image may declare, in bytes.
const MAX_DECLARED: usize = 1024;

/// What an image that was built on another says of that: annotation of its manifest, or label of its configuration.
/// <https://github.com/opencontainers/image-spec/blob/main/annotations.md>
const DECLARED_NAME: &str = "org.opencontainers.image.base.name";

/// The digest of the manifest of that image.
const DECLARED_DIGEST: &str = "org.opencontainers.image.base.digest";

/// An image that others are built on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KnownBase {
    /// Its name, such as `docker.io/library/debian:12`.
    pub name: String,
    /// The platform, when the image says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Digest of the index that its manifest is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Digest>,
    /// Digest of its manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
    /// Digest of its configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Digest>,
    /// Digests of its uncompressed layers, the first one first; never empty.
    pub layers: Vec<Digest>,
    /// When it was made known.
    pub added: Timestamp,
}

/// The index of base images cannot be used, or an image cannot go into it.
#[derive(Debug, thiserror::Error)]
pub enum BaseIndexError {
    /// A file cannot be read or written.
    #[error("the index of base images: `{}` cannot be used", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not as it should be.
    #[error("the index of base images: `{}` is damaged ({problem}); remove it and add the image again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The image has no layers that could be recognised.
    #[error("`{name}` cannot be a base image: {problem}")]
    NoBase {
        /// Its name.
        name: String,
        /// Why.
        problem: &'static str,
    },
}

impl KnownBase {
    /// The image with these layers.
    ///
    /// # Errors
    /// When its layers cannot be recognised in other images.
    pub fn of(
        subject: &Subject,
        layers: &[LayerInfo],
        name: String,
        added: Timestamp,
    ) -> Result<Self, BaseIndexError> {
        let layers: Option<Vec<_>> = layers.iter().map(|layer| layer.diff_id.clone()).collect();
        let problem = match &layers {
            _ if subject.kind != SubjectKind::Image => "it is not an image",
            Some(layers) if layers.is_empty() => "it has no layers",
            None => "the digests of its uncompressed layers are not known",
            Some(_) => "",
        };
        match layers {
            Some(layers) if problem.is_empty() => Ok(Self {
                name,
                platform: subject.platform.clone(),
                index: subject.index.clone(),
                manifest: subject.manifest.clone(),
                config: subject.config.clone(),
                layers,
                added,
            }),
            _ => Err(BaseIndexError::NoBase { name, problem }),
        }
    }

    /// The digest under which registries know it.
    pub fn digest(&self) -> Option<&Digest> {
        self.index.as_ref().or(self.manifest.as_ref())
    }
}

/// What is known of base images, in a directory. Any number of processes may use it at once.
#[derive(Debug, Clone)]
pub struct BaseIndex {
    root: PathBuf,
}

impl BaseIndex {
    /// The index in a directory, which need not exist: then it is empty.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.root
    }

    /// Makes an image known. One of the same name and layers is replaced.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add(&self, base: &KnownBase) -> Result<(), BaseIndexError> {
        let chain = chain_ids(base.layers.iter())
            .pop()
            .ok_or_else(|| BaseIndexError::NoBase { name: base.name.clone(), problem: "it has no layers" })?;
        let directory = self.root.join(chain.hex());
        let path = directory.join(format!("{}.json", file_name(base)));
        let written = || -> io::Result<()> {
            fs::create_dir_all(&directory)?;
            let unnamed = directory.join(format!("{}.new-{}", file_name(base), std::process::id()));
            let (mut file, unfinished) = Unfinished::create(&unnamed, 0o644)?;
            file.write_all(&canonical_json(base).map_err(io::Error::other)?)?;
            file.sync_all()?;
            unfinished.rename(&path)
        };
        written().map_err(|source| BaseIndexError::Io { path: path.clone(), source })
    }

    /// All that is known, by name and platform; with what is damaged.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn list(&self) -> Result<(Vec<KnownBase>, Vec<BaseIndexError>), BaseIndexError> {
        let mut found = (Vec::new(), Vec::new());
        for chain in entries(&self.root)? {
            for path in names(&chain)? {
                match read(&path) {
                    Ok(base) => found.0.push(base),
                    Err(error) => found.1.push(error),
                }
            }
        }
        found.0.sort();
        Ok(found)
    }

    /// Forgets all images of a name, and says how many there were.
    ///
    /// # Errors
    /// When the directory cannot be read or a file cannot be removed.
    pub fn remove(&self, name: &str) -> Result<usize, BaseIndexError> {
        let mut removed = 0;
        for chain in entries(&self.root)? {
            for path in names(&chain)? {
                if read(&path).is_ok_and(|base| base.name == name) {
                    fs::remove_file(&path).map_err(|source| BaseIndexError::Io { path, source })?;
                    removed += 1;
                }
            }
            // Only when it is empty, which the file system knows best.
            let _ = fs::remove_dir(&chain);
        }
        Ok(removed)
    }

    /// The images with exactly these layers.
    fn of_chain(&self, chain: &Digest) -> Result<Vec<KnownBase>, BaseIndexError> {
        let mut found = Vec::new();
        for path in names(&self.root.join(chain.hex()))? {
            found.push(read(&path)?);
        }
        found.sort();
        Ok(found)
    }
}

/// Says which image another was built on: the known one with the most layers that the image begins with, else the one that
/// it declares. `annotations` are those of its manifest. What is found goes into the inventory.
pub fn attribute_base(
    inventory: &mut Inventory,
    annotations: &BTreeMap<String, String>,
    index: Option<&BaseIndex>,
) {
    if inventory.subject.kind != SubjectKind::Image {
        return;
    }
    let declared = declared(inventory, annotations);
    let known = match index.map(|index| by_layers(index, inventory, declared.as_ref())) {
        Some(Ok(known)) => known,
        Some(Err(error)) => {
            let reason = std::error::Error::source(&error).map(|source| format!(": {source}"));
            let message = format!("{error}{}", reason.unwrap_or_default());
            inventory.diagnostics.push(Diagnostic::note("base-index-unreadable", "", message));
            None
        }
        None => None,
    };
    if let (Some(declared), Some(known)) = (&declared, &known)
        && declared.digest.is_some()
        && !known.is_declared
    {
        let message = format!(
            "the image says that it was built on `{}`; it begins with the layers of `{}`",
            excerpt(&declared.name),
            excerpt(&known.base.name)
        );
        inventory.diagnostics.push(Diagnostic::note("base-image-differs", "", message));
    }
    inventory.diagnostics.sort();
    inventory.base = known.map(|known| known.base).or(declared);
}

/// What the image says of itself.
fn declared(inventory: &Inventory, annotations: &BTreeMap<String, String>) -> Option<BaseImage> {
    let labels = inventory.config.as_ref().map(|config| &config.labels);
    let said = |key: &str| {
        let said = annotations.get(key).or_else(|| labels?.get(key))?.trim();
        (!said.is_empty() && said.len() <= MAX_DECLARED).then(|| said.to_owned())
    };
    let digest: Option<Digest> = said(DECLARED_DIGEST).and_then(|digest| digest.parse().ok());
    let name = said(DECLARED_NAME).or_else(|| digest.as_ref().map(Digest::to_string))?;
    Some(BaseImage { name, digest, layers: None, known_by: BaseEvidence::Declared })
}

/// A base image whose layers the image begins with.
struct Recognised {
    base: BaseImage,
    /// Whether it is the one that the image declares.
    is_declared: bool,
}

fn by_layers(
    index: &BaseIndex,
    inventory: &Inventory,
    declared: Option<&BaseImage>,
) -> Result<Option<Recognised>, BaseIndexError> {
    // A layer of unknown content ends what can be compared.
    let layers = inventory.layers.iter().map_while(|layer: &LayerInfo| layer.diff_id.as_ref());
    let chains = chain_ids(layers);
    for (number, chain) in chains.iter().enumerate().rev() {
        let mut known = index.of_chain(chain)?;
        // An image is not its own base.
        let own = inventory.subject.config.as_ref();
        known.retain(|base| own.is_none() || base.config.as_ref() != own);
        let is_declared = |base: &KnownBase| {
            declared.is_some_and(|declared| match &declared.digest {
                Some(digest) => [&base.index, &base.manifest].into_iter().flatten().any(|one| one == digest),
                None => declared.name == base.name,
            })
        };
        // Of several names for the same layers the declared one, else the first.
        let position = known.iter().position(is_declared).unwrap_or(0);
        if let Some(base) = known.get(position) {
            return Ok(Some(Recognised {
                is_declared: is_declared(base),
                base: BaseImage {
                    name: base.name.clone(),
                    digest: base.digest().cloned(),
                    layers: u32::try_from(number + 1).ok(),
                    known_by: BaseEvidence::Layers,
                },
            }));
        }
    }
    Ok(None)
}

/// The chain id of each beginning of a list of layers.
fn chain_ids<'a>(layers: impl Iterator<Item = &'a Digest>) -> Vec<Digest> {
    let mut chains: Vec<Digest> = Vec::new();
    for layer in layers {
        let chain = match chains.last() {
            None => layer.clone(),
            Some(below) => {
                let mut hasher = Hasher::new(DigestAlgorithm::Sha256);
                hasher.update(format!("{below} {layer}").as_bytes());
                hasher.finish()
            }
        };
        chains.push(chain);
    }
    chains
}

fn file_name(base: &KnownBase) -> String {
    let mut hasher = Hasher::new(DigestAlgorithm::Sha256);
    hasher.update(base.name.as_bytes());
    hasher.finish().hex().to_owned()
}

/// The paths in a directory, in order; none when there is no such directory.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, BaseIndexError> {
    let failed = |source| BaseIndexError::Io { path: directory.to_owned(), source };
    let listed = match fs::read_dir(directory) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        listed => listed.map_err(failed)?,
    };
    let mut paths = Vec::new();
    for entry in listed {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// The files of the names of one base image.
fn names(chain: &Path) -> Result<Vec<PathBuf>, BaseIndexError> {
    let mut paths = entries(chain)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.truncate(MAX_NAMES);
    Ok(paths)
}

fn read(path: &Path) -> Result<KnownBase, BaseIndexError> {
    let failed = |source| BaseIndexError::Io { path: path.to_owned(), source };
    let damaged = |problem: String| BaseIndexError::Damaged { path: path.to_owned(), problem };
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(MAX_ENTRY + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_ENTRY {
        return Err(damaged(format!("it is larger than {MAX_ENTRY} bytes")));
    }
    let base: KnownBase = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    let chain = chain_ids(base.layers.iter()).pop();
    let directory = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    match chain.as_ref().map(Digest::hex) == directory && chain.is_some() {
        true => Ok(base),
        false => Err(damaged("its layers are not those of its directory".to_owned())),
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests fail by panicking")]
mod tests {
    use hullmark_types::{INVENTORY_SCHEMA, ImageConfig, Origin};

    use super::*;

    fn digest(text: &str) -> Digest {
        let mut hasher = Hasher::new(DigestAlgorithm::Sha256);
        hasher.update(text.as_bytes());
        hasher.finish()
    }

    fn image(name: &str, layers: &[&str]) -> Inventory {
        let layers = (0..).zip(layers).map(|(index, layer)| LayerInfo {
            index,
            digest: None,
            diff_id: Some(digest(layer)),
            size: None,
            created_by: None,
        });
        Inventory {
            schema: INVENTORY_SCHEMA,
            subject: Subject {
                kind: SubjectKind::Image,
                name: name.to_owned(),
                references: Vec::new(),
                index: None,
                manifest: Some(digest(&format!("manifest of {name}"))),
                config: Some(digest(&format!("configuration of {name}"))),
                platform: None,
            },
            distribution: None,
            config: None,
            base: None,
            layers: layers.collect(),
            packages: Vec::new(),
            diagnostics: Vec::new(),
        }
    }

    fn known(name: &str, layers: &[&str]) -> KnownBase {
        let image = image(name, layers);
        KnownBase::of(&image.subject, &image.layers, name.to_owned(), Timestamp::UNIX_EPOCH).unwrap()
    }

    fn index(bases: &[KnownBase]) -> (tempfile::TempDir, BaseIndex) {
        let directory = tempfile::tempdir().unwrap();
        let index = BaseIndex::at(directory.path().join("bases"));
        bases.iter().for_each(|base| index.add(base).unwrap());
        (directory, index)
    }

    fn base_of(mut inventory: Inventory, index: &BaseIndex) -> (Option<(String, Option<u32>)>, Vec<String>) {
        attribute_base(&mut inventory, &BTreeMap::new(), Some(index));
        let codes = inventory.diagnostics.into_iter().map(|found| found.code).collect();
        (inventory.base.map(|base| (base.name, base.layers)), codes)
    }

    #[test]
    fn chain_ids_are_those_of_the_specification() {
        // Each is the digest of the text `CHAIN LAYER`; that of a single layer is the digest of the layer.
        let chains = chain_ids([digest("a"), digest("b")].iter());
        assert_eq!(chains[0], digest("a"));
        assert_eq!(chains[1], digest(&format!("{} {}", digest("a"), digest("b"))));
    }

    #[test]
    fn the_base_with_the_most_layers_counts() {
        let (_directory, index) = index(&[known("debian", &["a"]), known("python", &["a", "b"])]);
        let found = |layers| base_of(image("app", layers), &index).0;
        assert_eq!(found(&["a", "b", "c"]), Some(("python".to_owned(), Some(2))));
        assert_eq!(found(&["a", "c"]), Some(("debian".to_owned(), Some(1))));
        assert_eq!(found(&["b", "a"]), None);
        assert_eq!(found(&[]), None);
        // Only the configuration differs: the base brought everything.
        assert_eq!(found(&["a", "b"]), Some(("python".to_owned(), Some(2))));
    }

    #[test]
    fn an_image_is_not_its_own_base() {
        let (_directory, index) = index(&[known("debian", &["a"]), known("python", &["a", "b"])]);
        let found = base_of(image("python", &["a", "b"]), &index).0;
        assert_eq!(found, Some(("debian".to_owned(), Some(1))));
    }

    #[test]
    fn what_an_image_declares_counts_where_its_layers_are_not_known() {
        let labels = |name: &str, base: &str| ImageConfig {
            labels: [
                (DECLARED_NAME.to_owned(), name.to_owned()),
                (DECLARED_DIGEST.to_owned(), digest(&format!("manifest of {base}")).to_string()),
            ]
            .into(),
            ..ImageConfig::default()
        };
        let (_directory, index) = index(&[known("debian", &["a"]), known("debian:12", &["a"])]);
        let mut app = image("app", &["x"]);
        app.config = Some(labels("ubuntu", "ubuntu"));
        assert_eq!(base_of(app.clone(), &index).0, Some(("ubuntu".to_owned(), None)));
        app.layers = image("app", &["a", "x"]).layers;
        // The layers do not lie; the label does.
        let (base, codes) = base_of(app.clone(), &index);
        assert_eq!(base, Some(("debian".to_owned(), Some(1))));
        assert_eq!(codes, ["base-image-differs"]);
        // Of two names for the same layers the declared one.
        app.config = Some(labels("whatever", "debian:12"));
        let (base, codes) = base_of(app.clone(), &index);
        assert_eq!(base, Some(("debian:12".to_owned(), Some(1))));
        assert_eq!(codes, [""; 0]);
        // Annotations of the manifest come before labels.
        let annotations = [(DECLARED_NAME.to_owned(), "annotated".to_owned())].into();
        app.layers.clear();
        attribute_base(&mut app, &annotations, Some(&index));
        assert_eq!(app.base.unwrap().name, "annotated");
    }

    #[test]
    fn who_brought_a_layer_is_known_with_the_layers_of_the_base() {
        let (_directory, index) = index(&[known("debian", &["a"])]);
        let mut app = image("app", &["a", "b"]);
        assert_eq!(app.origin(0), Origin::Unknown);
        attribute_base(&mut app, &BTreeMap::new(), Some(&index));
        assert_eq!([app.origin(0), app.origin(1)], [Origin::Base, Origin::Own]);
    }

    #[test]
    fn bases_are_listed_and_forgotten() {
        let (_directory, index) =
            index(&[known("b", &["x"]), known("a", &["x"]), known("a", &["y"]), known("a", &["y"])]);
        let listed =
            |index: &BaseIndex| index.list().unwrap().0.into_iter().map(|base| base.name).collect::<Vec<_>>();
        assert_eq!(listed(&index), ["a", "a", "b"]);
        assert_eq!(index.remove("a").unwrap(), 2);
        assert_eq!(index.remove("a").unwrap(), 0);
        assert_eq!(listed(&index), ["b"]);
        assert_eq!(listed(&BaseIndex::at("/nonexistent/bases")), [""; 0]);
    }

    #[test]
    fn what_is_damaged_is_said_and_stops_nothing() {
        let (_directory, index) = index(&[known("debian", &["a"]), known("python", &["b"])]);
        let directory = index.directory().join(digest("a").hex());
        let path = fs::read_dir(&directory).unwrap().next().unwrap().unwrap().path();
        for bytes in [&b"{"[..], b"{}", &fs::read(&path).unwrap()[..40]] {
            fs::write(&path, bytes).unwrap();
            let (base, codes) = base_of(image("app", &["a", "c"]), &index);
            assert_eq!((base, codes), (None, vec!["base-index-unreadable".to_owned()]));
            let (fine, damaged) = index.list().unwrap();
            assert_eq!((fine.len(), damaged.len()), (1, 1));
        }
        // An entry in the directory of other layers would give an image a base that it does not have.
        let other = index.directory().join(digest("b").hex());
        let moved = fs::read_dir(&other).unwrap().next().unwrap().unwrap().path();
        fs::copy(&moved, &path).unwrap();
        assert_eq!(base_of(image("app", &["a", "c"]), &index).0, None);
    }

    #[test]
    fn what_has_no_layers_to_recognise_is_no_base() {
        let of = |inventory: &Inventory| {
            KnownBase::of(&inventory.subject, &inventory.layers, "x".to_owned(), Timestamp::UNIX_EPOCH)
                .map_err(|error| error.to_string())
        };
        let mut inventory = image("x", &[]);
        assert_eq!(of(&inventory), Err("`x` cannot be a base image: it has no layers".to_owned()));
        inventory = image("x", &["a"]);
        inventory.layers[0].diff_id = None;
        assert!(of(&inventory).unwrap_err().contains("uncompressed layers are not known"));
        inventory.subject.kind = SubjectKind::RootFilesystem;
        assert!(of(&inventory).unwrap_err().contains("not an image"));
    }
}
