//! Inputs made to be slow to read: the time that an extractor takes grows with their size, and not with its square.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::time::{Duration, Instant};

use hullmark_inventory::OpenFile;
use hullmark_inventory::extractors::ALL;

/// Each input takes well below a second, also where tests are not optimised; one whose time grows with the square of its size
/// takes minutes.
const MUCH: Duration = Duration::from_secs(20);

#[track_caller]
fn check(extractor: &str, path: &str, pieces: &[(&str, usize)]) {
    let bytes: String = pieces.iter().map(|(piece, count)| piece.repeat(*count)).collect();
    let reader = ALL.iter().find(|reader| reader.name() == extractor).unwrap();
    let start = Instant::now();
    let _ = reader.extract(&OpenFile { path, bytes: bytes.as_bytes() });
    let taken = start.elapsed();
    println!("{extractor}: {} bytes, {} ms", bytes.len(), taken.as_millis());
    assert!(taken < MUCH, "{extractor} takes {taken:?} for {} bytes of `{}`", bytes.len(), pieces[0].0);
}

#[test]
fn specifications_of_gems() {
    let path = "specifications/x.gemspec";
    check("ruby", path, &[("s.licenses = [", 1), ("\"a\",", 500_000)]);
    check("ruby", path, &[("s.add_dependency(%q<a>)\n", 100_000)]);
    check("ruby", path, &[("s.licenses = %q<(((", 100_000)]);
    check("ruby", path, &[("s.name = \"\\", 100_000)]);
}

#[test]
fn lists_of_composer() {
    let entry = r#"{"name":"a/b","version":"1","require":{"a/b":"1","c":"1"},"provide":{"c":"1"}},"#;
    check("composer", "composer/installed.json", &[("[", 1), (entry, 20_000), ("{}]", 1)]);
}

#[test]
fn descriptions_of_r_and_records_of_haskell() {
    check("r", "library/x/DESCRIPTION", &[("Package: x\nBuilt: R\n", 1), ("Imports: a\n b,\n", 60_000)]);
    check("haskell", "pkgdb/x.conf", &[("name: x\nversion: 1\ndepends:\n", 1), (" a-1-2\n", 100_000)]);
}

#[test]
fn logs_of_perl() {
    check("perl", "x/perllocal.pod", &[("=head2 L<a|a>\nC<VERSION: 1>\n", 100_000)]);
}

#[test]
fn terms_of_erlang() {
    check("erlang", "ebin/x.app", &[("[]{}", 500_000)]);
    check("erlang", "ebin/x.app", &[("{application,x,[", 1), ("{vsn,1},", 60_000), ("]}.", 1)]);
    check("erlang", "x/deps/x/hex_metadata.config", &[("{<<\"a\">>,b}.\n", 60_000)]);
    check("erlang", "ebin/x.app", &[("%\n", 500_000)]);
}

#[test]
fn words_of_lua_and_opam() {
    let rock = "rocks/x/1-1/x-1-1.rockspec";
    for piece in ["[=", "[=====", "a={", "--[", "--[==[", "{[=[a]=]--[[b]]", "'\\"] {
        check("lua", rock, &[(piece, 200_000)]);
    }
    check("lua", rock, &[("[", 1), ("=", 500_000)]);
    let switch = ".opam-switch/packages/x.1/opam";
    for piece in ["(*", "\"\"\"", "\"", "{", "depends:\"a\"{b}", "#"] {
        check("ocaml", switch, &[(piece, 200_000)]);
    }
}

#[test]
fn records_of_pear() {
    let path = ".registry/x.reg";
    check("pear", path, &[("a:1:{", 1), ("i:0;s:1:\"a\";", 300_000)]);
    check("pear", path, &[("a:1:{", 1), ("s:4:\"lead\";a:1:{i:0;a:1:{s:4:\"name\";s:1:\"a\";}}", 50_000)]);
    check("pear", path, &[("a:1:{i:0;", 200_000)]);
    check("pear", path, &[("a:1:{i:0;s:1000000:\"", 50_000)]);
}

#[test]
fn headers_of_wordpress_and_projects_of_julia() {
    check("wordpress", "wp-includes/version.php", &[("$wp_version = 1;\n", 300_000)]);
    check("wordpress", "wp-content/plugins/x/x.php", &[("Version: */?>", 300_000)]);
    check("julia", "packages/x/abcde/Project.toml", &[("[[a]]\nb={c=[[1]]}\n", 30_000)]);
    check("julia", "packages/x/abcde/Project.toml", &[("a=", 1), ("[", 300_000)]);
}
