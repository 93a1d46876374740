//! Models of machine learning: what the heads of GGUF and safetensors files say, and the cache of Hugging Face.

mod gguf;
mod safetensors;

use std::collections::BTreeMap;

use hullmark_types::{Confidence, PackageKind};

use crate::text::non_empty;
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Passing};

/// How much of a file is read: what says what the model is stands at its beginning, before words and numbers.
const MAX_HEAD: usize = 4 * 1024 * 1024;

/// Names of files that say nothing of the model: the directory does.
const COMMON_NAMES: &[&str] =
    &["adapter_model", "consolidated", "diffusion_pytorch_model", "model", "pytorch_model", "weights"];

/// Reads the heads of model files.
pub struct Models;

impl Extractor for Models {
    fn name(&self) -> &'static str {
        "models"
    }

    fn summary(&self) -> &'static str {
        "Machine-learning models, from the heads of `*.gguf` and `*.safetensors` of any size, and from the cache of Hugging Face (`models--*/refs/*`)"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Generic, PackageKind::Huggingface]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        is_model(file.file_name())
            || (file.path.contains("models--") && of_cache(file.path, "refs").is_some())
    }

    fn passing(&self, file: &FileFacts<'_>, _: &[u8]) -> Option<Box<dyn Passing>> {
        is_model(file.file_name()).then(|| Box::new(Head(Vec::new())) as Box<dyn Passing>)
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        if is_model(file.file_name()) {
            let head = file.bytes.get(..MAX_HEAD).unwrap_or(file.bytes);
            return read(file.path, head);
        }
        let mut found = Extraction::default();
        let revision = std::str::from_utf8(file.bytes).map(str::trim).unwrap_or_default();
        if let Some(name) = of_cache(file.path, "refs").map(|(name, _)| name)
            && is_revision(revision)
        {
            found.add_package(file.path, FoundPackage::new(PackageKind::Huggingface, name, revision));
        }
        found
    }
}

fn is_model(name: &str) -> bool {
    name.ends_with(".gguf") || name.ends_with(".safetensors")
}

fn is_revision(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Name of the repository and what stands behind `below` in a path in the cache of Hugging Face:
/// `models--OWNER--NAME/BELOW/REST`.
fn of_cache<'a>(path: &'a str, below: &str) -> Option<(String, &'a str)> {
    let mut rest = path;
    loop {
        let (part, after) = rest.split_once('/')?;
        rest = after;
        if let Some(name) = part.strip_prefix("models--")
            && let Some((directory, rest)) = after.split_once('/')
            && directory == below
        {
            return Some((name.replacen("--", "/", 1), rest));
        }
    }
}

/// The head of a file as it passes.
struct Head(Vec<u8>);

impl Passing for Head {
    fn bytes(&mut self, bytes: &[u8]) {
        let room = MAX_HEAD.saturating_sub(self.0.len()).min(bytes.len());
        self.0.extend_from_slice(bytes.get(..room).unwrap_or_default());
    }

    fn kept(&self) -> u64 {
        self.0.capacity() as u64
    }

    fn max_kept(&self) -> u64 {
        2 * MAX_HEAD as u64
    }

    fn finish(self: Box<Self>, path: &str) -> Extraction {
        read(path, &self.0)
    }
}

/// What a model says of itself.
#[derive(Default)]
struct Said {
    name: Option<String>,
    version: Option<String>,
    author: Option<String>,
    licenses: Vec<String>,
    /// Where it comes from.
    address: Option<String>,
    properties: BTreeMap<String, String>,
}

impl Said {
    fn property(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value.and_then(non_empty) {
            self.properties.insert(key.to_owned(), value);
        }
    }
}

