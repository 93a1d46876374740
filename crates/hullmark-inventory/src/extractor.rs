//! The interface of an extractor: it selects and parses; the core walks, opens, limits and closes.

use hullmark_types::PackageKind;

use crate::Extraction;

/// The largest file that an extractor is given unless it says otherwise, in bytes.
pub const DEFAULT_MAX_FILE_SIZE: u64 = 64 * 1024 * 1024;

/// How many bytes of a file [`Extractor::accepts`] sees at most.
pub const HEAD_LENGTH: usize = 64;

/// What is known of a file before it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFacts<'a> {
    /// Path from the root of the image, normalised, without a leading `/`.
    pub path: &'a str,
    /// Size in bytes; 0 for a link.
    pub size: u64,
    /// Permission bits; 0 for a link, so that only an extractor that selects by path wants it.
    pub mode: u32,
}

impl<'a> FileFacts<'a> {
    /// The last part of the path.
    pub fn file_name(&self) -> &'a str {
        self.path.rsplit_once('/').map_or(self.path, |(_, name)| name)
    }

    /// The path of the directory that holds the file; empty for the root.
    pub fn directory(&self) -> &'a str {
        self.path.rsplit_once('/').map_or("", |(directory, _)| directory)
    }

    /// Whether anyone may execute it.
    pub fn is_executable(&self) -> bool {
        self.mode & 0o111 != 0
    }
}

/// A file that an extractor wanted, read whole.
#[derive(Debug, Clone, Copy)]
pub struct OpenFile<'a> {
    /// Path from the root of the image, normalised, without a leading `/`.
    pub path: &'a str,
    /// The content; from the core at most [`Extractor::max_file_size`] bytes.
    pub bytes: &'a [u8],
}

impl<'a> OpenFile<'a> {
    /// The last part of the path.
    pub fn file_name(&self) -> &'a str {
        self.path.rsplit_once('/').map_or(self.path, |(_, name)| name)
    }

    /// The path of the directory that holds the file; empty for the root.
    pub fn directory(&self) -> &'a str {
        self.path.rsplit_once('/').map_or("", |(directory, _)| directory)
    }
}

/// What the files that an extractor reads are evidence of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// Software that is installed: read in images, root file systems and directories.
    Installed,
    /// What a project needs, such as a lock file: read in directories only, for in an image it says nothing of what is there.
    Project,
}

/// Finds one kind of software. Stateless: the result for a file depends on its path and content alone.
///
/// # Example
/// An extractor for a package manager that writes one `name version` per line:
/// ```
/// use hullmark_inventory::{Extraction, Extractor, FoundPackage, OpenFile};
/// use hullmark_types::PackageKind;
///
/// /// Reads the list of a small package manager.
/// struct Lines;
///
/// impl Extractor for Lines {
///     fn name(&self) -> &'static str {
///         "lines"
///     }
///
///     fn summary(&self) -> &'static str {
///         "Packages of the line manager, from `var/lib/lines`"
///     }
///
///     fn well_known_paths(&self) -> &'static [&'static str] {
///         &["var/lib/lines"]
///     }
///
///     fn extract(&self, file: &OpenFile<'_>) -> Extraction {
///         let mut found = Extraction::default();
///         for (position, line) in String::from_utf8_lossy(file.bytes).lines().enumerate() {
///             match line.split_once(' ') {
///                 Some((name, version)) => {
///                     found.add_package(file.path, FoundPackage::new(PackageKind::Npm, name, version));
///                 }
///                 None => found.gap(
///                     "malformed-package-database",
///                     file.path,
///                     format!("line {} has no version", position + 1),
///                 ),
///             }
///         }
///         found
///     }
/// }
///
/// let file = OpenFile { path: "var/lib/lines", bytes: b"left 1.0.0\nright\n" };
/// let found = Lines.extract(&file);
/// assert_eq!(found.packages, [FoundPackage::new(PackageKind::Npm, "left", "1.0.0")]);
/// assert_eq!(found.diagnostics[0].message, "line 2 has no version");
/// ```
///
/// An extractor is a directory `src/extractors/<name>/` with a `mod.rs` and `fixtures/`, and one line in
/// [`ALL`](crate::extractors::ALL).
pub trait Extractor: Sync {
    /// A unique kebab-case name; packages carry it as `found_by`.
    fn name(&self) -> &'static str;

    /// One line for the reference: what it reads and what it finds.
    fn summary(&self) -> &'static str;

    /// The kinds of package that it finds.
    fn kinds(&self) -> &'static [PackageKind] {
        &[]
    }

    /// Whether the files that it reads name the licences of packages.
    fn has_licenses(&self) -> bool {
        false
    }

    /// What the files that it reads are evidence of.
    fn evidence(&self) -> Evidence {
        Evidence::Installed
    }

    /// Raised when the same file gives another result than before: caches of earlier results then expire.
    fn version(&self) -> u32 {
        1
    }

    /// Paths that the extractor depends on. When one of them leads through a link to a file that was not read, the
    /// core reports a gap.
    fn well_known_paths(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether to open the file. Asked for every file of an image, so it should be cheap.
    fn wants(&self, file: &FileFacts<'_>) -> bool {
        self.well_known_paths().contains(&file.path)
    }

    /// Whether to read on after the first [`HEAD_LENGTH`] bytes (fewer when the file is shorter).
    fn accepts(&self, head: &[u8]) -> bool {
        let _ = head;
        true
    }

    /// The largest file it is given whole. A larger one is reported as a gap `limit-file-size`.
    fn max_file_size(&self) -> u64 {
        DEFAULT_MAX_FILE_SIZE
    }

    /// What reads the file as its bytes pass, so that it is not kept whole; such a file may be of any size. `head` is what
    /// [`accepts`](Self::accepts) saw. `None`, unless it says otherwise: the file is read whole and given to
    /// [`extract`](Self::extract), which must find the same.
    fn passing(&self, file: &FileFacts<'_>, head: &[u8]) -> Option<Box<dyn Passing>> {
        let _ = (file, head);
        None
    }

    /// Reads the file. Never panics, whatever the bytes; what cannot be read becomes a diagnostic, and the rest goes
    /// on.
    fn extract(&self, file: &OpenFile<'_>) -> Extraction;
}

/// Reads one file as its bytes pass. Like [`Extractor::extract`] it never panics, and the result depends on the path and the
/// bytes alone, however they are cut into pieces.
pub trait Passing {
    /// The next bytes of the file. All pass, in their order, from the first on.
    fn bytes(&mut self, bytes: &[u8]);

    /// How many bytes of the file it holds by now. Above a small amount they are taken from the memory for files.
    fn kept(&self) -> u64;

    /// The most bytes of the file that it may come to hold, as far as is known by now. It never grows, whatever the file.
    fn max_kept(&self) -> u64;

    /// The file has ended. Not called when it could not be read to its end.
    fn finish(self: Box<Self>, path: &str) -> Extraction;
}
