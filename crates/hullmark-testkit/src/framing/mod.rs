//! Compressed streams of any form: gzip members and zstd frames put together by hand, and the two layouts of layers with a
//! table of contents, eStargz and zstd:chunked.

mod chunked;

use std::io::Write as _;

use crate::{Compression, compress};

pub use chunked::{Seekable, estargz, zstd_chunked};

/// A gzip member with every optional field of its header: extra field, name, comment, checksum of the header.
pub fn gzip_with_all_fields(content: &[u8]) -> Vec<u8> {
    let mut member = vec![0x1f, 0x8b, 8, 0b1_1110, 0, 0, 0, 0, 0, 255];
    member.extend([6, 0]);
    member.extend(b"XX\x02\x00ab");
    member.extend(b"name\0comment\0");
    let checksum = crc32(&member);
    member.extend(&checksum.to_le_bytes()[..2]);
    member.extend(deflated(content));
    member.extend(crc32(content).to_le_bytes());
    member.extend((content.len() as u32).to_le_bytes());
    member
}

/// A gzip member of nothing: twenty bytes.
pub fn empty_gzip_member() -> Vec<u8> {
    compress(b"", Compression::Gzip)
}

/// Each part as a gzip member or zstd frame of its own.
pub fn in_parts(parts: &[&[u8]], compression: Compression) -> Vec<u8> {
    parts.iter().flat_map(|part| compress(part, compression)).collect()
}

/// A zstd frame that decoders skip, with one of its sixteen magic numbers.
pub fn skippable_frame(variant: u8, content: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x50 | (variant & 0x0f), 0x2a, 0x4d, 0x18];
    frame.extend((content.len() as u32).to_le_bytes());
    frame.extend(content);
    frame
}

/// A zstd frame that asks for a window of 2 to the power of `log` bytes (10 to 41) and holds `content` as raw blocks.
pub fn zstd_window(log: u8, content: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3];
    let mut blocks = content.chunks(1024).peekable();
    if blocks.peek().is_none() {
        frame.extend([1, 0, 0]);
    }
    while let Some(block) = blocks.next() {
        let last = u32::from(blocks.peek().is_none());
        frame.extend(&((block.len() as u32) << 3 | last).to_le_bytes()[..3]);
        frame.extend(block);
    }
    frame
}

/// A zstd frame of `blocks` blocks that each repeat one byte 128 KiB long: four bytes for each.
pub fn zstd_repeat(byte: u8, blocks: usize) -> Vec<u8> {
    const BLOCK: u32 = 128 * 1024;
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3];
    for number in 0..blocks {
        let last = u32::from(number + 1 == blocks);
        frame.extend(&(BLOCK << 3 | 1 << 1 | last).to_le_bytes()[..3]);
        frame.push(byte);
    }
    frame
}

/// Raw deflate.
fn deflated(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn streams_made_by_hand_are_read_by_the_libraries() {
        let mut text = String::new();
        flate2::read::GzDecoder::new(gzip_with_all_fields(b"abc").as_slice())
            .read_to_string(&mut text)
            .expect("gzip");
        assert_eq!(text, "abc");
        let long = vec![7; 5000];
        for frames in [zstd_window(20, &long), [skippable_frame(3, b"x"), zstd_window(10, &long)].concat()] {
            assert_eq!(zstd::decode_all(frames.as_slice()).expect("zstd"), long);
        }
        assert_eq!(zstd::decode_all(zstd_window(20, b"").as_slice()).expect("zstd"), b"");
        assert_eq!(zstd::decode_all(zstd_repeat(0, 3).as_slice()).expect("zstd"), vec![0; 3 << 17]);
    }

    #[test]
    fn layers_with_a_table_of_contents_are_ordinary_layers_too() {
        let files: [(&str, &[u8]); 2] = [("a", b"text"), ("b/c", b"")];
        let gzip = estargz(&files);
        let mut plain = Vec::new();
        flate2::read::MultiGzDecoder::new(gzip.blob.as_slice()).read_to_end(&mut plain).expect("gzip");
        assert!(plain == gzip.tar);
        let footer = &gzip.blob[gzip.blob.len() - 51..];
        assert_eq!(footer[..4], [0x1f, 0x8b, 8, 4]);
        assert_eq!(&footer[16..38], format!("{:016x}STARGZ", gzip.contents_offset).as_bytes());
        let zstd = zstd_chunked(&files);
        assert!(zstd::decode_all(zstd.blob.as_slice()).expect("zstd") == zstd.tar);
        assert_eq!(&zstd.blob[zstd.blob.len() - 8..], b"GNUlInUx");
    }
}
