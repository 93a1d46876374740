//! One layer: names, links, whiteouts, extended headers, compression, limits, malformed tars.

use std::io::{self, BufRead, Read};

use hullmark_image::{Entry, EntryKind, LayerOutcome, LayerVisitor, Limits, walk_layer};
use hullmark_testkit::{Compression, TarBuilder, compress, header, patched};
use proptest::prelude::*;

/// Writes one line for each entry, with the content of files.
#[derive(Default)]
struct Lines(Vec<String>);

impl LayerVisitor for Lines {
    fn entry(&mut self, entry: &Entry, content: &mut dyn BufRead) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        let read = content.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        self.0.push(match &entry.kind {
            EntryKind::File => format!("file {} {text}", entry.path),
            EntryKind::Directory => format!("dir {}", entry.path),
            EntryKind::Symlink { target } => format!("symlink {} {target}", entry.path),
            EntryKind::Hardlink { target } => format!("hardlink {} {target}", entry.path),
            EntryKind::Whiteout => format!("whiteout {}", entry.path),
            EntryKind::OpaqueDirectory => format!("opaque {}", entry.path),
            EntryKind::Other => format!("other {}", entry.path),
        });
        read.map(|_| ())
    }
}

fn walk(bytes: &[u8], limits: &Limits) -> (Vec<String>, LayerOutcome) {
    let mut lines = Lines::default();
    let outcome = walk_layer(&mut &*bytes, limits, &mut lines);
    (lines.0, outcome)
}

fn codes(outcome: &LayerOutcome) -> Vec<&str> {
    outcome.diagnostics.iter().map(|diagnostic| diagnostic.code.as_str()).collect()
}

/// The entries, and the codes of the diagnostics.
fn check(bytes: &[u8], entries: &[&str], expected_codes: &[&str]) {
    let (lines, outcome) = walk(bytes, &Limits::default());
    assert_eq!(lines, entries);
    assert_eq!(codes(&outcome), expected_codes, "{:?}", outcome.diagnostics);
}

#[test]
fn names_are_brought_into_one_form() {
    let tar = TarBuilder::new().file("./a", "1").file("/b", "2").dir("c/").file("c//d/./e", "3").finish();
    check(&tar, &["file a 1", "file b 2", "dir c", "file c/d/e 3"], &[]);
}

#[test]
fn names_that_leave_the_root_are_refused_and_the_rest_goes_on() {
    let tar = TarBuilder::new()
        .file("../a", "1")
        .file("b/../../c", "2")
        .hardlink("d", "../../etc/shadow")
        .file("e", "3")
        .file("f/../g", "4")
        .finish();
    check(&tar, &["file e 3", "file g 4"], &["path-escapes-root", "path-escapes-root", "path-escapes-root"]);
}

#[test]
fn names_that_are_not_utf8_stay_apart() {
    let tar = TarBuilder::new()
        .member(b"a\xff", b'0', b"1", b"", 0o644)
        .member(b"a\xfe", b'0', b"2", b"", 0o644)
        .finish();
    check(&tar, &["file a\\xff 1", "file a\\xfe 2"], &[]);
}

#[test]
fn whiteouts_and_opaque_directories() {
    let tar = TarBuilder::new()
        .whiteout("a")
        .whiteout("b/c")
        .opaque("d")
        .opaque(".")
        .file("b/.wh..wh.plnk", "")
        .finish();
    check(&tar, &["whiteout a", "whiteout b/c", "opaque d", "opaque "], &[]);
}

#[test]
fn whiteouts_of_no_name_are_refused() {
    let tar = TarBuilder::new().file("a/.wh.", "").file("a/.wh..", "").file("a/.wh...", "").finish();
    check(&tar, &[], &["malformed-whiteout", "malformed-whiteout", "malformed-whiteout"]);
}

#[test]
fn links_have_no_content_whatever_their_header_says() {
    let block = header(b"link", b'2', 4096, b"target", 0o777);
    let tar = TarBuilder::new().raw(&block).hardlink("hard", "./x").file("after", "1").finish();
    check(&tar, &["symlink link target", "hardlink hard x", "file after 1"], &[]);
}

#[test]
fn long_names_in_gnu_and_pax_form() {
    let long = "d/".repeat(60) + "name";
    let tar = TarBuilder::new().file(&long, "1").pax(&[("path", "from/pax")]).file("short", "2").finish();
    check(&tar, &[&format!("file {long} 1"), "file from/pax 2"], &[]);
}

#[test]
fn a_pax_size_beats_the_header() {
    // A header that lies about the size has hidden entries from scanners.
    let tar = TarBuilder::new()
        .pax(&[("size", "3")])
        .raw(&header(b"a", b'0', 0, b"", 0o644))
        .padded(b"abc")
        .file("b", "1")
        .finish();
    check(&tar, &["file a abc", "file b 1"], &[]);
}

