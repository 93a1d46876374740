//! The profiles of images: which programs an image contains, by their content.
//!
//! In memory a profile is a [`ProgramSet`]: sorted digests and sizes, shared by all containers of the image. On disk it is
//! the document that the server or `hullmark profile` made, in a file named after the digest it was asked by.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::{fs, io};

use hullmark_types::{Digest, DigestAlgorithm, ImageIdentity, PROFILE_SCHEMA, Subject};
use serde::Deserialize;

use crate::files::write_atomically;

/// The largest profile that is read.
pub const MAX_PROFILE: u64 = 64 * 1024 * 1024;

/// The content of a file: its SHA-256.
pub type Content = [u8; 32];

/// The programs of an image.
#[derive(Debug, PartialEq, Eq)]
pub struct ProgramSet {
    contents: Box<[Content]>,
    sizes: Box<[u64]>,
    complete: bool,
}

impl ProgramSet {
    /// Whether the image has a program with this content.
    pub fn contains(&self, content: &Content) -> bool {
        self.contents.binary_search(content).is_ok()
    }

    /// Whether the image has a program of this size. If it has none, no content of this size can be one of its programs.
    pub fn has_size(&self, size: u64) -> bool {
        self.sizes.binary_search(&size).is_ok()
    }

    /// Whether the whole image was read. What an incomplete profile lacks is no evidence.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// How many different programs there are.
    pub fn len(&self) -> usize {
        self.contents.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.contents.is_empty()
    }
}

/// A profile that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// It cannot be read or kept.
    #[error("the profile `{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is larger than [`MAX_PROFILE`].
    #[error("the profile of `{digest}` is larger than {MAX_PROFILE} bytes")]
    TooLarge {
        /// The image.
        digest: Digest,
    },
    /// It is not a profile.
    #[error("the profile of `{digest}` is not valid: {source}")]
    Malformed {
        /// The image.
        digest: Digest,
        /// Where and why.
        source: serde_json::Error,
    },
    /// It has another form.
    #[error("the profile of `{digest}` has schema {found}, this agent reads {PROFILE_SCHEMA}")]
    Schema {
        /// The image.
        digest: Digest,
        /// The schema.
        found: u32,
    },
    /// It is about another image.
    #[error("the profile that was given for `{digest}` is about another image, `{name}`")]
    OtherImage {
        /// The image that was asked for.
        digest: Digest,
        /// The image that it is about.
        name: String,
    },
    /// A file in it has a digest that is not SHA-256.
    #[error("the profile of `{digest}` has a digest that is not SHA-256: `{found}`")]
    Algorithm {
        /// The image.
        digest: Digest,
        /// The digest.
        found: Digest,
    },
}

/// Of the profile only what the agent needs; the rest is not kept while parsing.
#[derive(Deserialize)]
struct Document {
    schema: u32,
    subject: Subject,
    files: Vec<Program>,
    complete: bool,
}

#[derive(Deserialize)]
struct Program {
    digest: Digest,
    size: u64,
}

fn is_about(subject: &Subject, digest: &Digest) -> bool {
    [&subject.index, &subject.manifest, &subject.config].into_iter().flatten().any(|own| own == digest)
}

/// Reads a profile and checks that it is about `digest`.
fn parse(bytes: &[u8], digest: &Digest) -> Result<ProgramSet, ProfileError> {
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|source| ProfileError::Malformed { digest: digest.clone(), source })?;
    if document.schema != PROFILE_SCHEMA {
        return Err(ProfileError::Schema { digest: digest.clone(), found: document.schema });
    }
    if !is_about(&document.subject, digest) {
        return Err(ProfileError::OtherImage { digest: digest.clone(), name: document.subject.name });
    }
    let mut contents = Vec::with_capacity(document.files.len());
    let mut sizes = Vec::with_capacity(document.files.len());
    for file in &document.files {
        let content = content_of(&file.digest)
            .ok_or_else(|| ProfileError::Algorithm { digest: digest.clone(), found: file.digest.clone() })?;
        contents.push(content);
        sizes.push(file.size);
    }
    contents.sort_unstable();
    contents.dedup();
    sizes.sort_unstable();
    sizes.dedup();
    Ok(ProgramSet { contents: contents.into(), sizes: sizes.into(), complete: document.complete })
}

