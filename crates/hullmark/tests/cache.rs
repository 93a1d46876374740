//! Layers that were read before are not read again, however many processes share the cache, and whatever happens to it.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use common::{Place, alpine, image};
use hullmark_testkit::{ImageBuilder, TarBuilder};
use hullmark_types::Digest;

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            // The mark that says when the cache was made smaller is no entry.
            false if path.ends_with("pruned") => {}
            false => found.push(path),
        }
    }
    found.sort();
    found
}

fn sbom(place: &Place, target: &str, more: &[&str]) -> String {
    place.ok(&[&["sbom", target, "--cache", &place.text("cache")], more].concat()).stdout()
}

#[test]
fn what_was_read_is_not_read_again_and_says_the_same() {
    let place = Place::bare();
    image().oci_layout(&place.path("image"));
    let without = place.ok(&["sbom", "image", "--no-cache"]).stdout();
    assert!(!place.path(".cache").exists());
    let cold = sbom(&place, "image", &[]);
    assert_eq!(cold, without);
    let profile = place.ok(&["profile", "image", "--no-cache"]).stdout();
    for blob in image().blobs() {
        fs::remove_file(place.path("image/blobs/sha256").join(Digest::sha256(&blob).hex())).unwrap();
    }
    assert_eq!(sbom(&place, "image", &[]), without);
    assert_eq!(place.ok(&["profile", "image", "--cache", &place.text("cache")]).stdout(), profile);
    // Without it they are missed.
    place.run(&["sbom", "image", "--no-cache"]).check(2, "cannot read");
}

#[test]
fn a_shared_base_layer_is_read_once_across_images() {
    let place = Place::bare();
    let base = alpine("3.7.3", "1.1.18-r3");
    let of = |name: &str| {
        let top = TarBuilder::new().file("name", name.as_bytes()).finish();
        ImageBuilder::new().layer(base.clone(), "ADD rootfs").layer(top, "COPY name")
    };
    of("one").oci_layout(&place.path("one"));
    of("two").oci_layout(&place.path("two"));
    let expected = place.ok(&["sbom", "two", "--no-cache"]).stdout();
    sbom(&place, "one", &[]);
    let blob = Digest::sha256(&of("two").blobs()[0]);
    fs::remove_file(place.path("two/blobs/sha256").join(blob.hex())).unwrap();
    assert_eq!(sbom(&place, "two", &[]), expected);
}

#[test]
fn uncompressed_bytes_are_verified_when_asked_also_of_what_is_known() {
    let place = Place::bare();
    image().oci_layout(&place.path("image"));
    let expected = sbom(&place, "image", &[]);
    assert_eq!(sbom(&place, "image", &["--verify-diff-ids"]), expected);
    // What was verified once need not be again.
    for blob in image().blobs() {
        fs::remove_file(place.path("image/blobs/sha256").join(Digest::sha256(&blob).hex())).unwrap();
    }
    assert_eq!(sbom(&place, "image", &["--verify-diff-ids"]), expected);
}

#[test]
fn a_damaged_cache_heals() {
    let place = Place::bare();
    place.put("image.tar", image().docker_archive());
    let expected = sbom(&place, "image.tar", &[]);
    let known = files(&place.path("cache"));
    assert!(known.len() >= 4, "{known:?}");
    for damage in [&b""[..], b"hullmrk1", &[0; 4096]] {
        for file in &known {
            fs::write(file, damage).unwrap();
        }
        assert_eq!(sbom(&place, "image.tar", &[]), expected);
        assert!(files(&place.path("cache")).iter().all(|file| fs::read(file).unwrap() != damage));
    }
}

#[test]
fn ten_at_once_agree() {
    let place = Place::bare();
    place.put("image.tar", image().docker_archive());
    let expected = place.ok(&["sbom", "image.tar", "--no-cache"]).stdout();
    let start = || {
        let mut command = place.command();
        command.args(["sbom", "image.tar", "--cache", "cache"]).stdout(Stdio::piped()).spawn().unwrap()
    };
    for _ in 0..3 {
        let running: Vec<_> = (0..10).map(|_| start()).collect();
        for child in running {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success());
            assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
        }
    }
}

