//! Debian's archive and its packages, without apt: [`archive::Suite`] is what is offered, [`deb::Package`] one package
//! unpacked, [`tree::Tree`] the file system made of them, [`dpkg`] the records that dpkg would keep.

pub(crate) mod archive;
pub(crate) mod deb;
pub(crate) mod dpkg;
pub(crate) mod fetch;
pub(crate) mod index;
pub(crate) mod resolve;
pub(crate) mod time;
pub(crate) mod tree;
