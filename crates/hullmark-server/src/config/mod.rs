//! The configuration: one TOML file. An unknown key is an error with its line.

mod duration;
mod keys;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hullmark_types::{EnforcementMode, Point};
use serde::Deserialize;

pub use duration::ConfigDuration;
pub use keys::{json_schema, reference};

/// The largest configuration file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text is not a configuration.
    #[error("the configuration `{file}` is not valid: {reason}")]
    Syntax {
        /// The file.
        file: String,
        /// What is wrong, with line and column.
        reason: String,
    },
    /// Values do not fit together.
    #[error("the configuration `{file}` is not valid: {reason}")]
    Value {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
}

/// The configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the server listens and keeps its data.
    pub server: ServerConfig,
    /// What a request may cost.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// The advisories.
    pub database: DatabaseConfig,
    /// What is done with verdicts.
    #[serde(default)]
    pub enforcement: EnforcementConfig,
    /// The first policy.
    #[serde(default)]
    pub policy: PolicyConfig,
    /// The registry gate.
    #[serde(default)]
    pub gate: GateConfig,
    /// The admission webhook.
    #[serde(default)]
    pub admission: AdmissionConfig,
    /// The log.
    #[serde(default)]
    pub log: LogConfig,
}

/// `[server]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Address and port to listen on.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// Unix socket for gates on this machine.
    pub local_socket: Option<PathBuf>,
    /// Directory where hooks on this machine keep what they decided while nobody answered on the socket.
    pub hook_records: Option<PathBuf>,
    /// Directory of the store, the ledger and its key.
    pub data_directory: PathBuf,
    /// Certificate and key.
    pub tls: Option<TlsConfig>,
    /// Serve without TLS; only on a loopback address.
    #[serde(default)]
    pub plain_http: bool,
    /// How long requests may go on after the server was told to end.
    #[serde(default = "default_shutdown_grace")]
    pub shutdown_grace: ConfigDuration,
}

/// `[server.tls]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file of the certificate and those that vouch for it.
    pub certificate: PathBuf,
    /// PEM file of the private key.
    pub key: PathBuf,
}

/// `[limits]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// The largest body of a request, in bytes.
    pub body_bytes: u64,
    /// The largest inventory that is sent, with its profile, in bytes.
    pub inventory_bytes: u64,
    /// How many inventories are taken in at the same time; more wait.
    pub scans: usize,
    /// How long a request may take. Pulls through the gate have limits of their own.
    pub request_timeout: ConfigDuration,
    /// How many requests are worked on at the same time; more are refused with 503.
    pub concurrency: usize,
    /// How many connections are open at the same time; more are closed at once.
    pub connections: usize,
    /// How many events of running containers are kept.
    pub events: u64,
}

/// `[database]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// The advisory database. It is opened again when the file is replaced.
    pub file: PathBuf,
}

/// What happens to an image that was not scanned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unscanned {
    /// It is denied.
    #[default]
    Deny,
    /// It is allowed with a warning.
    Warn,
    /// It is allowed.
    Allow,
}

/// What happens when no verdict can be had or recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The image is denied.
    #[default]
    Closed,
    /// The image is allowed, and the record says so.
    Open,
}

/// `[enforcement]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnforcementConfig {
    /// What happens to an image that was not scanned.
    pub unscanned: Unscanned,
    /// What happens when no verdict can be had or recorded.
    pub on_failure: OnFailure,
    /// How long a verdict is used before it is made anew.
    pub verdict_max_age: ConfigDuration,
    /// Whether a denial stops anything, by point.
    pub modes: ModesConfig,
}

/// `[enforcement.modes]`
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModesConfig {
    /// At the registry gate.
    pub registry_gate: EnforcementMode,
    /// At the admission webhook.
    pub admission: EnforcementMode,
    /// At the OCI hook.
    pub oci_hook: EnforcementMode,
    /// At the image verifier of containerd.
    pub image_verifier: EnforcementMode,
    /// At the agent.
    pub agent: EnforcementMode,
}

impl ModesConfig {
    /// The mode of a point. Scans and the API enforce nothing themselves.
    pub fn of(&self, point: Point) -> EnforcementMode {
        match point {
            Point::RegistryGate => self.registry_gate,
            Point::Admission => self.admission,
            Point::OciHook => self.oci_hook,
            Point::ImageVerifier => self.image_verifier,
            Point::Agent => self.agent,
            Point::Scan | Point::Api | Point::Server => EnforcementMode::Enforce,
        }
    }
}

/// `[policy]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// Policy file that becomes version 1 when the store has no policy; the built-in policy otherwise.
    pub file: Option<PathBuf>,
}

