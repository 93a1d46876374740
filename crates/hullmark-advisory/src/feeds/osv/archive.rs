//! The zip of an ecosystem.

use std::io::{Cursor, Read};

use super::record::{self, Record};
use crate::feeds::{FeedError, Skipped};

const MAX_ENTRIES: usize = 4_000_000;
const MAX_RECORD: u64 = 8 * 1024 * 1024;
const MAX_TOTAL: u64 = 16 * 1024 * 1024 * 1024;

/// Reads every JSON record of the zip at `address`. Records that cannot be read are skipped and named.
///
/// # Errors
/// When the bytes are no zip, or it holds more than is read.
pub(super) fn read(bytes: &[u8], address: &str) -> Result<(Vec<Record>, Skipped), FeedError> {
    let malformed = |reason: String| FeedError::Malformed {
        address: address.to_owned(),
        expected: "a zip of OSV records",
        reason,
    };
    let mut archive =
        zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| malformed(error.to_string()))?;
    if archive.len() > MAX_ENTRIES {
        return Err(malformed(format!("it has {} entries, at most {MAX_ENTRIES} are read", archive.len())));
    }
    let (mut records, mut skipped) = (Vec::new(), Skipped::default());
    let mut total = 0_u64;
    let mut content = Vec::new();
    for position in 0..archive.len() {
        let entry = match archive.by_index(position) {
            Ok(entry) => entry,
            Err(error) => {
                skipped.add("skipped-advisory", address, format!("entry {position}: {error}"));
                continue;
            }
        };
        let name: String = entry.name().map(|name| name.chars().take(200).collect()).unwrap_or_default();
        if !name.ends_with(".json") {
            continue;
        }
        let path = format!("{address}!{name}");
        content.clear();
        let outcome = entry.take(MAX_RECORD + 1).read_to_end(&mut content);
        total = total.saturating_add(content.len() as u64);
        if total > MAX_TOTAL {
            return Err(malformed(format!("its records have more than {MAX_TOTAL} bytes")));
        }
        if let Err(error) = outcome {
            skipped.add("skipped-advisory", &path, error.to_string());
        } else if content.len() as u64 > MAX_RECORD {
            skipped.add("skipped-advisory", &path, format!("the record has more than {MAX_RECORD} bytes"));
        } else {
            match record::parse(&content) {
                Ok(record) => records.push(record),
                Err(error) => skipped.add("skipped-advisory", &path, error.to_string()),
            }
        }
    }
    Ok((records, skipped))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in entries {
            writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn broken_records_are_named_by_zip_and_entry() {
        let large = vec![b' '; MAX_RECORD as usize + 1];
        let bytes = zip(&[
            ("A-1.json", br#"{"id": "A-1"}"#),
            ("broken.json", b"{"),
            ("README.md", b"not a record"),
            ("large.json", &large),
            ("A-2.json", br#"{"id": "A-2"}"#),
        ]);
        let (records, skipped) = read(&bytes, "npm/all.zip").unwrap();
        assert_eq!(records.len(), 2);
        let (count, diagnostics) = skipped.finish("npm/all.zip");
        let paths: Vec<_> = diagnostics.iter().map(|diagnostic| diagnostic.path.as_str()).collect();
        assert_eq!((count, paths), (2, vec!["npm/all.zip!broken.json", "npm/all.zip!large.json"]));
    }

    #[test]
    fn a_damaged_zip_is_an_error_or_skips_what_is_damaged() {
        let bytes =
            zip(&[("A-1.json", br#"{"id": "A-1", "details": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#)]);
        assert!(read(&bytes[..bytes.len() / 2], "x").is_err());
        assert!(read(b"<html>", "x").is_err());
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0x10;
            if let Ok((records, skipped)) = read(&damaged, "x") {
                assert!(records.len() + skipped.finish("x").1.len() <= 1);
            }
        }
    }
}
