//! `cargo xtask demo`: a real image, failed by the default policy, updated, passed or at least better, and proved.
//!
//! The image is assembled from Debian's archive without its security updates ([`assemble`]); the advisories are the
//! real ones. Then the commands that a user would type are typed ([`story`]), and what they must show is checked.
//! `docs/demo.md` describes it for users.

mod assemble;
mod changes;
mod image;
mod lifecycle;
mod story;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::Ending;
use crate::workspace::root;

/// What was asked for on the command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    directory: PathBuf,
    only_image: bool,
    full_feeds: bool,
    lifecycle: bool,
    small: bool,
    binary: Option<PathBuf>,
}

impl Options {
    /// Read the words after `demo`.
    ///
    /// # Errors
    /// The message for the user, when a word is not understood.
    pub(crate) fn parse(words: &[&str]) -> Result<Options, String> {
        let mut options = Options {
            directory: "target/demo".into(),
            only_image: false,
            full_feeds: false,
            lifecycle: false,
            small: false,
            binary: None,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value =
                || words.next().map(PathBuf::from).ok_or_else(|| format!("`{word}` needs a value"));
            match *word {
                "--dir" => options.directory = value()?,
                "--binary" => options.binary = Some(value()?),
                "--only-image" => options.only_image = true,
                "--full-feeds" => options.full_feeds = true,
                "--lifecycle" => options.lifecycle = true,
                "--small" => options.small = true,
                _ => return Err(format!("unexpected argument `{word}`")),
            }
        }
        match options {
            Options { small: true, lifecycle: false, .. } => {
                Err("`--small` goes with `--lifecycle`".to_owned())
            }
            Options { lifecycle: true, only_image, full_feeds, .. } if only_image || full_feeds => {
                Err("`--lifecycle` goes with neither `--only-image` nor `--full-feeds`".to_owned())
            }
            options => Ok(options),
        }
    }
}

/// Run the demo.
///
/// # Errors
/// When the binary cannot be built, Debian's archive cannot be reached or does not verify, or files cannot be written.
pub(crate) fn run(options: &Options) -> Result<Ending> {
    if options.lifecycle {
        return lifecycle::run(options);
    }
    let directory = &options.directory;
    let there = root().join(directory);
    std::fs::create_dir_all(&there)
        .with_context(|| format!("cannot make the directory {}", there.display()))?;
    let binary = if options.only_image { None } else { Some(story::binary(options.binary.as_deref())?) };
    let start = Instant::now();
    let images = assemble::assemble(&there)?;
    let Some(binary) = binary else { return Ok(Ending::Passed) };
    let ending = story::tell(
        &story::Stage { binary, directory, full_feeds: options.full_feeds, public: Some(story::PUBLIC) },
        &images,
    )?;
    println!(
        "\nThe demo took {} seconds after the build; its files are in {}",
        start.elapsed().as_secs(),
        directory.display()
    );
    Ok(ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_understood_or_refused() {
        let plain = Options::parse(&[]).unwrap();
        assert_eq!(plain.directory, PathBuf::from("target/demo"));
        let full = Options::parse(&["--dir", "x", "--only-image", "--binary", "b", "--full-feeds"]).unwrap();
        assert_eq!((full.directory, full.binary), ("x".into(), Some("b".into())));
        assert!(full.only_image && full.full_feeds);
        let life = Options::parse(&["--lifecycle", "--small"]).unwrap();
        assert!(life.lifecycle && life.small);
        assert_eq!(Options::parse(&["--small"]).unwrap_err(), "`--small` goes with `--lifecycle`");
        assert!(Options::parse(&["--lifecycle", "--only-image"]).is_err());
        assert_eq!(Options::parse(&["--dir"]).unwrap_err(), "`--dir` needs a value");
        assert_eq!(Options::parse(&["--fast"]).unwrap_err(), "unexpected argument `--fast`");
    }
}
