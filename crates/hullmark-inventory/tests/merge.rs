//! The rules by which layers make up an image.

mod common;

use common::{Layer, codes, inventory, packages};
use hullmark_image::{Entry, EntryKind, LayerVisitor};
use hullmark_inventory::{LayerCollector, merge};

const ALPINE: &str = "ID=alpine\nVERSION_ID=3.18.2\n";
const DATABASE: &str = "lib/apk/db/installed";

fn stanza(name: &str, version: &str) -> String {
    format!("P:{name}\nV:{version}\nA:x86_64\n\n")
}

fn manifest(name: &str, version: &str) -> String {
    format!(r#"{{"name":"{name}","version":"{version}"}}"#)
}

/// A base layer: Alpine with musl.
fn alpine() -> Layer {
    Layer::new().file("etc/os-release", ALPINE).file(DATABASE, &stanza("musl", "1-r0"))
}

#[track_caller]
fn check(layers: &[Layer], expected_packages: &[&str], expected_codes: &[&str]) {
    let inventory = inventory(layers);
    assert_eq!(packages(&inventory), expected_packages);
    assert_eq!(codes(&inventory), expected_codes, "{:#?}", inventory.diagnostics);
}

#[test]
fn a_whiteout_removes_from_lower_layers() {
    let base = alpine().file("node_modules/a/package.json", &manifest("a", "1.0.0"));
    check(
        &[base, Layer::new().whiteout("node_modules/a")],
        &["apk musl 1-r0 since 0 in lib/apk/db/installed@0"],
        &[],
    );
}

#[test]
fn a_whiteout_does_not_remove_from_its_own_layer() {
    let replaced = "apk musl 1-r0 since 0 in lib/apk/db/installed@0";
    let found = "npm a 2.0.0 since 1 in node_modules/a/package.json@1";
    let base = || alpine().file("node_modules/a/package.json", &manifest("a", "1.0.0"));
    let new = || Layer::new().file("node_modules/a/package.json", &manifest("a", "2.0.0"));
    check(&[base(), new().whiteout("node_modules/a")], &[replaced, found], &[]);
    let before =
        Layer::new().whiteout("node_modules/a").file("node_modules/a/package.json", &manifest("a", "2.0.0"));
    check(&[base(), before], &[replaced, found], &[]);
}

#[test]
fn a_path_is_no_prefix_of_a_longer_name() {
    let base = alpine()
        .file("foo/node_modules/a/package.json", &manifest("a", "1.0.0"))
        .file("foobar/node_modules/b/package.json", &manifest("b", "1.0.0"))
        .file("foo.d/node_modules/c/package.json", &manifest("c", "1.0.0"));
    check(
        &[base, Layer::new().whiteout("foo")],
        &[
            "apk musl 1-r0 since 0 in lib/apk/db/installed@0",
            "npm b 1.0.0 since 0 in foobar/node_modules/b/package.json@0",
            "npm c 1.0.0 since 0 in foo.d/node_modules/c/package.json@0",
        ],
        &[],
    );
}

#[test]
fn an_opaque_directory_hides_lower_children_wherever_it_stands() {
    let base = || {
        alpine()
            .file("app/node_modules/a/package.json", &manifest("a", "1.0.0"))
            .file("app/node_modules/b/package.json", &manifest("b", "1.0.0"))
    };
    let kept = [
        "apk musl 1-r0 since 0 in lib/apk/db/installed@0",
        "npm b 2.0.0 since 1 in app/node_modules/b/package.json@1",
    ];
    let new = || ("app/node_modules/b/package.json", manifest("b", "2.0.0"));
    let first = Layer::new().opaque("app").file(new().0, &new().1);
    let last = Layer::new().file(new().0, &new().1).opaque("app");
    check(&[base(), first], &kept, &[]);
    check(&[base(), last], &kept, &[]);
}

#[test]
fn an_opaque_directory_is_not_followed_through_a_lower_link() {
    let base = alpine().file("data/node_modules/a/package.json", &manifest("a", "1.0.0")).link("app", "data");
    check(
        &[base, Layer::new().opaque("app")],
        &[
            "apk musl 1-r0 since 0 in lib/apk/db/installed@0",
            "npm a 1.0.0 since 0 in data/node_modules/a/package.json@0",
        ],
        &[],
    );
}

#[test]
fn a_directory_replaced_by_a_file_or_a_link_hides_its_children() {
    let base = || alpine().file("app/node_modules/a/package.json", &manifest("a", "1.0.0"));
    let left = ["apk musl 1-r0 since 0 in lib/apk/db/installed@0"];
    check(&[base(), Layer::new().file("app", "text")], &left, &[]);
    check(&[base(), Layer::new().link("app", "elsewhere")], &left, &[]);
    check(&[base(), Layer::new().file("app/node_modules", "text")], &left, &[]);
}

#[test]
fn a_directory_replaces_a_lower_link_and_what_lies_behind_it_stays() {
    let base = alpine().file("data/node_modules/a/package.json", &manifest("a", "1.0.0")).link("app", "data");
    let top = Layer::new().directory("app").file("app/node_modules/b/package.json", &manifest("b", "1.0.0"));
    check(
        &[base, top],
        &[
            "apk musl 1-r0 since 0 in lib/apk/db/installed@0",
            "npm a 1.0.0 since 0 in data/node_modules/a/package.json@0",
            "npm b 1.0.0 since 1 in app/node_modules/b/package.json@1",
        ],
        &[],
    );
}

#[test]
fn files_are_where_the_links_of_their_directories_lead() {
    let base = alpine().link("app", "/srv/./current").link("srv/current", "../srv/v1");
    let top = Layer::new().file("app/node_modules/a/package.json", &manifest("a", "1.0.0"));
    let other = Layer::new().whiteout("srv/v1/node_modules/a");
    check(
        &[base.clone(), top.clone()],
        &[
            "apk musl 1-r0 since 0 in lib/apk/db/installed@0",
            "npm a 1.0.0 since 1 in srv/v1/node_modules/a/package.json@1",
        ],
        &[],
    );
    check(&[base, top, other], &["apk musl 1-r0 since 0 in lib/apk/db/installed@0"], &[]);
}

#[test]
fn a_package_file_overwritten_by_something_else_clears_the_package() {
    let base = || alpine().file("node_modules/a/package.json", &manifest("a", "1.0.0"));
    let left = ["apk musl 1-r0 since 0 in lib/apk/db/installed@0"];
    check(
        &[base(), Layer::new().file("node_modules/a/package.json", "{")],
        &left,
        &["note package-file-replaced", "gap malformed-package-metadata"],
    );
    check(
        &[base(), Layer::new().file(DATABASE, "")],
        &["npm a 1.0.0 since 0 in node_modules/a/package.json@0"],
        &["gap package-database-emptied", "gap package-database-missing"],
    );
    check(
        &[base(), Layer::new().whiteout("lib/apk")],
        &["npm a 1.0.0 since 0 in node_modules/a/package.json@0"],
        &["gap package-database-missing"],
    );
}

#[test]
fn a_problem_with_a_file_goes_with_the_file() {
    let bad = Layer::new().file("node_modules/a/package.json", "{");
    let left = ["apk musl 1-r0 since 0 in lib/apk/db/installed@0"];
    check(&[alpine(), bad.clone()], &left, &["gap malformed-package-metadata"]);
    check(&[alpine(), bad, Layer::new().whiteout("node_modules")], &left, &[]);
}

#[test]
fn packages_are_attributed_to_the_layer_from_which_on_they_stayed() {
    let database = |names: &[(&str, &str)]| {
        let text: String = names.iter().map(|(name, version)| stanza(name, version)).collect();
        Layer::new().file(DATABASE, &text)
    };
    let layers = [
        alpine(),
        database(&[("musl", "1-r0"), ("curl", "8-r0"), ("gone", "1-r0")]),
        database(&[("musl", "1-r1"), ("curl", "8-r0")]),
        database(&[("musl", "1-r1"), ("curl", "8-r0"), ("gone", "1-r0")]),
    ];
    check(
        &layers,
        &[
            "apk curl 8-r0 since 1 in lib/apk/db/installed@3",
            "apk gone 1-r0 since 3 in lib/apk/db/installed@3",
            "apk musl 1-r1 since 2 in lib/apk/db/installed@3",
        ],
        &[],
    );
}

#[test]
fn a_hard_link_is_a_second_name_of_what_was_read() {
    let manifest_file = "node_modules/a/package.json";
    let one = Layer::new()
        .file(manifest_file, &manifest("a", "1.0.0"))
        .hard_link("app/node_modules/a/package.json", manifest_file)
        .file(manifest_file, &manifest("a", "2.0.0"));
    check(
        &[alpine(), one],
        &[
            "apk musl 1-r0 since 0 in lib/apk/db/installed@0",
            "npm a 1.0.0 since 1 in app/node_modules/a/package.json@1",
            "npm a 2.0.0 since 1 in node_modules/a/package.json@1",
        ],
        &[],
    );
}

#[test]
fn a_hard_link_outlives_its_target_across_layers() {
    let base = alpine().file("node_modules/a/package.json", &manifest("a", "1.0.0"));
    let top = Layer::new()
        .whiteout("node_modules/a")
        .hard_link("app/node_modules/a/package.json", "node_modules/a/package.json");
    check(
        &[base, top],
        &[
            "apk musl 1-r0 since 0 in lib/apk/db/installed@0",
            "npm a 1.0.0 since 0 in app/node_modules/a/package.json@1",
        ],
        &[],
    );
}

#[test]
fn a_hard_link_to_something_unread_is_a_gap() {
    let store = "store/0123";
    let left = ["apk musl 1-r0 since 0 in lib/apk/db/installed@0"];
    let link = |layer: Layer| layer.hard_link("node_modules/a/package.json", store);
    let content = manifest("a", "1.0.0");
    check(&[alpine(), link(Layer::new().file(store, &content))], &left, &["gap hard-link-not-followed"]);
    check(&[alpine().file(store, &content), link(Layer::new())], &left, &["gap hard-link-not-followed"]);
    let removed = Layer::new().whiteout("node_modules/a");
    check(&[alpine().file(store, &content), link(Layer::new()), removed], &left, &[]);
}

#[test]
fn well_known_files_behind_links_are_found_or_missed_aloud() {
    let linked = Layer::new()
        .file("usr/lib/os-release", ALPINE)
        .link("etc/os-release", "../usr/lib/os-release")
        .link("lib", "usr/lib")
        .file("usr/lib/apk/db/installed", &stanza("musl", "1-r0"));
    check(&[linked], &["apk musl 1-r0 since 0 in usr/lib/apk/db/installed@0"], &[]);
    let moved = Layer::new()
        .file("etc/os-release", ALPINE)
        .link("lib/apk/db", "/data/apk")
        .file("data/apk/installed", &stanza("musl", "1-r0"));
    check(
        &[moved],
        &[],
        &["gap no-packages-found", "gap package-database-missing", "gap symbolic-link-not-followed"],
    );
    let circle =
        alpine().link("usr/lib/os-release", "../../etc/circle").link("etc/circle", "../usr/lib/os-release");
    check(
        &[circle],
        &["apk musl 1-r0 since 0 in lib/apk/db/installed@0"],
        &["gap symbolic-link-not-followed"],
    );
}

#[test]
fn links_stay_inside_the_root() {
    let escaping = Layer::new()
        .link("etc/os-release", "../../../../usr/lib/os-release")
        .file("usr/lib/os-release", ALPINE)
        .file(DATABASE, &stanza("musl", "1-r0"));
    let inventory = inventory(&[escaping]);
    assert_eq!(inventory.distribution.unwrap().id, "alpine");
}

#[test]
fn two_files_of_one_package_are_one_package() {
    let base = alpine()
        .file("site-packages/x_y-1.0.dist-info/METADATA", "Name: x.y\nVersion: 1.0\n")
        .file("site-packages/x_y.egg-info/PKG-INFO", "Name: X-Y\nVersion: 1.0\n")
        .file("lib/node_modules/a/package.json", &manifest("a", "1.0.0"))
        .file("opt/node_modules/a/package.json", &manifest("a", "1.0.0"));
    check(
        &[base],
        &[
            "apk musl 1-r0 since 0 in lib/apk/db/installed@0",
            "npm a 1.0.0 since 0 in lib/node_modules/a/package.json@0 opt/node_modules/a/package.json@0",
            "pypi x.y 1.0 since 0 in site-packages/x_y-1.0.dist-info/METADATA@0 site-packages/x_y.egg-info/PKG-INFO@0",
        ],
        &[],
    );
}

#[test]
fn an_empty_image_says_that_nothing_was_found() {
    check(&[], &[], &["gap no-packages-found", "gap unknown-distribution"]);
    check(&[Layer::new()], &[], &["gap no-packages-found", "gap unknown-distribution"]);
}

#[test]
fn programs_on_an_empty_base_need_no_distribution() {
    let base = Layer::new().file("node_modules/a/package.json", &manifest("a", "1.0.0"));
    check(&[base], &["npm a 1.0.0 since 0 in node_modules/a/package.json@0"], &["note unknown-distribution"]);
}

#[test]
fn databases_that_cannot_be_read_are_named_while_they_are_there() {
    let base = || alpine().file("var/lib/snapd/snaps/a_1.snap", "").file("var/lib/snapd/snaps/b_1.snap", "");
    let musl = ["apk musl 1-r0 since 0 in lib/apk/db/installed@0"];
    let gap = "gap unsupported-package-database";
    check(&[base()], &musl, &[gap]);
    check(&[base(), Layer::new().whiteout("var/lib/snapd")], &musl, &[]);
}

#[test]
fn a_file_that_cannot_be_read_hides_the_one_below() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("broken"))
        }
    }
    let mut top = LayerCollector::default();
    let path = "node_modules/a/package.json".to_owned();
    let entry = Entry { path, kind: EntryKind::File, mode: 0o644, size: 10 };
    assert!(top.entry(&entry, &mut std::io::BufReader::new(Broken)).is_err());
    let base = alpine().file("node_modules/a/package.json", &manifest("a", "1.0.0")).read();
    let contents = [base, top.finish(Vec::new())];
    let (inventory, _) = merge(common::subject(), None, common::layer_infos(2), &contents, Vec::new());
    assert_eq!(packages(&inventory), ["apk musl 1-r0 since 0 in lib/apk/db/installed@0"]);
}

