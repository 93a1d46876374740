//! Checksums of packages, where they have the form that the schemas of SBOMs ask for.

use hullmark_types::{Checksum, Package};

/// The checksums that can be written: of an algorithm that all formats know, and as many hexadecimal digits as it gives.
pub(crate) fn of(package: &Package) -> impl Iterator<Item = &Checksum> {
    package.checksums.iter().filter(|checksum| {
        let length = match checksum.algorithm.as_str() {
            "md5" => 32,
            "sha1" => 40,
            "sha256" => 64,
            "sha384" => 96,
            "sha512" => 128,
            _ => return false,
        };
        checksum.value.len() == length && checksum.value.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}
