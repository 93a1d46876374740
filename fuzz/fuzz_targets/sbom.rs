//! SBOMs in every form: any bytes.
#![no_main]

use hullmark_report::parse_sbom;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = parse_sbom(bytes);
});
