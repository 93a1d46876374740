//! The workspace as cargo and git see it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;

/// The workspace: its root, its crates, its files.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The directory of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// The crates, in the order of their names.
    pub(crate) members: Vec<Member>,
    /// Every file that is tracked or could be (not ignored), relative to the root, in the order of their names.
    pub(crate) files: Vec<String>,
}

/// One crate of the workspace.
#[derive(Debug)]
pub(crate) struct Member {
    /// Its name.
    pub(crate) name: String,
    /// Its directory, relative to the root.
    pub(crate) directory: String,
    /// What its manifest says, as cargo reports it.
    pub(crate) manifest: Value,
    /// The crates of this workspace that it depends on.
    pub(crate) dependencies: Vec<Dependency>,
}

/// A dependency of one crate of the workspace on another.
#[derive(Debug)]
pub(crate) struct Dependency {
    /// The crate depended on.
    pub(crate) name: String,
    /// Whether only tests need it.
    pub(crate) only_tests: bool,
}

/// The root of the workspace that this program was built from.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// The directory of build results.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |target| root().join(target))
}

/// The cargo that started this program, so that the same toolchain is used.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

impl Workspace {
    /// Ask cargo and git.
    ///
    /// # Errors
    /// When one of them cannot be started, fails, or answers in a form that is not understood.
    pub(crate) fn read() -> Result<Workspace> {
        let root = root();
        let metadata =
            process::capture(cargo().args(["metadata", "--no-deps", "--offline", "--format-version", "1"]))?;
        let metadata: Value = serde_json::from_slice(&metadata).context("cargo metadata: not JSON")?;
        let packages = metadata["packages"].as_array().context("cargo metadata: no `packages`")?;
        let mut members =
            packages.iter().map(|package| member(package, &root)).collect::<Result<Vec<Member>>>()?;
        members.sort_by(|left, right| left.name.cmp(&right.name));
        let listed = process::capture(Command::new("git").current_dir(&root).args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]))?;
        let mut files: Vec<String> = String::from_utf8_lossy(&listed)
            .split('\0')
            .filter(|name| !name.is_empty() && root.join(name).is_file())
            .map(str::to_owned)
            .collect();
        files.sort();
        files.dedup();
        Ok(Workspace { root, members, files })
    }

    /// The files with this ending.
    pub(crate) fn with_ending<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = &'a str> {
        self.files.iter().map(String::as_str).filter(move |name| name.ends_with(ending))
    }

    /// The text of a file, `None` when it is not UTF-8.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>> {
        let bytes = std::fs::read(self.root.join(name)).with_context(|| format!("cannot read {name}"))?;
        Ok(String::from_utf8(bytes).ok())
    }
}

fn member(package: &Value, root: &Path) -> Result<Member> {
    let name = package["name"].as_str().context("cargo metadata: a package without `name`")?;
    let manifest =
        package["manifest_path"].as_str().context("cargo metadata: a package without `manifest_path`")?;
    let directory = Path::new(manifest).parent().unwrap_or(root);
    let directory = directory.strip_prefix(root).unwrap_or(directory).to_string_lossy().into_owned();
    let dependencies = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
    let dependencies = dependencies
        .iter()
        .filter(|dependency| dependency["path"].is_string())
        .filter_map(|dependency| {
            let only_tests = dependency["kind"].as_str() == Some("dev");
            Some(Dependency { name: dependency["name"].as_str()?.to_owned(), only_tests })
        })
        .collect();
    Ok(Member { name: name.to_owned(), directory, manifest: package.clone(), dependencies })
}
