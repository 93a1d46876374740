//! Names of entries.

use hullmark_testkit::TarBuilder;

fn tar() -> TarBuilder {
    TarBuilder::new()
}

cases! {
    "`./x` is `x`"
    a_leading_dot_is_dropped => [
        tar().dir("./").file("./x", "1").file("a/./b//c", "2"),
    ];

    "`/x` is `x`"
    a_leading_slash_is_dropped => [
        tar().file("/x", "1").file("//y", "2").whiteout("/z"),
    ];

    "`x/` is `x`, and of an old tar a directory"
    a_trailing_slash_is_dropped => [
        tar().dir("x/").member(b"y/", 0, b"", b"", 0o755).file("z/", "1"),
    ];

    "`../x` and `a/../../x` are refused and said, and the rest goes on"
    a_name_that_leaves_the_root_is_refused => [
        tar().file("../x", "1").file("a/../../y", "2").file("ok", "4"),
    ];

    "`a/../x` is `x`, whatever `a` is"
    two_dots_are_taken_out_of_a_name => [
        tar().symlink("a", "elsewhere").file("a/../x", "1").hardlink("y", "b/../x").file("d/e/../../z", "2"),
        tar().whiteout("d/../z"),
    ];

    "Names that are not UTF-8 stay apart, with their bytes as `\\xNN`"
    names_that_are_not_utf8_stay_apart => [
        tar().file_bytes(b"a\xff", "1").file_bytes(b"a\xfe", "2"),
        tar().file_bytes(b".wh.a\xff", ""),
    ];

    "Parents that have no entry are taken to be directories"
    missing_parents_are_directories => [
        tar().file("a/b/c", "1"),
        tar().file("a/b/d/e", "2").whiteout("a/b/c"),
    ];

    "Of several entries of one name the last counts"
    of_duplicate_names_the_last_counts => [
        tar().file("a", "1").file("a", "2").file("b", "3").symlink("b", "a").dir("c").file("c", "4"),
    ];

    "Of several entries of one name the last counts, whichever way the name is written"
    of_duplicate_names_the_last_counts_however_written => [
        tar().file("d/node_modules/left/package.json", r#"{"name":"left","version":"1.0.0"}"#)
            .file("./d//node_modules/left/package.json", r#"{"name":"left","version":"2.0.0"}"#),
    ];

    "Names of GNU's long form have any length up to the limit"
    gnu_long_names => [
        tar().file(&format!("{}/name", "d".repeat(200)), "1").symlink("l", &"t".repeat(300)),
    ];

    "Names in pax records have any length up to the limit"
    pax_long_names => [
        tar().pax(&[("path", &format!("{}/name", "d".repeat(200)))]).file("short", "1")
            .pax(&[("linkpath", &"t".repeat(300))]).symlink("l", "short"),
    ];

    "GNU's long names beat those of pax records, in either order"
    gnu_names_beat_pax_names => [
        tar().pax(&[("path", "pax")]).gnu_name(b"gnu-1").file("x", "1").gnu_name(b"gnu-2").pax(&[("path", "pax")]).file("x", "2"),
    ];

    "A name that is too long is refused and said"
    a_name_beyond_the_limit_is_refused => [
        tar().file(&"n".repeat(5000), "1").symlink("link", &"t".repeat(5000)).file("ok", "2"),
    ];

    "A name with a zero byte is refused and said"
    a_name_with_a_zero_byte_is_refused => [
        tar().pax(&[("path", "a\0b")]).file("x", "1").file("ok", "2"),
    ];
}
