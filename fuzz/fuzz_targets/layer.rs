//! A layer of any bytes: decompression, tar, whiteouts, limits, and the extractors behind them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| hullmark_fuzz::check_layer(bytes));
