//! Tars on which programs disagree: what Go's `archive/tar`, and so a container runtime, makes of each is what the walk must
//! make of it. A scanner that reads another name, size or content can be made blind.

use std::io::BufRead;

use hullmark_image::{Entry, EntryKind, LayerVisitor, Limits, walk_layer};
use hullmark_testkit::{TarBuilder, header, patched};
use proptest::prelude::*;

#[derive(Default)]
struct Files(Vec<String>);

impl LayerVisitor for Files {
    fn entry(&mut self, entry: &Entry, content: &mut dyn BufRead) -> std::io::Result<()> {
        let mut text = String::new();
        content.read_to_string(&mut text)?;
        assert!(entry.kind != EntryKind::File || text.len() as u64 == entry.size, "{entry:?}");
        let text = text.replace('\0', "-");
        self.0.push(match &entry.kind {
            EntryKind::File => format!("{}={text}", entry.path),
            EntryKind::Symlink { target } => format!("{}->{target}", entry.path),
            other => format!("{} {other:?}", entry.path),
        });
        Ok(())
    }
}

fn check(tar: &[u8], files: &[&str], codes: &[&str]) {
    let mut visitor = Files::default();
    let outcome = walk_layer(&mut &*tar, &Limits::default(), &mut visitor);
    assert_eq!(visitor.0, files, "{:?}", outcome.diagnostics);
    let found: Vec<&str> = outcome.diagnostics.iter().map(|diagnostic| diagnostic.code.as_str()).collect();
    assert_eq!(found, codes, "{:?}", outcome.diagnostics);
}

fn plain(name: &str, size: u64) -> [u8; 512] {
    header(name.as_bytes(), b'0', size, b"", 0o644)
}

#[test]
fn a_size_behind_zero_bytes_or_spaces_is_a_size() {
    for size in [b"\x00\x00 0000003\x00\x00", b"   3        ", b"\x00 3 \x00\x00\x00\x00\x00\x00\x00\x00"] {
        let block = patched(plain("a", 0), &[(124, size)]);
        check(&TarBuilder::new().raw(&block).padded(b"abc").file("b", "1").finish(), &["a=abc", "b=1"], &[]);
    }
}

#[test]
fn a_size_that_is_no_number_ends_the_walk() {
    for size in [&b"12345678901\0"[..], b"+0000000003\0", b"-0000000003\0", &[0xff; 12]] {
        let block = patched(plain("b", 0), &[(124, size)]);
        let tar = TarBuilder::new().file("a", "1").raw(&block).padded(b"abc").file("c", "1").finish();
        check(&tar, &["a=1"], &["malformed-layer"]);
    }
}

#[test]
fn gnu_names_beat_pax_names_in_either_order() {
    let long = |tar: TarBuilder| tar.member(b"././@LongLink", b'L', b"gnu\0", b"", 0o644);
    let pax = |tar: TarBuilder| tar.pax(&[("path", "pax")]);
    check(&pax(long(TarBuilder::new())).file("a", "1").finish(), &["gnu=1"], &[]);
    check(&long(pax(TarBuilder::new())).file("a", "1").finish(), &["gnu=1"], &[]);
}

#[test]
fn pax_records_replace_each_other_and_empty_ones_undo() {
    let tar = TarBuilder::new()
        .pax(&[("path", "first")])
        .pax(&[("mtime", "1")])
        .file("a", "1")
        .pax(&[("path", "x"), ("path", "")])
        .file("b", "2")
        .pax(&[("path", "x"), ("path", "y")])
        .file("c", "3")
        .finish();
    check(&tar, &["a=1", "b=2", "y=3"], &[]);
}

#[test]
fn a_global_header_ends_what_was_said_of_the_next_member() {
    let tar = TarBuilder::new()
        .pax(&[("path", "x")])
        .member(b"g", b'g', b"13 comment=a\n", b"", 0o644)
        .file("a", "1")
        .finish();
    check(&tar, &["a=1"], &[]);
}

