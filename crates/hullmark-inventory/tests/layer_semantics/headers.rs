//! Headers, sizes, ends.

use hullmark_testkit::{GNU_MAGIC, SparseFormat, TarBuilder, base256, header, patched};

fn tar() -> TarBuilder {
    TarBuilder::new()
}

/// A file of which two parts are stored, and more parts than a header of the old format has room for.
fn sparse(format: SparseFormat) -> TarBuilder {
    let many: Vec<(u64, &[u8])> = (0..30).map(|number| (number * 2, &b"x"[..])).collect();
    tar()
        .sparse(format, "two", 30, &[(12, b"abc"), (20, b"d")])
        .sparse(format, "many", 60, &many)
        .file("after", "1")
}

cases! {
    "Sizes in base 256 are sizes"
    sizes_in_base_256 => [
        tar().base256_file("a", "abc").file("b", "1"),
    ];

    "A negative size ends the walk, with its place"
    a_negative_size_ends_the_walk => [
        tar().file("a", "1").sized_file("b", &base256(-512), "x").file("c", "2"),
    ];

    "A size in pax records beats that of the header"
    a_size_in_pax_records_beats_the_header => [
        tar().pax_sized_file("a", 0, "abc").pax_sized_file("b", 512, "").file("c", "1"),
    ];

    "Sparse files of GNU's old format are read with their holes"
    sparse_files_of_the_old_format => [sparse(SparseFormat::OldGnu)];

    "Sparse files of GNU's pax format 0.0 are read with their holes"
    sparse_files_of_pax_0_0 => [sparse(SparseFormat::Pax00)];

    "Sparse files of GNU's pax format 0.1 are read with their holes"
    sparse_files_of_pax_0_1 => [sparse(SparseFormat::Pax01)];

    "Sparse files of GNU's pax format 1.0 are read with their holes"
    sparse_files_of_pax_1_0 => [sparse(SparseFormat::Pax10)];

    "A sparse file whose parts overlap ends the walk, with its place"
    a_sparse_file_with_overlapping_parts_ends_the_walk => [
        tar().file("a", "1").sparse(SparseFormat::Pax01, "s", 9, &[(0, b"abc"), (2, b"d")]).file("b", "2"),
    ];

    "Global headers change nothing, as for container runtimes"
    global_headers_change_nothing => [
        tar().global(&[("path", "evil"), ("size", "512"), ("comment", "x")]).file("a", "1").file("b", "2"),
    ];

    "Behind the end of a tar nothing is read, and what is there is said (concatenated tars)"
    a_tar_behind_a_tar_is_said => [
        [tar().file("a", "1").finish(), tar().file("b", "2").finish()].concat(),
    ];

    "Zeros behind the end of a tar are padding"
    zeros_behind_the_end_are_padding => [
        [tar().file("a", "1").finish(), vec![0; 8192]].concat(),
    ];

    "A tar without the empty blocks at its end is whole"
    a_missing_trailer_is_no_problem => [
        tar().file("a", "1").finish_without_trailer(),
    ];

    "A tar with only a part of its end is whole (one empty block)"
    a_truncated_trailer_is_no_problem => [
        tar().file("a", "1").finish_truncated(1536),
    ];

    "A tar that ends within a file is malformed, and what was there before counts"
    a_tar_that_ends_within_a_file_is_said => [
        tar().file("a", "1").file("b", "x".repeat(2000)).finish_truncated(2048),
    ];

    "A tar that ends within a header is malformed, and what was there before counts"
    a_tar_that_ends_within_a_header_is_said => [
        tar().file("a", "1").file("b", "2").finish_truncated(1100),
    ];

    "A header with a wrong checksum ends the walk, with its place"
    a_wrong_checksum_ends_the_walk => [
        tar().file("a", "1").wrong_checksum("b", "2").file("c", "3"),
    ];

    "Devices, pipes and sockets are neither files nor lost"
    devices_and_pipes_are_other => [
        tar().member(b"dev/null", b'3', b"", b"", 0o666).member(b"pipe", b'6', b"", b"", 0o644)
            .member(b"disk", b'4', b"", b"", 0o600),
        tar().file("pipe", "1"),
    ];

    "A header of GNU's has times where ustar has a prefix of the name"
    gnu_headers_have_no_prefix => [
        tar().raw(&patched(header(b"a", b'0', 0, b"", 0o644), &[GNU_MAGIC, (345, b"00000000001\0")]))
            .raw(&patched(header(b"b", b'0', 0, b"", 0o644), &[(345, b"dir")])),
    ];

    "A layer without entries, and one of no bytes, are layers"
    empty_layers_are_layers => [
        tar().file("a", "1"),
        tar(),
        Vec::new(),
        tar().file("b", "2"),
    ];
}
