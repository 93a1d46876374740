//! What the hook is told by the administrator of the machine.
//!
//! A small JSON file. It decides whether a container starts when nobody answers, so a file that others may write is refused,
//! and so is one with a key that is not known.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::bounded;

/// Where the file is looked for when none is named.
pub const DEFAULT_PATH: &str = "/etc/hullmark/hook.json";

const LIMIT: u64 = 64 * 1024;

/// What happens when there is no answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The container does not start, the image is not stored.
    #[default]
    Closed,
    /// The container starts, the image is stored.
    Open,
}

/// What happens with a container whose image cannot be told, such as one from a plain directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unidentified {
    /// It does not start.
    #[default]
    Deny,
    /// It starts.
    Allow,
}

/// The configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Configuration {
    /// The socket on which the agent or the server of this machine answers.
    pub socket: PathBuf,
    /// How long to wait for everything together, in milliseconds; 1 to 60,000.
    pub timeout_ms: u64,
    /// What happens when there is no answer.
    pub on_failure: OnFailure,
    /// What happens with a container whose image cannot be told.
    pub unidentified: Unidentified,
    /// Name of this machine in the records; its host name when left out.
    pub node: Option<String>,
    /// Directory where decisions without an answer are kept until they are recorded.
    pub record_directory: PathBuf,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            socket: PathBuf::from("/run/hullmark/server.sock"),
            timeout_ms: 2000,
            on_failure: OnFailure::default(),
            unidentified: Unidentified::default(),
            node: None,
            record_directory: PathBuf::from("/var/lib/hullmark/hook"),
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// The file cannot be read.
    #[error("cannot read the configuration `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others than root or this user may write the file.
    #[error("the configuration `{path}` may be written by others than root or this user")]
    Writable {
        /// The file.
        path: PathBuf,
    },
    /// It does not parse.
    #[error("the configuration `{path}` is malformed")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A value is out of its range.
    #[error("the configuration `{path}`: {problem}")]
    Value {
        /// The file.
        path: PathBuf,
        /// What is wrong and what would be right.
        problem: &'static str,
    },
}

impl Configuration {
    /// Reads the configuration from the file named, or from [`DEFAULT_PATH`], which may be absent.
    ///
    /// # Errors
    /// When the file cannot be read, is not trustworthy or makes no sense. The program denies then.
    pub fn load(named: Option<&Path>) -> Result<Self, ConfigurationError> {
        let path = named.unwrap_or_else(|| Path::new(DEFAULT_PATH));
        let read = |source| ConfigurationError::Read { path: path.to_owned(), source };
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(read(error)),
        };
        if metadata.permissions().mode() & 0o022 != 0 || !bounded::is_trusted(&metadata) {
            return Err(ConfigurationError::Writable { path: path.to_owned() });
        }
        let bytes = bounded::read_file(path, LIMIT).map_err(read)?;
        let configuration: Self = serde_json::from_slice(&bytes)
            .map_err(|source| ConfigurationError::Malformed { path: path.to_owned(), source })?;
        match configuration.problem() {
            None => Ok(configuration),
            Some(problem) => Err(ConfigurationError::Value { path: path.to_owned(), problem }),
        }
    }

    fn problem(&self) -> Option<&'static str> {
        if !(1..=60_000).contains(&self.timeout_ms) {
            Some("`timeout_ms` must be between 1 and 60000")
        } else if !self.socket.is_absolute() {
            Some("`socket` must be an absolute path")
        } else if !self.record_directory.is_absolute() {
            Some("`record_directory` must be an absolute path")
        } else if self.node.as_ref().is_some_and(|node| node.is_empty() || node.len() > 255) {
            Some("`node` must have 1 to 255 characters")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, mode: u32) -> Result<Configuration, ConfigurationError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hook.json");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        Configuration::load(Some(&path))
    }

    #[test]
    fn what_is_left_out_is_strict() {
        let configuration = load("{}", 0o600).unwrap();
        assert_eq!(configuration, Configuration::default());
        assert_eq!(configuration.on_failure, OnFailure::Closed);
        assert_eq!(configuration.unidentified, Unidentified::Deny);
        let open = load(r#"{"on_failure":"open","timeout_ms":50,"node":"n"}"#, 0o644).unwrap();
        assert_eq!((open.on_failure, open.timeout_ms), (OnFailure::Open, 50));
    }

    #[test]
    fn a_file_that_cannot_be_trusted_is_refused() {
        assert!(matches!(load("{}", 0o666), Err(ConfigurationError::Writable { .. })));
        for text in [
            "",
            r#"{"on_failure":"opne"}"#,
            r#"{"timeout":5}"#,
            r#"{"timeout_ms":0}"#,
            r#"{"socket":"a.sock"}"#,
            r#"{"record_directory":"a"}"#,
            r#"{"node":""}"#,
        ] {
            assert!(load(text, 0o600).is_err(), "{text}");
        }
        assert!(Configuration::load(Some(Path::new("/no/such/file"))).is_err());
    }
}
