//! Writes the parts of a layer into its tar, one package or file at a time.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use tar::{Builder, EntryType, Header};

use super::lock::{self, Locked};
use crate::debian::deb::Package;
use crate::debian::dpkg::{STATUS, record, status};
use crate::debian::fetch::Fetcher;
use crate::debian::tree::{Entry, Tree};
use crate::process;
use crate::workspace::root;

/// When everything was last changed, in seconds since 1970: files of the same content make the same layer.
const MODIFIED: u64 = 1_767_225_600;

/// What the Python of the images is, for `pip`.
const WHEELS: &[&str] = &[
    "--only-binary",
    ":all:",
    "--python-version",
    "3.11",
    "--implementation",
    "cp",
    "--platform",
    "manylinux2014_x86_64",
    "--platform",
    "manylinux_2_28_x86_64",
];

/// Where the content of the images comes from.
#[derive(Debug)]
pub(super) struct Store {
    fetcher: Fetcher,
    mirror: String,
    locked: Vec<Locked>,
    /// Directories that were unpacked once.
    unpacked: PathBuf,
}

impl Store {
    /// Keep what is fetched below this directory.
    ///
    /// # Errors
    /// When it cannot be written, or the list of Debian packages cannot be read.
    pub(super) fn new(directory: &Path) -> Result<Store> {
        let unpacked = directory.join("unpacked");
        fs::create_dir_all(&unpacked).with_context(|| format!("cannot make {}", unpacked.display()))?;
        let fetcher = Fetcher::new(directory.join("downloads"))?;
        Ok(Store { fetcher, mirror: lock::mirror(), locked: lock::read()?, unpacked })
    }

    /// The packages of a group.
    pub(super) fn group<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a Locked> {
        self.locked.iter().filter(move |package| package.group == group)
    }

    fn package(&self, locked: &Locked) -> Result<Package> {
        let url = format!("{}/{}", self.mirror, locked.path);
        let bytes = self.fetcher.fetch_verified(&url, &locked.expected).with_context(|| {
            format!("package `{}`: where the archive has dropped it, `cargo xtask bench lock` takes what it has now", locked.name)
        })?;
        Package::unpack(&bytes).context(url)
    }

    /// The wheels of a list, unpacked side by side.
    fn wheels(&self, name: &str) -> Result<PathBuf> {
        let list = root().join(format!("bench/images/python/{name}.txt"));
        self.once(&format!("python-{name}"), |directory| {
            let downloads = directory.with_extension("wheels");
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--dest"])
                .arg(&downloads);
            process::capture(pip.args(WHEELS).arg("--requirement").arg(&list))?;
            for wheel in sorted(&downloads)? {
                process::capture(
                    Command::new("unzip").args(["-q", "-o"]).arg(&wheel).arg("-d").arg(directory),
                )?;
            }
            fs::remove_dir_all(&downloads).with_context(|| format!("cannot remove {}", downloads.display()))
        })
    }

    /// A directory in which npm has installed what a lock names.
    fn modules(&self, name: &str) -> Result<PathBuf> {
        let from = root().join(format!("bench/images/node/{name}"));
        self.once(&format!("node-{name}"), |directory| {
            for file in ["package.json", "package-lock.json"] {
                fs::copy(from.join(file), directory.join(file))
                    .with_context(|| format!("cannot copy {file}"))?;
            }
            let mut npm = Command::new("npm");
            npm.current_dir(directory).args([
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--legacy-peer-deps",
            ]);
            process::capture(&mut npm).map(drop)
        })
    }

    /// Fill a directory unless an earlier run did.
    fn once(&self, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let directory = self.unpacked.join(name);
        if !directory.is_dir() {
            let partial = self.unpacked.join(format!("{name}.partial"));
            if partial.is_dir() {
                fs::remove_dir_all(&partial)
                    .with_context(|| format!("cannot remove {}", partial.display()))?;
            }
            fs::create_dir_all(&partial).with_context(|| format!("cannot make {}", partial.display()))?;
            fill(&partial)?;
            fs::rename(&partial, &directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
        }
        Ok(directory)
    }
}

/// The file system of an image as far as its layers are written: dpkg's records.
#[derive(Debug, Default)]
pub(super) struct Installed {
    controls: Vec<String>,
}

/// One layer that is being written.
pub(super) struct LayerWriter<W: Write> {
    builder: Builder<W>,
    present: BTreeSet<String>,
}

impl<W: Write> LayerWriter<W> {
    /// A layer that is written there.
    pub(super) fn new(to: W) -> LayerWriter<W> {
        LayerWriter { builder: Builder::new(to), present: BTreeSet::new() }
    }

    /// How many entries it has so far.
    pub(super) fn entries(&self) -> usize {
        self.present.len()
    }

    /// Write what stands behind the last entry.
    ///
    /// # Errors
    /// When writing fails.
    pub(super) fn finish(self) -> Result<W> {
        Ok(self.builder.into_inner()?)
    }

