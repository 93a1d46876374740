//! Measures: every program reads every image, in rounds of one run each, so that what slows the machine slows all.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::archive::COMPRESSIONS;
use super::figures::Figures;
use super::images::{IMAGES, Image};
use super::{Options, build, summary};
use crate::process;

/// A program that reads an image, and what it is told.
struct Subject {
    /// Its name among the results.
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    /// A directory that is emptied before each run.
    emptied: Option<PathBuf>,
    /// The SBOM that it writes.
    document: Option<PathBuf>,
}

/// The programs at hand.
struct Programs {
    bench: PathBuf,
    hullmark: PathBuf,
    /// Whether this Hullmark has a cache.
    has_cache: bool,
    trivy: Option<PathBuf>,
    syft: Option<PathBuf>,
    /// Where they may write.
    scratch: PathBuf,
}

/// Measure what is wanted and at hand, and write the results and the tables.
///
/// # Errors
/// When a program cannot be built or fails, or files cannot be written.
pub(super) fn run(options: &Options) -> Result<()> {
    let programs = Programs::find(options)?;
    let mut measured = 0;
    for image in IMAGES {
        for compression in
            COMPRESSIONS.into_iter().filter(|compression| options.wants(image.name, compression))
        {
            let archive = options.archive(image.name, compression);
            if !archive.is_file() {
                println!("{} {compression}: not at hand; `cargo xtask bench prepare` makes it", image.name);
                continue;
            }
            let record = measure(options, &programs, image, compression, &archive)?;
            keep(&options.results, record)?;
            measured += 1;
        }
    }
    if measured == 0 {
        bail!("no image is in {}", options.directory.display());
    }
    summary::write(&options.results)
}

impl Programs {
    fn find(options: &Options) -> Result<Programs> {
        let bench = build("hullmark-bench")?;
        let hullmark = options.hullmark.clone().map_or_else(|| build("hullmark"), Ok)?;
        let help = process::capture(Command::new(&hullmark).args(["sbom", "--help"]))?;
        let has_cache = String::from_utf8_lossy(&help).contains("--no-cache");
        let scratch = options.directory.join("scratch");
        fs::create_dir_all(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
        let (trivy, syft) = (options.trivy.clone(), options.syft.clone());
        Ok(Programs { bench, hullmark, has_cache, trivy, syft, scratch })
    }

    /// Who reads this archive, in the order of a round.
    fn subjects(&self, archive: &Path) -> Vec<Subject> {
        let archive = archive.to_string_lossy();
        let scratch = |name: &str| self.scratch.join(name);
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
        let mut subjects = vec![Subject {
            name: "bare",
            program: self.bench.clone(),
            arguments: words(&["inflate", &archive]),
            emptied: None,
            document: None,
        }];
        subjects.push(Subject {
            name: "bare-diff-ids",
            program: self.bench.clone(),
            arguments: words(&["inflate", &archive, "--diff-ids"]),
            emptied: None,
            document: None,
        });
        let mut hullmark = |name: &'static str, more: &[&str]| {
            let document = scratch("hullmark.json");
            let target = format!("docker-archive:{archive}");
            let output = document.to_string_lossy();
            let mut arguments = words(&["sbom", "--quiet", "--offline", &target, "-o", &output]);
            arguments.extend(words(more));
            let program = self.hullmark.clone();
            subjects.push(Subject {
                name,
                program,
                arguments,
                emptied: None,
                document: Some(document.clone()),
            });
        };
        hullmark("hullmark-cold", if self.has_cache { &["--no-cache"] } else { &[] });
        if self.has_cache {
            hullmark("hullmark-warm", &["--cache", &scratch("hullmark-cache").to_string_lossy()]);
        }
        if let Some(program) = self.trivy.clone() {
            let (document, cache) = (scratch("trivy.json"), scratch("trivy-cache"));
            let mut arguments = words(&["image", "--quiet", "--format", "cyclonedx", "--offline-scan"]);
            arguments.extend(words(&["--skip-db-update", "--skip-java-db-update", "--skip-version-check"]));
            // Without its Java database, which comes from the network, it ends at the first archive of Java.
            arguments.extend(words(&["--skip-files", "**/*.jar", "--skip-files", "**/*.war"]));
            arguments.extend(words(&["--disable-telemetry", "--timeout", "1h", "--input", &archive]));
            arguments.extend(words(&[
                "--cache-dir",
                &cache.to_string_lossy(),
                "--output",
                &document.to_string_lossy(),
            ]));
            subjects.push(Subject {
                name: "trivy",
                program,
                arguments,
                emptied: Some(cache),
                document: Some(document),
            });
        }
        if let Some(program) = self.syft.clone() {
            let (document, cache) = (scratch("syft.json"), scratch("syft-cache"));
            let output = format!("cyclonedx-json={}", document.display());
            let arguments =
                words(&["scan", "--quiet", &format!("docker-archive:{archive}"), "--output", &output]);
            subjects.push(Subject {
                name: "syft",
                program,
                arguments,
                emptied: Some(cache),
                document: Some(document),
            });
        }
        subjects
    }

