//! Builds the images, layer by layer, without holding one in memory or unpacked on disk.

use std::fs;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};

use anyhow::{Context, Result, bail};

use super::archive::{self, COMPRESSIONS, Packed};
use super::images::{IMAGES, Image, Layer, MANY, Part};
use super::parts::{Installed, LayerWriter, Store};
use super::{Options, build};

/// Build the images that are wanted and not there.
///
/// # Errors
/// When something cannot be fetched, built or written.
pub(super) fn prepare(options: &Options) -> Result<()> {
    let blobs = options.directory.join("blobs");
    fs::create_dir_all(&blobs).with_context(|| format!("cannot make {}", blobs.display()))?;
    let packer = build("hullmark-bench")?;
    let store = Store::new(&options.directory)?;
    for image in IMAGES {
        let missing: Vec<&str> = COMPRESSIONS
            .into_iter()
            .filter(|compression| options.wants(image.name, compression))
            .filter(|compression| !options.archive(image.name, compression).is_file())
            .collect();
        if missing.is_empty() {
            continue;
        }
        println!("{}: {}", image.name, image.about);
        let layers = layers(image, &store, &Packer { program: &packer, blobs: &blobs })?;
        let facts = options.facts(image.name);
        fs::write(&facts, serde_json::to_vec_pretty(&layers)?)
            .with_context(|| format!("cannot write {}", facts.display()))?;
        for compression in missing {
            let path = options.archive(image.name, compression);
            archive::write(&path, image.name, compression, &blobs, &layers)?;
            println!("  wrote {}", path.display());
        }
        fs::remove_dir_all(&blobs)
            .and_then(|()| fs::create_dir_all(&blobs))
            .context("cannot empty `blobs`")?;
    }
    Ok(())
}

fn layers(image: &Image, store: &Store, packer: &Packer<'_>) -> Result<Vec<Packed>> {
    let mut installed = Installed::default();
    let mut packed = Vec::new();
    for layer in image.layers {
        packed.push(packer.pack(|writer| write(writer, store, &mut installed, layer))?);
        said(&packed);
    }
    let singly = image.singly.iter().flat_map(|group| store.group(group));
    for package in singly.take(if image.singly.is_empty() { 0 } else { MANY - packed.len() }) {
        packed.push(packer.pack(|writer| {
            writer.debian(store, &mut installed, std::iter::once(package))?;
            writer.status(&installed)
        })?);
    }
    said(&packed);
    Ok(packed)
}

fn said(packed: &[Packed]) {
    let sum =
        |kind: &str| packed.iter().filter_map(|layer| layer[kind]["size"].as_u64()).sum::<u64>() / 1_000_000;
    println!(
        "  {} layers: {} MB, as gzip {} MB, as zstd {} MB",
        packed.len(),
        sum("plain"),
        sum("gzip"),
        sum("zstd")
    );
}

fn write<W: Write>(
    writer: &mut LayerWriter<W>,
    store: &Store,
    installed: &mut Installed,
    layer: Layer,
) -> Result<()> {
    for part in layer {
        match part {
            Part::Debian(group) => writer.debian(store, installed, store.group(group))?,
            Part::Python(name) => writer.python(store, name)?,
            Part::Node(name) => writer.node(store, name)?,
            Part::Removed(paths) => writer.removed(paths)?,
        }
    }
    if layer.iter().any(|part| matches!(part, Part::Debian(_))) {
        writer.status(installed)?;
    }
    Ok(())
}

struct Packer<'a> {
    program: &'a Path,
    blobs: &'a Path,
}

impl Packer<'_> {
    /// Pack one layer while it is written.
    fn pack(
        &self,
        write: impl FnOnce(&mut LayerWriter<BufWriter<ChildStdin>>) -> Result<()>,
    ) -> Result<Packed> {
        let shown = self.program.display();
        let mut child = Command::new(self.program)
            .arg("layer")
            .arg(self.blobs)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {shown}"))?;
        let input = child.stdin.take().context("the packer has no standard input")?;
        let mut writer = LayerWriter::new(BufWriter::with_capacity(1 << 16, input));
        let written = write(&mut writer);
        let entries = writer.entries();
        let written = written.and_then(|()| writer.finish()?.flush().context("cannot write to the packer"));
        let mut answer = String::new();
        child.stdout.take().context("the packer has no standard output")?.read_to_string(&mut answer)?;
        let status = child.wait()?;
        written?;
        if !status.success() {
            bail!("{shown} ended with {status}");
        }
        let mut packed: Packed =
            serde_json::from_str(&answer).with_context(|| format!("{shown} answered `{answer}`"))?;
        packed["entries"] = entries.into();
        Ok(packed)
    }
}
