//! CycloneDX documents: any bytes.
#![no_main]

use hullmark_report::parse_cyclonedx;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = parse_cyclonedx(bytes);
});
