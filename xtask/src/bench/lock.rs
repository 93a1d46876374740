//! The Debian packages of the images, each by its version and digest, in `bench/images/debian.lock`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result, bail};

use super::Options;
use super::images::GROUPS;
use crate::debian::archive::Suite;
use crate::debian::fetch::{Expected, Fetcher};
use crate::debian::resolve::close;
use crate::workspace::root;

const FILE: &str = "bench/images/debian.lock";
/// The release that the images are made of. It gets no more updates but those of its security archive, so what is pinned
/// stays at hand.
const RELEASE: &str = "bookworm";

/// One package of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Locked {
    pub(super) group: String,
    pub(super) name: String,
    /// Where its file is, below the base of the archive.
    pub(super) path: String,
    pub(super) expected: Expected,
}

/// Where the archive is; `HULLMARK_BENCH_MIRROR` can name another place.
pub(super) fn mirror() -> String {
    let mirror =
        std::env::var("HULLMARK_BENCH_MIRROR").unwrap_or_else(|_| "http://deb.debian.org/debian".to_owned());
    mirror.trim_end_matches('/').to_owned()
}

/// The packages of all groups.
///
/// # Errors
/// When the file cannot be read or is malformed.
pub(super) fn read() -> Result<Vec<Locked>> {
    let text = fs::read_to_string(root().join(FILE)).with_context(|| format!("cannot read {FILE}"))?;
    parse(&text)
}

fn parse(text: &str) -> Result<Vec<Locked>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [group, name, _version, size, sha256, path] = words.as_slice() else {
                bail!("{FILE}:{}: expected group, name, version, size, digest and path", number + 1);
            };
            let size = size.parse().with_context(|| format!("{FILE}:{}: size `{size}`", number + 1))?;
            Ok(Locked {
                group: (*group).to_owned(),
                name: (*name).to_owned(),
                path: (*path).to_owned(),
                expected: Expected { sha256: (*sha256).to_owned(), size },
            })
        })
        .collect()
}

/// Pin what the archive offers today.
///
/// # Errors
/// When the archive cannot be reached or does not verify, or the file cannot be written.
pub(super) fn renew(options: &Options) -> Result<()> {
    let fetcher = Fetcher::new(options.directory.join("downloads"))?;
    let mirror = mirror();
    let suite = Suite::fetch(&fetcher, &mirror, RELEASE, &options.directory)?;
    let mut text = format!(
        "# Written by `cargo xtask bench lock` from Debian {RELEASE} of {}.\n# group name version size sha256 path\n",
        suite.date.text
    );
    for groups in GROUPS {
        let (mut wanted, mut present) = (Vec::new(), BTreeSet::new());
        for (group, names) in *groups {
            wanted.extend_from_slice(names);
            for (name, offer) in close(&suite.index, &wanted)? {
                if present.insert(name) {
                    let path = offer.url.strip_prefix(&format!("{mirror}/")).unwrap_or(&offer.url);
                    let Expected { sha256, size } = &offer.expected;
                    writeln!(text, "{group} {name} {} {size} {sha256} {path}", offer.version)?;
                }
            }
        }
    }
    fs::write(root().join(FILE), text).with_context(|| format!("cannot write {FILE}"))?;
    println!("wrote {FILE}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_or_refused_with_their_place() {
        let locked = parse("# about\nbase bash 5.2 10 abcd pool/bash.deb\n").unwrap();
        assert_eq!((locked[0].name.as_str(), locked[0].expected.size), ("bash", 10));
        assert!(parse("base bash\n").unwrap_err().to_string().contains("debian.lock:1: expected"));
        assert!(parse("\nbase bash 5 x a p\n").unwrap_err().to_string().contains("debian.lock:2: size `x`"));
        assert!(read().unwrap().iter().any(|package| package.name == "bash"));
    }
}
