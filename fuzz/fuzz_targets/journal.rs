//! A segment of a ledger's journal of any bytes. The complete records are whole, in order and not beyond the torn tail.
#![no_main]

use hullmark_ledger::parse_journal;
use libfuzzer_sys::fuzz_target;
use sha2::{Digest as _, Sha256};

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    // The same as the content of a record with the right lengths and hash, which chance does not find.
    let length = u32::try_from(bytes.len()).unwrap();
    let mut segment = b"hullmark-journal-1\n".to_vec();
    segment.extend(length.to_be_bytes());
    segment.extend((!length).to_be_bytes());
    segment.extend(Sha256::digest(bytes));
    segment.extend(bytes);
    check(&segment);
});

fn check(bytes: &[u8]) {
    let Ok(segment) = parse_journal(bytes) else { return };
    let mut end = 0;
    for record in &segment.records {
        assert!(record.offset >= end);
        end = record.offset + record.entries.iter().map(|entry| entry.len()).sum::<usize>();
        assert!(end <= bytes.len());
        assert_eq!(record.checkpoint.size() - record.first(), record.entries.len() as u64);
    }
    assert!(segment.torn.is_none_or(|torn| torn >= end && torn <= bytes.len()));
}
