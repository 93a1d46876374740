//! Compressed streams: any bytes against the libraries' own decoders, and members and frames put together by plan.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| hullmark_fuzz::check_framing(bytes));
