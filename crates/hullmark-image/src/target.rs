//! What an image is taken from.

use std::path::{Path, PathBuf};

use hullmark_types::ImageReference;

use crate::{TargetError, containers_storage};

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// What `docker save` writes; the reference chooses one of several images.
    DockerArchive(PathBuf, Option<String>),
    /// An OCI layout in a tar.
    OciArchive(PathBuf, Option<String>),
    /// An OCI layout.
    OciLayout(PathBuf, Option<String>),
    /// A root file system: a directory, or a tar of one.
    RootFilesystem(PathBuf),
    /// A directory of a project.
    Directory(PathBuf),
    /// An archive of whichever kind; found out when it is opened.
    Archive(PathBuf),
    /// An image in a registry.
    Registry(ImageReference),
    /// An archive on standard input; the name chooses one of several images.
    Stream(ArchiveKind, Option<String>),
    /// An image of the Docker daemon of this machine, by its name or id.
    DockerDaemon(String),
    /// An image of Podman's API on this machine, by its name or id.
    Podman(String),
    /// An image of the containerd of this machine.
    Containerd(String),
    /// An image in containers-storage, by its name or id.
    ContainersStorage(Storage, String),
    /// The root file system of a running container, by its id or name.
    Container(String),
    /// The root file system of a process.
    Process(u32),
}

/// What an archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveKind {
    /// Found out by what it begins with.
    Any,
    /// What `docker save` writes.
    Docker,
    /// An OCI layout in a tar.
    Oci,
    /// A tar of a root file system.
    RootFilesystem,
}

/// Which containers-storage; what is not said is as usual.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Storage {
    /// The driver, such as `overlay`.
    pub driver: Option<String>,
    /// Its directory.
    pub root: Option<PathBuf>,
}

/// Endings that no image reference has but files have.
const FILE_ENDINGS: [&str; 8] =
    [".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2", ".oci", ".json"];

impl Target {
    /// Reads a target: `docker-archive:FILE[:REFERENCE]`, `oci-archive:FILE[:NAME]`, `oci-layout:DIRECTORY[:NAME]`,
    /// `rootfs:PATH`, `dir:PATH`, `registry:REFERENCE`, `docker://REFERENCE`, `docker-daemon:NAME`, `podman:NAME`,
    /// `containerd:NAME`, `containers-storage:[DRIVER@ROOT]NAME`, `container:ID`, `pid:NUMBER`; `-` is standard input, also as
    /// `docker-archive:-[:REFERENCE]`, `oci-archive:-[:NAME]` and `rootfs:-`; without a scheme an existing path by
    /// what it holds, anything else as a reference to a registry.
    ///
    /// # Errors
    /// When it is neither; a text that looks like a path is never looked up in a registry.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let path_of = |rest: &str, scheme| match rest {
            "" => Err(TargetError::Empty { scheme, expected: "a path" }),
            _ => Ok(PathBuf::from(rest)),
        };
        if let Some(stream) = on_standard_input(text) {
            return Ok(stream);
        }
        if let Some((scheme, rest)) = text.split_once(':') {
            match scheme {
                "docker-archive" => {
                    let (path, name) = split_name(&path_of(rest, "docker-archive")?);
                    return Ok(Self::DockerArchive(path, name));
                }
                "oci-archive" => {
                    let (path, name) = split_name(&path_of(rest, "oci-archive")?);
                    return Ok(Self::OciArchive(path, name));
                }
                "oci-layout" | "oci" => {
                    let (path, name) = split_name(&path_of(rest, "oci-layout")?);
                    return Ok(Self::OciLayout(path, name));
                }
                // The form of skopeo. Without the slashes, `docker:27` is an image of that name.
                "docker" if rest.starts_with("//") => {
                    return Ok(Self::Registry(rest.trim_start_matches('/').parse()?));
                }
                "rootfs" => return Ok(Self::RootFilesystem(path_of(rest, "rootfs")?)),
                "dir" => return Ok(Self::Directory(path_of(rest, "dir")?)),
                "registry" => {
                    return match rest {
                        "" => Err(TargetError::Empty { scheme: "registry", expected: "an image reference" }),
                        _ => Ok(Self::Registry(rest.parse()?)),
                    };
                }
                "docker-daemon" => return Ok(Self::DockerDaemon(name_of(rest, "docker-daemon")?)),
                "podman" => return Ok(Self::Podman(name_of(rest, "podman")?)),
                "containerd" => return Ok(Self::Containerd(name_of(rest, "containerd")?)),
                "containers-storage" => {
                    let form = "containers-storage:[DRIVER@ROOT]NAME";
                    let (storage, name) = containers_storage::parse(rest)
                        .ok_or_else(|| TargetError::Form { text: text.to_owned(), form })?;
                    return Ok(Self::ContainersStorage(storage, name_of(name, "containers-storage")?));
                }
                "container" => return Ok(Self::Container(name_of(rest, "container")?)),
                "pid" => {
                    let pid = rest.parse().ok().filter(|pid| *pid > 0);
                    return pid
                        .map(Self::Process)
                        .ok_or_else(|| TargetError::Form { text: text.to_owned(), form: "pid:NUMBER" });
                }
                _ => {}
            }
        }
        Self::guess(text)
    }

    fn guess(text: &str) -> Result<Self, TargetError> {
        let path = Path::new(text);
        if path.is_dir() {
            let has = |name: &str| path.join(name).is_file();
            let is_system = ["etc/os-release", "usr/lib/os-release", "etc/passwd"].into_iter().any(has);
            return Ok(match (has("oci-layout"), is_system) {
                (true, _) => Self::OciLayout(path.to_owned(), None),
                (false, true) => Self::RootFilesystem(path.to_owned()),
                (false, false) => Self::Directory(path.to_owned()),
            });
        }
        if path.exists() {
            return Ok(Self::Archive(path.to_owned()));
        }
        let like_a_path =
            text.starts_with(['/', '.', '~']) || FILE_ENDINGS.iter().any(|ending| text.ends_with(ending));
        match like_a_path {
            true => Err(TargetError::NoSuchFile(text.to_owned())),
            false => Ok(Self::Registry(text.parse()?)),
        }
    }
}

