//! Streams of gzip members and zstd frames.

use std::io::{self, Read};

use hullmark_image::Compression;
use hullmark_testkit as kit;
use hullmark_types::Digest;

use crate::small_limits;
use crate::walked::walk;

/// Checks a stream: of any bytes when the first is even, else one that is put together as the bytes say.
pub fn check_framing(bytes: &[u8]) {
    match bytes.split_first() {
        Some((first, rest)) if first % 2 == 0 => any_stream(rest),
        Some((first, rest)) => planned_stream(first % 4 == 1, rest),
        None => {}
    }
}

/// The library's decoder, asked for everything at once, gives the same bytes.
fn any_stream(bytes: &[u8]) {
    let limits = small_limits();
    let (_, outcome) = walk(bytes, &limits);
    if outcome.diagnostics.iter().any(|found| found.code.starts_with("limit-")) {
        return;
    }
    let plain = match outcome.compression {
        Some(Compression::Gzip) => {
            all(&mut flate2::bufread::MultiGzDecoder::new(bytes), limits.max_layer_size)
        }
        Some(Compression::Zstd) => zstd::Decoder::with_buffer(bytes).and_then(|mut decoder| {
            decoder.window_log_max(27)?;
            all(&mut decoder, limits.max_layer_size)
        }),
        Some(Compression::None) => Ok(bytes.to_vec()),
        None => return,
    };
    match plain {
        Ok(plain) => assert_eq!(outcome.diff_id, Some(Digest::sha256(&plain)), "{outcome:?}"),
        Err(error) => assert_eq!(outcome.diff_id, None, "{error}"),
    }
}

fn all(decoder: &mut dyn Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    decoder.take(limit + 1).read_to_end(&mut plain)?;
    Ok(plain)
}

/// A tar, cut into parts that are compressed apart, with empty members and skippable frames between them, is that tar.
fn planned_stream(gzip: bool, plan: &[u8]) {
    let (plan, content) = plan.split_at(plan.len().min(16));
    let tar = kit::TarBuilder::new().file("a", content).file("b", plan).finish();
    let mut rest = tar.as_slice();
    let mut stream = Vec::new();
    for step in plan {
        let length = usize::from(step >> 3) * 67 % (rest.len() + 1);
        let (part, behind) = rest.split_at(length);
        match (gzip, step % 8) {
            (true, 0) => stream.extend(kit::empty_gzip_member()),
            (true, 1) => {
                stream.extend(kit::gzip_with_all_fields(part));
                rest = behind;
            }
            (true, _) => {
                stream.extend(kit::compress(part, kit::Compression::Gzip));
                rest = behind;
            }
            // The magic number of a stream is that of its first frame.
            (false, 0) => stream.extend(kit::skippable_frame(step >> 4, part)),
            (false, 1) => {
                stream.extend(kit::zstd_window(10 + step % 8 * 2, part));
                rest = behind;
            }
            (false, 2) => stream.extend(kit::zstd_window(20, b"")),
            (false, _) => {
                stream.extend(kit::compress(part, kit::Compression::Zstd));
                rest = behind;
            }
        }
    }
    stream.extend(kit::compress(rest, if gzip { kit::Compression::Gzip } else { kit::Compression::Zstd }));
    let (walked, outcome) = walk(&stream, &small_limits());
    assert_eq!(outcome.diagnostics, []);
    assert_eq!(outcome.diff_id, Some(Digest::sha256(&tar)));
    let paths: Vec<&str> = walked.entries.iter().map(|(entry, _)| entry.path.as_str()).collect();
    assert_eq!(paths, ["a", "b"]);
}
