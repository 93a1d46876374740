//! Advisory records: OSV, secdb, the KEV catalogue and Debian changelogs of any bytes.
#![no_main]

use hullmark_advisory::feeds::{debian_archive, kev, osv, secdb};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = osv::parse(bytes);
    let _ = secdb::parse(bytes);
    let _ = kev::parse_catalogue(bytes);
    let _ = debian_archive::parse_changelog(bytes);
});
