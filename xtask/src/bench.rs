//! `cargo xtask bench`: how fast Hullmark reads images, against the bare work and against other tools.
//!
//! [`images`] says what the images are made of, [`lock`] pins their Debian packages, [`prepare`] builds them,
//! [`run`](run::run) measures, and [`summary`] turns the results into the tables of `docs/performance.md`. What must be
//! optimised is the program in `bench/`. `bench/README.md` describes it for users.

mod archive;
mod figures;
mod images;
mod lock;
mod parts;
mod prepare;
mod run;
mod summary;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::Ending;
use crate::workspace::{cargo, root, target};

/// What was asked for on the command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    task: Task,
    /// Where the images and all that is fetched for them are kept.
    directory: PathBuf,
    /// The names of the images; empty for all.
    images: Vec<String>,
    /// The compressions; empty for both.
    compressions: Vec<String>,
    /// Alternating runs.
    runs: usize,
    /// The day that the results are dated with.
    date: Option<String>,
    hullmark: Option<PathBuf>,
    trivy: Option<PathBuf>,
    syft: Option<PathBuf>,
    results: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Lock,
    Prepare,
    Run,
    Summary,
}

impl Options {
    /// Read the words after `bench`.
    ///
    /// # Errors
    /// The message for the user, when a word is not understood.
    pub(crate) fn parse(words: &[&str]) -> Result<Options, String> {
        let mut words = words.iter();
        let task = match words.next() {
            Some(&"lock") => Task::Lock,
            Some(&"prepare") => Task::Prepare,
            Some(&"run") => Task::Run,
            Some(&"summary") => Task::Summary,
            Some(word) => return Err(format!("`bench` does not know `{word}`")),
            None => return Err("`bench` what: prepare, run, summary or lock?".to_owned()),
        };
        let mut options = Options {
            task,
            directory: target().join("bench"),
            images: Vec::new(),
            compressions: Vec::new(),
            runs: 5,
            date: None,
            hullmark: None,
            trivy: None,
            syft: None,
            results: root().join("bench/results/results.json"),
        };
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("`{word}` needs a value"))?;
            let names = || value.split(',').map(str::to_owned).collect();
            match *word {
                "--directory" => options.directory = value.into(),
                "--images" => options.images = names(),
                "--compressions" => options.compressions = names(),
                "--runs" => {
                    options.runs = value
                        .parse()
                        .ok()
                        .filter(|runs| *runs > 0)
                        .ok_or_else(|| format!("`--runs {value}` is not a number of runs"))?;
                }
                "--date" => options.date = Some((*value).to_owned()),
                "--hullmark" => options.hullmark = Some(value.into()),
                "--trivy" => options.trivy = Some(value.into()),
                "--syft" => options.syft = Some(value.into()),
                "--results" => options.results = value.into(),
                _ => return Err(format!("unexpected argument `{word}`")),
            }
        }
        if let Some(name) = options.images.iter().find(|name| images::find(name).is_none()) {
            return Err(format!("no image `{name}`"));
        }
        if let Some(name) =
            options.compressions.iter().find(|name| !archive::COMPRESSIONS.contains(&name.as_str()))
        {
            return Err(format!("no compression `{name}`"));
        }
        if options.task == Task::Run && options.date.is_none() {
            return Err("`bench run` needs `--date YYYY-MM-DD`, which the results are dated with".to_owned());
        }
        Ok(options)
    }

    fn wants(&self, image: &str, compression: &str) -> bool {
        let wanted = |names: &[String], name: &str| names.is_empty() || names.iter().any(|one| one == name);
        wanted(&self.images, image) && wanted(&self.compressions, compression)
    }

    /// What is known of the layers of an image.
    fn facts(&self, image: &str) -> PathBuf {
        self.directory.join(format!("{image}.json"))
    }

    /// The archive of an image.
    fn archive(&self, image: &str, compression: &str) -> PathBuf {
        self.directory.join(format!("{image}-{compression}.tar"))
    }
}

/// Do what was asked for.
///
/// # Errors
/// When a program cannot be built or run, something cannot be fetched, or files cannot be written.
pub(crate) fn run(options: &Options) -> Result<Ending> {
    match options.task {
        Task::Lock => lock::renew(options),
        Task::Prepare => prepare::prepare(options),
        Task::Run => run::run(options),
        Task::Summary => summary::write(&options.results),
    }?;
    Ok(Ending::Passed)
}

/// Build a program of this workspace optimised; gives its path.
fn build(package: &str) -> Result<PathBuf> {
    let status = cargo()
        .args(["build", "--quiet", "--locked", "--release", "--package", package])
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("`{package}` cannot be built: cargo ended with {status}");
    }
    Ok(target().join("release").join(package))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_understood_or_refused() {
        let words = [
            "run",
            "--images",
            "tiny,medium",
            "--runs",
            "3",
            "--date",
            "2026-11-25",
            "--compressions",
            "gzip",
        ];
        let options = Options::parse(&words).unwrap();
        assert_eq!((options.task, options.runs), (Task::Run, 3));
        assert!(
            options.wants("tiny", "gzip")
                && !options.wants("tiny", "zstd")
                && !options.wants("large", "gzip")
        );
        let refused = |words: &[&str]| Options::parse(words).unwrap_err();
        assert!(refused(&["run"]).contains("--date"));
        assert!(refused(&["prepare", "--images", "huge"]).contains("no image `huge`"));
        assert!(refused(&["prepare", "--compressions", "lz4"]).contains("no compression `lz4`"));
        assert!(refused(&["run", "--runs", "0"]).contains("not a number of runs"));
        assert!(refused(&["fly"]).contains("does not know `fly`"));
        assert!(refused(&["prepare", "--fast", "1"]).contains("unexpected argument `--fast`"));
    }
}
