//! The dpkg status file and lists of installed files: any bytes.
#![no_main]

use hullmark_inventory::OpenFile;
use hullmark_inventory::extractors::dpkg;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for path in ["var/lib/dpkg/status", "var/lib/dpkg/status.d/base", "var/lib/dpkg/info/libc6:amd64.list"] {
        let _ = dpkg::parse(&OpenFile { path, bytes });
    }
});
