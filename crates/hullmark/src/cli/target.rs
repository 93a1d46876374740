//! Arguments that name an image and say how it is got.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use hullmark_types::{Platform, PlatformError};

use super::cache::CacheArguments;
use crate::size::ByteSize;

/// Which image, and how it is got.
#[derive(Debug, Args)]
pub struct TargetArguments {
    /// What to scan: `registry:host/repository:tag`, `docker-archive:FILE`, `oci-archive:FILE`, `oci-layout:DIRECTORY`,
    /// `docker-daemon:NAME`, `podman:NAME`, `containerd:NAME`, `containers-storage:NAME`, `container:ID`, `pid:NUMBER`,
    /// `rootfs:DIRECTORY or FILE`, `dir:DIRECTORY` of a project, `sbom:FILE`, or `-` for an archive on standard input; without a scheme it is guessed
    pub target: String,
    /// Platform to choose from a multi-platform image, or `all`, of which the worst counts [default: linux on this processor]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", env = "HULLMARK_PLATFORM")]
    pub platform: Option<PlatformChoice>,
    /// How registries are got into.
    #[command(flatten)]
    pub registry: RegistryArguments,
    /// Memory for reading the image, such as 512MiB; at least 32MiB
    #[arg(long, value_name = "SIZE", default_value = "256MiB", env = "HULLMARK_MEMORY")]
    pub memory: ByteSize,
    /// Digest the uncompressed bytes of every layer as well, and compare them with the image configuration
    #[arg(long)]
    pub verify_diff_ids: bool,
    /// Which cache.
    #[command(flatten)]
    pub cache: CacheArguments,
    /// Directory of what is known of base images [default: hullmark/bases in the user's data directory]
    #[arg(long, value_name = "DIRECTORY", env = "HULLMARK_BASES")]
    pub bases: Option<PathBuf>,
    /// The engines of this machine.
    #[command(flatten)]
    pub engines: EngineArguments,
}

/// Which of the platforms of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlatformChoice {
    /// Every one.
    All,
    /// This one.
    One(Platform),
}

impl FromStr for PlatformChoice {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        match text {
            "all" => Ok(Self::All),
            _ => text.parse().map(Self::One),
        }
    }
}

/// How registries are got into.
#[derive(Debug, Args)]
pub struct RegistryArguments {
    /// File with registry credentials, in the form of Docker's config.json [default: $REGISTRY_AUTH_FILE, else
    /// containers/auth.json in $XDG_RUNTIME_DIR and ~/.config, else ~/.docker/config.json]
    #[arg(long, value_name = "FILE", env = "REGISTRY_AUTH_FILE")]
    pub auth_file: Option<PathBuf>,
    /// File with certificate authorities (PEM) that registries are trusted by, beside the system's
    #[arg(long, value_name = "FILE", env = "HULLMARK_REGISTRY_CA")]
    pub registry_ca: Vec<PathBuf>,
    /// File with the client certificate (PEM) by which the registry knows us
    #[arg(long, value_name = "FILE", requires = "registry_key", env = "HULLMARK_REGISTRY_CERT")]
    pub registry_cert: Option<PathBuf>,
    /// File with the private key (PEM) of the client certificate
    #[arg(long, value_name = "FILE", requires = "registry_cert", env = "HULLMARK_REGISTRY_KEY")]
    pub registry_key: Option<PathBuf>,
    /// Directory with certificates by server, HOST[:PORT]/*.crt, *.cert and *.key [default: ~/.config/containers/certs.d,
    /// /etc/containers/certs.d, /etc/docker/certs.d]
    #[arg(long, value_name = "DIRECTORY", env = "HULLMARK_REGISTRY_CERTS")]
    pub registry_certs: Option<PathBuf>,
    /// Ask this server first for what a registry has, such as docker.io=https://mirror.example; may be repeated
    #[arg(long, value_name = "HOST=URL")]
    pub registry_mirror: Vec<hullmark_image::Mirror>,
    /// Fetch only the files that are needed of layers with a table of contents (eStargz, zstd:chunked), which may differ from
    /// what is unpacked
    #[arg(long, conflicts_with = "verify_diff_ids", env = "HULLMARK_LAZY")]
    pub lazy: bool,
}

/// Where the engines of this machine are.
#[derive(Debug, Args)]
pub struct EngineArguments {
    /// Socket of the Docker daemon, for `docker-daemon:` and `container:` [default: unix:///var/run/docker.sock]
    #[arg(long, value_name = "unix://SOCKET", env = "DOCKER_HOST")]
    pub docker_host: Option<String>,
    /// Socket of Podman's API, for `podman:` and `container:` [default: podman/podman.sock in $XDG_RUNTIME_DIR or /run]
    #[arg(long, value_name = "unix://SOCKET", env = "CONTAINER_HOST")]
    pub podman_host: Option<String>,
    /// Socket of containerd, for `containerd:` [default: /run/containerd/containerd.sock]
    #[arg(long, value_name = "SOCKET", env = "CONTAINERD_ADDRESS")]
    pub containerd_address: Option<PathBuf>,
    /// Namespace of containerd; images of Kubernetes are in `k8s.io` [default: default]
    #[arg(long, value_name = "NAMESPACE", env = "CONTAINERD_NAMESPACE")]
    pub containerd_namespace: Option<String>,
    /// Directory of containers-storage, for `containers-storage:` [default: /var/lib/containers/storage, for others than root
    /// containers/storage in the user's data directory]
    #[arg(long, value_name = "DIRECTORY", env = "HULLMARK_CONTAINERS_STORAGE")]
    pub containers_storage: Option<PathBuf>,
}