/// `[gate]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GateConfig {
    /// Whether there is a registry gate.
    pub enabled: bool,
    /// Whether pulls need no token.
    pub anonymous: bool,
    /// How long the first pull of an image waits for its scan.
    pub wait: ConfigDuration,
    /// The platforms of an index that are scanned when the index is pulled.
    pub platforms: Vec<String>,
    /// How much disk the cache of blobs may use, in bytes.
    pub cache_bytes: u64,
    /// How much disk the results of layers may use, in bytes.
    pub results_bytes: u64,
    /// How long what a tag points to is believed.
    pub tag_ttl: ConfigDuration,
    /// The registries behind the gate, by the first component of the repository's name.
    pub upstreams: BTreeMap<String, UpstreamConfig>,
}

/// `[gate.upstreams.NAME]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamConfig {
    /// Address of the registry.
    pub url: String,
    /// File with credentials, in the form of Docker's config.json.
    pub auth_file: Option<PathBuf>,
    /// Allow plain HTTP.
    #[serde(default)]
    pub plain_http: bool,
    /// PEM file of certificates to trust besides those of the system.
    pub ca_file: Option<PathBuf>,
}

/// `[admission]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdmissionConfig {
    /// Whether there is an admission webhook.
    pub enabled: bool,
    /// The registry of image names without one.
    pub default_registry: String,
    /// Host and port under which nodes know the gate: names of images there are mapped back to those of the upstream.
    pub gate: Option<String>,
    /// Whether the API server must present a token of the role `agent`.
    pub require_token: bool,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// How it is written.
    pub format: LogFormat,
    /// What is written: `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8443))
}

fn default_shutdown_grace() -> ConfigDuration {
    ConfigDuration(Duration::from_secs(10))
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            body_bytes: 4 * 1024 * 1024,
            inventory_bytes: 64 * 1024 * 1024,
            scans: 4,
            request_timeout: ConfigDuration(Duration::from_secs(60)),
            concurrency: 256,
            connections: 4096,
            events: 1_000_000,
        }
    }
}

impl Default for EnforcementConfig {
    fn default() -> Self {
        Self {
            unscanned: Unscanned::default(),
            on_failure: OnFailure::default(),
            verdict_max_age: ConfigDuration(Duration::from_secs(24 * 3600)),
            modes: ModesConfig::default(),
        }
    }
}

impl Default for GateConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            anonymous: false,
            wait: ConfigDuration(Duration::from_secs(60)),
            platforms: vec!["linux/amd64".to_owned()],
            cache_bytes: 10 * 1024 * 1024 * 1024,
            results_bytes: hullmark_cache::DEFAULT_MAX_BYTES,
            tag_ttl: ConfigDuration(Duration::from_secs(60)),
            upstreams: BTreeMap::new(),
        }
    }
}

impl Default for AdmissionConfig {
    fn default() -> Self {
        Self { enabled: false, default_registry: "docker.io".to_owned(), gate: None, require_token: false }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::default(), level: "info".to_owned() }
    }
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// When the file cannot be read or is not valid.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        use std::io::Read;

        let failed = |source| ConfigError::Read { path: path.to_path_buf(), source };
        let mut text = String::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
            .map_err(failed)?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads the text of a configuration file; `name` is the file's name for messages.
    ///
    /// # Errors
    /// When the text is not valid.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::Syntax {
            file: name.to_owned(),
            reason: error.to_string().trim_end().to_owned(),
        })?;
        match config.problem() {
            Some(reason) => Err(ConfigError::Value { file: name.to_owned(), reason }),
            None => Ok(config),
        }
    }

    /// What does not fit together.
    fn problem(&self) -> Option<String> {
        let server = &self.server;
        let loopback = server.listen.ip().is_loopback();
        if server.tls.is_none() && !server.plain_http {
            return Some(
                "`server.tls` is missing: give a certificate and a key, or on a loopback address `plain_http = true`"
                    .to_owned(),
            );
        }
        if server.tls.is_some() && server.plain_http {
            return Some("`server.tls` and `server.plain_http` exclude each other".to_owned());
        }
        if server.plain_http && !loopback {
            return Some(format!(
                "`server.plain_http` is for loopback addresses only, and `{}` is none",
                server.listen
            ));
        }
        let positive = [
            ("limits.body_bytes", self.limits.body_bytes),
            ("limits.inventory_bytes", self.limits.inventory_bytes),
            ("limits.scans", self.limits.scans as u64),
            ("limits.concurrency", self.limits.concurrency as u64),
            ("limits.connections", self.limits.connections as u64),
            ("limits.events", self.limits.events),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Some(format!("`{name}` is 0, so that nothing would be accepted"));
        }
        if self.log.level.parse::<tracing::Level>().is_err() {
            return Some("`log.level` is none of `error`, `warn`, `info`, `debug` and `trace`".to_owned());
        }
        None
    }

    /// The file of the store.
    pub fn store_file(&self) -> PathBuf {
        self.server.data_directory.join("store.db")
    }

    /// The directory of the ledger.
    pub fn ledger_directory(&self) -> PathBuf {
        self.server.data_directory.join("ledger")
    }
}
