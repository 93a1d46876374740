//! What the command takes from its surroundings: the clock, the random source, directories, who asks. The stages get
//! these as arguments; this is the only place that reads them.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use hullmark_engine::Asker;
use hullmark_http::Secret;
use hullmark_image::{ClientCertificate, CredentialSources, LocalEngines, RegistryAccess};
use hullmark_types::{Digest, DigestAlgorithm, Hasher};
use jiff::Timestamp;

use crate::cli::{EngineArguments, RegistryArguments};

/// The current time, or the one given by `--now`.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock; everything else is handed the time"
)]
pub fn now(given: Option<Timestamp>) -> Timestamp {
    given.unwrap_or_else(Timestamp::now)
}

/// Fills `bytes` from the operating system's random source.
pub fn entropy(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(|error| io::Error::other(error.to_string()))
}

/// The advisory database: the path given, else in the user's data directory.
pub fn database_path(given: Option<PathBuf>) -> Result<PathBuf> {
    in_data_directory(given, "advisories.db", "--db")
}

/// The ledger: the path given, else in the user's data directory.
pub fn ledger_path(given: Option<PathBuf>) -> Result<PathBuf> {
    in_data_directory(given, "ledger", "--ledger")
}

/// What is known of base images: the directory given, else in the user's data directory.
pub fn bases_directory(given: Option<PathBuf>) -> Result<PathBuf> {
    in_data_directory(given, "bases", "--bases")
}

fn in_data_directory(given: Option<PathBuf>, name: &str, option: &str) -> Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path);
    }
    let absolute = |variable| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .with_context(|| format!("neither HOME nor XDG_DATA_HOME is set; give {option}"))?;
    Ok(data.join("hullmark").join(name))
}

/// The engines of this machine. An address that cannot be used counts only where the target needs it.
pub fn engines(given: &EngineArguments, target: &hullmark_image::Target) -> Result<LocalEngines> {
    use hullmark_image::Target;

    let absolute = |variable| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let mut engines = LocalEngines::default();
    let is_root = nix::unistd::geteuid().is_root();
    if let Some(runtime) = absolute("XDG_RUNTIME_DIR").filter(|_| !is_root) {
        engines.podman_socket = runtime.join("podman/podman.sock");
    }
    let is_docker = matches!(target, Target::DockerDaemon(_));
    let is_podman = matches!(target, Target::Podman(_));
    for (address, option, is_needed, socket) in [
        (&given.docker_host, "--docker-host", is_docker, &mut engines.docker_socket),
        (&given.podman_host, "--podman-host", is_podman, &mut engines.podman_socket),
    ] {
        let Some(address) = address.as_deref().filter(|address| !address.is_empty()) else { continue };
        match address.strip_prefix("unix://").filter(|path| path.starts_with('/')) {
            Some(path) => *socket = PathBuf::from(path),
            None if is_needed => bail!("{option} is `{address}`, and only `unix:///SOCKET` can be used"),
            None => {}
        }
    }
    if let Some(address) = &given.containerd_address {
        let text = address.to_string_lossy();
        engines.containerd_socket = PathBuf::from(text.strip_prefix("unix://").unwrap_or(&text));
    }
    if let Some(namespace) = &given.containerd_namespace {
        engines.containerd_namespace.clone_from(namespace);
    }
    let data = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
    let own = data.filter(|_| !is_root).map(|data| data.join("containers/storage"));
    if let Some(storage) = given.containers_storage.clone().or(own) {
        engines.containers_storage = storage;
    }
    Ok(engines)
}

/// The directory for what can be fetched again.
pub fn cache_directory() -> Option<PathBuf> {
    let absolute = |variable| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("hullmark"))
}

/// The directory for what was found in layers: the one given, else in the user's cache directory.
pub fn results_directory(given: Option<PathBuf>) -> Option<PathBuf> {
    given.or_else(|| cache_directory().map(|directory| directory.join("results")))
}