#[test]
fn killing_a_scan_at_fifty_moments_leaves_a_cache_that_can_be_used() {
    let place = Place::bare();
    let layer = |number: usize| {
        let content = format!("{number}").repeat(100_000);
        TarBuilder::new().file(&format!("file-{number}"), content).finish()
    };
    let image = (0..20).fold(image(), |image, number| image.layer(layer(number), "COPY"));
    place.put("image.tar", image.docker_archive());
    let expected = place.ok(&["sbom", "image.tar", "--no-cache"]).stdout();
    for moment in 0..50_u64 {
        if moment % 10 == 0 {
            let _ = fs::remove_dir_all(place.path("cache"));
        }
        let mut command = place.command();
        command.args(["sbom", "image.tar", "--cache", "cache"]).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(Duration::from_micros(moment * 1_500));
        let _ = child.kill();
        let _ = child.wait();
        let left = files(&place.path("cache"));
        let is_whole = |file: &PathBuf| file.file_name().unwrap().len() == 64;
        assert!(left.iter().all(is_whole), "{left:?}");
        if moment % 10 == 9 {
            assert_eq!(sbom(&place, "image.tar", &[]), expected);
        }
    }
}

#[test]
fn the_cache_is_looked_at_and_bounded() {
    let place = Place::bare();
    place.put("image.tar", image().docker_archive());
    let cache = place.text("cache");
    sbom(&place, "image.tar", &[]);
    place.run(&["cache", "info", "--cache", &cache]).check(0, "entries    ");
    place
        .run(&["cache", "prune", "--cache", &cache, "--max-size", "0"])
        .check(0, "left    0 entries, 0 bytes");
    assert!(files(&place.path("cache")).is_empty());
    place.run(&["cache", "prune", "--cache", &cache, "--max-size", "1 parsec"]).check(2, "expected a number");
    place.run(&["sbom", "image.tar", "--memory", "1MiB"]).check(2, "at least 32 MiB are needed");
}

/// Runs the command where no file may have more than so many blocks, as on a disk that is full.
fn on_a_full_disk(place: &Place, blocks: u32, arguments: &[&str]) -> common::Answer {
    let program = place.command().get_program().to_owned();
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &script, "sh"]).arg(program).args(arguments).env_clear();
    for (name, value) in place.command().get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    common::Answer(command.current_dir(place.directory.path()).output().unwrap())
}

#[test]
fn a_cache_on_a_full_disk_changes_nothing() {
    let place = Place::bare();
    place.put("image.tar", image().docker_archive());
    let expected = place.ok(&["sbom", "image.tar", "--no-cache"]).stdout();
    for blocks in [0, 1] {
        let answer = on_a_full_disk(&place, blocks, &["sbom", "image.tar", "--cache", "cache"]);
        answer.check(0, "");
        assert_eq!(answer.stdout(), expected, "{blocks}");
        assert!(files(&place.path("cache")).iter().all(|file| fs::metadata(file).unwrap().len() <= 1024));
    }
    // What was too large to be written then is written now.
    assert_eq!(sbom(&place, "image.tar", &[]), expected);
    assert!(files(&place.path("cache")).len() >= 4);
    // A directory that cannot be used for another reason is a mistake of whoever gave it.
    place
        .run(&["sbom", "image.tar", "--cache", "image.tar"])
        .check(2, "the cache `image.tar` cannot be used");
}

#[test]
fn a_report_or_a_record_that_cannot_be_written_is_an_error_and_no_verdict() {
    let place = Place::new();
    place.put("image.tar", image().docker_archive());
    place.ok(&["scan", "image.tar", "--fail-on", "critical"]);
    on_a_full_disk(&place, 0, &["scan", "image.tar", "--fail-on", "critical"]).check(2, "ledger");
    let to_file = ["sbom", "image.tar", "--no-cache", "--output", "image.cdx.json"];
    on_a_full_disk(&place, 0, &to_file).check(2, "image.cdx.json");
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = place.command();
    let status = command.args(["scan", "image.tar", "--fail-on", "critical"]).stdout(full).status().unwrap();
    assert_eq!(status.code(), Some(2));
}
