//! What a container runtime says of a container: its state on standard input, and the configuration in its bundle.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::bounded;

/// The most bytes taken from standard input.
pub const STDIN_LIMIT: u64 = 1024 * 1024;

/// The most bytes taken from the configuration in a bundle.
const CONFIGURATION_LIMIT: u64 = 16 * 1024 * 1024;

const PATH_LIMIT: usize = 4096;

/// The state of a container, as far as it is used, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Id of the container.
    pub id: String,
    /// Its first process.
    pub pid: Option<u32>,
    /// The directory of its bundle, absolute and without `..`.
    pub bundle: PathBuf,
}

/// The configuration of a container, as far as it is used, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BundleConfiguration {
    /// The root file system, absolute and without `..`.
    pub root: Option<PathBuf>,
    /// Annotations: said by whoever made the container.
    pub annotations: BTreeMap<String, String>,
}

/// What a runtime says makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// The state does not parse.
    #[error("the state of the container is malformed")]
    State(#[source] serde_json::Error),
    /// A part of the state cannot be used.
    #[error("the state of the container has {0}")]
    StateValue(&'static str),
    /// The configuration cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration does not parse.
    #[error("`{path}` is malformed")]
    Configuration {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The path of the root file system cannot be used.
    #[error("`{path}` names a root file system with `..` in its path, or a path that is too long")]
    Root {
        /// The file.
        path: PathBuf,
    },
}

#[derive(Deserialize)]
struct RawState {
    id: String,
    #[serde(default)]
    pid: Option<i64>,
    bundle: PathBuf,
}

#[derive(Deserialize)]
struct RawConfiguration {
    #[serde(default)]
    root: Option<RawRoot>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct RawRoot {
    path: PathBuf,
}

impl State {
    /// Takes the state apart.
    ///
    /// # Errors
    /// When it does not parse, or its id or its bundle could lead elsewhere than they should.
    pub fn parse(bytes: &[u8]) -> Result<Self, OciError> {
        let raw: RawState = serde_json::from_slice(bytes).map_err(OciError::State)?;
        if !is_id(&raw.id) {
            return Err(OciError::StateValue("an id that is not letters, digits, `_`, `.`, `+` and `-`"));
        }
        if !raw.bundle.is_absolute() || !is_straight(&raw.bundle) {
            return Err(OciError::StateValue("a bundle that is no absolute path without `..`"));
        }
        let pid = raw.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|&pid| pid > 0);
        Ok(Self { id: raw.id, pid, bundle: raw.bundle })
    }
}

impl BundleConfiguration {
    /// Reads `config.json` of a bundle.
    ///
    /// # Errors
    /// When it cannot be read or makes no sense.
    pub fn read(bundle: &Path) -> Result<Self, OciError> {
        let path = bundle.join("config.json");
        match bounded::read_file(&path, CONFIGURATION_LIMIT) {
            Ok(bytes) => Self::parse(&bytes, bundle),
            Err(source) => Err(OciError::Read { path, source }),
        }
    }

    /// Takes the `config.json` of a bundle apart.
    ///
    /// # Errors
    /// When it makes no sense.
    pub fn parse(bytes: &[u8], bundle: &Path) -> Result<Self, OciError> {
        let path = || bundle.join("config.json");
        let raw: RawConfiguration = serde_json::from_slice(bytes)
            .map_err(|source| OciError::Configuration { path: path(), source })?;
        // A relative path is relative to the bundle; an absolute one replaces it.
        let root = raw.root.map(|root| bundle.join(root.path));
        if root.as_deref().is_some_and(|root| !is_straight(root)) {
            return Err(OciError::Root { path: path() });
        }
        Ok(Self { root, annotations: raw.annotations.unwrap_or_default() })
    }
}

/// Whether `id` can be part of a path: what runc takes for the id of a container.
pub(crate) fn is_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'+' | b'-');
    (1..=1024).contains(&id.len()) && id.bytes().all(allowed) && !matches!(id, "." | "..")
}

fn is_straight(path: &Path) -> bool {
    path.as_os_str().len() <= PATH_LIMIT && path.components().all(|part| part != Component::ParentDir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_podman_and_runc_is_understood() {
        let state = State::parse(
            br#"{"ociVersion":"1.0.2-dev","id":"9a495a","status":"creating","pid":5884,"bundle":"/st/userdata","annotations":{"a":"b"}}"#,
        )
        .unwrap();
        assert_eq!(state.id, "9a495a");
        assert_eq!(state.pid, Some(5884));
        assert_eq!(state.bundle, Path::new("/st/userdata"));
    }

    #[test]
    fn a_state_that_leads_elsewhere_is_refused() {
        for text in [
            "",
            "null",
            "[]",
            r#"{"id":"a"}"#,
            r#"{"id":"../a","bundle":"/b"}"#,
            r#"{"id":"..","bundle":"/b"}"#,
            r#"{"id":"","bundle":"/b"}"#,
            r#"{"id":"a/b","bundle":"/b"}"#,
            r#"{"id":"a","bundle":"b"}"#,
            r#"{"id":"a","bundle":"/b/../c"}"#,
        ] {
            assert!(State::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn root_is_absolute_or_in_the_bundle() {
        let bundle = Path::new("/run/b");
        let root = |text: &str| {
            BundleConfiguration::parse(format!(r#"{{"root":{{"path":"{text}"}}}}"#).as_bytes(), bundle)
                .map(|configuration| configuration.root.unwrap())
        };
        assert_eq!(root("rootfs").unwrap(), Path::new("/run/b/rootfs"));
        assert_eq!(root("/var/x/merged").unwrap(), Path::new("/var/x/merged"));
        assert!(root("../x").is_err());
        assert!(root("/a/../x").is_err());
        assert_eq!(BundleConfiguration::parse(b"{}", bundle).unwrap(), BundleConfiguration::default());
    }
}
