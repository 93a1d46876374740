//! Where the engines of this machine keep their images, or give them away.

use std::path::PathBuf;

/// The engines of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalEngines {
    /// Socket of the Docker daemon.
    pub docker_socket: PathBuf,
    /// Socket of Podman's API, in the form of Docker's.
    pub podman_socket: PathBuf,
    /// Socket of containerd.
    pub containerd_socket: PathBuf,
    /// Namespace of containerd; images of Kubernetes are in `k8s.io`.
    pub containerd_namespace: String,
    /// Directory of containers-storage.
    pub containers_storage: PathBuf,
}

impl Default for LocalEngines {
    /// Where they are for root.
    fn default() -> Self {
        Self {
            docker_socket: PathBuf::from("/var/run/docker.sock"),
            podman_socket: PathBuf::from("/run/podman/podman.sock"),
            containerd_socket: PathBuf::from("/run/containerd/containerd.sock"),
            containerd_namespace: "default".to_owned(),
            containers_storage: PathBuf::from("/var/lib/containers/storage"),
        }
    }
}
