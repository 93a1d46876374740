//! Policies and exceptions: any text.
#![no_main]

use hullmark_policy::{parse_exceptions, parse_policy};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let _ = parse_policy("fuzz.yaml", &text);
    let _ = parse_exceptions("fuzz.yaml", &text);
});