    /// Run one of them.
    fn measure(&self, subject: &Subject) -> Result<Figures> {
        if let Some(directory) = subject.emptied.as_ref().filter(|directory| directory.is_dir()) {
            fs::remove_dir_all(directory).with_context(|| format!("cannot empty {}", directory.display()))?;
        }
        let mut command = Command::new(&self.bench);
        command.arg("measure").arg(&subject.program).args(&subject.arguments);
        command.env("TMPDIR", &self.scratch).env("SYFT_CHECK_FOR_APP_UPDATE", "false");
        command.env("SYFT_CACHE_DIR", self.scratch.join("syft-cache"));
        let answer = process::capture(&mut command)?;
        let measured: Value = serde_json::from_slice(&answer).context("hullmark-bench: not JSON")?;
        if measured["exit"].as_i64() != Some(0) {
            bail!("{} ended with {}: {}", subject.name, measured["exit"], measured["said"]);
        }
        Figures::read(&measured).with_context(|| format!("hullmark-bench answered {measured}"))
    }
}

fn measure(
    options: &Options,
    programs: &Programs,
    image: &Image,
    compression: &str,
    archive: &Path,
) -> Result<Value> {
    println!("{} {compression}", image.name);
    let subjects = programs.subjects(archive);
    let bare = process::capture(Command::new(&programs.bench).arg("inflate").arg(archive))?;
    let bare: Value = serde_json::from_slice(&bare).context("hullmark-bench: not JSON")?;
    let mut kept: Vec<Vec<Figures>> = vec![Vec::new(); subjects.len()];
    let mut failures: Vec<Option<String>> = vec![None; subjects.len()];
    // What has a cache fills it here. The same goes for the page cache, which holds the archive in every run if it can.
    if let Some(warm) = subjects.iter().find(|subject| subject.name == "hullmark-warm") {
        programs.measure(warm)?;
    }
    for round in 1..=options.runs {
        for ((subject, kept), failure) in subjects.iter().zip(&mut kept).zip(&mut failures) {
            if failure.is_some() {
                continue;
            }
            match programs.measure(subject) {
                Ok(figures) => {
                    println!(
                        "  {round} {:<14} {:>8.3} s {:>6.0} MiB",
                        subject.name,
                        figures.wall,
                        figures.peak / MIB
                    );
                    kept.push(figures);
                }
                // Another tool that cannot read the image is a result; Hullmark that cannot is none.
                Err(error) if ["trivy", "syft"].contains(&subject.name) => {
                    println!("  {round} {} failed: {error:#}", subject.name);
                    *failure = Some(format!("{error:#}"));
                }
                Err(error) => return Err(error),
            }
        }
    }
    let mut results = serde_json::Map::new();
    for ((subject, kept), failure) in subjects.iter().zip(kept).zip(failures) {
        let mut result = json!({
            "command": shown(subject, options),
            "runs": kept.iter().map(Figures::show).collect::<Vec<Value>>(),
        });
        if let Some(failure) = failure {
            result["failure"] = failure.into();
        }
        if let Some(components) = subject.document.as_deref().and_then(components) {
            result["components"] = components.into();
        }
        results.insert(subject.name.to_owned(), result);
    }
    let layers: Value = fs::read(options.facts(image.name))
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default();
    let entries: u64 =
        layers.as_array().into_iter().flatten().filter_map(|layer| layer["entries"].as_u64()).sum();
    Ok(json!({
        "image": image.name,
        "compression": compression,
        "date": options.date,
        "layers": bare["layers"],
        "threads": bare["threads"],
        "entries": entries,
        "stored_bytes": bare["stored"],
        "bytes": bare["size"],
        "host": host(),
        "versions": versions(programs),
        "subjects": results,
    }))
}

