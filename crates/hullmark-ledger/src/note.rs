//! Signed notes (c2sp.org/signed-note): a text and signature lines under it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::FormatError;
use crate::key::{SignerKey, VerifierKey};

/// Largest note that is read: room for many post-quantum signatures of about 5 kB.
pub const MAX_NOTE_SIZE: usize = 256 * 1024;

/// Most signatures that are read; the specification asks for at least 16.
pub const MAX_SIGNATURES: usize = 64;

/// A note whose form is right; its signatures are checked by [`SignedNote::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<SignatureLine>,
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureLine {
    /// Name of the key.
    pub name: String,
    /// Id of the key.
    pub key_id: [u8; 4],
    /// The signature, in the form its key type has.
    pub signature: Vec<u8>,
}

const fn error(line: usize, reason: &'static str) -> FormatError {
    FormatError { what: "signed note", line, reason }
}

/// Whether a name may stand in a signature line.
#[must_use]
pub fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

impl SignedNote {
    /// Signs a text, which must end with a newline.
    #[must_use]
    pub fn sign(text: String, key: &SignerKey) -> Self {
        let signature = SignatureLine {
            name: key.verifier().name().to_owned(),
            key_id: key.verifier().key_id(),
            signature: key.sign(text.as_bytes()).to_vec(),
        };
        Self { text, signatures: vec![signature] }
    }

    /// Reads a note. The signatures are not checked here.
    ///
    /// # Errors
    /// The line and what is wrong with it, when the bytes are not a note or exceed the limits.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        if bytes.len() > MAX_NOTE_SIZE {
            return Err(error(1, "longer than 256 KiB"));
        }
        let line_of = |offset: usize| 1 + bytes[..offset].iter().filter(|byte| **byte == b'\n').count();
        let note = std::str::from_utf8(bytes).map_err(|e| error(line_of(e.valid_up_to()), "not UTF-8"))?;
        if let Some(offset) = bytes.iter().position(|byte| *byte < 0x20 && *byte != b'\n') {
            return Err(error(line_of(offset), "contains a control character"));
        }
        let blank = note.rfind("\n\n").ok_or(error(1, "no blank line before the signatures"))?;
        let (text, lines) = (&note[..=blank], &note[blank + 2..]);
        let first_line = line_of(blank + 2);
        let lines = lines.strip_suffix('\n').ok_or(error(line_of(bytes.len()), "no newline at the end"))?;
        let mut signatures = Vec::new();
        for (number, line) in lines.split('\n').enumerate() {
            if number == MAX_SIGNATURES {
                return Err(error(first_line + number, "more than 64 signatures"));
            }
            signatures.push(SignatureLine::parse(line).map_err(|reason| error(first_line + number, reason))?);
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// The signed text, with its final newline.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines.
    #[must_use]
    pub fn signatures(&self) -> &[SignatureLine] {
        &self.signatures
    }

    /// Checks the signatures by `key`; those of other keys are ignored, as the specification demands.
    ///
    /// # Errors
    /// The line of a signature by the key that does not hold, or of the first signature when none is by the key.
    pub fn verify(&self, key: &VerifierKey) -> Result<(), FormatError> {
        let first_line = self.text.matches('\n').count() + 2;
        let mut known = false;
        for (number, line) in self.signatures.iter().enumerate() {
            if line.name != key.name() || line.key_id != key.key_id() {
                continue;
            }
            known = true;
            let valid = <&[u8; 64]>::try_from(line.signature.as_slice())
                .is_ok_and(|signature| key.verify(self.text.as_bytes(), signature));
            if !valid {
                return Err(error(first_line + number, "the signature does not belong to the text"));
            }
        }
        if known { Ok(()) } else { Err(error(first_line, "no signature by the expected key")) }
    }

    /// The note as bytes: what [`SignedNote::parse`] read, or what was signed.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut note = format!("{}\n", self.text);
        for line in &self.signatures {
            let mut bytes = line.key_id.to_vec();
            bytes.extend_from_slice(&line.signature);
            note.push_str(&format!("\u{2014} {} {}\n", line.name, STANDARD.encode(bytes)));
        }
        note
    }
}

