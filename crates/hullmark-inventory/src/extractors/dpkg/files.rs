//! Which files a Debian package installed.

use crate::text::lines;
use crate::{Extraction, OpenFile, OwnedFiles};

/// Reads `info/NAME.list` or `info/NAME:ARCHITECTURE.list`: one absolute path per line, directories among them.
pub fn parse_list(file: &OpenFile<'_>) -> Extraction {
    let stem = file.file_name().trim_end_matches(".list");
    collect(stem, lines(file.bytes).map(|(_, line)| line.into_owned()))
}

/// Reads `status.d/NAME.md5sums`: a digest, two spaces and a relative path per line.
pub fn parse_md5sums(file: &OpenFile<'_>) -> Extraction {
    let stem = file.file_name().trim_end_matches(".md5sums");
    let paths =
        lines(file.bytes).filter_map(|(_, line)| line.split_once("  ").map(|(_, path)| path.to_owned()));
    collect(stem, paths)
}

fn collect(stem: &str, paths: impl Iterator<Item = String>) -> Extraction {
    let (package, architecture) = match stem.split_once(':') {
        Some((package, architecture)) => (package, Some(architecture.to_owned())),
        None => (stem, None),
    };
    let files = paths.filter_map(|path| {
        let path = path.trim_start_matches("./").trim_matches('/');
        (!path.is_empty() && path != ".").then(|| path.to_owned())
    });
    let owned = OwnedFiles { package: package.to_owned(), architecture, files: files.collect() };
    Extraction { owned: vec![owned], ..Extraction::default() }
}
