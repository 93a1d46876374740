//! Downloads by `curl` or `wget`, which honour the proxies of this machine; files are checked by size and SHA-256.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::{process, system};

/// What brings a program to download with.
const PACKAGES: &[&str] = &["curl", "ca-certificates"];

fn program() -> Option<&'static str> {
    ["curl", "wget"].into_iter().find(|program| process::find(program).is_some())
}

/// What a file must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Hexadecimal SHA-256.
    pub(crate) sha256: String,
    /// Length in bytes.
    pub(crate) size: u64,
}

/// Fetches files and keeps those whose content is known beforehand.
#[derive(Debug)]
pub(crate) struct Fetcher {
    cache: PathBuf,
    program: &'static str,
}

impl Fetcher {
    /// Keep files in this directory.
    ///
    /// # Errors
    /// When the directory cannot be made, or this machine has neither `curl` nor `wget`.
    pub(crate) fn new(cache: PathBuf) -> Result<Fetcher> {
        fs::create_dir_all(&cache)
            .with_context(|| format!("cannot make the directory {}", cache.display()))?;
        if program().is_none() {
            system::install(PACKAGES);
        }
        let Some(program) = program() else {
            bail!("neither `curl` nor `wget` is on PATH; {}", system::advice(PACKAGES));
        };
        Ok(Fetcher { cache, program })
    }

    /// The content of a file that changes on the server.
    ///
    /// # Errors
    /// When it cannot be fetched.
    pub(crate) fn fetch(&self, url: &str) -> Result<Vec<u8>> {
        let partial = self.cache.join("partial");
        self.download(url, &partial)?;
        let bytes = fs::read(&partial).with_context(|| format!("cannot read {}", partial.display()))?;
        fs::remove_file(&partial).with_context(|| format!("cannot remove {}", partial.display()))?;
        Ok(bytes)
    }

    /// The content of a file whose digest is known, from the cache when it is there.
    ///
    /// # Errors
    /// When it cannot be fetched, or is not what it must be.
    pub(crate) fn fetch_verified(&self, url: &str, expected: &Expected) -> Result<Vec<u8>> {
        let kept = self.cache.join(&expected.sha256);
        if let Ok(bytes) = fs::read(&kept)
            && hexadecimal(&bytes) == expected.sha256
        {
            return Ok(bytes);
        }
        let partial = self.cache.join(format!("{}.partial", expected.sha256));
        self.download(url, &partial)?;
        let bytes = fs::read(&partial).with_context(|| format!("cannot read {}", partial.display()))?;
        verify(url, &bytes, expected)?;
        fs::rename(&partial, &kept).with_context(|| format!("cannot write {}", kept.display()))?;
        Ok(bytes)
    }

    fn download(&self, url: &str, to: &Path) -> Result<()> {
        let mut command = Command::new(self.program);
        match self.program {
            "curl" => command
                .args([
                    "--fail",
                    "--silent",
                    "--show-error",
                    "--location",
                    "--retry",
                    "3",
                    "--connect-timeout",
                    "15",
                ])
                .args(["--max-time", "300", "--output"])
                .arg(to),
            _ => command.args(["--no-verbose", "--tries=3", "--timeout=60", "--output-document"]).arg(to),
        };
        let output = command.arg(url).stdin(Stdio::null()).output();
        let output = output.with_context(|| format!("cannot start {}", self.program))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("cannot fetch {url}: {}", said.lines().last().unwrap_or(self.program));
        }
        Ok(())
    }
}

/// Whether a server answers at all, be it with a refusal.
pub(crate) fn answers(url: &str) -> bool {
    let limits = ["--silent", "--connect-timeout", "5", "--max-time", "10", "--output"];
    process::succeeds("curl", &[limits.as_slice(), &[NOWHERE, url]].concat())
}

const NOWHERE: &str = if cfg!(windows) { "NUL" } else { "/dev/null" };

/// Refuse a file that is not what it must be.
fn verify(url: &str, bytes: &[u8], expected: &Expected) -> Result<()> {
    if bytes.len() as u64 != expected.size {
        bail!(
            "{url} has {} bytes, expected {}; if the archive was just updated, try again",
            bytes.len(),
            expected.size
        );
    }
    let found = hexadecimal(bytes);
    if found != expected.sha256 {
        bail!(
            "{url} has SHA-256 {found}, expected {}; if the archive was just updated, try again",
            expected.sha256
        );
    }
    Ok(())
}

/// The SHA-256 of some bytes, in hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_expected_bytes_are_accepted() {
        let expected = Expected { sha256: hexadecimal(b"abc"), size: 3 };
        assert_eq!(expected.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(verify("u", b"abc", &expected).is_ok());
        assert!(verify("u", b"abd", &expected).unwrap_err().to_string().contains("SHA-256"));
        assert!(verify("u", b"abcd", &expected).unwrap_err().to_string().contains("4 bytes, expected 3"));
    }
}
