//! Note keys (c2sp.org/signed-note, Ed25519, type 1): the verifier key that everyone may have, and the signer key.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

use crate::error::FormatError;
use crate::note::is_key_name;

/// Type byte of Ed25519 note keys.
const ED25519: u8 = 1;

/// What a private key begins with.
const PRIVATE: &str = "PRIVATE+KEY+";

/// Longest key text that is read.
const MAX_KEY_SIZE: usize = 1024;

/// A public key with its name: `name+id+base64`.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key_id: [u8; 4],
    key: VerifyingKey,
}

/// A private key with its name; shows only its public side.
pub struct SignerKey {
    key: SigningKey,
    verifier: VerifierKey,
}

const fn verifier_error(reason: &'static str) -> FormatError {
    FormatError { what: "verifier key", line: 1, reason }
}

const fn signer_error(reason: &'static str) -> FormatError {
    FormatError { what: "signing key", line: 1, reason }
}

impl VerifierKey {
    fn new(name: &str, key: VerifyingKey) -> Self {
        let hash = Sha256::new()
            .chain_update(name)
            .chain_update([b'\n', ED25519])
            .chain_update(key.as_bytes())
            .finalize();
        let mut key_id = [0; 4];
        key_id.copy_from_slice(&hash[..4]);
        Self { name: name.to_owned(), key_id, key }
    }

    /// Reads `name+id+base64`, with at most one newline after it.
    ///
    /// # Errors
    /// What is wrong: the form, the type, the key itself, or an id that does not belong to the key.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let (name, id, bytes) = parse_key(text).map_err(verifier_error)?;
        let key = VerifyingKey::from_bytes(&bytes)
            .map_err(|_| verifier_error("not a point of the Ed25519 curve"))?;
        if key.is_weak() {
            return Err(verifier_error("a key of small order, for which anyone can sign"));
        }
        let parsed = Self::new(name, key);
        if parsed.id_text() != id {
            return Err(verifier_error("the id does not belong to name and key"));
        }
        Ok(parsed)
    }

    /// The name, which is the origin of the ledger.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of the hash of name, type and key.
    #[must_use]
    pub fn key_id(&self) -> [u8; 4] {
        self.key_id
    }

    /// Whether `signature` over `message` is by this key, by the strict rules (no malleable signatures).
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }

    /// The id in eight hexadecimal digits.
    fn id_text(&self) -> String {
        format!("{:08x}", u32::from_be_bytes(self.key_id))
    }

    /// Name and id, for messages.
    pub(crate) fn label(&self) -> String {
        format!("`{}+{}`", self.name, self.id_text())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}+{}", self.name, self.id_text(), encode(self.key.as_bytes()))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl SignerKey {
    /// Makes a key from 32 secret random bytes.
    ///
    /// # Errors
    /// The name cannot be a key name.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, FormatError> {
        if !is_key_name(name) {
            return Err(signer_error("not a key name"));
        }
        let key = SigningKey::from_bytes(seed);
        let verifier = VerifierKey::new(name, key.verifying_key());
        Ok(Self { key, verifier })
    }

    /// Reads `PRIVATE+KEY+name+id+base64`, the form of Go's note package, with at most one newline after it.
    ///
    /// # Errors
    /// What is wrong: the form, the type, or an id that does not belong to the key.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let public_form =
            text.strip_prefix(PRIVATE).ok_or(signer_error("a signing key begins with `PRIVATE+KEY+`"))?;
        let (name, id, seed) = parse_key(public_form).map_err(signer_error)?;
        let parsed = Self::from_seed(name, &seed)?;
        if parsed.verifier.id_text() != id {
            return Err(signer_error("the id does not belong to name and key"));
        }
        Ok(parsed)
    }

    /// The private text form: to be written to a file that only its owner reads.
    #[must_use]
    pub fn to_private_text(&self) -> String {
        let verifier = &self.verifier;
        format!("{PRIVATE}{}+{}+{}", verifier.name, verifier.id_text(), encode(self.key.as_bytes()))
    }

    /// The public side.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignerKey({}, secret)", self.verifier)
    }
}

/// Splits `name+id+base64(type, key)` and checks all but the id.
fn parse_key(text: &str) -> Result<(&str, &str, [u8; 32]), &'static str> {
    if text.len() > MAX_KEY_SIZE {
        return Err("longer than 1024 bytes");
    }
    let text = text.strip_suffix('\n').unwrap_or(text);
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("a key has a name, an id and base64, joined by `+`");
    };
    if !is_key_name(name) {
        return Err("not a key name");
    }
    let bytes = STANDARD.decode(encoded).map_err(|_| "the key is not base64")?;
    match bytes.split_first() {
        Some((&ED25519, key)) => {
            key.try_into().map(|key| (name, id, key)).map_err(|_| "an Ed25519 key has 32 bytes")
        }
        Some(_) => Err("not an Ed25519 key (type 1)"),
        None => Err("the key is empty"),
    }
}

fn encode(key: &[u8; 32]) -> String {
    let mut bytes = vec![ED25519];
    bytes.extend_from_slice(key);
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Go's note package, its documentation.
    const SIGNER: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const VERIFIER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn keys_are_written_as_they_were_read() {
        assert_eq!(SignerKey::parse(SIGNER).unwrap().to_private_text(), SIGNER);
        assert_eq!(VerifierKey::parse(&format!("{VERIFIER}\n")).unwrap().to_string(), VERIFIER);
    }

    #[test]
    fn the_secret_is_not_shown() {
        let shown = format!("{:?}", SignerKey::parse(SIGNER).unwrap());
        assert_eq!(shown, format!("SignerKey({VERIFIER}, secret)"));
    }

    #[test]
    fn every_changed_byte_of_a_key_is_noticed() {
        for (text, private) in [(SIGNER, true), (VERIFIER, false)] {
            let text = format!("{text}\n");
            for position in 0..text.len() {
                for change in 1..=u8::MAX {
                    let mut bytes = text.clone().into_bytes();
                    bytes[position] ^= change;
                    let Ok(changed) = String::from_utf8(bytes) else { continue };
                    let accepted = if private {
                        SignerKey::parse(&changed).is_ok()
                    } else {
                        VerifierKey::parse(&changed).is_ok()
                    };
                    assert!(!accepted, "byte {position} changed by {change:#x}: {changed:?}");
                }
            }
        }
    }

    #[test]
    fn keys_of_small_order_are_refused() {
        // The neutral point: every signature with R = 0 and S = 0 would hold.
        let mut point = [0; 32];
        point[0] = 1;
        let key = VerifierKey::new("x", VerifyingKey::from_bytes(&point).unwrap());
        let reason = VerifierKey::parse(&key.to_string()).unwrap_err().reason;
        assert_eq!(reason, "a key of small order, for which anyone can sign");
    }
}
