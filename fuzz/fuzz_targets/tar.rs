//! A tar of any bytes: names, sizes, sparse files, limits; the same entries however the bytes arrive.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| hullmark_fuzz::check_tar(bytes));
