//! Debian's binary packages: an `ar` archive of `debian-binary`, `control.tar.*` and `data.tar.*` (deb(5)).

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::{Context, Result, bail};
use lzma_rust2::XzReader;

use super::index::field;
use super::tree::{Entry, Kind, Tree};

/// A package, unpacked in memory.
#[derive(Debug)]
pub(crate) struct Package {
    /// The control paragraph, as dpkg keeps it.
    pub(crate) control: String,
    /// The other files of the control archive, such as `md5sums`.
    pub(crate) extra: BTreeMap<String, Vec<u8>>,
    /// Every path of the data archive as dpkg lists it (`/.`, `/usr`, `/usr/bin/perl`), in the order of the archive.
    pub(crate) listed: Vec<String>,
    /// The content of the data archive.
    pub(crate) tree: Tree,
}

impl Package {
    /// Unpack a package file.
    ///
    /// # Errors
    /// When the file is not such a package, or is compressed in a way that is not known here.
    pub(crate) fn unpack(bytes: &[u8]) -> Result<Package> {
        let members = members(bytes)?;
        let mut extra = BTreeMap::new();
        each_entry(&member(&members, "control.tar")?, |path, entry| {
            if let Kind::File(content) = entry.kind {
                extra.insert(path, content);
            }
        })?;
        let control = extra.remove("control").context("no `control` in the control archive")?;
        let control = String::from_utf8(control).context("`control` is not UTF-8")?;
        let (mut listed, mut tree) = (Vec::new(), Tree::default());
        each_entry(&member(&members, "data.tar")?, |path, entry| {
            listed.push(if path.is_empty() { "/.".to_owned() } else { format!("/{path}") });
            tree.insert(&path, entry);
        })?;
        Ok(Package { control, extra, listed, tree })
    }

    /// A field of the control paragraph.
    pub(crate) fn field(&self, name: &str) -> &str {
        field(&self.control, name).unwrap_or_default()
    }

    /// The name under which dpkg keeps the package's files: with the architecture where several can be installed.
    pub(crate) fn file_name(&self) -> String {
        let name = self.field("Package");
        if self.field("Multi-Arch") == "same" {
            format!("{name}:{}", self.field("Architecture"))
        } else {
            name.to_owned()
        }
    }
}

/// The members of an `ar` archive, in order.
fn members(bytes: &[u8]) -> Result<Vec<(String, &[u8])>> {
    let mut rest = bytes.strip_prefix(b"!<arch>\n").context("not an `ar` archive")?;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (header, after) = rest.split_at_checked(60).context("`ar` archive ends inside a header")?;
        let text = |from: usize, to: usize| String::from_utf8_lossy(&header[from..to]).trim().to_owned();
        if &header[58..] != b"`\n" {
            bail!("`ar` archive has a broken header");
        }
        let size: usize = text(48, 58).parse().context("`ar` archive has a broken size")?;
        let (content, after) = after.split_at_checked(size).context("`ar` archive ends inside a member")?;
        found.push((text(0, 16).trim_end_matches('/').to_owned(), content));
        // Members start at even places.
        rest = after.get(size % 2..).unwrap_or_default();
    }
    Ok(found)
}

/// The decompressed content of the member with this name, whatever its compression.
fn member(members: &[(String, &[u8])], stem: &str) -> Result<Vec<u8>> {
    let (name, mut content) = members
        .iter()
        .find(|(name, _)| name.starts_with(stem))
        .map(|(name, content)| (name, *content))
        .with_context(|| format!("no member `{stem}`"))?;
    let mut plain = Vec::new();
    match &name[stem.len()..] {
        ".xz" => XzReader::new(content, true).read_to_end(&mut plain),
        ".gz" => flate2::read::MultiGzDecoder::new(content).read_to_end(&mut plain),
        "" => content.read_to_end(&mut plain),
        _ => bail!("member `{name}`: this compression is not known here"),
    }
    .with_context(|| format!("member `{name}`"))?;
    Ok(plain)
}

/// Call something with each entry of a tar, its path without `./` before and `/` behind.
fn each_entry(bytes: &[u8], mut call: impl FnMut(String, Entry)) -> Result<()> {
    for entry in tar::Archive::new(bytes).entries()? {
        let mut entry = entry?;
        let path = clean(&String::from_utf8_lossy(&entry.path_bytes()));
        let target = entry
            .link_name_bytes()
            .map(|name| String::from_utf8_lossy(&name).into_owned())
            .unwrap_or_default();
        let kind = match entry.header().entry_type() {
            tar::EntryType::Directory => Kind::Directory,
            tar::EntryType::Symlink => Kind::Symlink(target),
            tar::EntryType::Link => Kind::Hardlink(clean(&target)),
            tar::EntryType::Regular => {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).with_context(|| format!("/{path}"))?;
                Kind::File(content)
            }
            other => bail!("/{path}: entries of type {other:?} are not expected in a package"),
        };
        let header = entry.header();
        let (uid, gid) = (header.uid()?, header.gid()?);
        call(path, Entry { kind, mode: header.mode()?, uid, gid, modified: header.mtime()? });
    }
    Ok(())
}

fn clean(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path).trim_matches('/');
    if path == "." { String::new() } else { path.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(parts: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = b"!<arch>\n".to_vec();
        for (name, content) in parts {
            bytes.extend(
                format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, content.len()).bytes(),
            );
            bytes.extend(*content);
            if content.len() % 2 == 1 {
                bytes.push(b'\n');
            }
        }
        bytes
    }

    fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            builder.append_data(&mut header, path, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn a_package_is_unpacked() {
        let control = tar_of(&[
            ("./control", b"Package: a\nMulti-Arch: same\nArchitecture: amd64\n"),
            ("./md5sums", b"x"),
        ]);
        let data = tar_of(&[("./usr/share/a", b"hello")]);
        let bytes = archive(&[("debian-binary", b"2.0\n"), ("control.tar", &control), ("data.tar/", &data)]);
        let package = Package::unpack(&bytes).unwrap();
        assert_eq!(package.file_name(), "a:amd64");
        assert_eq!(package.listed, ["/usr/share/a"]);
        assert_eq!(package.extra.keys().collect::<Vec<_>>(), ["md5sums"]);
    }

    #[test]
    fn what_is_no_package_is_refused() {
        let check = |bytes: &[u8], expected: &str| {
            let message = format!("{:#}", Package::unpack(bytes).unwrap_err());
            assert!(message.contains(expected), "{message}");
        };
        check(b"PK", "not an `ar` archive");
        check(b"!<arch>\nshort", "ends inside a header");
        check(&archive(&[("debian-binary", b"2.0\n")]), "no member `control.tar`");
        check(&archive(&[("control.tar.lz4", b"")]), "not known here");
    }
}
