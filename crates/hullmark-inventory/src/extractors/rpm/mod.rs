//! Packages of Red Hat, SUSE, Amazon and their kin, from the database of rpm.
//!
//! A database is one file of one of three stores; each of [`berkeley`], [`ndb`] and [`sqlite`] finds the headers of packages in
//! its own and gives them to a [`sink::Sink`], which holds the limits. A header is the same in all of them ([`header`]), and so
//! is what is read from it ([`package`]).

mod berkeley;
mod bytes;
mod header;
mod manifest;
mod ndb;
mod package;
mod signature;
mod sink;
mod sqlite;
mod wal;

use hullmark_types::PackageKind;

pub(crate) use package::source_package;

use crate::{Extraction, Extractor, FileFacts, OpenFile};

/// Where rpm keeps its database, and the list that some images have instead of it.
const DATABASES: &[&str] = &[
    "usr/lib/sysimage/rpm/Packages",
    "usr/lib/sysimage/rpm/Packages.db",
    "usr/lib/sysimage/rpm/rpmdb.sqlite",
    "usr/lib/sysimage/rpm/rpmdb.sqlite-wal",
    "usr/share/rpm/Packages",
    "usr/share/rpm/Packages.db",
    "usr/share/rpm/rpmdb.sqlite",
    "usr/share/rpm/rpmdb.sqlite-wal",
    "var/lib/rpm/Packages",
    "var/lib/rpm/Packages.db",
    "var/lib/rpm/rpmdb.sqlite",
    "var/lib/rpm/rpmdb.sqlite-wal",
    "var/lib/rpmmanifest/container-manifest-2",
];

/// Reads the database of rpm.
pub struct Rpm;

impl Extractor for Rpm {
    fn name(&self) -> &'static str {
        "rpm"
    }

    fn summary(&self) -> &'static str {
        "Packages of Red Hat, SUSE, Amazon, Fedora, Azure Linux and their kin, from the databases of rpm (`Packages`, `Packages.db`, `rpmdb.sqlite`) and `container-manifest-2`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Rpm]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn well_known_paths(&self) -> &'static [&'static str] {
        DATABASES
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        let is_named = matches!(
            file.file_name(),
            "Packages" | "Packages.db" | "rpmdb.sqlite" | "rpmdb.sqlite-wal" | "container-manifest-2"
        );
        is_named && DATABASES.contains(&file.path)
    }

    fn version(&self) -> u32 {
        2
    }

    fn max_file_size(&self) -> u64 {
        256 * 1024 * 1024
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Reads a database. Which store it is, its first bytes say. A package that is malformed is a gap
/// `malformed-package-database`; the rest goes on.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    if file.file_name() == "container-manifest-2" {
        return manifest::read(file);
    }
    let mut sink = sink::Sink::new(file.path, file.bytes.len());
    let bytes = file.bytes;
    if file.file_name().ends_with("-wal") {
        if !bytes.is_empty() {
            wal::read(bytes, &mut sink);
        }
    } else if bytes.starts_with(sqlite::MAGIC) {
        sqlite::read(bytes, &mut sink);
    } else if bytes.starts_with(ndb::MAGIC) {
        ndb::read(bytes, &mut sink);
    } else if let Some(order) = berkeley::order(bytes) {
        berkeley::read(bytes, order, &mut sink);
    } else if !bytes.is_empty() {
        sink.broken("it is no database of rpm that is known: Berkeley DB, NDB or SQLite");
    }
    sink.finish()
}
