//! Header blocks of any content.

/// A ustar header block for a member, with a valid checksum.
pub fn header(name: &[u8], flag: u8, size: u64, link: &[u8], mode: u32) -> [u8; 512] {
    let mut block = [0_u8; 512];
    let mut put = |start: usize, bytes: &[u8]| block[start..start + bytes.len()].copy_from_slice(bytes);
    put(0, &name[..name.len().min(100)]);
    put(100, format!("{mode:07o}\0").as_bytes());
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    match size < 1 << 33 {
        true => put(124, format!("{size:011o}\0").as_bytes()),
        false => put(124, &base256(i128::from(size))),
    }
    put(136, b"00000000000\0");
    put(156, &[flag]);
    put(157, &link[..link.len().min(100)]);
    put(257, b"ustar\x0000");
    with_checksum(block)
}

/// The block with other bytes at some places, and its checksum made right again.
pub fn patched(mut block: [u8; 512], patches: &[(usize, &[u8])]) -> [u8; 512] {
    for (start, bytes) in patches {
        block[*start..*start + bytes.len()].copy_from_slice(bytes);
    }
    with_checksum(block)
}

/// A patch for [`patched`] that makes a header one of GNU's.
pub const GNU_MAGIC: (usize, &[u8]) = (257, b"ustar  \0");

/// A patch for [`patched`] that makes a header one of V7.
pub const V7_MAGIC: (usize, &[u8]) = (257, &[0; 8]);

/// A number in base 256, as it stands in a field of twelve bytes; also a negative one.
pub fn base256(number: i128) -> [u8; 12] {
    let mut field: [u8; 12] = number.to_be_bytes()[4..].try_into().expect("the last twelve bytes of sixteen");
    field[0] |= 0x80;
    field
}

/// Records of a pax header: `LENGTH KEY=VALUE\n` for each.
pub fn pax_records(records: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut text = Vec::new();
    for (key, value) in records {
        let body = key.len() + value.len() + 3;
        let mut length = body + 1;
        while length != body + length.to_string().len() {
            length = body + length.to_string().len();
        }
        text.extend(format!("{length} ").as_bytes());
        text.extend_from_slice(key);
        text.push(b'=');
        text.extend_from_slice(value);
        text.push(b'\n');
    }
    text
}

fn with_checksum(mut block: [u8; 512]) -> [u8; 512] {
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}
