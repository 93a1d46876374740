//! The root file system of a running container, through `/proc/PID/root` of one of its processes.
//!
//! The directories of the process in `/proc` are opened once and everything is looked up in them, so that another process with
//! the same number is never taken for it. Only the file system of the root is read: volumes, `/proc` and whatever else is
//! mounted in it do not come from the image.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use hullmark_types::Diagnostic;
use rustix::fs::{Mode, OFlags};

use crate::daemon::Daemon;
use crate::image::Image;
use crate::path::normalize;
use crate::rootfs::{Tree, open_directory};
use crate::source::Source;
use crate::{AcquireOptions, ImageError};

/// The most bytes read of a file in `/proc`.
const MAX_FILE: u64 = 4 << 20;

/// The most mounts that a note names.
const MAX_NAMED: usize = 12;

/// The length of the ids that engines give.
const ID_LENGTH: usize = 64;

/// The shortest beginning of an id that is looked for.
const MIN_PREFIX: usize = 4;

/// Opens the root of the process with this number.
pub(crate) fn open(pid: u32, options: &AcquireOptions) -> Result<Image, ImageError> {
    Process::open(pid)?.image(format!("pid:{pid}"), options)
}

/// Opens the root of a running container. It is found by its id, or the beginning of it, among the processes of this machine;
/// else the daemons are asked, which know containers by their names too.
pub(crate) fn open_container(name: &str, options: &AcquireOptions) -> Result<Image, ImageError> {
    let running = running()?;
    let is_prefix = name.len() >= MIN_PREFIX && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let fits = |id: &str| id == name || (is_prefix && id.len() == ID_LENGTH && id.starts_with(name));
    let found: Vec<(&String, &Candidate)> = running.iter().filter(|(id, _)| fits(id)).collect();
    match found.as_slice() {
        [(id, candidate)] => {
            let process = Process::open(candidate.pid)?;
            // The number may have gone to another process since.
            match process.container()?.as_ref() == Some(*id) {
                true => process.image(format!("container:{id}"), options),
                false => Err(ImageError::Process { pid: candidate.pid, problem: "it ended".to_owned() }),
            }
        }
        [] => by_daemon(name, options),
        several => Err(ImageError::Ambiguous {
            place: format!("container:{name}"),
            choices: several.iter().map(|(id, _)| (*id).clone()).collect(),
        }),
    }
}

fn by_daemon(name: &str, options: &AcquireOptions) -> Result<Image, ImageError> {
    let daemons = [
        Daemon { scheme: "docker-daemon", socket: &options.engines.docker_socket },
        Daemon { scheme: "podman", socket: &options.engines.podman_socket },
    ];
    let mut failure = None;
    for daemon in daemons.iter().filter(|daemon| daemon.socket.exists()) {
        match daemon.container(name) {
            Ok(Some(container)) if container.state.running && container.state.pid != 0 => {
                let name = format!("container:{}", container.id);
                return Process::open(container.state.pid)?.image(name, options);
            }
            Ok(_) => {}
            // Another one may have it.
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    Err(failure.unwrap_or_else(|| ImageError::Missing {
        place: "this machine".to_owned(),
        missing: format!("running container {name}"),
    }))
}

/// A process that may be the first of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// When it started, in ticks since the machine did.
    started: u64,
    pid: u32,
}

/// The containers that run here, with the oldest process of each.
fn running() -> Result<BTreeMap<String, Candidate>, ImageError> {
    let failed = |source| ImageError::Io { path: PathBuf::from("/proc"), source };
    // Processes in the mount namespace of this one are in no container, whatever their control group is called.
    let own = fs::metadata("/proc/self/ns/mnt").map(|facts| facts.ino()).ok();
    let mut running = BTreeMap::new();
    for entry in fs::read_dir("/proc").map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // Processes end while they are looked at.
        let Ok(process) = Process::open(pid) else { continue };
        let Ok(Some(id)) = process.container() else { continue };
        let Ok(started) = process.started() else { continue };
        let namespace = fs::metadata(format!("/proc/{pid}/ns/mnt")).map(|facts| facts.ino()).ok();
        if namespace.is_some() && namespace == own {
            continue;
        }
        let candidate = Candidate { started, pid };
        let oldest = running.entry(id).or_insert(candidate);
        *oldest = candidate.min(*oldest);
    }
    Ok(running)
}

/// A process, by its directory in `/proc`.
#[derive(Debug)]
struct Process {
    pid: u32,
    directory: OwnedFd,
}

impl Process {
    fn open(pid: u32) -> Result<Self, ImageError> {
        match open_directory(&PathBuf::from(format!("/proc/{pid}"))) {
            Ok(directory) => Ok(Self { pid, directory }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(ImageError::Process { pid, problem: "there is no such process".to_owned() })
            }
            Err(error) => Err(ImageError::Process { pid, problem: error.to_string() }),
        }
    }

