//! Version order: any three texts. No panic, and a total order of those that parse.
#![no_main]

use hullmark_fuzz::check_order;
use hullmark_version::Scheme;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| check_order(Scheme::Npm, bytes));
