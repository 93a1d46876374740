//! `cargo xtask demo --lifecycle`: one image meets Hullmark four times, at build, in the registry, at deployment and while
//! it runs, and leaves one paper trail that is verified offline.
//!
//! [`machine`] holds the other programs (a registry, podman), [`made`] a small image for runs without a network, and
//! [`story`] the chapters. What they must show is checked.

mod machine;
mod made;
mod story;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::{Options, assemble};
use crate::Ending;
use crate::workspace::root;

/// What the story is told about.
#[derive(Debug)]
struct Images {
    /// Archive of the image that the policy fails.
    bad: PathBuf,
    /// Archive of the image that it passes.
    good: PathBuf,
    /// Directory with the advisories, in that of the story; `None` for those of the distribution's archive.
    feeds: Option<&'static str>,
    /// The shell in the image.
    shell: &'static str,
    /// The command in the image that executes a file from memory.
    from_memory: Vec<&'static str>,
}

/// Executes `/tmp/echo` from memory, by Python.
const PYTHON_FROM_MEMORY: &str = "import os; f = os.memfd_create('memory'); \
    os.write(f, open('/tmp/echo', 'rb').read()); os.execve(f, ['echo', 'from memory'], {})";

/// Run the story.
///
/// # Errors
/// When a program is missing or cannot be started, or the images cannot be made.
pub(super) fn run(options: &Options) -> Result<Ending> {
    let directory = root().join(&options.directory).join("lifecycle");
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let missing = machine::missing_programs();
    if !missing.is_empty() {
        bail!("not at hand: {}; {}", missing.join(", "), crate::system::advice(&missing));
    }
    if options.binary.is_none()
        && let Some(advice) = machine::missing_libraries()
    {
        bail!("the agent cannot be built without libelf and zlib; {advice}");
    }
    let binaries = story::Binaries::find(options.binary.as_deref())?;
    let start = Instant::now();
    let images = images(&directory, options)?;
    let ending = story::tell(&binaries, &directory, &images)?;
    println!(
        "\nThe story took {} seconds after the build; its files are in {}",
        start.elapsed().as_secs(),
        directory.display()
    );
    Ok(ending)
}

fn images(directory: &Path, options: &Options) -> Result<Images> {
    if options.small {
        return made::images(directory);
    }
    let place = root().join(&options.directory);
    fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
    let debian = assemble::assemble(&place)?;
    Ok(Images {
        bad: debian.before,
        good: debian.after,
        feeds: None,
        // No package script was run, so nothing made the link `/bin/sh`.
        shell: "/bin/bash",
        from_memory: vec!["python3.11", "-c", PYTHON_FROM_MEMORY],
    })
}