    fn failed(&self, error: &io::Error) -> ImageError {
        let problem = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "permission denied\nhint: only root may look into the processes of other users and of containers"
                    .to_owned()
            }
            // What the kernel says of a process that is gone.
            _ if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
                || error.kind() == io::ErrorKind::NotFound =>
            {
                "it ended".to_owned()
            }
            _ => error.to_string(),
        };
        ImageError::Process { pid: self.pid, problem }
    }

    fn text(&self, name: &str) -> Result<String, ImageError> {
        let read = || -> io::Result<String> {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let file = File::from(rustix::fs::openat(&self.directory, name, flags, Mode::empty())?);
            let mut bytes = Vec::new();
            file.take(MAX_FILE).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().map_err(|error| self.failed(&error))
    }

    /// The id of the container that it runs in, by the name of its control group.
    fn container(&self) -> Result<Option<String>, ImageError> {
        Ok(self.text("cgroup")?.lines().find_map(container_of).map(str::to_owned))
    }

    /// When it started, in ticks since the machine did.
    fn started(&self) -> Result<u64, ImageError> {
        let text = self.text("stat")?;
        let started = text.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().nth(19));
        started
            .and_then(|started| started.parse().ok())
            .ok_or_else(|| self.failed(&io::Error::other("its start is not known")))
    }

    fn image(self, name: String, options: &AcquireOptions) -> Result<Image, ImageError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(&self.directory, "root", flags, Mode::empty())
            .map_err(|error| self.failed(&error.into()))?;
        let mounts = mount_points(&self.text("mountinfo")?);
        let mut diagnostics = Vec::new();
        if !mounts.is_empty() {
            let named: Vec<_> = mounts.iter().take(MAX_NAMED).map(|path| format!("/{path}")).collect();
            let more = match mounts.len().saturating_sub(MAX_NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let message = format!(
                "other file systems are mounted in the root and were not read: {}{more}",
                named.join(", ")
            );
            diagnostics.push(Diagnostic::note("mounts-left-out", "", message));
        }
        let tree = Tree::opened(PathBuf::from(format!("/proc/{}/root", self.pid)), root, mounts);
        let mut image = Image::of_root(name, Source::Trees(vec![tree]), options);
        image.diagnostics = diagnostics;
        Ok(image)
    }
}

/// The id in a line of `/proc/PID/cgroup`: the last part of the path that is one. With systemd it is
/// `libpod-ID.scope`, `docker-ID.scope`, `cri-containerd-ID.scope` or `crio-ID.scope`, else the id alone, and what containerd's
/// own client starts has any name: `/NAMESPACE/ID`.
fn container_of(line: &str) -> Option<&str> {
    let path = line.splitn(3, ':').nth(2)?;
    // The monitor of a container runs beside it.
    let mut parts = path.split('/').filter(|part| !part.is_empty() && !part.contains("conmon")).rev();
    let id_of = |part: &'_ str| -> Option<(usize, usize)> {
        let part = part.strip_suffix(".scope").unwrap_or(part);
        let start = part.rfind('-').map_or(0, |dash| dash + 1);
        let id = part.get(start..)?;
        (id.len() == ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .then_some((start, part.len()))
    };
    let found = parts.clone().find_map(|part| id_of(part).and_then(|(from, to)| part.get(from..to)));
    found.or_else(|| {
        let last = parts.next()?;
        let is_name = !last.ends_with(".service") && !last.ends_with(".slice") && !last.ends_with(".scope");
        // `/NAMESPACE/ID`: nothing else than two parts.
        (is_name && parts.count() == 1).then_some(last)
    })
}

/// Where other file systems are mounted, in the form of paths inside the root.
fn mount_points(mountinfo: &str) -> BTreeSet<String> {
    mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .filter_map(|point| normalize(&unescape(point)).ok())
        .filter(|point| !point.is_empty())
        .collect()
}

/// The kernel writes spaces, tabs, line feeds and backslashes as three octal digits.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        match (first, more) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = after;
            }
            _ => bytes.push(*first),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_told_by_their_control_groups() {
        let id = "0123456789abcdef".repeat(4);
        for (line, found) in [
            (format!("0::/system.slice/docker-{id}.scope"), true),
            (format!("0::/machine.slice/libpod-{id}.scope/container"), true),
            (format!("12:pids:/docker/{id}"), true),
            (format!("0::/kubepods.slice/kubepods-besteffort.slice/cri-containerd-{id}.scope"), true),
            (format!("0::/kubepods/besteffort/pod1/{id}"), true),
            (format!("0::/libpod_parent/libpod-{id}"), true),
            (format!("0::/machine.slice/libpod-conmon-{id}.scope"), false),
            ("0::/user.slice/user-0.slice/session-1.scope".to_owned(), false),
            ("0::/system.slice/ssh.service".to_owned(), false),
            ("0::/".to_owned(), false),
            ("nonsense".to_owned(), false),
        ] {
            assert_eq!(container_of(&line) == Some(&id), found, "{line}");
        }
        assert_eq!(container_of("0::/default/redis"), Some("redis"));
        assert_eq!(container_of("0::/user.slice/user-0.slice/session-1.scope"), None);
        assert_eq!(container_of("0::/init.scope"), None);
    }

    #[test]
    fn mounts_are_paths_in_the_root() {
        let text = "1 0 0:1 / / rw - overlay overlay rw\n2 1 0:2 / /proc rw - proc proc rw\n3 1 8:1 /x /a\\040b rw - ext4 /dev/sda rw\n";
        assert_eq!(mount_points(text), BTreeSet::from(["proc".to_owned(), "a b".to_owned()]));
        assert_eq!(unescape("a\\134b\\9"), b"a\\b\\9");
    }
}
