//! What the images are made of: a list of images, each a list of layers, each a list of parts.

/// An image.
#[derive(Debug)]
pub(super) struct Image {
    /// Its name, also of its files.
    pub(super) name: &'static str,
    /// What it stands for.
    pub(super) about: &'static str,
    /// From the base up.
    pub(super) layers: &'static [Layer],
    /// Debian groups of which each package makes one more layer on top, until there are [`MANY`].
    pub(super) singly: &'static [&'static str],
}

/// Layers of the image that has many.
pub(super) const MANY: usize = 100;

/// What one layer is made of.
pub(super) type Layer = &'static [Part];

/// Something that a layer brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The packages of a group of `bench/images/debian.lock`, with dpkg's records.
    Debian(&'static str),
    /// The wheels of `bench/images/python/NAME.txt`, unpacked where Debian's Python finds them.
    Python(&'static str),
    /// The packages of `bench/images/node/NAME/package-lock.json` as npm installs them, in `/srv/NAME`.
    Node(&'static str),
    /// Whiteouts of the directories named, and a few small files, as the last lines of a Dockerfile leave them.
    Removed(&'static [&'static str]),
}

use Part::{Debian, Node, Python, Removed};

/// A group of Debian packages: its name and what is wanted; what these depend on comes along.
pub(super) type Group = (&'static str, &'static [&'static str]);

/// Every group. A group does not bring what the groups above it in its list have brought.
pub(super) const GROUPS: &[&[Group]] = &[
    &[("tiny", &["base-files", "busybox", "netbase"])],
    &[
        (
            "base",
            &[
                "adduser",
                "apt",
                "base-files",
                "base-passwd",
                "bash",
                "bsdutils",
                "coreutils",
                "dash",
                "debian-archive-keyring",
                "debianutils",
                "diffutils",
                "dpkg",
                "findutils",
                "grep",
                "gzip",
                "hostname",
                "init-system-helpers",
                "login",
                "mount",
                "ncurses-base",
                "ncurses-bin",
                "passwd",
                "perl-base",
                "sed",
                "sysvinit-utils",
                "tar",
                "tzdata",
                "util-linux",
            ],
        ),
        ("tools", &["ca-certificates", "curl", "gnupg", "less", "openssl", "procps", "wget"]),
        ("python", &["python3", "python3-distutils"]),
        ("node", &["nodejs"]),
        ("data", &["libpq5", "poppler-utils"]),
        ("fonts", &["fonts-dejavu-core", "fontconfig"]),
        ("media", &["imagemagick", "git", "vim-tiny"]),
        (
            "compilers",
            &["g++", "make", "clang", "gdb", "golang-1.19", "rustc", "cargo", "openjdk-17-jdk-headless"],
        ),
        ("desktop", &["chromium", "libreoffice-writer", "libreoffice-calc", "ffmpeg"]),
        ("sources", &["libboost1.81-dev", "linux-headers-amd64", "rust-src", "qtbase5-dev", "npm"]),
        ("servers", &["docker.io", "hugo", "prometheus", "caddy", "postgresql-15", "nginx"]),
    ],
];

/// Every image.
pub(super) const IMAGES: &[Image] = &[
    Image { name: "tiny", about: "the C library and busybox", layers: &[&[Debian("tiny")]], singly: &[] },
    Image {
        name: "medium",
        about: "a service: Debian, Python and Node packages in a dozen layers",
        layers: &[
            &[Debian("base")],
            &[Debian("tools")],
            &[Debian("python")],
            &[Python("web")],
            &[Debian("node")],
            &[Node("service")],
            &[Debian("data")],
            &[Debian("fonts")],
            &[Node("application")],
            &[Removed(&["usr/share/doc/curl", "usr/share/man"])],
            &[Removed(&["usr/share/locale/de"])],
            &[Removed(&["srv/service/node_modules/lodash/fp"])],
        ],
        singly: &[],
    },
    Image {
        name: "large",
        about: "a workbench: compilers, browsers, machine learning, sources; many files and large binaries",
        layers: &[
            &[Debian("base")],
            &[Debian("tools")],
            &[Debian("python")],
            &[Debian("node")],
            &[Debian("data"), Debian("fonts"), Debian("media")],
            &[Debian("compilers")],
            &[Debian("desktop")],
            &[Debian("sources")],
            &[Debian("servers")],
            &[Python("web")],
            &[Python("learning")],
            &[Node("service")],
            &[Node("build")],
            &[Node("suite")],
            &[Removed(&["usr/share/doc/git", "usr/share/man"])],
        ],
        singly: &[],
    },
    Image {
        name: "one-layer",
        about: "one layer of 2 GB",
        layers: &[&[
            Debian("base"),
            Debian("tools"),
            Debian("python"),
            Debian("node"),
            Debian("data"),
            Debian("fonts"),
            Debian("media"),
            Debian("compilers"),
            Python("science"),
            Node("service"),
        ]],
        singly: &[],
    },
    Image {
        name: "many-layers",
        about: "100 layers, most of one Debian package",
        layers: &[&[Debian("base")]],
        singly: &["tools", "python", "node", "data", "fonts", "media"],
    },
];

/// The image of this name.
pub(super) fn find(name: &str) -> Option<&'static Image> {
    IMAGES.iter().find(|image| image.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::root;

    #[test]
    fn what_the_images_name_is_there() {
        let parts = IMAGES.iter().flat_map(|image| image.layers).copied().flatten();
        for part in parts {
            let there = match part {
                Debian(name) => GROUPS.iter().copied().flatten().any(|(group, _)| group == name),
                Python(name) => root().join(format!("bench/images/python/{name}.txt")).is_file(),
                Node(name) => root().join(format!("bench/images/node/{name}/package-lock.json")).is_file(),
                Removed(paths) => !paths.is_empty(),
            };
            assert!(there, "{part:?}");
        }
        assert!(find("medium").is_some_and(|image| image.layers.len() == 12));
    }
}
