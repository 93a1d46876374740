//! Which file systems a container sees, and how each can get a gate.

use std::fs;
use std::io;

/// One line of `/proc/PID/mountinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Number of the mount.
    pub id: u32,
    /// Device of the file system, in the kernel's form: `major << 20 | minor`.
    pub device: u32,
    /// What of the file system is mounted.
    pub root: String,
    /// Where, as the process sees it.
    pub place: String,
    /// Type of the file system.
    pub filesystem: String,
}

/// The mounts that a process sees.
///
/// # Errors
/// When the process is gone.
pub fn of_process(pid: &str) -> io::Result<Vec<Mount>> {
    let text = fs::read_to_string(format!("/proc/{pid}/mountinfo"))?;
    Ok(text.lines().filter_map(parse).collect())
}

fn parse(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ');
    let id = left.next()?.parse().ok()?;
    let (major, minor) = left.nth(1)?.split_once(':')?;
    let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
    Some(Mount {
        id,
        device: major.checked_shl(20)? | minor,
        root: unescape(left.next()?),
        place: unescape(left.next()?),
        filesystem: right.split(' ').next()?.to_owned(),
    })
}

/// mountinfo writes space, tab, line feed and backslash as `\` and three octal digits.
fn unescape(text: &str) -> String {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let octal = match (first, after) {
            (b'\\', [a, b, c, ..]) => {
                std::str::from_utf8(&[*a, *b, *c]).ok().and_then(|digits| u8::from_str_radix(digits, 8).ok())
            }
            _ => None,
        };
        plain.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { after.get(3..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// How a place gets its gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// The whole file system is marked: it is the container's own.
    Filesystem,
    /// Only this mount is marked: the file system belongs to others as well.
    MountOnly,
}

/// A place of a container that gets a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The mount.
    pub mount: Mount,
    /// How.
    pub coverage: Coverage,
    /// Whether it is the root file system.
    pub is_root: bool,
}

/// File systems whose files are judged. Files of others are not read: one that is served by the container itself (FUSE) or by
/// another machine could keep the gate waiting. Programs from there count as from outside the image.
const JUDGED: &[&str] = &[
    "bcachefs", "btrfs", "erofs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "squashfs", "tmpfs",
    "xfs", "zfs",
];

/// What a container sees and how each place gets its gate. `seen` are the mounts of its first process; before that process
/// has entered its root file system they carry the path `root` in front. `host` are the mounts of the host.
pub fn places(seen: &[Mount], host: &[Mount], root: &str) -> Vec<Place> {
    let root = root.trim_end_matches('/');
    let entered = !seen.iter().any(|mount| mount.place == root);
    let base = if entered { "/" } else { root };
    let within =
        |mount: &Mount| entered || mount.place == root || mount.place.starts_with(&format!("{root}/"));
    let mut places: Vec<Place> = Vec::new();
    for mount in seen.iter().filter(|mount| within(mount)) {
        // A later mount covers an earlier one at the same place.
        places.retain(|place| place.mount.place != mount.place);
        if !JUDGED.contains(&mount.filesystem.as_str()) {
            continue;
        }
        let is_root = mount.place == base;
        let shared =
            host.iter().any(|other| other.device == mount.device && !(is_root && other.place == root));
        let coverage = if shared { Coverage::MountOnly } else { Coverage::Filesystem };
        places.push(Place { mount: mount.clone(), coverage, is_root });
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "\
21 1 254:0 / / rw - ext4 /dev/vda rw
22 21 0:20 / /dev/shm rw - tmpfs tmpfs rw
40 21 0:50 / /var/c/merged rw - overlay overlay rw";

    fn mounts(text: &str) -> Vec<Mount> {
        text.lines().filter_map(parse).collect()
    }

    fn check(seen: &str, root: &str, expected: &[(&str, Coverage, bool)]) {
        let found = places(&mounts(seen), &mounts(HOST), root);
        let found: Vec<_> =
            found.iter().map(|place| (place.mount.place.as_str(), place.coverage, place.is_root)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn own_file_systems_are_marked_whole_and_those_of_others_by_mount() {
        let before = "\
60 1 254:0 / / rw - ext4 /dev/vda rw
61 60 0:50 / /var/c/merged rw - overlay overlay rw
62 61 0:60 / /var/c/merged/proc rw - proc proc rw
63 61 0:61 / /var/c/merged/dev/shm rw - tmpfs shm rw
64 61 254:0 /srv/v /var/c/merged/my\\040volume rw - ext4 /dev/vda rw
65 61 0:62 / /var/c/merged/remote rw - fuse.sshfs x rw";
        check(
            before,
            "/var/c/merged",
            &[
                ("/var/c/merged", Coverage::Filesystem, true),
                ("/var/c/merged/dev/shm", Coverage::Filesystem, false),
                ("/var/c/merged/my volume", Coverage::MountOnly, false),
            ],
        );
        let after = "\
61 1 0:50 / / rw - overlay overlay rw
63 61 0:20 / /dev/shm rw - tmpfs shm rw";
        check(
            after,
            "/var/c/merged",
            &[("/", Coverage::Filesystem, true), ("/dev/shm", Coverage::MountOnly, false)],
        );
    }

    #[test]
    fn a_plain_directory_as_root_never_marks_the_file_system_of_the_host() {
        let seen = "\
60 1 254:0 / / rw - ext4 /dev/vda rw
61 60 254:0 /b/rootfs /b/rootfs rw - ext4 /dev/vda rw
66 60 254:0 /b/rootfs /b/rootfs rw - ext4 /dev/vda rw";
        check(seen, "/b/rootfs", &[("/b/rootfs", Coverage::MountOnly, true)]);
    }

    #[test]
    fn devices_are_in_the_form_of_the_kernel() {
        assert_eq!(mounts(HOST).first().map(|mount| mount.device), Some(254 << 20));
    }
}