/// The bytes of a SHA-256 digest.
pub fn content_of(digest: &Digest) -> Option<Content> {
    if digest.algorithm() != DigestAlgorithm::Sha256 {
        return None;
    }
    let mut content = [0; 32];
    let mut digits = digest.hex().as_bytes().chunks_exact(2);
    for byte in &mut content {
        let pair = std::str::from_utf8(digits.next()?).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(content)
}

/// The digests that an image is known by, the most exact one first.
pub fn digests_of(image: &ImageIdentity) -> Vec<Digest> {
    [&image.manifest, &image.config, &image.index].into_iter().flatten().cloned().collect()
}

/// Keeps profiles.
#[derive(Debug)]
pub struct ProfileStore {
    /// Those from the server.
    cache: PathBuf,
    /// Those that somebody put there.
    given: Option<PathBuf>,
    loaded: Mutex<BTreeMap<Digest, Weak<ProgramSet>>>,
}

impl ProfileStore {
    /// A store in a directory, beside one with profiles that somebody put there.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn open(cache: PathBuf, given: Option<PathBuf>) -> Result<Self, ProfileError> {
        fs::create_dir_all(&cache).map_err(|source| ProfileError::File { path: cache.clone(), source })?;
        Ok(Self { cache, given, loaded: Mutex::default() })
    }

    /// The profile of an image, if it is in memory or on disk.
    ///
    /// # Errors
    /// When one is there and cannot be used.
    pub fn find(&self, digest: &Digest) -> Result<Option<Arc<ProgramSet>>, ProfileError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|_, set| set.strong_count() > 0);
        if let Some(set) = loaded.get(digest).and_then(Weak::upgrade) {
            return Ok(Some(set));
        }
        let Some(set) = self.read(digest)? else { return Ok(None) };
        let set = Arc::new(set);
        loaded.insert(digest.clone(), Arc::downgrade(&set));
        Ok(Some(set))
    }

    /// Takes in a profile that the server gave for `digest`.
    ///
    /// # Errors
    /// When it cannot be used, or not be kept.
    pub fn insert(&self, digest: &Digest, bytes: &[u8]) -> Result<Arc<ProgramSet>, ProfileError> {
        let set = Arc::new(parse(bytes, digest)?);
        let path = self.path(digest);
        write_atomically(&path, bytes).map_err(|source| ProfileError::File { path, source })?;
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.insert(digest.clone(), Arc::downgrade(&set));
        Ok(set)
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.cache.join(format!("{}-{}.json", digest.algorithm().name(), digest.hex()))
    }

    fn read(&self, digest: &Digest) -> Result<Option<ProgramSet>, ProfileError> {
        if let Some(bytes) = read_limited(&self.path(digest), digest)? {
            return parse(&bytes, digest).map(Some);
        }
        let Some(given) = &self.given else { return Ok(None) };
        let file_error = |source| ProfileError::File { path: given.clone(), source };
        for entry in fs::read_dir(given).map_err(file_error)?.flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let Some(bytes) = read_limited(&path, digest)? else { continue };
            match parse(&bytes, digest) {
                Err(ProfileError::OtherImage { .. }) => {}
                Err(error) => tracing::warn!(path = %path.display(), %error, "this profile cannot be used"),
                Ok(set) => return Ok(Some(set)),
            }
        }
        Ok(None)
    }
}

fn read_limited(path: &Path, digest: &Digest) -> Result<Option<Vec<u8>>, ProfileError> {
    let error = |source| ProfileError::File { path: path.to_owned(), source };
    match fs::metadata(path) {
        Ok(facts) if facts.len() > MAX_PROFILE => Err(ProfileError::TooLarge { digest: digest.clone() }),
        Ok(_) => fs::read(path).map(Some).map_err(error),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(error(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(config: &Digest, content: &[u8]) -> Vec<u8> {
        serde_json::to_vec(&serde_json::json!({
            "schema": 1,
            "subject": { "kind": "image", "name": "x", "config": config },
            "files": [{
                "path": "bin/x", "digest": Digest::sha256(content), "kind": "elf", "mode": 0o755, "size": content.len(),
            }],
            "complete": true,
        }))
        .unwrap()
    }

    #[test]
    fn profiles_are_kept_by_digest_and_those_of_other_images_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (own, other) = (Digest::sha256(b"own"), Digest::sha256(b"other"));
        let store = ProfileStore::open(directory.path().join("cache"), None).unwrap();
        assert!(store.find(&own).unwrap().is_none());
        assert!(matches!(store.insert(&other, &document(&own, b"x")), Err(ProfileError::OtherImage { .. })));
        assert!(matches!(store.insert(&own, b"{"), Err(ProfileError::Malformed { .. })));
        drop(store.insert(&own, &document(&own, b"x")).unwrap());
        let set = store.find(&own).unwrap().unwrap();
        assert!(set.contains(&content_of(&Digest::sha256(b"x")).unwrap()));
        assert!(!set.contains(&content_of(&Digest::sha256(b"y")).unwrap()));
        assert!(set.has_size(1) && !set.has_size(2));
    }

    #[test]
    fn given_profiles_are_found_whatever_their_name() {
        let directory = tempfile::tempdir().unwrap();
        let own = Digest::sha256(b"own");
        fs::write(directory.path().join("a.json"), b"{").unwrap();
        fs::write(directory.path().join("b.json"), document(&own, b"x")).unwrap();
        let store =
            ProfileStore::open(directory.path().join("cache"), Some(directory.path().to_owned())).unwrap();
        assert_eq!(store.find(&own).unwrap().unwrap().len(), 1);
    }
}