fn read(path: &str, head: &[u8]) -> Extraction {
    let mut found = Extraction::default();
    let said = if path.ends_with(".gguf") { gguf::read(head) } else { safetensors::read(head) };
    let said = match said {
        Ok(said) => said,
        Err(problem) => {
            found.gap("malformed-package-metadata", path, problem);
            return found;
        }
    };
    let (kind, name, version, confidence) = identity(path, &said);
    let package = FoundPackage {
        licenses: said.licenses,
        vendor: said.author,
        confidence,
        properties: said.properties,
        ..FoundPackage::new(kind, name, version)
    };
    found.add_package(path, package);
    found
}

/// What the model is: the first that says it of the cache of Hugging Face, the address in the file, the title in the file, and the
/// path.
fn identity(path: &str, said: &Said) -> (PackageKind, String, String, Confidence) {
    let version = said.version.clone().unwrap_or_default();
    if let Some((name, rest)) = of_cache(path, "snapshots")
        && let Some((revision, _)) = rest.split_once('/').filter(|(revision, _)| is_revision(revision))
    {
        return (PackageKind::Huggingface, name, revision.to_owned(), Confidence::Declared);
    }
    let address = said.address.as_deref().and_then(|address| address.strip_prefix("https://huggingface.co/"));
    if let Some(name) = address.map(|name| name.trim_end_matches('/')).filter(|name| is_repository(name)) {
        return (PackageKind::Huggingface, name.to_owned(), version, Confidence::Declared);
    }
    match &said.name {
        Some(name) => (PackageKind::Generic, name.clone(), version, Confidence::Declared),
        None => (PackageKind::Generic, name_of(path).to_owned(), version, Confidence::Derived),
    }
}

/// Whether it is `OWNER/NAME`.
fn is_repository(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    name.split_once('/').is_some_and(|(owner, name)| is_part(owner) && is_part(name))
}

/// The name of a model by its path: the files of one model are numbered (`x-00001-of-00003.gguf`).
fn name_of(path: &str) -> &str {
    let (directory, name) = path.rsplit_once('/').unwrap_or_default();
    let name = if name.is_empty() { path } else { name };
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let stem = stem
        .rsplit_once("-of-")
        .filter(|(_, count)| is_number(count))
        .and_then(|(before, _)| before.rsplit_once('-'))
        .filter(|(_, number)| is_number(number))
        .map_or(stem, |(stem, _)| stem);
    match directory.rsplit_once('/').map_or(directory, |(_, last)| last) {
        above if !above.is_empty() && (stem.is_empty() || COMMON_NAMES.contains(&stem)) => above,
        _ if stem.is_empty() => name,
        _ => stem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_paths() {
        for (path, expected) in [
            ("srv/llama-7b-00001-of-00003.gguf", "llama-7b"),
            ("srv/bert/model.safetensors", "bert"),
            ("srv/bert/model-00001-of-00002.safetensors", "bert"),
            ("model.safetensors", "model"),
            ("srv/one-of-two.gguf", "one-of-two"),
            (".gguf", ".gguf"),
        ] {
            assert_eq!(name_of(path), expected, "{path}");
        }
    }

    #[test]
    fn revisions_in_the_cache_of_hugging_face() {
        let revision = "0123456789abcdef0123456789abcdef01234567";
        let path = "root/.cache/huggingface/hub/models--google--bert-base/refs/main";
        let read = |bytes: &[u8]| Models.extract(&OpenFile { path, bytes }).packages;
        let expected = FoundPackage::new(PackageKind::Huggingface, "google/bert-base", revision);
        assert_eq!(read(format!("{revision}\n").as_bytes()), [expected]);
        assert_eq!(read(b"main"), []);
        assert!(Models.wants(&FileFacts { path, size: 40, mode: 0o644 }));
        assert!(!Models.wants(&FileFacts { path: "srv/models--x/blobs/0", size: 40, mode: 0o644 }));
        let path = format!("hub/models--gpt2/snapshots/{revision}/model.safetensors");
        let (kind, name, version, _) = identity(&path, &Said::default());
        assert_eq!((kind, name.as_str(), version.as_str()), (PackageKind::Huggingface, "gpt2", revision));
    }
}
