//! Which key signed a package: from the OpenPGP signature packet in its header (RFC 9580, section 5.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::bytes::{Order, part};
use super::header::{Header, HeaderError, tag};

/// The most bytes of a signature that are looked at.
const MAX_SIGNATURE: usize = 64 * 1024;

const ISSUER: u8 = 16;
const ISSUER_FINGERPRINT: u8 = 33;

/// The id of the key, 16 hexadecimal digits. `None` when there is no signature, or none that names its key.
pub(super) fn key_id(header: &Header<'_>) -> Result<Option<String>, HeaderError> {
    for tag in [tag::RSA_HEADER, tag::DSA_HEADER, tag::SIGNATURE_PGP, tag::SIGNATURE_GPG] {
        if let Some(key) = header.binary(tag)?.filter(|packet| packet.len() <= MAX_SIGNATURE).and_then(issuer)
        {
            return Ok(Some(key));
        }
    }
    // rpm 6 has all signatures in one tag, in Base64.
    for text in header.texts(tag::OPENPGP)?.into_iter().flatten().take(8) {
        if text.len() <= MAX_SIGNATURE
            && let Ok(packet) = STANDARD.decode(text)
            && let Some(key) = issuer(&packet)
        {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Who made the signature of a packet.
fn issuer(packet: &[u8]) -> Option<String> {
    let body = body(packet)?;
    let version = *body.first()?;
    let key = match version {
        // Version, 5, type, four bytes of time, key.
        2 | 3 => part(body, 7, 8)?,
        // Version, type, two algorithms, then what is signed and what is not.
        4 => {
            let hashed = Order::Big.short(body, 4)?;
            let unhashed = Order::Big.short(body, 6 + hashed)?;
            issuer_in(part(body, 6, hashed)?).or_else(|| issuer_in(part(body, 8 + hashed, unhashed)?))?
        }
        6 => {
            let hashed = Order::Big.size(body, 4)?;
            issuer_in(part(body, 8, hashed)?)?
        }
        _ => return None,
    };
    Some(hexadecimal(key))
}

/// The body of a signature packet (tag 2), in the old or the new format.
fn body(packet: &[u8]) -> Option<&[u8]> {
    let first = *packet.first()?;
    let (tag, start, length) = if first & 0xc0 == 0xc0 {
        let (header, length) = length(packet.get(1..)?)?;
        (first & 0x3f, 1 + header, length)
    } else {
        let (header, length) = match first & 3 {
            0 => (1, usize::from(*packet.get(1)?)),
            1 => (2, Order::Big.short(packet, 1)?),
            2 => (4, Order::Big.size(packet, 1)?),
            _ => (0, packet.len() - 1),
        };
        ((first >> 2) & 0xf, 1 + header, length)
    };
    (first & 0x80 != 0 && tag == 2).then(|| part(packet, start, length)).flatten()
}

/// A length of one, two or five bytes: how many, and what it says.
fn length(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes.first()? {
        short @ 0..192 => Some((1, usize::from(short))),
        first @ 192..=254 => Some((2, ((usize::from(first) - 192) << 8) + usize::from(*bytes.get(1)?) + 192)),
        255 => Some((5, Order::Big.size(bytes, 1)?)),
    }
}

/// Looks through subpackets for the one that names the key.
fn issuer_in(mut subpackets: &[u8]) -> Option<&[u8]> {
    while !subpackets.is_empty() {
        let (header, length) = length(subpackets)?;
        let subpacket = part(subpackets, header, length)?;
        subpackets = subpackets.get(header + length..)?;
        match (subpacket.first().map(|kind| kind & 0x7f), subpacket.get(1..)) {
            (Some(ISSUER), Some(key)) if key.len() == 8 => return Some(key),
            // The id is a part of the fingerprint: the last of version 4, the first of version 6.
            (Some(ISSUER_FINGERPRINT), Some([4, fingerprint @ ..])) if fingerprint.len() == 20 => {
                return fingerprint.get(12..);
            }
            (Some(ISSUER_FINGERPRINT), Some([6, fingerprint @ ..])) if fingerprint.len() == 32 => {
                return fingerprint.get(..8);
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(packet: &[u8], expected: Option<&str>) {
        assert_eq!(issuer(packet).as_deref(), expected);
        for length in 0..packet.len() {
            assert_eq!(issuer(&packet[..length]), None, "cut to {length} bytes");
        }
    }

    #[test]
    fn keys_are_named_in_each_version_of_a_signature() {
        let key = [1, 2, 3, 4, 5, 6, 7, 0xff];
        let version_3 = [&[0x88, 19, 3, 5, 0, 1, 1, 1, 1][..], &key, &[1, 8, 0, 0]].concat();
        check(&version_3, Some("01020304050607ff"));
        // An issuer that is not signed, behind a creation time that is.
        let version_4 = [&[0xc2, 24, 4, 0, 1, 8, 0, 6, 5, 2, 0, 0, 0, 0, 0, 10, 9, 16][..], &key].concat();
        check(&version_4, Some("01020304050607ff"));
        let fingerprint =
            [&[0x89, 0, 31, 4, 0, 1, 8, 0, 23, 22, 33, 4][..], &[9; 12], &key, &[0, 0]].concat();
        check(&fingerprint, Some("01020304050607ff"));
        check(&[0xc2, 8, 4, 0, 1, 8, 0, 0, 0, 0], None);
        check(&[0x99, 0, 1, 4], None);
        check(b"", None);
    }
}
