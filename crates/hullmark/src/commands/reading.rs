//! Reading what a target holds: one image, or one for each platform.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Error, Result, bail};
use hullmark_cache::Cache;
use hullmark_engine::{Acquire, EngineError, Target};
use hullmark_image::{AcquireOptions, PlatformImage};
use hullmark_inventory::BaseIndex;
use hullmark_report::{ProgressEvent, labels};

use super::Context;
use super::cache;
use super::scan::acquire_options;
use crate::cli::{PlatformChoice, TargetArguments};
use crate::environment;
use crate::progress::ScanBars;

/// What stands for the platform in the name of a file.
pub const PLATFORM: &str = "{platform}";

/// A target, and how it is read.
pub struct Reading<'a> {
    context: &'a Context<'a>,
    name: &'a str,
    target: Target,
    options: AcquireOptions,
    cache: Option<Cache>,
    bases: Option<BaseIndex>,
    all: bool,
}

/// An image for a platform, and what was made of it.
pub struct Taken<T> {
    /// Which image.
    pub image: PlatformImage,
    /// What was made of it.
    pub result: Result<T>,
}

impl<'a> Reading<'a> {
    /// What the arguments say. Nothing is read yet.
    pub fn open(context: &'a Context<'a>, arguments: &'a TargetArguments) -> Result<Self> {
        let target = Target::parse(&arguments.target)?;
        Ok(Self {
            context,
            name: &arguments.target,
            options: acquire_options(context, arguments, &target)?,
            cache: cache::of_scan(context, &arguments.cache)?,
            // Without a home directory none is known.
            bases: environment::bases_directory(arguments.bases.clone()).ok().map(BaseIndex::at),
            target,
            all: arguments.platform == Some(PlatformChoice::All),
        })
    }

    /// Whether all platforms are wanted.
    pub fn wants_all(&self) -> bool {
        self.all
    }

    /// Checks that the output of `command`, which is about one image, can be told apart for all platforms.
    pub fn check_output(&self, what: &str, output: Option<&Path>) -> Result<()> {
        if self.all && !has_platform(output) {
            bail!(
                "{what} is about one image, and `--platform all` is about several\nhint: name a file for each, such as \
                 `--output image-{PLATFORM}.json`"
            );
        }
        Ok(())
    }

    /// Reads the image, with progress.
    pub fn one<T, E: Into<Error>>(&self, take: impl FnOnce(&Acquire<'_>) -> Result<T, E>) -> Result<T> {
        let bars = ScanBars::new(self.context.talk);
        let taken = take(&self.acquire(&self.options, &bars));
        bars.end(self.options.lazy);
        taken.map_err(Into::into)
    }

    /// Reads the image for each platform in turn, with progress. One that cannot be read is said, and the others go on.
    pub fn each<T, E: Into<Error>>(
        &self,
        mut take: impl FnMut(&Acquire<'_>, &str) -> Result<T, E>,
    ) -> Result<Vec<Taken<T>>> {
        let images = match &self.target {
            Target::Image(target) => hullmark_image::platforms(target, &self.options)
                .with_context(|| format!("cannot find the platforms of `{}`", self.name))?,
            Target::Sbom(_) => vec![PlatformImage { platform: None, manifest: None }],
        };
        let bars = ScanBars::new(self.context.talk);
        let labels = labels(images.iter().map(|image| image.platform.as_ref()));
        let taken = images.into_iter().zip(labels).map(|(image, label)| {
            let options = image.options(&self.options);
            let result = take(&self.acquire(&options, &bars), &label).map_err(Into::into);
            if let Err(error) = &result {
                bars.clear();
                self.failed(&image, &label, error);
            }
            Taken { image, result }
        });
        let taken = taken.collect();
        bars.end(self.options.lazy);
        Ok(taken)
    }

    fn failed(&self, image: &PlatformImage, label: &str, error: &Error) {
        let message = format!("{error:#}");
        let platform = image.platform.clone();
        if !self.context.talk.event(&ProgressEvent::PlatformFailed { platform, message: message.clone() }) {
            self.context.talk.warn(hullmark_report::safe_text(&format!("{label} is left out: {message}")));
        }
    }

    fn acquire<'b>(&'b self, options: &'b AcquireOptions, bars: &'b ScanBars<'_>) -> Acquire<'b> {
        Acquire {
            target: &self.target,
            options,
            progress: bars,
            cache: self.cache.as_ref(),
            bases: self.bases.as_ref(),
        }
    }

    /// Reads the image, with progress; an error names the target.
    pub fn image<T>(&self, take: impl FnOnce(&Acquire<'_>) -> Result<T, EngineError>) -> Result<T> {
        self.one(take).with_context(|| format!("cannot read `{}`", self.name))
    }
}

/// Fails if something could not be read.
pub fn all_taken<T>(taken: &[Taken<T>]) -> Result<()> {
    let failures = taken.iter().filter(|taken| taken.result.is_err()).count();
    match failures {
        0 => Ok(()),
        _ => bail!("{failures} of {} platforms are left out", taken.len()),
    }
}

/// Whether the name of the file has a place for the platform.
pub fn has_platform(path: Option<&Path>) -> bool {
    path.and_then(Path::to_str).is_some_and(|path| path.contains(PLATFORM))
}

/// The name of the file for a platform: `linux-arm-v7` for `linux/arm/v7`. What else stands in the name of a platform, which
/// comes from the image, leads nowhere.
pub fn for_platform(path: &Path, label: &str) -> PathBuf {
    let plain = |character: char| match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' => character,
        _ => '-',
    };
    let label: String = label.chars().map(plain).collect();
    path.to_str().map_or_else(|| path.to_owned(), |path| PathBuf::from(path.replace(PLATFORM, &label)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_platforms_lead_nowhere() {
        let name = |label| for_platform(Path::new("out/{platform}.json"), label).display().to_string();
        assert_eq!(name("linux/arm/v7"), "out/linux-arm-v7.json");
        assert_eq!(name("linux/amd64 2"), "out/linux-amd64-2.json");
        assert_eq!(name("../../etc/x"), "out/..-..-etc-x.json");
        assert!(!has_platform(Some(Path::new("a.json"))) && !has_platform(None));
    }
}