impl SignatureLine {
    fn parse(line: &str) -> Result<Self, &'static str> {
        let rest = line.strip_prefix("\u{2014} ").ok_or("a signature begins with an em dash and a space")?;
        let (name, encoded) = rest.split_once(' ').ok_or("a signature has a name, a space and base64")?;
        if !is_key_name(name) {
            return Err("not a key name");
        }
        let bytes = STANDARD.decode(encoded).map_err(|_| "the signature is not base64")?;
        match bytes.split_first_chunk::<4>() {
            Some((key_id, signature)) if !signature.is_empty() => {
                Ok(Self { name: name.to_owned(), key_id: *key_id, signature: signature.to_vec() })
            }
            _ => Err("the signature is too short"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example in the documentation of Go's package `golang.org/x/mod/sumdb/note`.
    const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                        then you don't know what your problem is.\n";
    const SIGNER: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const VERIFIER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const SIGNATURE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    const OTHER: &str = "\u{2014} EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

    #[test]
    fn the_note_of_the_go_package_is_signed_and_verified() {
        let signer = SignerKey::parse(SIGNER).unwrap();
        let verifier = VerifierKey::parse(VERIFIER).unwrap();
        assert_eq!(signer.verifier(), &verifier);
        let note = SignedNote::sign(TEXT.to_owned(), &signer);
        assert_eq!(note.to_text(), format!("{TEXT}\n{SIGNATURE}"));
        note.verify(&verifier).unwrap();
    }

    #[test]
    fn signatures_of_unknown_keys_are_kept_and_ignored() {
        let verifier = VerifierKey::parse(VERIFIER).unwrap();
        let text = format!("{TEXT}\n{OTHER}{SIGNATURE}");
        let note = SignedNote::parse(text.as_bytes()).unwrap();
        note.verify(&verifier).unwrap();
        assert_eq!(note.to_text(), text);
        let alone = SignedNote::parse(format!("{TEXT}\n{OTHER}").as_bytes()).unwrap();
        assert_eq!(alone.verify(&verifier), Err(error(4, "no signature by the expected key")));
    }

    #[test]
    fn a_changed_text_is_not_what_was_signed() {
        let verifier = VerifierKey::parse(VERIFIER).unwrap();
        let note = SignedNote::parse(format!("x{TEXT}\n{OTHER}{SIGNATURE}").as_bytes()).unwrap();
        assert_eq!(note.verify(&verifier), Err(error(5, "the signature does not belong to the text")));
    }

    #[test]
    fn a_text_may_have_blank_lines() {
        let note = SignedNote::parse(format!("a\n\nb\n\n{SIGNATURE}").as_bytes()).unwrap();
        assert_eq!(note.text(), "a\n\nb\n");
    }

    #[track_caller]
    fn refused(note: impl AsRef<[u8]>, line: usize, reason: &'static str) {
        assert_eq!(SignedNote::parse(note.as_ref()), Err(error(line, reason)));
    }

    #[test]
    fn malformed_notes_are_refused_with_their_line() {
        refused("", 1, "no blank line before the signatures");
        refused("a\n", 1, "no blank line before the signatures");
        refused("a\n\n", 3, "no newline at the end");
        refused("a\n\n\u{2014} x AAAAAAA=", 3, "no newline at the end");
        refused("a\n\n\n", 4, "no newline at the end");
        refused("a\nb\tc\n\n\u{2014} x AAAAAAA=\n", 2, "contains a control character");
        refused(b"a\n\xff\n\n", 2, "not UTF-8");
        refused("a\n\n- x AAAAAAA=\n", 3, "a signature begins with an em dash and a space");
        refused("a\n\n\u{2014} x\n", 3, "a signature has a name, a space and base64");
        refused("a\n\n\u{2014} x+y AAAAAAA=\n", 3, "not a key name");
        refused("a\n\n\u{2014} x AAAAAA==\n", 3, "the signature is too short");
        refused("a\n\n\u{2014} x AAAAAAB=\n", 3, "the signature is not base64");
        refused(format!("a\n\n{}", "\u{2014} x AAAAAAA=\n".repeat(65)), 67, "more than 64 signatures");
        refused(vec![b'a'; MAX_NOTE_SIZE + 1], 1, "longer than 256 KiB");
    }
}