    /// Install packages as dpkg leaves them, without running their scripts.
    ///
    /// # Errors
    /// When a package cannot be had or read, or writing fails.
    pub(super) fn debian<'a>(
        &mut self,
        store: &Store,
        installed: &mut Installed,
        packages: impl Iterator<Item = &'a Locked>,
    ) -> Result<()> {
        if installed.controls.is_empty() {
            Tree::skeleton(MODIFIED).append(&mut self.builder, &mut self.present)?;
        }
        for locked in packages {
            let mut package = store.package(locked)?;
            let mut tree = std::mem::take(&mut package.tree);
            record(&mut tree, &package, MODIFIED);
            tree.append(&mut self.builder, &mut self.present).with_context(|| locked.path.clone())?;
            installed.controls.push(package.control);
        }
        Ok(())
    }

    /// Write dpkg's status file, once all packages of the layer are there.
    ///
    /// # Errors
    /// When writing fails.
    pub(super) fn status(&mut self, installed: &Installed) -> Result<()> {
        let mut tree = Tree::default();
        tree.insert(STATUS, status(installed.controls.iter().map(String::as_str), MODIFIED));
        tree.insert("var/lib/dpkg/info/format", Entry::file(b"1\n".to_vec(), MODIFIED));
        tree.append(&mut self.builder, &mut self.present)
    }

    /// Write the wheels of a list.
    ///
    /// # Errors
    /// When they cannot be had, or writing fails.
    pub(super) fn python(&mut self, store: &Store, name: &str) -> Result<()> {
        self.directory("usr/local/lib/python3.11/dist-packages", &store.wheels(name)?)
    }

    /// Write what npm installs.
    ///
    /// # Errors
    /// When it cannot be had, or writing fails.
    pub(super) fn node(&mut self, store: &Store, name: &str) -> Result<()> {
        self.directory(&format!("srv/{name}"), &store.modules(name)?)
    }

    /// Hide what layers below have at these paths.
    ///
    /// # Errors
    /// When writing fails.
    pub(super) fn removed(&mut self, paths: &[&str]) -> Result<()> {
        let mut tree = Tree::default();
        for path in paths {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            tree.insert(&format!("{parent}/.wh.{name}"), Entry::file(Vec::new(), MODIFIED));
        }
        tree.append(&mut self.builder, &mut self.present)
    }

    /// Write a directory of this machine, in the order of names, with the same owner and time for everything.
    fn directory(&mut self, path: &str, from: &Path) -> Result<()> {
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            self.entry(&path[..end], EntryType::Directory, 0o755, None)?;
        }
        for child in sorted(from)? {
            self.walk(path, &child)?;
        }
        Ok(())
    }

    fn walk(&mut self, parent: &str, from: &Path) -> Result<()> {
        let name = from.file_name().unwrap_or_default().to_string_lossy();
        let path = format!("{parent}/{name}");
        let metadata = from.symlink_metadata().with_context(|| format!("cannot read {}", from.display()))?;
        if metadata.is_dir() {
            self.entry(&path, EntryType::Directory, 0o755, None)?;
            for child in sorted(from)? {
                self.walk(&path, &child)?;
            }
            return Ok(());
        }
        if metadata.is_symlink() {
            let target = fs::read_link(from).with_context(|| format!("cannot read {}", from.display()))?;
            if self.present.insert(path.clone()) {
                let mut header = header(EntryType::Symlink, 0o777);
                self.builder.append_link(&mut header, &path, target).with_context(|| path.clone())?;
            }
            return Ok(());
        }
        if !metadata.is_file() {
            bail!("{} is neither file, directory nor link", from.display());
        }
        let file = File::open(from).with_context(|| format!("cannot read {}", from.display()))?;
        let mode = if is_executable(&metadata) { 0o755 } else { 0o644 };
        self.entry(&path, EntryType::Regular, mode, Some((file, metadata.len())))
    }

    fn entry(&mut self, path: &str, kind: EntryType, mode: u32, content: Option<(File, u64)>) -> Result<()> {
        if !self.present.insert(path.to_owned()) {
            return Ok(());
        }
        let mut header = header(kind, mode);
        let appended = match content {
            Some((file, size)) => {
                header.set_size(size);
                self.builder.append_data(&mut header, path, file)
            }
            None => self.builder.append_data(&mut header, format!("{path}/"), std::io::empty()),
        };
        appended.with_context(|| format!("/{path}"))
    }
}

fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(MODIFIED);
    header.set_size(0);
    header
}

#[cfg(unix)]
fn is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &fs::Metadata) -> bool {
    false
}

fn sorted(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut paths =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<PathBuf>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_makes_the_same_layer_each_time() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b/x", "a", "c"] {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        let write = || {
            let mut layer = LayerWriter::new(Vec::new());
            layer.directory("srv/x", directory.path()).unwrap();
            layer.removed(&["usr/share/doc"]).unwrap();
            layer.finish().unwrap()
        };
        let bytes = write();
        assert_eq!(bytes, write());
        let mut archive = tar::Archive::new(bytes.as_slice());
        let names: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned())
            .collect();
        let expected = [
            "srv/",
            "srv/x/",
            "srv/x/a",
            "srv/x/b/",
            "srv/x/b/x",
            "srv/x/c",
            "usr/",
            "usr/share/",
            "usr/share/.wh.doc",
        ];
        assert_eq!(names, expected);
    }
}