#[test]
fn an_empty_long_name_is_no_name() {
    let tar = TarBuilder::new().member(b"././@LongLink", b'L', b"\0", b"", 0o644).file("a", "1").finish();
    check(&tar, &["a=1"], &[]);
}

#[test]
fn prefixes_by_dialect() {
    let prefix = patched(plain("a", 0), &[(345, b"dir")]);
    check(&TarBuilder::new().raw(&prefix).finish(), &["dir/a="], &[]);
    let gnu = [(257, &b"ustar  \0"[..]), (345, b"00000000001\0")];
    check(&TarBuilder::new().raw(&patched(plain("a", 0), &gnu)).finish(), &["a="], &[]);
    let mistaken = [(257, &b"ustar  \0"[..]), (345, b"dir")];
    check(&TarBuilder::new().raw(&patched(plain("a", 0), &mistaken)).finish(), &["dir/a="], &[]);
    let v7 = [(257, &[0; 8][..]), (345, b"dir")];
    check(&TarBuilder::new().raw(&patched(plain("a", 0), &v7)).finish(), &["a="], &[]);
    let star = [(345, &b"dir\0"[..]), (476, b"00000000001\0"), (508, b"tar\0")];
    check(&TarBuilder::new().raw(&patched(plain("a", 0), &star)).finish(), &["dir/a="], &[]);
}

#[test]
fn an_old_directory_has_no_content() {
    // The flag of V7 for files, with a name that ends in a slash, and a size: the next block is a header.
    let block = header(b"dir/", 0, 512, b"", 0o755);
    check(&TarBuilder::new().raw(&block).file("a", "1").finish(), &["dir Directory", "a=1"], &[]);
    // The same name said by pax records.
    let block = header(b"x", 0, 512, b"", 0o755);
    let tar = TarBuilder::new().pax(&[("path", "dir/")]).raw(&block).file("a", "1").finish();
    check(&tar, &["dir Directory", "a=1"], &[]);
}

#[test]
fn pax_records_that_are_malformed_end_the_walk() {
    for records in [&b"path=a\n"[..], b"99 path=a\n", b"13 size=abcd\n", b"11 size=-1\n"] {
        let tar = TarBuilder::new()
            .file("a", "1")
            .member(b"x", b'x', records, b"", 0o644)
            .file("b", "2")
            .file("c", "3")
            .finish();
        check(&tar, &["a=1"], &["malformed-layer"]);
    }
}

#[test]
fn an_extended_header_that_is_too_large_is_not_read() {
    let block = header(b"x", b'x', 2 << 20, b"", 0o644);
    check(&TarBuilder::new().file("a", "1").raw(&block).finish(), &["a=1"], &["malformed-layer"]);
}

#[test]
fn a_link_target_of_any_length_is_bounded() {
    let tar = TarBuilder::new().symlink("a", &"x".repeat(5000)).symlink("b", "c").finish();
    check(&tar, &["b->c"], &["limit-path-length"]);
}

/// `-` stands for a zero byte.
#[test]
fn sparse_files_of_the_old_gnu_format() {
    let gnu = (257, &b"ustar  \0"[..]);
    let entry = |offset: u64, length: u64| format!("{offset:011o}\0{length:011o}\0").into_bytes();
    let map = [entry(2, 3), entry(6, 1)].concat();
    let block = patched(header(b"s", b'S', 4, b"", 0o644), &[gnu, (386, &map), (483, b"00000000012\0")]);
    check(
        &TarBuilder::new().raw(&block).padded(b"abcd").file("b", "1").finish(),
        &["s=--abc-d---", "b=1"],
        &[],
    );

    // More entries than the header holds.
    let first: Vec<u8> = (0..4).flat_map(|n| entry(n * 2, 1)).collect();
    let mut second = [0; 512];
    second[..24].copy_from_slice(&entry(8, 1));
    let patches = [gnu, (386, &first[..]), (482, b"\x01"), (483, b"00000000011\0")];
    let block = patched(header(b"s", b'S', 5, b"", 0o644), &patches);
    let tar = TarBuilder::new().raw(&block).raw(&second).padded(b"abcde").file("b", "1").finish();
    check(&tar, &["s=a-b-c-d-e", "b=1"], &[]);
}

