//! The configuration file. Unknown keys are errors.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize;

/// What is done about a program that the image does not contain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It is stopped.
    Block,
    /// It runs, and is reported.
    #[default]
    Alert,
}

/// What to answer about an image when neither the server nor an earlier answer of it is at hand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// It may not start.
    #[default]
    Closed,
    /// It may start.
    Open,
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of this node, in events and decisions.
    pub node: String,
    /// The socket that hooks ask; created with mode 0600.
    #[serde(default = "default_socket")]
    pub socket: PathBuf,
    /// Where the agent keeps what must survive it: tracked containers, profiles, answers, spooled events.
    #[serde(default = "default_data_directory")]
    pub data_directory: PathBuf,
    /// What is done where the policy of the server says nothing; without a server, always.
    #[serde(default)]
    pub mode: Mode,
    /// Work without a server: every image may start, profiles come from `profiles`, events stay in the spool.
    #[serde(default)]
    pub standalone: bool,
    /// A directory of profiles as `hullmark profile` writes them, any name ending in `.json`.
    #[serde(default)]
    pub profiles: Option<PathBuf>,
    /// The server; required unless `standalone`.
    #[serde(default)]
    pub server: Option<Server>,
    /// The spool of events.
    #[serde(default)]
    pub spool: Spool,
    /// The agent's own messages.
    #[serde(default)]
    pub log: Log,
}

/// The server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Its address, such as `https://hullmark.example:8443`.
    pub url: String,
    /// A file with the token of role `agent`.
    pub token_file: PathBuf,
    /// A file with certificate authorities (PEM) that are trusted beside the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// What to answer when the server cannot be asked and no earlier answer is at hand.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// How old an earlier answer may be to be used while the server cannot be asked.
    #[serde(default = "default_answer_max_age")]
    pub answer_max_age_seconds: u32,
    /// How long a question may take in all. Less than the deadline of the hook, or no other answer reaches it in time.
    #[serde(default = "default_decision_timeout")]
    pub decision_timeout_ms: u32,
    /// How long to wait for the server in everything else: profiles, events, decisions told later.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u32,
}

/// The spool of events.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spool {
    /// How many bytes it may take. When there are more, the oldest events other than drift are dropped and counted.
    pub bytes: u64,
}

impl Default for Spool {
    fn default() -> Self {
        Self { bytes: 64 * 1024 * 1024 }
    }
}

/// The form of the agent's own messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object for each.
    Json,
}

/// The agent's own messages; they go to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Their form.
    pub format: LogFormat,
    /// The least severe level, or a filter such as `hullmark_agent=debug`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

/// Where the socket is unless the file says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/hullmark/agent.sock";

fn default_socket() -> PathBuf {
    DEFAULT_SOCKET.into()
}

fn default_data_directory() -> PathBuf {
    "/var/lib/hullmark-agent".into()
}

fn default_answer_max_age() -> u32 {
    24 * 60 * 60
}

fn default_decision_timeout() -> u32 {
    1000
}

fn default_timeout() -> u32 {
    5
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read the configuration `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("the configuration `{}` is not valid", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// Its parts do not fit together.
    #[error("the configuration `{}`: {problem}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        problem: &'static str,
    },
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// When it cannot be read, has unknown keys or wrong values, or its parts do not fit together.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let config: Self = toml::from_str(&text)
            .map_err(|source| ConfigError::Parse { path: path.to_owned(), source: Box::new(source) })?;
        match config.problem() {
            Some(problem) => Err(ConfigError::Invalid { path: path.to_owned(), problem }),
            None => Ok(config),
        }
    }

    fn problem(&self) -> Option<&'static str> {
        if self.node.is_empty() {
            return Some("`node` is empty");
        }
        if !self.socket.is_absolute() || !self.data_directory.is_absolute() {
            return Some("`socket` and `data_directory` must be absolute paths");
        }
        if self.server.as_ref().is_some_and(|server| !(1..=60_000).contains(&server.decision_timeout_ms)) {
            return Some("`server.decision_timeout_ms` must be between 1 and 60000");
        }
        if self.spool.bytes < 1024 * 1024 {
            return Some("`spool.bytes` is less than 1048576");
        }
        match (self.standalone, &self.server) {
            (true, Some(_)) => Some("`standalone = true` and `[server]` exclude each other"),
            (false, None) => Some("there is neither `[server]` nor `standalone = true`"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(), &str>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.toml");
        fs::write(&path, text).unwrap();
        match (Config::read(&path), expected) {
            (Ok(_), Ok(())) => {}
            (Err(error), Err(expected)) => {
                let text = match &error {
                    ConfigError::Parse { source, .. } => source.to_string(),
                    other => other.to_string(),
                };
                assert!(text.contains(expected), "{text}");
            }
            (found, expected) => panic!("{text}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_configuration_says_what_it_means_or_is_refused() {
        check("node = 'n'\nstandalone = true", Ok(()));
        check("node = 'n'\nmode = 'block'\n[server]\nurl = 'https://a'\ntoken_file = '/t'", Ok(()));
        check(
            "node = 'n'\n[server]\nurl = 'https://a'\ntoken_file = '/t'\ndecision_timeout_ms = 0",
            Err("decision_timeout_ms"),
        );
        check("node = 'n'\nstandalone = true\nmodus = 'block'", Err("unknown field `modus`"));
        check("node = 'n'\nstandalone = true\nmode = 'maybe'", Err("unknown variant `maybe`"));
        check("node = 'n'", Err("neither `[server]` nor"));
        check("node = ''\nstandalone = true", Err("`node` is empty"));
        check("node = 'n'\nstandalone = true\nsocket = 'a'", Err("absolute"));
        check("node = 'n'\nstandalone = true\n[spool]\nbytes = 1", Err("spool.bytes"));
    }
}
