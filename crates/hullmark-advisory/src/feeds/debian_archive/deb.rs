//! Binary packages: an `ar` with a compressed tar in it (`deb(5)`), of which only the changelog is read.

use std::io::{self, BufReader, Read};

use super::changelog::{self, Changelog};
use super::tar;

const AR_MAGIC: &[u8; 8] = b"!<arch>\n";
const AR_HEADER: usize = 60;
const MAX_MEMBERS: usize = 16;
/// Bytes of the tar that are read in search of the changelog.
const MAX_PLAIN: u64 = 4 * 1024 * 1024 * 1024;
const MAX_COMPRESSED_CHANGELOG: u64 = 16 * 1024 * 1024;
const MAX_CHANGELOG: u64 = 64 * 1024 * 1024;
/// Memory that a decompressor may take; Debian's packages need 64 MiB at most.
const MAX_MEMORY_KIB: u32 = 128 * 1024;
const MAX_WINDOW_LOG: u32 = 27;

/// What a package holds instead of or beside a changelog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The changelog of the source package.
    Changelog(Changelog),
    /// The directory of its documentation is a link to that of another package, which is named here.
    LinkTo(String),
    /// No changelog.
    Nothing,
}

/// Looks for the changelog of the source package `source` in the binary package `name`. Stops reading when it is found.
///
/// # Errors
/// When the bytes are no binary package, or break off.
pub fn read(package: &mut dyn Read, name: &str, source: &str) -> io::Result<Found> {
    let mut magic = [0; AR_MAGIC.len()];
    package.read_exact(&mut magic)?;
    if magic != *AR_MAGIC {
        return Err(invalid("not a binary package: it does not begin with `!<arch>`"));
    }
    for _ in 0..MAX_MEMBERS {
        let mut header = [0; AR_HEADER];
        package.read_exact(&mut header)?;
        let field = |from: usize, to: usize| {
            std::str::from_utf8(header.get(from..to).unwrap_or_default()).map(str::trim).unwrap_or("")
        };
        let member = field(0, 16).trim_end_matches('/');
        let size: u64 = field(48, 58).parse().map_err(|_| invalid("a member of the package has no size"))?;
        if let Some(compression) = member.strip_prefix("data.tar") {
            let data: Box<dyn Read + '_> = Box::new(package.take(size));
            let plain: Box<dyn Read + '_> = match compression {
                "" => data,
                ".gz" => Box::new(flate2::read::MultiGzDecoder::new(data)),
                ".xz" => {
                    Box::new(lzma_rust2::XzReader::new_mem_limit(BufReader::new(data), true, MAX_MEMORY_KIB))
                }
                ".zst" => {
                    let mut decoder = zstd::stream::read::Decoder::new(data)?;
                    decoder.window_log_max(MAX_WINDOW_LOG)?;
                    Box::new(decoder)
                }
                _ => return Err(invalid("the compression of the package is not known")),
            };
            return find(plain.take(MAX_PLAIN), name, source);
        }
        let skip = size.saturating_add(size % 2);
        io::copy(&mut (&mut *package).take(skip), &mut io::sink())?;
    }
    Err(invalid("the package has no data.tar"))
}

fn find(plain: impl Read, name: &str, source: &str) -> io::Result<Found> {
    let directory = format!("usr/share/doc/{name}/");
    let mut reader = tar::Reader::new(plain);
    while let Some(entry) = reader.next()? {
        let Some(file) = entry.name.strip_prefix(&directory) else {
            // The tar of a package is sorted: a link in place of the directory means that nothing follows below it.
            if entry.kind == b'2' && entry.name.trim_end_matches('/') == directory.trim_end_matches('/') {
                return Ok(link(&entry.target));
            }
            continue;
        };
        let is_changelog =
            matches!(file, "changelog.Debian.gz" | "changelog.gz" | "changelog.Debian" | "changelog");
        if !is_changelog || entry.kind != b'0' {
            continue;
        }
        let mut bytes = reader.content(MAX_COMPRESSED_CHANGELOG)?;
        if file.ends_with(".gz") {
            let mut text = Vec::new();
            let plain = flate2::read::MultiGzDecoder::new(bytes.as_slice());
            plain.take(MAX_CHANGELOG).read_to_end(&mut text)?;
            bytes = text;
        }
        let changelog = changelog::parse(&bytes);
        // `changelog.gz` is the makers' own in packages that are not native to Debian.
        if changelog.package.as_deref() == Some(source) {
            return Ok(Found::Changelog(changelog));
        }
    }
    Ok(Found::Nothing)
}

/// What a link in place of the documentation says: the name of another package, where it names one beside itself.
fn link(target: &str) -> Found {
    let target = target.trim_end_matches('/');
    let name = target.rsplit('/').next().unwrap_or("");
    if name.is_empty() || name == ".." { Found::Nothing } else { Found::LinkTo(name.to_owned()) }
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOG: &str = "a (1-1) b; urgency=low\n\n  * CVE-2024-0001\n\n -- A <a@example.org>  x\n";

    fn tar(entries: &[(&str, u8, &[u8])]) -> Vec<u8> {
        let mut builder = hullmark_testkit::TarBuilder::new();
        for (name, kind, content) in entries {
            builder = builder.member(name.as_bytes(), *kind, content, b"", 0o644);
        }
        builder.finish()
    }

    fn package(tar: &[u8]) -> Vec<u8> {
        let mut out = AR_MAGIC.to_vec();
        let data = zstd::encode_all(tar, 1).unwrap();
        out.extend_from_slice(format!("{:<48}{:<10}`\n", "data.tar.zst", data.len()).as_bytes());
        out.extend_from_slice(&data);
        out
    }

    fn fixes(bytes: &[u8]) -> usize {
        match read(&mut &*bytes, "a", "a").unwrap() {
            Found::Changelog(changelog) => changelog.fixes.len(),
            _ => 0,
        }
    }

    #[test]
    fn long_names_of_every_kind_are_read() {
        let long = format!("usr/share/doc/a/{}", "x".repeat(200));
        let record = |value: &str| {
            let body = format!(" path={value}\n");
            let length =
                (body.len()..).find(|length| length.to_string().len() + body.len() == *length).unwrap();
            format!("{length}{body}")
        };
        let changelog = "./usr/share/doc/a/changelog.Debian";
        let (gnu, pax) = (format!("{long}\0"), record(changelog));
        let entries: [(&str, u8, &[u8]); 6] = [
            ("././@LongLink", b'L', gnu.as_bytes()),
            ("cut", b'0', b"content"),
            ("global", b'g', b"12 comment=x\n"),
            ("pax", b'x', pax.as_bytes()),
            ("short", b'0', LOG.as_bytes()),
            ("after", b'0', b""),
        ];
        assert_eq!(fixes(&package(&tar(&entries))), 1);
    }

    proptest! {
        #[test]
        fn damaged_packages_never_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
            let mut plain = tar(&[
                ("x", b'0', b"12345"),
                ("././@LongLink", b'L', b"some/long/name\0"),
                ("usr/share/doc/a/changelog.Debian", b'0', LOG.as_bytes()),
            ]);
            for (place, value) in &edits {
                let place = place.index(plain.len());
                plain[place] = *value;
            }
            let _ = read(&mut package(&plain).as_slice(), "a", "a");
            let mut outer = package(&plain);
            for (place, value) in &edits {
                let place = place.index(outer.len());
                outer[place] = *value;
            }
            let _ = read(&mut outer.as_slice(), "a", "a");
        }
    }
}
