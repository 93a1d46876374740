//! Go modules, from the build information that the Go linker writes into every executable
//! (<https://pkg.go.dev/debug/buildinfo>).
//!
//! An ELF executable may be of any size: it is read as it passes, and only what the build information may need is kept.

mod blob;
mod elf;
mod keeper;
mod modules;
mod settings;
mod sparse;
mod version;

use hullmark_types::PackageKind;

use crate::{Extraction, Extractor, FileFacts, OpenFile, Passing};

pub use blob::{BlobError, BuildInformation, read_build_information};

/// Reads the build information of Go executables.
pub struct GoBinary;

impl Extractor for GoBinary {
    fn name(&self) -> &'static str {
        "go-binary"
    }

    fn summary(&self) -> &'static str {
        "Go modules and the Go standard library, from the build information in ELF (of any size), PE and Mach-O executables"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Golang]
    }

    fn version(&self) -> u32 {
        3
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

    fn passing(&self, file: &FileFacts<'_>, head: &[u8]) -> Option<Box<dyn Passing>> {
        head.starts_with(elf::MAGIC).then(|| Box::new(keeper::Keeper::new(file.size)) as Box<dyn Passing>)
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Reads an executable. One that is not Go's gives nothing; one of Go whose build information is missing or damaged
/// gives a gap `malformed-build-information`.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    report(file.path, read_build_information(file.bytes))
}

fn report(path: &str, result: Result<Option<BuildInformation>, BlobError>) -> Extraction {
    let mut found = Extraction::default();
    match result {
        Ok(Some(information)) => modules::collect(path, &information, &mut found),
        Ok(None) => {}
        Err(error) => {
            let code = match error {
                BlobError::Packed => "packed-executable",
                _ => "malformed-build-information",
            };
            found.gap(code, path, error.to_string());
        }
    }
    found
}
