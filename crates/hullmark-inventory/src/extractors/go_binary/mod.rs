//! Go modules, from the build information that the Go linker writes into every executable
//! (<https://pkg.go.dev/debug/buildinfo>).

mod blob;
mod modules;
mod version;

use crate::{Extraction, Extractor, FileFacts, OpenFile};

pub use blob::{BlobError, BuildInformation, read_build_information};

/// Reads the build information of Go executables.
pub struct GoBinary;

impl Extractor for GoBinary {
    fn name(&self) -> &'static str {
        "go-binary"
    }

    fn summary(&self) -> &'static str {
        "Go modules and the Go standard library, from the build information in ELF, PE and Mach-O executables"
    }

    fn max_file_size(&self) -> u64 {
        256 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        file.is_executable() || file.file_name().ends_with(".exe")
    }

    fn accepts(&self, head: &[u8]) -> bool {
        const MAGICS: [&[u8]; 4] = [b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa\xcf"];
        MAGICS.iter().any(|magic| head.starts_with(magic))
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Reads an executable. One that is not Go's gives nothing; one of Go whose build information is missing or damaged
/// gives a gap `malformed-build-information`.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    match read_build_information(file.bytes) {
        Ok(Some(information)) => modules::collect(file, &information, &mut found),
        Ok(None) => {}
        Err(error) => {
            let code = match error {
                BlobError::Packed => "packed-executable",
                _ => "malformed-build-information",
            };
            found.gap(code, file.path, error.to_string());
        }
    }
    found
}
