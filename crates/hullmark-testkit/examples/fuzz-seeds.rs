//! Writes seeds for the fuzz targets of layers and of extractors: `cargo run -p hullmark-testkit --example fuzz-seeds -- fuzz/corpus`.
#![expect(clippy::unwrap_used, reason = "it fails by panicking, as the test kit does")]

use std::path::Path;

use hullmark_testkit::{
    Compression, SparseFormat, TarBuilder, base256, compress, empty_gzip_member, estargz,
    gzip_with_all_fields, in_parts, skippable_frame, workspace_root, zstd_chunked, zstd_repeat, zstd_window,
};

/// Tars with a member of each form.
fn tars() -> Vec<Vec<u8>> {
    let manifest = r#"{"name":"left","version":"1.0.0"}"#;
    let mut tars = vec![
        TarBuilder::new()
            .dir("a/")
            .file("a/b", "1")
            .whiteout("a/c")
            .opaque("a")
            .symlink("l", "a/b")
            .hardlink("h", "a/b")
            .finish(),
        TarBuilder::new().file(&"long/".repeat(25), "1").symlink("l", &"t".repeat(150)).finish(),
        TarBuilder::new()
            .pax(&[("path", "from/pax"), ("size", "3")])
            .file("short", "123")
            .global(&[("comment", "x")])
            .file("b", "2")
            .finish(),
        TarBuilder::new().base256_file("a", "abc").pax_sized_file("b", 0, "abc").finish(),
        TarBuilder::new().file("a", "1").sized_file("b", &base256(-1), "x").finish(),
        TarBuilder::new().file("../a", "1").file("./b//../c", "2").file_bytes(b"\xff", "3").finish(),
        TarBuilder::new().file("a", "1").wrong_checksum("b", "2").finish(),
        TarBuilder::new().file("a", "1").finish_truncated(1536),
        [TarBuilder::new().file("a", "1").finish(), TarBuilder::new().file("b", "2").finish()].concat(),
        TarBuilder::new()
            .file("etc/os-release", "ID=alpine\nVERSION_ID=3.20\n")
            .file("lib/apk/db/installed", "P:musl\nV:1-r0\n\n")
            .file("node_modules/left/package.json", manifest)
            .finish(),
    ];
    let many: Vec<(u64, &[u8])> = (0..30).map(|number| (number * 2, &b"x"[..])).collect();
    tars.extend(SparseFormat::ALL.map(|format| {
        TarBuilder::new().sparse(format, "s", 60, &many).sparse(format, "t", 9, &[(2, b"abc")]).finish()
    }));
    tars
}

fn streams() -> Vec<Vec<u8>> {
    let tar = TarBuilder::new().file("a", "1").file("b", "2").finish();
    let (first, second) = tar.split_at(700);
    let files: [(&str, &[u8]); 2] = [("a", b"1"), ("b/c", b"2")];
    vec![
        compress(&tar, Compression::Gzip),
        compress(&tar, Compression::Zstd),
        in_parts(&[first, second], Compression::Gzip),
        in_parts(&[first, second], Compression::Zstd),
        [empty_gzip_member(), gzip_with_all_fields(&tar), empty_gzip_member()].concat(),
        [skippable_frame(0, b"x"), zstd_window(20, first), zstd_window(10, second), skippable_frame(15, b"")]
            .concat(),
        [zstd_window(10, &tar), zstd_repeat(0, 3)].concat(),
        zstd_window(41, &tar),
        estargz(&files).blob,
        zstd_chunked(&files).blob,
        [compress(&tar, Compression::Gzip), b"garbage".to_vec()].concat(),
        [compress(&tar, Compression::Zstd), b"garbage".to_vec()].concat(),
    ]
}

/// The fixtures of all extractors, each after a line with its path.
fn fixtures(directory: &Path, seeds: &mut Vec<Vec<u8>>) {
    let mut entries: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            fixtures(&path, seeds);
            continue;
        }
        let text = path.to_string_lossy();
        let inside = text.split_once("/fixtures/").and_then(|(_, rest)| rest.split_once('/'));
        if let Some((_, inside)) = inside {
            seeds.push([inside.as_bytes(), b"\n", &std::fs::read(&path).unwrap()].concat());
        }
    }
}

fn main() {
    let directory = std::env::args().nth(1).unwrap();
    let put = |target: &str, seeds: Vec<Vec<u8>>| {
        let directory = Path::new(&directory).join(target);
        std::fs::create_dir_all(&directory).unwrap();
        for (number, seed) in seeds.iter().enumerate() {
            std::fs::write(directory.join(format!("seed-{number:04}")), seed).unwrap();
        }
    };
    let mut seeds = Vec::new();
    fixtures(&workspace_root().join("crates/hullmark-inventory/src/extractors"), &mut seeds);
    put("extractors", seeds);
    put("tar", tars());
    put("layer", tars().into_iter().map(|tar| [tar.clone(), tar].concat()).chain(streams()).collect());
    // The first byte says whether the rest is a stream or a plan for one.
    let any = streams().into_iter().map(|stream| [vec![0], stream].concat());
    let plans = [1, 3].map(|first| {
        let steps: Vec<u8> = (0..16).map(|number| number * 17).collect();
        [vec![first], steps, b"content of a file".to_vec()].concat()
    });
    put("framing", any.chain(plans).collect());
    let plans = (0_u8..8).map(|start| {
        (0..96).map(|number: u8| number.wrapping_mul(37).wrapping_add(start.wrapping_mul(41))).collect()
    });
    put("whiteouts", plans.collect());
}
