//! Programs on the way: the SHA-256 of every executable, shared object and script, taken as its bytes pass by.

use std::io::{self, BufRead, Read};

use hullmark_types::{
    Diagnostic, DiagnosticLevel, Digest, DigestAlgorithm, Hasher, ImageConfig, ImageProfile, PROFILE_SCHEMA,
    ProgramFile, ProgramKind, Subject,
};
use serde::{Deserialize, Serialize};

use crate::layer::LayerInventory;
use crate::passing::Passengers;
use crate::root::Root;

/// The first bytes of an ELF file.
const ELF_MAGIC: &[u8] = b"\x7fELF";

/// Set-uid, set-gid, sticky and the nine permission bits.
const MODE_BITS: u32 = 0o7777;

/// What is kept of a file that can be executed or mapped as code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Program {
    pub(crate) digest: Digest,
    pub(crate) kind: ProgramKind,
    pub(crate) mode: u32,
    pub(crate) size: u64,
}

/// What kind of program a file is by its first bytes and its permission bits; `None` when it is none. A shared object and
/// a script count without an executable bit too: the one is mapped, the other given to its interpreter or made executable
/// later.
pub(crate) fn kind_of(head: &[u8], mode: u32) -> Option<ProgramKind> {
    if head.starts_with(ELF_MAGIC) {
        Some(ProgramKind::Elf)
    } else if head.starts_with(b"#!") {
        Some(ProgramKind::Script)
    } else {
        (mode & 0o111 != 0).then_some(ProgramKind::Other)
    }
}

/// Reads on, digests what passes if it was asked to, and shows it to those who read what passes.
pub(crate) struct Digesting<'a> {
    inner: &'a mut dyn BufRead,
    hasher: Option<Hasher>,
    passengers: Passengers<'a>,
    size: u64,
}

impl<'a> Digesting<'a> {
    /// Reads the rest of a file whose first bytes were `head`; digests all of it when it is a program.
    pub(crate) fn new(
        inner: &'a mut dyn BufRead,
        head: &[u8],
        is_program: bool,
        passengers: Passengers<'a>,
    ) -> Self {
        let hasher = is_program.then(|| Hasher::new(DigestAlgorithm::Sha256));
        let mut digesting = Self { inner, hasher, passengers, size: 0 };
        digesting.pass(head);
        digesting
    }

    fn pass(&mut self, bytes: &[u8]) {
        pass(bytes, self.hasher.as_mut(), &mut self.passengers);
        self.size += bytes.len() as u64;
    }

    /// Reads to the end; the digest and the size of the whole file, and those who saw all of it pass.
    pub(crate) fn finish(mut self) -> io::Result<(Option<(Digest, u64)>, Passengers<'a>)> {
        if self.hasher.is_none() && self.passengers.is_empty() {
            return Ok((None, self.passengers));
        }
        loop {
            let length = match self.inner.fill_buf() {
                Ok([]) => break,
                Ok(bytes) => {
                    pass(bytes, self.hasher.as_mut(), &mut self.passengers);
                    bytes.len()
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.inner.consume(length);
            self.size += length as u64;
        }
        let size = self.size;
        Ok((self.hasher.map(|hasher| (hasher.finish(), size)), self.passengers))
    }
}

fn pass(bytes: &[u8], hasher: Option<&mut Hasher>, passengers: &mut Passengers<'_>) {
    if let Some(hasher) = hasher {
        hasher.update(bytes);
    }
    passengers.bytes(bytes);
}

impl Read for Digesting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.pass(buffer.get(..length).unwrap_or_default());
        Ok(length)
    }
}

impl Program {
    pub(crate) fn new(digest: Digest, kind: ProgramKind, mode: u32, size: u64) -> Self {
        Self { digest, kind, mode: mode & MODE_BITS, size }
    }
}

/// The profile of an image, from the programs that are there after its last layer.
pub(crate) fn profile(
    subject: &Subject,
    config: Option<&ImageConfig>,
    root: &Root<'_>,
    contents: &[&LayerInventory],
    diagnostics: &[Diagnostic],
) -> ImageProfile {
    let none = ImageConfig::default();
    let config = config.unwrap_or(&none);
    let said = contents.iter().flat_map(|content| &content.diagnostics).chain(diagnostics);
    let files = root.programs().map(|(path, program)| ProgramFile {
        path: path.to_owned(),
        digest: program.digest.clone(),
        kind: program.kind,
        mode: program.mode,
        size: program.size,
    });
    ImageProfile {
        schema: PROFILE_SCHEMA,
        subject: subject.clone(),
        entrypoint: config.entrypoint.clone(),
        cmd: config.cmd.clone(),
        user: config.user.clone(),
        exposed_ports: config.exposed_ports.clone(),
        files: files.collect(),
        // Of a layer that is read in part, shared objects and scripts that nothing asks for are not seen.
        complete: said
            .into_iter()
            .all(|diagnostic| diagnostic.level != DiagnosticLevel::Gap && diagnostic.code != "lazy-layer"),
    }
}