/// What gets us into registries: what the arguments name, else what Docker and Podman use.
pub fn registry_access(arguments: &RegistryArguments) -> RegistryAccess {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = variable("HOME");
    let config = variable("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
    let docker = variable("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker")));
    let files = match &arguments.auth_file {
        // The one that is named must exist.
        Some(file) => vec![file.clone()],
        None => {
            let in_directory =
                |directory: Option<PathBuf>, name| directory.map(|directory| directory.join(name));
            let files = [
                in_directory(variable("XDG_RUNTIME_DIR"), "containers/auth.json"),
                in_directory(config.clone(), "containers/auth.json"),
                in_directory(docker, "config.json"),
            ];
            files.into_iter().flatten().filter(|path| path.is_file()).collect()
        }
    };
    let certificates = match &arguments.registry_certs {
        Some(directory) => vec![directory.clone()],
        None => {
            let of_user = config.map(|config| config.join("containers/certs.d"));
            let of_machine = ["/etc/containers/certs.d", "/etc/docker/certs.d"];
            of_user.into_iter().chain(of_machine.map(PathBuf::from)).collect()
        }
    };
    let pair = arguments.registry_cert.clone().zip(arguments.registry_key.clone());
    RegistryAccess {
        credentials: CredentialSources { files, search_path: std::env::var_os("PATH") },
        certificates,
        client_certificate: pair.map(|(certificate, key)| ClientCertificate { certificate, key }),
        mirrors: arguments.registry_mirror.clone(),
    }
}

/// The token by which a server knows the caller: from the file, else from `HULLMARK_SERVER_TOKEN`. Never an argument, which others
/// on the machine can see.
pub fn token(file: Option<&Path>) -> Result<Option<Secret>> {
    let text = match file {
        Some(path) => {
            let cannot = || format!("cannot read the token in `{}`", path.display());
            let mut text = String::new();
            let opened = std::fs::File::open(path).with_context(cannot)?;
            io::Read::take(opened, MAX_TOKEN).read_to_string(&mut text).with_context(cannot)?;
            text
        }
        None => std::env::var("HULLMARK_SERVER_TOKEN").unwrap_or_default(),
    };
    let token = text.trim();
    match (token.is_empty(), file) {
        (true, Some(path)) => bail!("the file `{}` holds no token", path.display()),
        (true, None) => Ok(None),
        (false, _) => Ok(Some(Secret::new(token))),
    }
}

/// The largest file with a token, in bytes.
const MAX_TOKEN: u64 = 4096;

/// What a server takes from its surroundings. A time given by `--now` stands still, for tests.
pub fn of_server(given: Option<Timestamp>) -> hullmark_server::Environment {
    hullmark_server::Environment {
        clock: std::sync::Arc::new(move || now(given)),
        entropy: std::sync::Arc::new(entropy),
        tool: crate::commands::tool(),
        binary: binary_digest(),
    }
}

/// Who asks, as far as the environment says it.
pub fn asker() -> Asker {
    let variable =
        |names: &[&str]| names.iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    let github_job = || {
        let (server, repository, run) = (
            std::env::var("GITHUB_SERVER_URL").ok()?,
            std::env::var("GITHUB_REPOSITORY").ok()?,
            std::env::var("GITHUB_RUN_ID").ok()?,
        );
        Some(format!("{server}/{repository}/actions/runs/{run}"))
    };
    Asker {
        user: variable(&["GITLAB_USER_LOGIN", "GITHUB_ACTOR", "USER", "LOGNAME"]),
        host: std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned()),
        job: variable(&["CI_JOB_URL", "BUILD_URL", "CIRCLE_BUILD_URL"]).or_else(github_job),
        token: None,
    }
}

/// Digest of this program's file, where it can be read.
pub fn binary_digest() -> Option<Digest> {
    let mut file = std::fs::File::open(std::env::current_exe().ok()?).ok()?;
    let mut hasher = Hasher::new(DigestAlgorithm::Sha256);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match io::Read::read(&mut file, &mut buffer).ok()? {
            0 => return Some(hasher.finish()),
            length => hasher.update(buffer.get(..length)?),
        }
    }
}
