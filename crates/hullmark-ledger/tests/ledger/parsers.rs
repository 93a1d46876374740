//! The parsers on arbitrary and on slightly wrong input: no panic, and what is accepted is read exactly.

use hullmark_ledger::{
    SignedNote, SignerKey, VerifierKey, parse_bundle, parse_checkpoint, parse_evidence, parse_proof,
    verify_proof,
};
use proptest::prelude::*;

use crate::common::{entries, entry, open};

/// What a parser accepts it must give back byte for byte: there is one spelling of everything.
fn check(bytes: &[u8]) {
    if let Ok(note) = SignedNote::parse(bytes) {
        assert_eq!(note.to_text().as_bytes(), bytes);
    }
    if let Ok(checkpoint) = parse_checkpoint(bytes) {
        assert_eq!(checkpoint.to_text().as_bytes(), bytes);
    }
    if let Ok(proof) = parse_proof(bytes) {
        assert_eq!(proof.to_text().as_bytes(), bytes);
    }
    if let Ok(entries) = parse_bundle(bytes) {
        let joined: Vec<u8> = entries
            .iter()
            .flat_map(|entry| [&u16::try_from(entry.len()).unwrap().to_be_bytes()[..], entry].concat())
            .collect();
        assert_eq!(joined, bytes);
    }
    if let Ok(evidence) = parse_evidence(bytes) {
        // A JSON document has many spellings, and they mean the same.
        assert_eq!(parse_evidence(evidence.to_json().as_bytes()).unwrap(), evidence);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let line = text.strip_suffix('\n').unwrap_or(text);
        if let Ok(key) = VerifierKey::parse(text) {
            assert_eq!(key.to_string(), line);
        }
        if let Ok(key) = SignerKey::parse(text) {
            assert_eq!(key.to_private_text(), line);
        }
    }
}

/// Valid input of every kind.
fn samples() -> Vec<Vec<u8>> {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = open(directory.path());
    ledger.append(&entries(0..20)).unwrap();
    let proof = ledger.prove(11).unwrap();
    verify_proof(proof.to_text().as_bytes(), &entry(11), ledger.verifier_key()).unwrap();
    let mut with_extra = proof.clone();
    with_extra.extra = Some(b"extra".to_vec());
    let mut samples: Vec<_> = crate::common::files(directory.path()).into_values().collect();
    let evidence = ledger.evidence(&hullmark_types::Digest::sha256(b""), &[3, 11].into()).unwrap();
    samples.push(evidence.to_json().into_bytes());
    samples.push(proof.to_text().into_bytes());
    samples.push(with_extra.to_text().into_bytes());
    samples
}

#[test]
fn samples_of_every_kind_are_read_exactly() {
    for sample in samples() {
        check(&sample);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn arbitrary_bytes_are_no_danger(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        check(&bytes);
    }

    #[test]
    fn arbitrary_lines_are_no_danger(text in "(c2sp.org/tlog-proof@v1\n|index 0\n|extra AA==\n|\n|\u{2014} a AAAAAAA=\n|a\n|0\n|47DEQpj8HBSa\\+/TImW\\+5JCeuQeRkm5NMpJWZG3hSuFU=\n){0,12}") {
        check(text.as_bytes());
    }
}

#[test]
fn valid_input_with_a_byte_changed_removed_or_doubled_is_no_danger() {
    for sample in samples() {
        for position in 0..sample.len() {
            let mut changed = sample.clone();
            changed[position] ^= 1 << (position % 8);
            check(&changed);
            let mut shorter = sample.clone();
            shorter.remove(position);
            check(&shorter);
            let mut longer = sample.clone();
            longer.insert(position, sample[position]);
            check(&longer);
            check(&sample[..position]);
        }
    }
}
