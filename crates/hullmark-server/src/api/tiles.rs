//! Reading tiles and bundles from the directory of the ledger. Partial ones are kept for the present size only; a narrower
//! one is the beginning of a wider one.

use std::io;
use std::path::Path;

/// Bytes of a hash.
const HASH: usize = 32;

/// Hashes of a full tile, entries of a full bundle.
const FULL: usize = 256;

/// The deepest level of tiles.
const MAX_LEVEL: u8 = 63;

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The path below `tile/`, without the width.
    stem: String,
    bundle: bool,
    width: usize,
}

/// Reads `0/x001/067`, `entries/000`, `1/000.p/7`; `None` for anything else, so that no other file can be named.
pub(super) fn parse(path: &str) -> Option<Wanted> {
    let (stem, width) = match path.split_once(".p/") {
        Some((stem, width)) => {
            let number = width.parse::<usize>().ok().filter(|number| number.to_string() == width)?;
            (stem, Some(number).filter(|number| (1..FULL).contains(number))?)
        }
        None => (path, FULL),
    };
    let mut parts = stem.split('/');
    let first = parts.next()?;
    let bundle = first == "entries";
    if !bundle {
        first.parse::<u8>().ok().filter(|level| *level <= MAX_LEVEL && level.to_string() == first)?;
    }
    let parts: Vec<&str> = parts.collect();
    let (last, before) = parts.split_last()?;
    let three = |text: &str| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    let good = three(last)
        && before.len() <= 6
        && before.iter().all(|part| part.strip_prefix('x').is_some_and(three));
    good.then(|| Wanted { stem: stem.to_owned(), bundle, width })
}

/// Reads what is wanted, or cuts it from what is wider; `None` when there is none so wide.
pub(super) fn read(directory: &Path, wanted: &Wanted) -> io::Result<Option<Vec<u8>>> {
    let tiles = directory.join("tile");
    // A wider one may replace the one that was just seen: look again.
    for _ in 0..3 {
        if let Some(bytes) = optional(&tiles.join(&wanted.stem))? {
            return Ok(cut(bytes, wanted));
        }
        let partial = tiles.join(format!("{}.p", wanted.stem));
        let Some(widest) = widest(&partial)?.filter(|width| *width >= wanted.width) else { return Ok(None) };
        if let Some(bytes) = optional(&partial.join(widest.to_string()))? {
            return Ok(cut(bytes, wanted));
        }
    }
    Ok(None)
}

fn optional(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn widest(directory: &Path) -> io::Result<Option<usize>> {
    let listing = match std::fs::read_dir(directory) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut widest = None;
    for item in listing {
        let number = item?.file_name().to_str().and_then(|name| name.parse::<usize>().ok());
        widest = widest.max(number);
    }
    Ok(widest)
}

fn cut(mut bytes: Vec<u8>, wanted: &Wanted) -> Option<Vec<u8>> {
    if wanted.width == FULL {
        return Some(bytes);
    }
    let mut end = 0;
    for _ in 0..wanted.width {
        end += match wanted.bundle {
            false => HASH,
            true => {
                let length = bytes.get(end..end + 2)?.try_into().ok()?;
                2 + usize::from(u16::from_be_bytes(length))
            }
        };
    }
    (end <= bytes.len()).then(|| {
        bytes.truncate(end);
        bytes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tiles_can_be_named() {
        for good in
            ["0/000", "63/999", "entries/000", "0/x001/067", "1/000.p/7", "entries/x001/x234/067.p/255"]
        {
            assert!(parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "0",
            "0/",
            "0/00",
            "0/0000",
            "64/000",
            "00/000",
            "-1/000",
            "entries",
            "data/000",
            "../ledger.key",
            "0/../000",
            "0/x001",
            "0/001/067",
            "0/000.p/0",
            "0/000.p/256",
            "0/000.p/07",
            "0/000.p/+7",
            "0/000.p/",
            "0/000.p/1/..",
            "0//000",
            "/0/000",
            "0/000/",
            "0/x01/000",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn narrower_ones_are_cut_from_wider_ones() {
        let directory = tempfile::tempdir().unwrap();
        let partial = directory.path().join("tile/0/000.p");
        std::fs::create_dir_all(&partial).unwrap();
        std::fs::write(partial.join("3"), [7; 96]).unwrap();
        let bundles = directory.path().join("tile/entries");
        std::fs::create_dir_all(&bundles).unwrap();
        std::fs::write(bundles.join("000"), b"\0\x01a\0\x02bc\0\0").unwrap();
        let check = |path: &str, expected: Option<&[u8]>| {
            let found = read(directory.path(), &parse(path).unwrap()).unwrap();
            assert_eq!(found.as_deref(), expected, "{path}");
        };
        check("0/000.p/2", Some(&[7; 64]));
        check("0/000.p/3", Some(&[7; 96]));
        check("0/000.p/4", None);
        check("0/000", None);
        check("entries/000.p/2", Some(b"\0\x01a\0\x02bc"));
        check("entries/000.p/9", None);
        check("entries/001", None);
    }
}
