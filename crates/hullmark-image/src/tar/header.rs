//! The fixed fields of a header block.

/// Size of a block.
pub(crate) const BLOCK: usize = 512;

/// One header block.
pub(crate) type Block = [u8; BLOCK];

/// Which dialect a header is written in; it decides what the bytes behind the link name mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    V7,
    Ustar,
    /// Schilling's tar: like ustar, with a shorter prefix.
    Star,
    Gnu,
}

pub(crate) fn format(block: &Block) -> Format {
    match field(block, 257, 8) {
        [b'u', b's', b't', b'a', b'r', 0, ..] if field(block, 508, 4) == b"tar\0" => Format::Star,
        [b'u', b's', b't', b'a', b'r', 0, ..] => Format::Ustar,
        b"ustar  \0" => Format::Gnu,
        _ => Format::V7,
    }
}

/// The name, with the prefix that some dialects store apart from it.
pub(crate) fn name(block: &Block) -> Vec<u8> {
    let name = until_zero(field(block, 0, 100));
    let prefix = match format(block) {
        Format::V7 => &[][..],
        Format::Ustar => until_zero(field(block, 345, 155)),
        Format::Star => until_zero(field(block, 345, 131)),
        Format::Gnu => gnu_prefix(block),
    };
    match prefix {
        [] => name.to_vec(),
        prefix => [prefix, b"/", name].concat(),
    }
}

/// GNU has times where ustar has the prefix. Old versions of Go wrote a prefix there nevertheless, and readers in Go honour
/// it when the bytes are no times.
fn gnu_prefix(block: &Block) -> &[u8] {
    let is_time = |start| {
        let bytes = field(block, start, 12);
        bytes.first() == Some(&0) || number(bytes).is_some() || is_negative(bytes)
    };
    let prefix = until_zero(field(block, 345, 155));
    match is_time(345) && is_time(357) {
        false if prefix.is_ascii() => prefix,
        _ => &[],
    }
}

/// Whether bytes begin like a tar: a header with a valid checksum, or an empty block.
pub(crate) fn looks_like_tar(head: &[u8]) -> bool {
    head.first_chunk::<BLOCK>().is_some_and(|block| *block == [0; BLOCK] || checksum_holds(block))
}

pub(crate) fn field(block: &Block, start: usize, length: usize) -> &[u8] {
    block.get(start..start + length).unwrap_or_default()
}

pub(crate) fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number in octal digits, or in base 256 when its first bit is set; `None` when it is neither, negative, or too large for
/// 63 bits. Zero bytes and spaces around octal digits are padding: reading a padded size as 0 would let content pass for
/// headers.
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    if let Some(first) = bytes.first().filter(|first| **first & 0x80 != 0) {
        if first & 0x40 != 0 {
            return None;
        }
        return bytes
            .iter()
            .enumerate()
            .try_fold(0_u64, |value, (position, byte)| {
                let byte = if position == 0 { byte & 0x7f } else { *byte };
                value.checked_mul(256)?.checked_add(u64::from(byte))
            })
            .filter(|value| i64::try_from(*value).is_ok());
    }
    octal(bytes)
}

fn octal(bytes: &[u8]) -> Option<u64> {
    let padding = |byte: &u8| matches!(byte, 0 | b' ');
    let start = bytes.iter().position(|byte| !padding(byte));
    let Some(digits) = start.and_then(|start| bytes.get(start..)) else { return Some(0) };
    let digits = until_zero(digits);
    let end = digits.iter().rposition(|byte| !padding(byte)).map_or(0, |last| last + 1);
    let digits = std::str::from_utf8(digits.get(..end)?).ok()?;
    match digits.starts_with('+') {
        true => None,
        false => u64::from_str_radix(digits, 8).ok(),
    }
}

/// Whether bytes are a negative number in base 256.
fn is_negative(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| first & 0xc0 == 0xc0)
}

/// The sum of all bytes, with the checksum's own field taken as spaces; some old programs summed signed bytes.
pub(crate) fn checksum_holds(block: &Block) -> bool {
    let Some(expected) = octal(field(block, 148, 8)) else { return false };
    let spaces = 8 * u32::from(b' ');
    let bytes = || field(block, 0, 148).iter().chain(field(block, 156, BLOCK - 156));
    let unsigned = spaces + bytes().map(|byte| u32::from(*byte)).sum::<u32>();
    let signed = || i64::from(spaces) + bytes().map(|byte| i64::from(*byte as i8)).sum::<i64>();
    expected == u64::from(unsigned) || i64::try_from(expected) == Ok(signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        for (bytes, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0 644\0\0", Some(0o644)),
            (b"644\x009", Some(0o644)),
            (b"", Some(0)),
            (b"\0\0\0\0", Some(0)),
            (b"    ", Some(0)),
            (b"\x80\0\0\x05", Some(5)),
            (b"\x80\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX as u64)),
            (b"\x80\x80\0\0\0\0\0\0\0", None),
            (b"\xff\xff\xff\xff", None),
            (b"+644", None),
            (b"-644", None),
            (b"888", None),
            (b"6 4", None),
            (b"\n644", None),
        ] {
            assert_eq!(number(bytes), expected, "{bytes:?}");
        }
    }
}
