//! Hard and symbolic links.

use hullmark_testkit::{TarBuilder, header};

fn tar() -> TarBuilder {
    TarBuilder::new()
}

/// A manifest that an extractor reads.
fn manifest(version: &str) -> String {
    format!(r#"{{"name":"left","version":"{version}"}}"#)
}

const ONE: &str = "one/node_modules/left/package.json";
const TWO: &str = "two/node_modules/left/package.json";

cases! {
    "A hard link has no content of its own, whatever size its header says"
    a_hard_link_has_no_content => [
        tar().file("a", "1").raw(&header(b"b", b'1', 4096, b"a", 0o644)).file("c", "2"),
    ];

    "A hard link is bound to what its target is at that point of the tar"
    a_hard_link_is_bound_to_the_content_at_that_point => [
        tar().file(ONE, manifest("1.0.0")).hardlink(TWO, ONE).file(ONE, manifest("2.0.0")),
    ];

    "A hard link survives the deletion of the other name, in the same layer and in a later one"
    a_hard_link_survives_its_target => [
        tar().file(ONE, manifest("1.0.0")),
        tar().hardlink(TWO, ONE).whiteout(ONE),
        tar().whiteout("one"),
    ];

    "A hard link may lead to a file of a lower layer"
    a_hard_link_crosses_layers => [
        tar().file(ONE, manifest("1.0.0")),
        tar().hardlink(TWO, ONE),
    ];

    "Hard links to hard links lead to the same file"
    hard_links_in_a_chain_are_one_file => [
        tar().file(ONE, manifest("1.0.0")).hardlink("b", ONE).hardlink("c", "b").hardlink(TWO, "c"),
    ];

    "Hard links in a circle, to themselves and to nothing are no files"
    hard_links_in_a_circle_lead_nowhere => [
        tar().hardlink("a", "b").hardlink("b", "a").hardlink("self", "self").hardlink("nowhere", "absent"),
    ];

    "A hard link that leads out of the root is refused and said"
    a_hard_link_out_of_the_root_is_refused => [
        tar().hardlink("a", "../../etc/shadow").file("b", "1"),
    ];

    "Entries behind a symbolic link are where the link leads (`lib` to `usr/lib`)"
    entries_are_where_the_links_of_their_directories_lead => [
        tar().dir("usr/lib").symlink("lib", "usr/lib").symlink("lib64", "/usr/./lib"),
        tar().file("lib/a", "1").file("lib64/b", "2").dir("lib/c"),
    ];

    "A package database behind links is found where it is (`var/lib/rpm` to `usr/lib/sysimage/rpm`)"
    a_package_database_may_be_behind_a_link => [
        tar().dir("usr/lib/sysimage/rpm").symlink("var/lib/rpm", "../../usr/lib/sysimage/rpm"),
        tar().file("var/lib/rpm/rpmdb.sqlite", "SQLite format 3\0"),
    ];

    "Symbolic links that climb out of the root stay in it"
    a_symbolic_link_stays_inside_the_root => [
        tar().symlink("app", "../../../../../srv").symlink("etc/os-release", "../../../../usr/lib/os-release"),
        tar().file("app/a", "1").file("usr/lib/os-release", "ID=alpine\nVERSION_ID=3.20\n"),
    ];

    "Symbolic links in a circle end, and entries behind them stay where they are named"
    symbolic_links_in_a_circle_end => [
        tar().symlink("a", "b").symlink("b", "a").symlink("self", "self/self"),
        tar().file("a/x", "1").file("self/y", "2"),
    ];

    "At most forty symbolic links are followed for one path, as Linux does"
    a_long_chain_of_symbolic_links_ends => [
        (0..40).fold(tar(), |tar, n| tar.symlink(&format!("ok{n}"), &format!("ok{}", n + 1))).dir("ok40"),
        (0..41).fold(tar(), |tar, n| tar.symlink(&format!("no{n}"), &format!("no{}", n + 1))).dir("no41"),
        tar().file("ok0/found", "1").file("no0/kept", "2"),
    ];
}
