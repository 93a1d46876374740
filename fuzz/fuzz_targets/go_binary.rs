//! Build information of executables: any bytes, whole and as they pass.
#![no_main]

use hullmark_inventory::extractors::go_binary::{GoBinary, parse};
use hullmark_inventory::{Extractor, FileFacts, HEAD_LENGTH, OpenFile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = "usr/bin/x";
    let Some((length, bytes)) = bytes.split_first() else { return };
    let found = parse(&OpenFile { path, bytes });
    let facts = FileFacts { path, size: bytes.len() as u64, mode: 0o755 };
    if let Some(mut passing) = GoBinary.passing(&facts, bytes.get(..HEAD_LENGTH).unwrap_or(bytes)) {
        for piece in bytes.chunks(usize::from(*length).max(1)) {
            passing.bytes(piece);
            assert!(passing.kept() <= passing.max_kept());
        }
        // All of a short file is kept, so the same is found.
        let passed = passing.finish(path);
        assert!(bytes.len() > 65_536 || passed == found, "{passed:?} {found:?}");
    }
});