#[test]
fn sparse_files_in_pax_records() {
    let tar = TarBuilder::new()
        .pax(&[
            ("GNU.sparse.size", "5"),
            ("GNU.sparse.numblocks", "1"),
            ("GNU.sparse.offset", "1"),
            ("GNU.sparse.numbytes", "2"),
        ])
        .file("zero", "ab")
        .pax(&[
            ("GNU.sparse.major", "0"),
            ("GNU.sparse.minor", "1"),
            ("GNU.sparse.name", "dir/one"),
            ("GNU.sparse.size", "4"),
            ("GNU.sparse.numblocks", "2"),
            ("GNU.sparse.map", "0,1,3,1"),
        ])
        .file("GNUSparseFile.0/one", "ab")
        .pax(&[
            ("GNU.sparse.major", "1"),
            ("GNU.sparse.minor", "0"),
            ("GNU.sparse.name", "two"),
            ("GNU.sparse.realsize", "3"),
        ])
        .file("GNUSparseFile.0/two", [&b"1\n1\n2\n"[..], &[0; 506], b"ab"].concat())
        .file("after", "1")
        .finish();
    check(&tar, &["zero=-ab--", "dir/one=a--b", "two=-ab", "after=1"], &[]);
}

#[test]
fn sparse_maps_that_do_not_fit_end_the_walk() {
    for (size, map) in
        [("4", "3,2"), ("4", "2,1,1,1"), ("4", "1"), ("4", "a,b"), ("4", "9223372036854775807,1")]
    {
        let tar = TarBuilder::new()
            .file("a", "1")
            .pax(&[
                ("GNU.sparse.size", size),
                ("GNU.sparse.numblocks", &map.split(',').count().div_ceil(2).to_string()),
                ("GNU.sparse.map", map),
            ])
            .file("s", "xx")
            .finish();
        check(&tar, &["a=1"], &["malformed-layer"]);
    }
}

#[test]
fn a_sparse_file_with_less_than_its_map_says_is_unreadable() {
    let tar = TarBuilder::new()
        .pax(&[("GNU.sparse.size", "9"), ("GNU.sparse.numblocks", "1"), ("GNU.sparse.map", "0,9")])
        .file("s", "xx")
        .file("b", "1")
        .finish();
    check(&tar, &["b=1"], &["unreadable-file"]);
}

#[test]
fn zeros_of_sparse_files_are_limited() {
    let records =
        [("GNU.sparse.size", "600000"), ("GNU.sparse.numblocks", "1"), ("GNU.sparse.map", "599999,1")];
    let tar = TarBuilder::new().pax(&records).file("a", "x").pax(&records).file("b", "x").finish();
    let limits = Limits { max_layer_size: 1_000_000, ..Limits::default() };
    let mut visitor = Files::default();
    let outcome = walk_layer(&mut &*tar, &limits, &mut visitor);
    assert_eq!(visitor.0.len(), 1);
    let first = outcome.diagnostics.first().unwrap();
    assert_eq!((first.code.as_str(), first.path.as_str()), ("limit-holes", "b"));
}

