//! A suite of Debian's archive: its `InRelease` vouches for the index, and the index for the packages.

use std::io::Read;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use lzma_rust2::XzReader;

use super::fetch::{Expected, Fetcher};
use super::index::{Index, field};
use super::time::Moment;
use crate::process;

const INDEX: &str = "main/binary-amd64/Packages.xz";
/// Debian's keys, from the package `debian-archive-keyring`.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// One suite as it is today.
#[derive(Debug)]
pub(crate) struct Suite {
    /// What it offers.
    pub(crate) index: Index,
    /// When it was made.
    pub(crate) date: Moment,
}

impl Suite {
    /// Fetch a suite's index and check it, by its signature too where `gpgv` and Debian's keys are at hand.
    ///
    /// # Errors
    /// When the archive cannot be reached, does not verify, or is not understood.
    pub(crate) fn fetch(fetcher: &Fetcher, base: &str, suite: &str, directory: &Path) -> Result<Suite> {
        let place = format!("{base}/dists/{suite}");
        let release = fetcher.fetch(&format!("{place}/InRelease"))?;
        let kept = directory.join(format!("{suite}.InRelease"));
        std::fs::write(&kept, &release).with_context(|| format!("cannot write {}", kept.display()))?;
        let signed = check_signature(&kept)?;
        let release =
            String::from_utf8(release).with_context(|| format!("{place}/InRelease is not UTF-8"))?;
        let date = Moment::parse(field(&release, "Date").context("`InRelease` without `Date`")?)?;
        let expected =
            digest_of(&release, INDEX).with_context(|| format!("{place}/InRelease does not list {INDEX}"))?;
        let packed = fetcher.fetch_verified(&format!("{place}/{INDEX}"), &expected)?;
        let mut text = String::new();
        XzReader::new(packed.as_slice(), true)
            .read_to_string(&mut text)
            .with_context(|| format!("{place}/{INDEX}"))?;
        let index = Index::parse(&text, base).with_context(|| format!("{place}/{INDEX}"))?;
        let trust = if signed {
            "signature checked"
        } else {
            "signature not checked: no gpgv or no keys of Debian here"
        };
        println!("  {base} {suite} of {} ({trust})", date.text);
        Ok(Suite { index, date })
    }
}

/// Check the signature of an `InRelease`; `false` when that cannot be done on this machine.
fn check_signature(file: &Path) -> Result<bool> {
    if process::find("gpgv").is_none() || !Path::new(KEYS).is_file() {
        return Ok(false);
    }
    process::capture(Command::new("gpgv").args(["--quiet", "--keyring", KEYS]).arg(file))?;
    Ok(true)
}

/// What a `Release` file says of another file, in its `SHA256` field: lines of digest, size and path.
fn digest_of(release: &str, path: &str) -> Option<Expected> {
    let lines = release.lines().skip_while(|line| line.trim_end() != "SHA256:").skip(1);
    lines.take_while(|line| line.starts_with(' ')).find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [sha256, size, name] = words.as_slice() else { return None };
        (*name == path).then(|| Some(Expected { sha256: (*sha256).to_owned(), size: size.parse().ok()? }))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_taken_from_the_right_list() {
        let release = "Date: x\nMD5Sum:\n aa 1 a/b\nSHA256:\n bb 2 a\n cc 3 a/b\nSigned-By: x\n dd 4 a/c\n";
        assert_eq!(digest_of(release, "a/b"), Some(Expected { sha256: "cc".to_owned(), size: 3 }));
        assert_eq!(digest_of(release, "a/c"), None);
    }
}
