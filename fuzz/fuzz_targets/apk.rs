//! The apk database: any bytes.
#![no_main]

use hullmark_inventory::OpenFile;
use hullmark_inventory::extractors::apk;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = apk::parse(&OpenFile { path: "lib/apk/db/installed", bytes });
});