/// Reads `-`, `SCHEME:-` and `SCHEME:-:NAME`.
fn on_standard_input(text: &str) -> Option<Target> {
    if text == "-" {
        return Some(Target::Stream(ArchiveKind::Any, None));
    }
    let (scheme, rest) = text.split_once(':')?;
    let kind = match scheme {
        "docker-archive" => ArchiveKind::Docker,
        "oci-archive" => ArchiveKind::Oci,
        "rootfs" => ArchiveKind::RootFilesystem,
        _ => return None,
    };
    match rest.split_once(':') {
        None if rest == "-" => Some(Target::Stream(kind, None)),
        Some(("-", name)) if kind != ArchiveKind::RootFilesystem && !name.is_empty() => {
            Some(Target::Stream(kind, Some(name.to_owned())))
        }
        _ => None,
    }
}

fn name_of(rest: &str, scheme: &'static str) -> Result<String, TargetError> {
    match rest {
        "" => Err(TargetError::Empty { scheme, expected: "a name" }),
        _ => Ok(rest.to_owned()),
    }
}

/// Splits `PATH:NAME`; a colon that is part of an existing path stays there.
fn split_name(path: &Path) -> (PathBuf, Option<String>) {
    let text = path.to_string_lossy();
    if !path.exists() {
        for (position, _) in text.match_indices(':') {
            if let (Some(before), Some(after)) = (text.get(..position), text.get(position + 1..))
                && Path::new(before).exists()
                && !after.is_empty()
            {
                return (PathBuf::from(before), Some(after.to_owned()));
            }
        }
    }
    (path.to_owned(), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_paths_and_references() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.tar");
        std::fs::write(&file, "x").unwrap();
        let name = file.to_str().unwrap();
        assert_eq!(Target::parse(name).unwrap(), Target::Archive(file.clone()));
        assert_eq!(
            Target::parse(&format!("docker-archive:{name}:b:c")).unwrap(),
            Target::DockerArchive(file.clone(), Some("b:c".to_owned()))
        );
        assert_eq!(
            Target::parse(directory.path().to_str().unwrap()).unwrap(),
            Target::Directory(directory.path().to_owned())
        );
        assert_eq!(Target::parse("dir:x").unwrap(), Target::Directory("x".into()));
        std::fs::create_dir(directory.path().join("etc")).unwrap();
        std::fs::write(directory.path().join("etc/os-release"), "").unwrap();
        assert_eq!(
            Target::parse(directory.path().to_str().unwrap()).unwrap(),
            Target::RootFilesystem(directory.path().to_owned())
        );
        std::fs::write(directory.path().join("oci-layout"), "{}").unwrap();
        assert_eq!(
            Target::parse(directory.path().to_str().unwrap()).unwrap(),
            Target::OciLayout(directory.path().to_owned(), None)
        );
        assert!(matches!(Target::parse("alpine:3.18").unwrap(), Target::Registry(_)));
        assert_eq!(Target::parse("docker://alpine:3.18").unwrap(), Target::parse("alpine:3.18").unwrap());
        assert_eq!(
            Target::parse("docker:27").unwrap(),
            Target::parse("docker.io/library/docker:27").unwrap()
        );
        assert!(matches!(Target::parse("localhost:5000/a").unwrap(), Target::Registry(_)));
    }

    #[test]
    fn standard_input() {
        for (text, kind, name) in [
            ("-", ArchiveKind::Any, None),
            ("docker-archive:-", ArchiveKind::Docker, None),
            ("docker-archive:-:a/b:1", ArchiveKind::Docker, Some("a/b:1")),
            ("oci-archive:-:1.0", ArchiveKind::Oci, Some("1.0")),
            ("rootfs:-", ArchiveKind::RootFilesystem, None),
        ] {
            let expected = Target::Stream(kind, name.map(str::to_owned));
            assert_eq!(Target::parse(text).unwrap(), expected, "{text}");
        }
        assert!(matches!(Target::parse("rootfs:./-").unwrap(), Target::RootFilesystem(_)));
    }

    #[test]
    fn what_looks_like_a_path_is_not_looked_up_in_a_registry() {
        for text in ["./missing", "/missing", "missing.tar", "a/missing.tar.gz"] {
            assert!(matches!(Target::parse(text), Err(TargetError::NoSuchFile(_))), "{text}");
        }
        assert!(Target::parse("rootfs:").is_err());
        assert!(Target::parse("registry:").is_err());
    }
}