#[test]
fn global_pax_headers_change_nothing() {
    let tar = TarBuilder::new().member(b"g", b'g', b"13 path=evil\n", b"", 0o644).file("a", "1").finish();
    check(&tar, &["file a 1"], &[]);
}

#[test]
fn sizes_in_base_256() {
    let size = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3];
    let block = patched(header(b"a", b'0', 0, b"", 0o644), &[(124, &size)]);
    check(&TarBuilder::new().raw(&block).padded(b"abc").finish(), &["file a abc"], &[]);
}

#[test]
fn a_missing_trailer_is_no_problem_and_a_missing_end_is() {
    check(&TarBuilder::new().file("a", "1").finish_without_trailer(), &["file a 1"], &[]);
    let whole = TarBuilder::new().file("a", "1").file("b", "x".repeat(2000)).finish();
    let (lines, outcome) = walk(&whole[..2048], &Limits::default());
    assert_eq!(lines.first().map(String::as_str), Some("file a 1"));
    assert!(codes(&outcome).contains(&"malformed-layer"), "{outcome:?}");
    assert_eq!(outcome.diff_id, Some(hullmark_types::Digest::sha256(&whole[..2048])));
}

#[test]
fn what_is_behind_the_end_is_said_and_zeros_are_padding() {
    let end = TarBuilder::new().file("a", "1").finish();
    check(&[&end[..], &[0; 8192]].concat(), &["file a 1"], &[]);
    check(&[&end[..], &end[..]].concat(), &["file a 1"], &["data-after-end"]);
}

#[test]
fn a_wrong_checksum_is_named_with_its_place() {
    let mut tar = TarBuilder::new().file("a", "1").file("b", "2").finish();
    tar[1024] ^= 1;
    let (lines, outcome) = walk(&tar, &Limits::default());
    assert_eq!(lines, ["file a 1"]);
    let diagnostic = outcome.diagnostics.first().unwrap();
    assert!(diagnostic.message.contains("byte 1024"), "{diagnostic:?}");
}

#[test]
fn an_empty_layer_is_a_layer() {
    check(&TarBuilder::new().finish(), &[], &[]);
    check(b"", &[], &[]);
}

#[test]
fn compression_is_found_by_magic_bytes() {
    let tar = TarBuilder::new().file("a", "1").finish();
    let plain = walk(&tar, &Limits::default()).1;
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let bytes = compress(&tar, compression);
        let (lines, outcome) = walk(&bytes, &Limits::default());
        assert_eq!((lines, codes(&outcome)), (vec!["file a 1".to_owned()], vec![]));
        assert_eq!(outcome.diff_id, plain.diff_id, "{compression:?}");
        assert_eq!(outcome.digest, Some(hullmark_types::Digest::sha256(&bytes)));
    }
}

#[test]
fn several_gzip_members_and_zstd_frames_are_one_stream() {
    let tar = TarBuilder::new().file("a", "1").file("b", "2").finish();
    let (first, second) = tar.split_at(700);
    for compression in [Compression::Gzip, Compression::Zstd] {
        check(
            &[compress(first, compression), compress(second, compression)].concat(),
            &["file a 1", "file b 2"],
            &[],
        );
    }
}

#[test]
fn an_unknown_compression_is_said() {
    for bytes in [&b"\xfd7zXZ\0\0"[..], b"BZh91AY", b"not a tar at all"] {
        check(bytes, &[], &["unknown-compression"]);
    }
}

#[test]
fn limits_are_gaps_and_the_digest_is_still_known() {
    let many = (0..50).fold(TarBuilder::new(), |tar, n| tar.file(&format!("f{n}"), "x")).finish();
    let small = Limits { max_entries: 10, ..Limits::default() };
    let (lines, outcome) = walk(&many, &small);
    assert_eq!((lines.len(), codes(&outcome)), (10, vec!["limit-entries"]));
    assert_eq!(outcome.digest, Some(hullmark_types::Digest::sha256(&many)));

    let bomb = compress(&TarBuilder::new().file("zeros", vec![0; 4 << 20]).finish(), Compression::Gzip);
    let limits = Limits { max_ratio: 100, ratio_floor: 1 << 20, ..Limits::default() };
    assert_eq!(codes(&walk(&bomb, &limits).1), ["unreadable-file", "limit-ratio"]);
    let limits = Limits { max_layer_size: 1 << 20, ..Limits::default() };
    assert_eq!(codes(&walk(&bomb, &limits).1), ["unreadable-file", "limit-layer-size"]);
    let limits = Limits { max_file_size: 1 << 20, ..Limits::default() };
    assert_eq!(codes(&walk(&bomb, &limits).1), ["limit-file-size"]);

    let deep = TarBuilder::new().file(&"d/".repeat(200), "").file("a", "1").finish();
    let (lines, outcome) = walk(&deep, &Limits::default());
    assert_eq!((lines, codes(&outcome)), (vec!["file a 1".to_owned()], vec!["limit-path-depth"]));
}

