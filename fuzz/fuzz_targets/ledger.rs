//! Files of a ledger: checkpoints, proofs and entry bundles of any bytes. What parses is written as it was read.
#![no_main]

use hullmark_ledger::{parse_bundle, parse_checkpoint, parse_proof};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(checkpoint) = parse_checkpoint(bytes) {
        assert_eq!(parse_checkpoint(checkpoint.to_text().as_bytes()).ok(), Some(checkpoint));
    }
    if let Ok(proof) = parse_proof(bytes) {
        assert_eq!(parse_proof(proof.to_text().as_bytes()).ok(), Some(proof));
    }
    let _ = parse_bundle(bytes);
});
