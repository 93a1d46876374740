//! Compression, and the limits on what a layer may be.

use hullmark_testkit::{
    Compression, SparseFormat, TarBuilder, compress, empty_gzip_member, estargz, gzip_with_all_fields,
    in_parts, skippable_frame, zstd_chunked, zstd_repeat, zstd_window,
};

fn tar() -> TarBuilder {
    TarBuilder::new()
}

/// A tar of two files.
fn two() -> Vec<u8> {
    tar().file("a", "1").file("b", "2").finish()
}

const FILES: [(&str, &[u8]); 2] = [("a", b"1"), ("b/c", b"2")];

cases! {
    "Compression is found by magic bytes and never by media type: gzip, zstd, none"
    compression_is_found_by_magic_bytes => [
        compress(&tar().file("gzip", "1").finish(), Compression::Gzip),
        compress(&tar().file("zstd", "2").finish(), Compression::Zstd),
        tar().file("none", "3"),
    ];

    "Several gzip members are one stream, also empty ones and those with every optional field"
    several_gzip_members_are_one_stream => [
        [
            empty_gzip_member(), gzip_with_all_fields(&two()[..700]), empty_gzip_member(),
            compress(&two()[700..], Compression::Gzip), empty_gzip_member(),
        ].concat(),
    ];

    "Several zstd frames are one stream, and frames to be skipped are skipped, wherever they stand"
    several_zstd_frames_are_one_stream => [
        [
            skippable_frame(0, b"first"), in_parts(&[&two()[..700], &two()[700..]], Compression::Zstd),
            skippable_frame(15, &[0; 100]),
        ].concat(),
    ];

    "An eStargz layer is read as any gzip layer"
    estargz_layers_are_gzip_layers => [estargz(&FILES).blob];

    "A zstd:chunked layer is read as any zstd layer"
    zstd_chunked_layers_are_zstd_layers => [zstd_chunked(&FILES).blob];

    "A stream that breaks off is said, and what was there before counts"
    a_stream_that_breaks_off_is_said => [
        in_parts(&[&two()[..1024], &two()[1024..]], Compression::Gzip)[..compress(&two()[..1024], Compression::Gzip).len() + 12].to_vec(),
    ];

    "Bytes behind the last gzip member are said"
    garbage_behind_a_gzip_stream_is_said => [
        [compress(&two(), Compression::Gzip), b"garbage behind the end".to_vec()].concat(),
    ];

    "Bytes behind the last zstd frame are said"
    garbage_behind_a_zstd_stream_is_said => [
        [compress(&two(), Compression::Zstd), b"garbage behind the end".to_vec()].concat(),
    ];

    "Other compressions are said"
    other_compressions_are_said => [
        b"\xfd7zXZ\0\0".to_vec(),
        b"BZh91AY&SY".to_vec(),
    ];

    "A limit on entries that was hit is said, and what was read before it counts"
    the_limit_on_entries_is_said => [
        (0..50).fold(tar().file("first", "1"), |tar, n| tar.file(&format!("d/{n}"), "")).whiteout("d"),
        tar().opaque("d"),
    ];

    "A file beyond the limit on its size is not read, and said with its path; the rest goes on"
    the_limit_on_file_size_is_said => [
        tar().file("large", vec![b'x'; (1 << 20) + 1]).file("after", "1"),
    ];

    "A limit on the size of a layer that was hit is said"
    the_limit_on_layer_size_is_said => [
        (0..3).fold(tar(), |tar, n| tar.file(&format!("f{n}"), vec![b'x'; 1_000_000])),
    ];

    "A layer that grows too much when it is decompressed is said (gzip)"
    the_limit_on_the_ratio_is_said_for_gzip => [
        compress(&tar().file("a", "1").file("zeros", vec![0; 1 << 20]).finish(), Compression::Gzip),
    ];

    "A layer that grows too much when it is decompressed is said (zstd)"
    the_limit_on_the_ratio_is_said_for_zstd => [
        [compress(&tar().file("a", "1").finish_without_trailer(), Compression::Zstd), zstd_repeat(0, 16)].concat(),
    ];

    "A path with too many components is not read, and said"
    the_limit_on_path_depth_is_said => [
        tar().file(&format!("{}x", "d/".repeat(16)), "1").file("after", "2"),
    ];

    "A zstd frame that looks back too far is not decompressed, and said, with what was read before it"
    the_limit_on_the_window_is_said => [
        [compress(&tar().file("a", "1").finish_without_trailer(), Compression::Zstd), zstd_window(28, &two())].concat(),
    ];

    "A zstd frame that looks back further than there is memory is not decompressed, and said"
    the_limit_on_memory_is_said => [
        zstd_window(27, &two()),
    ];

    "Holes of sparse files count: a file of nothing but holes is held to the limits"
    holes_count_for_the_limits => [
        tar().sparse(SparseFormat::Pax01, "beyond", 1 << 40, &[(0, b"x")])
            .sparse(SparseFormat::OldGnu, "a", 1 << 20, &[(0, b"x")])
            .sparse(SparseFormat::Pax10, "b", 1 << 20, &[(0, b"x")])
            .sparse(SparseFormat::Pax00, "c", 1 << 20, &[(0, b"x")])
            .file("after", "1"),
    ];
}
