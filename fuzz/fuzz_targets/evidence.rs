//! Evidence bundles of any bytes, parsed and verified. What parses is written as something that reads back the same.
#![no_main]

use hullmark_engine::check_evidence;
use hullmark_ledger::parse_evidence;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(evidence) = parse_evidence(bytes) else { return };
    let _ = evidence.verify(None);
    let _ = check_evidence(&evidence);
    assert_eq!(parse_evidence(evidence.to_json().as_bytes()).ok(), Some(evidence));
});