#[test]
fn a_truncated_gzip_stream_is_said() {
    let bytes = compress(&TarBuilder::new().file("a", "x".repeat(100_000)).finish(), Compression::Gzip);
    let (_, outcome) = walk(&bytes[..bytes.len() / 2], &Limits::default());
    assert!(!outcome.diagnostics.is_empty());
    assert_eq!(outcome.diff_id, None);
}

#[test]
fn a_layer_that_never_ends_is_given_up() {
    let limits = Limits { max_layer_size: 1 << 20, max_image_size: 1 << 22, ..Limits::default() };
    let start = TarBuilder::new().file("a", "1").finish_without_trailer();
    let endless = |start: Vec<u8>, more: Vec<u8>| {
        let mut lines = Lines::default();
        let rest = std::iter::repeat_with(move || io::Cursor::new(more.clone()));
        let mut blob = io::Cursor::new(start).chain(Endless { rest, now: io::Cursor::new(Vec::new()) });
        let outcome = walk_layer(&mut blob, &limits, &mut lines);
        assert_eq!(lines.0, ["file a 1"]);
        assert!(outcome.stored_size <= (1 << 22) + (1 << 20), "{}", outcome.stored_size);
        assert_eq!((&outcome.digest, &outcome.diff_id), (&None, &None));
        codes(&outcome).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let zeros = vec![0; 1 << 16];
    assert_eq!(endless(start.clone(), zeros), ["limit-layer-size", "limit-stored-size"]);
    for compression in [Compression::Gzip, Compression::Zstd] {
        // Empty parts, so that it never becomes any larger.
        let empty = compress(b"", compression).repeat(1000);
        assert_eq!(endless(compress(&start, compression), empty), ["limit-stored-size"]);
    }
}

/// Gives one reader after the other.
struct Endless<I> {
    rest: I,
    now: io::Cursor<Vec<u8>>,
}

impl<I: Iterator<Item = io::Cursor<Vec<u8>>>> Read for Endless<I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.now.position() == self.now.get_ref().len() as u64 {
            self.now = self.rest.next().unwrap_or_default();
        }
        self.now.read(buffer)
    }
}

#[test]
fn what_comes_of_a_damaged_layer_does_not_depend_on_how_its_bytes_arrive() {
    let content: Vec<u8> = (0..200_000_u32).map(|number| (number.wrapping_mul(number) >> 7) as u8).collect();
    let tar =
        (0..40).fold(TarBuilder::new(), |tar, n| tar.file(&format!("f{n}"), &content[n * 5000..][..5000]));
    let tar = tar.finish();
    for compression in [Compression::Gzip, Compression::Zstd] {
        let whole = compress(&tar, compression);
        for place in [20, whole.len() / 3, whole.len() / 2, whole.len() - 9] {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x55;
            let expected = walk(&damaged, &Limits::default());
            for piece in [1, 7, 1000] {
                let mut lines = Lines::default();
                let mut blob = Pieces(&damaged, piece);
                let outcome = walk_layer(&mut blob, &Limits::default(), &mut lines);
                assert_eq!(
                    (&lines.0, &outcome),
                    (&expected.0, &expected.1),
                    "{compression:?} {place} {piece}"
                );
            }
        }
    }
}

/// Gives so many bytes at a time.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(self.1);
        self.0.read(&mut buffer[..length])
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_or_exceed_the_limits(bytes in prop::collection::vec(any::<u8>(), 0..4096), kind in 0..4) {
        let bytes = match kind {
            0 => bytes,
            1 => compress(&bytes, Compression::Gzip),
            2 => compress(&bytes, Compression::Zstd),
            _ => TarBuilder::new().file("a", "1").raw(&bytes).finish(),
        };
        let limits = Limits { max_entries: 5, max_layer_size: 2048, ..Limits::default() };
        let (lines, outcome) = walk(&bytes, &limits);
        prop_assert!(lines.len() <= 5);
        prop_assert_eq!(outcome.stored_size, bytes.len() as u64);
    }

    #[test]
    fn a_flipped_byte_never_goes_unnoticed_in_the_digest(position in 0_usize..2048, bit in 0_u8..8) {
        let tar = TarBuilder::new().file("a", "1").file("b", "2").finish();
        let mut changed = tar.clone();
        let position = position % changed.len();
        changed[position] ^= 1 << bit;
        prop_assert_ne!(walk(&tar, &Limits::default()).1.digest, walk(&changed, &Limits::default()).1.digest);
    }
}