/// Bytes of a mebibyte.
pub(super) const MIB: f64 = 1_048_576.0;

/// A command without the places of this machine.
fn shown(subject: &Subject, options: &Options) -> String {
    let program = subject.program.file_name().unwrap_or_default().to_string_lossy();
    let directory = format!("{}/", options.directory.display());
    let words = subject.arguments.iter().map(|word| word.replace(&directory, ""));
    format!("{program} {}", words.collect::<Vec<String>>().join(" "))
}

/// How many packages an SBOM names: components of the type that packages have, so without files.
fn components(document: &Path) -> Option<usize> {
    let document: Value = serde_json::from_slice(&fs::read(document).ok()?).ok()?;
    let components = document["components"].as_array()?;
    Some(components.iter().filter(|component| component["type"] == "library").count())
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = process::capture(command).ok()?;
    Some(String::from_utf8_lossy(&output).lines().next()?.trim().to_owned())
}

fn versions(programs: &Programs) -> Value {
    let version = |program: &Option<PathBuf>| {
        let program = program.as_ref()?;
        let line = first_line(Command::new(program).arg("--version"))?;
        line.split_whitespace().last().map(str::to_owned)
    };
    let mut git = Command::new("git");
    git.current_dir(crate::workspace::root()).args(["describe", "--always", "--dirty", "--exclude", "*"]);
    json!({
        "commit": first_line(&mut git),
        "rustc": first_line(Command::new("rustc").arg("--version")),
        "trivy": version(&programs.trivy),
        "syft": version(&programs.syft),
    })
}

/// What the machine is.
fn host() -> Value {
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).ok()?;
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let memory = field("/proc/meminfo", "MemTotal");
    let kibibytes = memory.and_then(|memory| memory.split(' ').next()?.parse::<u64>().ok());
    json!({
        "processor": field("/proc/cpuinfo", "model name"),
        "processors": std::thread::available_parallelism().map_or(1, usize::from),
        "memory_bytes": kibibytes.map(|kibibytes| kibibytes * 1024),
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().to_owned()),
        "system": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
    })
}

/// Put a record among the results, in place of an earlier one of the same image.
fn keep(path: &Path, record: Value) -> Result<()> {
    let mut records = read(path)?;
    let same = |one: &Value| one["image"] == record["image"] && one["compression"] == record["compression"];
    records.retain(|one| !same(one));
    records.push(record);
    let place = |one: &Value| {
        let image = IMAGES.iter().position(|image| one["image"] == image.name);
        (image, one["compression"].as_str().unwrap_or_default().to_owned())
    };
    records.sort_by_key(place);
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let text = serde_json::to_string_pretty(&records)? + "\n";
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The results so far.
///
/// # Errors
/// When the file is there and cannot be read.
pub(super) fn read(path: &Path) -> Result<Vec<Value>> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{}: not a list of results", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_record_replaces_the_old_one_of_its_image() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("results/results.json");
        for (image, date) in [("medium", "1"), ("tiny", "1"), ("medium", "2")] {
            keep(&path, json!({"image": image, "compression": "gzip", "date": date})).unwrap();
        }
        let records = read(&path).unwrap();
        let shown: Vec<(&Value, &Value)> = records.iter().map(|one| (&one["image"], &one["date"])).collect();
        assert_eq!(shown, [(&json!("tiny"), &json!("1")), (&json!("medium"), &json!("2"))]);
    }
}
