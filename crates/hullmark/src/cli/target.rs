//! Arguments that name an image and say how it is got.

use std::path::PathBuf;

use clap::Args;
use hullmark_types::Platform;

use super::cache::CacheArguments;
use crate::size::ByteSize;

/// Which image, and how it is got.
#[derive(Debug, Args)]
pub struct TargetArguments {
    /// What to scan: `registry:host/repository:tag`, `docker-archive:FILE`, `oci-archive:FILE`, `oci-layout:DIRECTORY`,
    /// `rootfs:DIRECTORY or FILE`, `sbom:FILE`, `-` for an archive on standard input; without a scheme it is guessed
    pub target: String,
    /// Platform to choose from a multi-platform image [default: linux on this processor]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", env = "HULLMARK_PLATFORM")]
    pub platform: Option<Platform>,
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
