//! Layers by plan (files, directories, links, whiteouts, opaque directories) against a simple model of a file system.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| hullmark_fuzz::check_whiteouts(bytes));
