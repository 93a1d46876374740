//! Every extractor on any bytes: the first line is the path of the file, the rest its content. With `HULLMARK_FUZZ_EXTRACTOR` in
//! the environment only the extractor of that name runs.
#![no_main]

use std::sync::LazyLock;

use hullmark_inventory::extractors::ALL;
use hullmark_inventory::{Extractor, FileFacts, HEAD_LENGTH, MAX_DIAGNOSTICS, MAX_PACKAGES, OpenFile};
use libfuzzer_sys::fuzz_target;

static CHOSEN: LazyLock<Vec<&dyn Extractor>> = LazyLock::new(|| {
    let only = std::env::var("HULLMARK_FUZZ_EXTRACTOR").ok();
    let chosen: Vec<_> =
        ALL.iter().copied().filter(|one| only.as_deref().is_none_or(|only| only == one.name())).collect();
    assert!(!chosen.is_empty(), "no extractor has the name in HULLMARK_FUZZ_EXTRACTOR");
    chosen
});

fuzz_target!(|input: &[u8]| {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return };
    let (path, bytes) = (&input[..end], &input[end + 1..]);
    let Ok(path) = std::str::from_utf8(path) else { return };
    let facts = FileFacts { path, size: bytes.len() as u64, mode: 0o755 };
    let head = bytes.get(..HEAD_LENGTH).unwrap_or(bytes);
    for extractor in CHOSEN.iter().filter(|one| one.wants(&facts) && one.accepts(head)) {
        let found = extractor.extract(&OpenFile { path, bytes });
        assert!(found.packages.len() <= MAX_PACKAGES && found.diagnostics.len() <= MAX_DIAGNOSTICS + 3);
        assert!(found.packages.iter().all(|package| !package.name.is_empty()), "{}", extractor.name());
        if let Some(mut passing) = extractor.passing(&facts, head) {
            bytes.chunks(97).for_each(|piece| passing.bytes(piece));
            assert_eq!(passing.finish(path), found, "{}", extractor.name());
        }
    }
});
