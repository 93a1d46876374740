//! What the tests of the ledger share.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use hullmark_ledger::Ledger;

/// The name of the ledgers in tests.
pub const ORIGIN: &str = "example.org/ledger";

/// Not random: tests must be repeatable.
pub fn entropy(bytes: &mut [u8]) -> io::Result<()> {
    bytes.fill(42);
    Ok(())
}

/// Opens or creates the ledger in a directory.
pub fn open(directory: &Path) -> Ledger {
    Ledger::open(directory, ORIGIN, &mut entropy).unwrap()
}

/// Entry number `n` of the test ledgers.
pub fn entry(n: u64) -> Vec<u8> {
    format!("{{\"verdict\":{n}}}").into_bytes()
}

/// The entries `range` of the test ledgers.
pub fn entries(range: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    range.map(entry).collect()
}

/// All files under a directory, by relative path.
pub fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![directory.to_path_buf()];
    while let Some(next) = pending.pop() {
        for item in std::fs::read_dir(next).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                let name = path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
                found.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    found
}

/// The names of all files under `tile/`.
pub fn tile_names(directory: &Path) -> Vec<String> {
    files(directory).into_keys().filter(|name| name.starts_with("tile/")).collect()
}