#[test]
fn an_entry_that_claims_to_be_the_root_hides_nothing() {
    let musl = ["apk musl 1-r0 since 0 in lib/apk/db/installed@0"];
    check(&[alpine(), Layer::new().link("", "elsewhere").file("", "text").directory("")], &musl, &[]);
    check(&[alpine(), Layer::new().hard_link("", "lib/apk/db/installed")], &musl, &[]);
    let emptied = ["gap no-packages-found", "gap unknown-distribution"];
    check(&[alpine(), Layer::new().opaque("")], &[], &emptied);
}

#[test]
fn links_that_grow_without_end_are_survived() {
    let long = format!("x/{}", "y/".repeat(1500));
    let base = (0..60).fold(alpine(), |layer, number| {
        layer
            .link(&format!("{long}l{number}"), &format!("l{}", number + 1))
            .link(&format!("l{number}"), &long)
    });
    let top = Layer::new()
        .file(&format!("l0/{long}/l0/node_modules/a/package.json"), &manifest("a", "1.0.0"))
        .link("too-long", &"z".repeat(5000));
    let codes = codes(&inventory(&[base, top]));
    assert_eq!(codes, ["gap limit-path-length"]);
}

#[test]
fn packages_with_files_of_their_own_need_the_nearest() {
    let gem = |name: &str, version: &str, needed: &str| {
        format!(
            "# stub: {name} {version} ruby lib\nGem::Specification.new do |s|\n s.add_dependency(%q<{needed}>)\nend\n"
        )
    };
    let layer = alpine()
        .file("one/specifications/a-1.0.gemspec", &gem("a", "1.0", "b"))
        .file("one/specifications/b-1.0.gemspec", &gem("b", "1.0", "c"))
        .file("two/specifications/a-2.0.gemspec", &gem("a", "2.0", "b"))
        .file("two/specifications/b-2.0.gemspec", &gem("b", "2.0", "nothing"))
        .file("ebin/x.app", "{application,x,[{vsn,\"1\"},{applications,[kernel]}]}.")
        .file("k/ebin/kernel.app", "{application,kernel,[{vsn,\"9.0\"}]}.");
    let inventory = inventory(&[layer]);
    let needs: Vec<_> = inventory
        .packages
        .iter()
        .filter(|package| !package.dependencies.is_empty())
        .map(|package| format!("{} {} -> {}", package.name, package.version, package.dependencies.join(" ")))
        .collect();
    assert_eq!(needs, ["a 1.0 -> pkg:gem/b@1.0", "a 2.0 -> pkg:gem/b@2.0", "x 1 -> pkg:otp/kernel@9.0"]);
}

