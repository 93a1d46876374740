//! A database file of any bytes: every answer is an answer or an error.
#![no_main]

use hullmark_advisory::Database;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(database) = Database::from_bytes(bytes.to_vec()) else { return };
    let _ = database.verify();
    let _ = database.lookup("PyPI", "urllib3");
    let _ = database.related("CVE-2023-43804");
    let _ = database.known_exploited("CVE-2023-43804");
    for record in database.records().take(100) {
        let _ = record;
    }
});
