//! The two images of the demo: a small Debian system as it was released, and the same with its security updates.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, anyhow, bail};

use super::image::{Layer, write};
use crate::debian::archive::Suite;
use crate::debian::deb::Package;
use crate::debian::dpkg::{STATUS, record, status};
use crate::debian::fetch::Fetcher;
use crate::debian::index::Offer;
use crate::debian::resolve::close;
use crate::debian::tree::{Entry, Tree};

/// The release of the demo. It gets security updates until June 2028.
const RELEASE: &str = "bookworm";
/// What the image is for; the rest follows from it.
const WANTED: &[&str] = &[
    "base-files",
    "bash",
    "coreutils",
    "curl",
    "dpkg",
    "libexpat1",
    "openssl",
    "python3.11-minimal",
    "xz-utils",
];
/// Where the archive is, unless `HULLMARK_DEMO_MIRROR` says otherwise; `debian` and `debian-security` are below it.
const MIRROR: &str = "http://deb.debian.org";
/// Downloads at a time.
const DOWNLOADS: usize = 4;

/// The images, and what differs between them.
#[derive(Debug)]
pub(super) struct Images {
    /// Archive of the image without updates.
    pub(super) before: PathBuf,
    /// Archive of the image with updates.
    pub(super) after: PathBuf,
    /// The names of the packages that were updated.
    pub(super) updated: Vec<String>,
}

/// Packages by name.
type Packages = BTreeMap<String, Package>;

/// Fetch the packages and write both images into a directory.
///
/// # Errors
/// When the archive cannot be reached or does not verify, or files cannot be written.
pub(super) fn assemble(directory: &Path) -> Result<Images> {
    let mirror = std::env::var("HULLMARK_DEMO_MIRROR").unwrap_or_else(|_| MIRROR.to_owned());
    let mirror = mirror.trim_end_matches('/');
    println!("Assembling a Debian image from {mirror}");
    let fetcher = Fetcher::new(directory.join("cache"))?;
    let suite =
        |archive: &str, suite: &str| Suite::fetch(&fetcher, &format!("{mirror}/{archive}"), suite, directory);
    let base = suite("debian", RELEASE).with_context(|| {
        format!("no archive of Debian at {mirror}; HULLMARK_DEMO_MIRROR can name another place")
    })?;
    let security = suite("debian-security", &format!("{RELEASE}-security"))?;

    let old = unpack(&fetcher, &close(&base.index, WANTED)?)?;
    let offered = base.index.clone().with(&security.index)?;
    let wanted = close(&offered, WANTED)?;
    let is_new =
        |name: &str, offer: &Offer| old.get(name).is_none_or(|old| old.field("Version") != offer.version);
    let changes: BTreeMap<&str, &Offer> = wanted
        .iter()
        .filter(|(name, offer)| is_new(name, offer))
        .map(|(name, offer)| (*name, *offer))
        .collect();
    if changes.is_empty() {
        bail!("the security archive has no updates for the packages of the demo");
    }
    let new = unpack(&fetcher, &changes)?;
    let updated: Vec<String> = new.keys().filter(|name| old.contains_key(*name)).cloned().collect();

    let everything = all(&old, base.date.seconds);
    let first = Layer::new(&everything, &format!("unpack {} packages of {RELEASE}", old.len()), &base.date)?;
    let second = update(&everything, &old, &new, security.date.seconds);
    let command = format!("update {} packages from {RELEASE}-security", new.len());
    let second = Layer::new(&second, &command, &security.date)?;
    println!(
        "  {} packages ({} MB); {} security updates ({} MB):",
        old.len(),
        megabytes(&first),
        new.len(),
        megabytes(&second)
    );
    for (name, package) in &new {
        let before = old.get(name).map_or("not installed", |package| package.field("Version"));
        println!("    {name} {before} -> {}", package.field("Version"));
    }

    let images = Images { before: directory.join("before.tar"), after: directory.join("after.tar"), updated };
    write(&images.before, "hullmark-demo:before", std::slice::from_ref(&first))?;
    write(&images.after, "hullmark-demo:after", &[first, second])?;
    Ok(images)
}

fn megabytes(layer: &Layer) -> usize {
    layer.len().div_ceil(1_000_000)
}

/// Fetch and unpack packages, several at a time.
fn unpack(fetcher: &Fetcher, offers: &BTreeMap<&str, &Offer>) -> Result<Packages> {
    let offers: Vec<&Offer> = offers.values().copied().collect();
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..DOWNLOADS {
            scope.spawn(|| {
                while let Some(offer) = offers.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let package = fetcher
                        .fetch_verified(&offer.url, &offer.expected)
                        .and_then(|bytes| Package::unpack(&bytes).with_context(|| offer.url.clone()));
                    if let Ok(mut done) = done.lock() {
                        done.push((offer.name.clone(), package));
                    }
                }
            });
        }
    });
    let done = done.into_inner().map_err(|_| anyhow!("a download ended in a panic"))?;
    done.into_iter().map(|(name, package)| Ok((name, package?))).collect()
}

/// The whole file system of these packages, as dpkg would leave it without running their scripts.
fn all(packages: &Packages, modified: u64) -> Tree {
    let mut tree = Tree::skeleton(modified);
    for package in packages.values() {
        tree.extend(&package.tree);
        record(&mut tree, package, modified);
    }
    tree.insert(STATUS, status(packages.values().map(|package| package.control.as_str()), modified));
    // The names of the records may carry an architecture.
    tree.insert("var/lib/dpkg/info/format", Entry::file(b"1\n".to_vec(), modified));
    tree
}

/// The layer that brings updates: new files, whiteouts for files that are gone, and dpkg's records.
fn update(everything: &Tree, old: &Packages, new: &Packages, modified: u64) -> Tree {
    let kept = old.iter().filter(|(name, _)| !new.contains_key(*name));
    let installed: BTreeMap<&String, &Package> = kept.chain(new).collect();
    let mut later = Tree::skeleton(modified);
    for package in installed.values() {
        later.extend(&package.tree);
        record(&mut later, package, modified);
    }
    let status = status(installed.values().map(|package| package.control.as_str()), modified);
    later.insert(STATUS, status.clone());
    later.insert("var/lib/dpkg/info/format", Entry::file(Vec::new(), modified));
    let mut layer = Tree::default();
    for package in new.values() {
        layer.extend(&package.tree);
        record(&mut layer, package, modified);
    }
    layer.insert(STATUS, status);
    layer.hide_removed(everything, &later, modified);
    layer
}