#[test]
fn the_system_tar_writes_sparse_files_that_are_read_alike() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("holes");
    let file = std::fs::File::create(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"middle", 1 << 20).unwrap();
    file.set_len(2 << 20).unwrap();
    let expected = std::fs::read(&path).unwrap();
    for format in [&["--format=gnu"][..], &["--format=pax"], &["--format=pax", "--sparse-version=0.1"]] {
        let mut tar = std::process::Command::new("tar");
        tar.args(["-c", "-S", "-C"]).arg(directory.path()).args(format).arg("holes");
        let output = match tar.output() {
            Ok(output) if output.status.success() => output.stdout,
            other => return eprintln!("skipped: GNU tar cannot be run: {other:?}"),
        };
        assert!(output.len() < 1 << 20, "the file is stored as a sparse file");
        let mut visitor = Content(Vec::new());
        let outcome = walk_layer(&mut &*output, &Limits::default(), &mut visitor);
        assert_eq!(outcome.diagnostics, [], "{format:?}");
        assert!(visitor.0 == expected, "{format:?}");
    }
}

struct Content(Vec<u8>);

impl LayerVisitor for Content {
    fn entry(&mut self, entry: &Entry, content: &mut dyn BufRead) -> std::io::Result<()> {
        assert_eq!(entry.path, "holes");
        content.read_to_end(&mut self.0).map(|_| ())
    }
}

/// One member of each form.
fn everything() -> Vec<u8> {
    let entry = |offset: u64, length: u64| format!("{offset:011o}\0{length:011o}\0").into_bytes();
    let gnu = (257, &b"ustar  \0"[..]);
    let map = [entry(2, 3), entry(6, 1)].concat();
    let sparse = patched(header(b"s", b'S', 4, b"", 0o644), &[gnu, (386, &map), (483, b"00000000012\0")]);
    TarBuilder::new()
        .dir("a/")
        .file("a/b", "1")
        .whiteout("a/c")
        .symlink("l", "a/b")
        .hardlink("h", "a/b")
        .raw(&sparse)
        .padded(b"abcd")
        .pax(&[("path", "from/pax"), ("size", "3")])
        .file("short", "123")
        .pax(&[("GNU.sparse.size", "9"), ("GNU.sparse.numblocks", "1"), ("GNU.sparse.map", "3,2")])
        .file("records", "ab")
        .pax(&[("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "3")])
        .file("content", [&b"1\n1\n2\n"[..], &[0; 506], b"ab"].concat())
        .file(&"long/".repeat(30), "1")
        .finish()
}

/// Reads at most some bytes of each file, and counts.
#[derive(Default)]
struct Counting {
    entries: u64,
    bytes: u64,
}

impl LayerVisitor for Counting {
    fn entry(&mut self, entry: &Entry, content: &mut dyn BufRead) -> std::io::Result<()> {
        self.entries += 1;
        assert!(!entry.path.starts_with('/') && !entry.path.split('/').any(|part| part == ".."), "{entry:?}");
        let read = std::io::copy(content, &mut std::io::sink());
        self.bytes += *read.as_ref().unwrap_or(&0);
        assert!(read.as_ref().map_or(true, |read| *read == entry.size || entry.kind != EntryKind::File));
        read.map(|_| ())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_tar_that_was_changed_here_and_there_is_survived(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut tar = everything();
        for (position, byte) in changes {
            let position = position.index(tar.len());
            tar[position] = byte;
            // As if the change had been meant, so that it is not only the checksum that refuses it.
            let start = position / 512 * 512;
            let block: [u8; 512] = tar[start..start + 512].try_into().unwrap();
            if position % 3 != 0 && block[257..262] == *b"ustar" {
                tar[start..start + 512].copy_from_slice(&patched(block, &[]));
            }
        }
        let limits = Limits { max_entries: 10, max_layer_size: 16 << 10, max_file_size: 8 << 10, ..Limits::default() };
        let mut visitor = Counting::default();
        let outcome = walk_layer(&mut &*tar, &limits, &mut visitor);
        prop_assert!(visitor.entries <= 10);
        prop_assert!(visitor.bytes <= 2 * limits.max_layer_size);
        prop_assert_eq!(outcome.digest, Some(hullmark_types::Digest::sha256(&tar)));
    }
}