#[test]
fn a_list_of_files_without_version_is_the_distribution_that_has_one() {
    let layer = alpine()
        .file("l/.meta/A-B-1.0/MYMETA.json", r#"{"name":"A-B","version":"1.0"}"#)
        .file("l/auto/A/B/.packlist", "l/A/B.pm\n")
        .file("l/auto/C/.packlist", "l/C.pm\n");
    check(
        &[layer],
        &[
            "apk musl 1-r0 since 0 in lib/apk/db/installed@0",
            "cpan A-B 1.0 since 0 in l/.meta/A-B-1.0/MYMETA.json@0 l/auto/A/B/.packlist@0",
            "cpan C  since 0 in l/auto/C/.packlist@0",
        ],
        &[],
    );
}

#[test]
fn a_name_with_very_many_versions_stands_for_a_few() {
    let list: Vec<_> = (0..20_000)
        .map(|number| format!(r#"{{"name":"a/b","version":"{number}","require":{{"a/b":"*"}}}}"#))
        .collect();
    let layer = alpine().file("vendor/composer/installed.json", &format!("[{}]", list.join(",")));
    let inventory = inventory(&[layer]);
    assert_eq!(inventory.packages.len(), 20_001);
    assert!(inventory.packages.iter().all(|package| package.dependencies.len() <= 16));
}

#[test]
fn a_program_that_a_package_of_the_distribution_installed_is_that_package() {
    let program = "\u{7f}ELF\0\0err\x007.2.6\0";
    let status =
        "Package: redis-server\nStatus: install ok installed\nVersion: 5:7.2.6-1\nArchitecture: amd64\n\n";
    let base = || {
        Layer::new()
            .file("etc/os-release", "ID=debian\nVERSION_ID=12\n")
            .file("usr/local/bin/redis-server", program)
    };
    let recognised = "generic redis 7.2.6 since 0 in usr/local/bin/redis-server@0";
    check(&[base()], &[recognised], &["gap package-database-missing"]);
    let installed = base().file("usr/bin/redis-server", program).file("var/lib/dpkg/status", status);
    let owned = installed.file("var/lib/dpkg/info/redis-server.list", "/.\n/usr/bin/redis-server\n");
    let package = "deb redis-server 5:7.2.6-1 since 0 in var/lib/dpkg/status@0";
    check(&[owned], &[package, recognised], &[]);
}

#[test]
fn packages_of_python_and_node_need_those_of_their_own_environment() {
    let metadata =
        |name: &str, version: &str| format!("Name: {name}\nVersion: {version}\nRequires-Dist: x.y (>=1)\n");
    let node = |name: &str, version: &str| {
        format!(r#"{{"name":"{name}","version":"{version}","dependencies":{{"b":"*"}}}}"#)
    };
    let layer = alpine()
        .file("opt/one/site-packages/a-1.dist-info/METADATA", &metadata("a", "1"))
        .file("opt/one/site-packages/x_y-1.dist-info/METADATA", "Name: x_y\nVersion: 1\n")
        .file("opt/two/site-packages/a-2.dist-info/METADATA", &metadata("a", "2"))
        .file("opt/two/site-packages/x_y-2.dist-info/METADATA", "Name: X.Y\nVersion: 2\n")
        .file("app/node_modules/a/package.json", &node("a", "3.0.0"))
        .file("app/node_modules/a/node_modules/b/package.json", &manifest("b", "1.0.0"))
        .file("app/node_modules/b/package.json", &manifest("b", "2.0.0"))
        .file("app/node_modules/c/package.json", &node("c", "1.0.0"));
    let needed: Vec<_> = inventory(&[layer])
        .packages
        .into_iter()
        .filter(|package| !package.dependencies.is_empty())
        .map(|package| format!("{} needs {}", package.purl, package.dependencies.join(" ")))
        .collect();
    assert_eq!(
        needed,
        [
            "pkg:npm/a@3.0.0 needs pkg:npm/b@1.0.0",
            "pkg:npm/c@1.0.0 needs pkg:npm/b@2.0.0",
            "pkg:pypi/a@1 needs pkg:pypi/x-y@1",
            "pkg:pypi/a@2 needs pkg:pypi/x-y@2",
        ]
    );
}
