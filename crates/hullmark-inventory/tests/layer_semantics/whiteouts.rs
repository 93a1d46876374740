//! What a layer takes away from those below.

use hullmark_testkit::TarBuilder;

fn tar() -> TarBuilder {
    TarBuilder::new()
}

cases! {
    "`.wh.NAME` removes NAME, and what is below it, from lower layers"
    a_whiteout_removes_from_lower_layers => [
        tar().file("a", "1").dir("d").file("d/b", "2").file("d/c/e", "3").file("keep", "4"),
        tar().whiteout("a").whiteout("d"),
    ];

    "A whiteout removes nothing of its own layer, whether it stands before or behind"
    a_whiteout_spares_its_own_layer => [
        tar().file("a", "old").file("b", "old"),
        tar().whiteout("a").file("a", "new").file("b", "new").whiteout("b"),
    ];

    "A whiteout removes nothing of layers above: what comes back is there"
    what_comes_back_in_a_later_layer_is_there => [
        tar().file("a", "1"),
        tar().whiteout("a"),
        tar().file("a", "3"),
    ];

    "`.wh..wh..opq` hides what lower layers have in its directory, at any depth; the directory stays"
    an_opaque_directory_hides_lower_children => [
        tar().dir("d").file("d/a", "1").file("d/e/b", "2").file("other", "3"),
        tar().dir("d").opaque("d").file("d/c", "4"),
    ];

    "`.wh..wh..opq` counts wherever it stands in the tar: it hides nothing of its own layer that stands before it"
    an_opaque_directory_may_stand_last => [
        tar().file("d/a", "1").file("d/c", "2"),
        tar().file("d/c", "new").file("d/e/f", "3").opaque("d"),
    ];

    "`.wh..wh..opq` hides by the path it has, not through a link of a lower layer"
    an_opaque_directory_is_not_followed_through_a_lower_link => [
        tar().file("data/a", "1").symlink("app", "data"),
        tar().opaque("app"),
    ];

    "`.wh..wh..opq` in the root hides all lower layers"
    an_opaque_root_hides_everything_below => [
        tar().file("a", "1").dir("d").file("d/b", "2"),
        tar().file(".wh..wh..opq", "").file("c", "3"),
    ];

    "A whiteout goes where the links of its directory lead"
    a_whiteout_follows_the_links_of_its_directory => [
        tar().file("usr/lib/a", "1").file("usr/lib/b", "2").symlink("lib", "usr/lib"),
        tar().whiteout("lib/a"),
    ];

    "A whiteout of a link removes the link, not what it leads to"
    a_whiteout_of_a_link_removes_the_link => [
        tar().file("data/a", "1").symlink("app", "data"),
        tar().whiteout("app"),
    ];

    "A directory that a file replaces takes its children along, with no whiteout"
    a_file_in_place_of_a_directory_hides_its_children => [
        tar().dir("d").file("d/a", "1").file("d/e/b", "2"),
        tar().file("d", "3"),
    ];

    "A directory that a link replaces takes its children along, with no whiteout"
    a_link_in_place_of_a_directory_hides_its_children => [
        tar().dir("d").file("d/a", "1").file("d/e/b", "2"),
        tar().symlink("d", "elsewhere"),
    ];

    "A link that a directory replaces leaves what it led to"
    a_directory_in_place_of_a_link_leaves_its_target => [
        tar().file("data/a", "1").symlink("app", "data"),
        tar().dir("app").file("app/b", "2"),
    ];

    "A file gives way to a directory, also to one that only its children name"
    a_file_gives_way_to_a_directory => [
        tar().file("a", "1").file("b", "2").file("c", "3"),
        tar().dir("a").file("b/x", "4").dir("c/y"),
    ];

    "`/foo` is no prefix of `/foobar`, `/foo.d` or `/foo-1`"
    a_path_is_no_prefix_of_a_longer_name => [
        tar().file("foo/a", "1").file("foobar/b", "2").file("foo.d/c", "3").file("foo-1", "4").file("foo0/d", "5"),
        tar().whiteout("foo"),
    ];

    "Other `.wh..wh.` names are metadata of AUFS, neither files nor whiteouts; what is in such a directory is kept, for hard links lead there"
    metadata_of_aufs_is_no_file => [
        tar().file("a", "1"),
        tar().file(".wh..wh.aufs", "").dir(".wh..wh.plnk").file(".wh..wh.plnk/7.7", "2").hardlink("b", ".wh..wh.plnk/7.7"),
    ];

    "A whiteout that names nothing, or the directory itself or the one above, is refused and said"
    a_whiteout_of_no_name_is_refused => [
        tar().file("d/a", "1"),
        tar().file("d/.wh.", "").file("d/.wh..", "").file("d/.wh...", ""),
    ];
}
