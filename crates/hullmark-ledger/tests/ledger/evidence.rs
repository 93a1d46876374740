//! Evidence bundles: what is exported verifies, and nothing else does.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hullmark_ledger::{
    Evidence, EvidenceDocument, EvidenceError, LogFiles, MAX_EVIDENCE_DOCUMENTS, MAX_EVIDENCE_ENTRIES,
    SignerKey, evidence_from, parse_evidence,
};
use hullmark_types::Digest;

use crate::common::{entries, entry, files, open};

/// A bundle of some entries of a ledger of 1,000, and a document.
fn sample(indexes: &[u64]) -> Evidence {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = open(directory.path());
    ledger.append(&entries(0..1000)).unwrap();
    let indexes = indexes.iter().copied().collect();
    let mut evidence = ledger.evidence(&Digest::sha256(b"image"), &indexes).unwrap();
    let document = EvidenceDocument { bytes: b"a policy".to_vec() };
    evidence.attach(vec![document.clone(), document]);
    assert_eq!(evidence.documents.len(), 1);
    evidence
}

#[test]
fn a_bundle_reads_back_and_verifies() {
    let indexes = [0, 3, 255, 256, 700, 999];
    let evidence = sample(&indexes);
    let read = parse_evidence(evidence.to_json().as_bytes()).unwrap();
    assert_eq!(read, evidence);
    for key in [None, Some(&evidence.key)] {
        let proven = read.verify(key).unwrap();
        assert_eq!((proven.origin.as_str(), proven.size), ("example.org/ledger", 1000));
        assert_eq!(proven.entries, indexes);
    }
    assert_eq!(read.entries[2].bytes, entry(255));
    let stranger = SignerKey::from_seed("example.org/ledger", &[66; 32]).unwrap();
    let error = read.verify(Some(stranger.verifier())).unwrap_err();
    assert!(matches!(error, EvidenceError::OtherKey { .. }), "{error}");
}

#[test]
fn only_entries_that_are_there_can_be_exported() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = open(directory.path());
    ledger.append(&entries(0..3)).unwrap();
    let error = ledger.evidence(&Digest::sha256(b""), &BTreeSet::from([3])).unwrap_err();
    assert_eq!(error.to_string(), "there is no entry 3: the ledger has 3 entries");
}

#[test]
fn every_changed_byte_is_noticed_or_changes_nothing() {
    let evidence = sample(&[3, 700]);
    let text = evidence.to_json().into_bytes();
    let mut read_the_same = 0;
    for position in 0..text.len() {
        for change in [0x01, 0x02, 0x20, 0x80] {
            let mut changed = text.clone();
            changed[position] ^= change;
            let Ok(read) = parse_evidence(&changed) else { continue };
            // What the bundle is about is compared with the entries by those who know what entries mean.
            if read.about != evidence.about {
                continue;
            }
            match read == evidence {
                true => read_the_same += 1,
                false => assert!(read.verify(None).is_err(), "byte {position} changed by {change:#x}"),
            }
        }
        let mut shorter = text.clone();
        shorter.remove(position);
        if let Ok(read) = parse_evidence(&shorter) {
            assert!(read == evidence || read.verify(None).is_err(), "byte {position} removed");
        }
    }
    // White space between the members of the document.
    assert!(read_the_same < 100, "{read_the_same}");
}

#[test]
fn every_changed_byte_of_an_entry_proof_checkpoint_or_key_is_noticed() {
    let evidence = sample(&[3, 700]);
    let fails = |changed: &Evidence, what: &str| {
        let through_text = parse_evidence(changed.to_json().as_bytes());
        assert!(through_text.and_then(|read| read.verify(None)).is_err(), "{what}");
        assert!(changed.verify(None).is_err(), "{what}");
    };
    for number in 0..2 {
        for position in 0..evidence.entries[number].bytes.len() {
            let mut changed = evidence.clone();
            changed.entries[number].bytes[position] ^= 1;
            fails(&changed, &format!("byte {position} of entry {number}"));
        }
        for hash in 0..evidence.entries[number].path.len() {
            for byte in 0..32 {
                let mut changed = evidence.clone();
                changed.entries[number].path[hash].0[byte] ^= 0x80;
                fails(&changed, &format!("byte {byte} of hash {hash} of entry {number}"));
            }
        }
        let mut changed = evidence.clone();
        changed.entries[number].path.pop();
        fails(&changed, "a hash was removed");
    }
    let mut swapped = evidence.clone();
    swapped.entries[0].index = 4;
    fails(&swapped, "another index");
    let text = evidence.to_json();
    for original in [evidence.checkpoint.to_text(), evidence.key.to_string()] {
        for position in 0..original.len() {
            for change in [0x01, 0x04] {
                let mut changed = original.clone().into_bytes();
                changed[position] ^= change;
                let Ok(changed) = String::from_utf8(changed) else { continue };
                let quoted = |text: &str| serde_json::to_string(text).unwrap();
                let changed = text.replacen(&quoted(&original), &quoted(&changed), 1);
                assert_ne!(changed, text);
                let read = parse_evidence(changed.as_bytes()).and_then(|read| read.verify(None));
                assert!(read.is_err(), "byte {position} of {original:?} changed by {change}");
            }
        }
    }
}

/// A log that is elsewhere, as a server of tiles shows it: exactly the files of one size, from a directory.
struct Elsewhere(std::collections::BTreeMap<String, Vec<u8>>);

impl LogFiles for Elsewhere {
    fn read(
        &self,
        name: &str,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, Box<dyn std::error::Error + Send + Sync>> {
        match self.0.get(name) {
            Some(bytes) if bytes.len() > limit => Err("too large".into()),
            found => Ok(found.cloned()),
        }
    }
}

#[test]
fn evidence_from_a_log_elsewhere_is_that_of_the_log_at_hand() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = open(directory.path());
    let about = Digest::sha256(b"image");
    for size in [1, 255, 256, 257, 1000, 66_000] {
        ledger.append(&entries(ledger.size()..size)).unwrap();
        let indexes = [0, 100, 255, 256, 700, 65_535, size - 1].into_iter().filter(|i| *i < size).collect();
        let mut elsewhere = Elsewhere(files(directory.path()));
        let from = |elsewhere: &Elsewhere| evidence_from(elsewhere, ledger.verifier_key(), &about, &indexes);
        let evidence = from(&elsewhere).unwrap();
        assert_eq!(evidence, ledger.evidence(&about, &indexes).unwrap(), "{size} entries");
        evidence.verify(Some(ledger.verifier_key())).unwrap();
        // The largest has some hundred files: a few of them.
        let step = if size > 1000 { 40 } else { 1 };
        let is_of_log = |name: &&String| !name.starts_with("ledger.");
        let names: Vec<_> = elsewhere.0.keys().filter(is_of_log).step_by(step).cloned().collect();
        for name in names {
            let original = elsewhere.0.remove(&name).unwrap();
            let needed = from(&elsewhere).is_err();
            assert!(needed || name.starts_with("tile/") || name == "lock", "{name}");
            let mut changed = original.clone();
            if let Some(byte) = changed.last_mut() {
                *byte ^= 1;
                elsewhere.0.insert(name.clone(), changed);
                // What cannot be verified is refused; what is verified is the same evidence.
                assert!(from(&elsewhere).map_or(true, |made| made == evidence), "{name}");
            }
            elsewhere.0.insert(name, original);
        }
    }
    let stranger = SignerKey::from_seed("example.org/ledger", &[66; 32]).unwrap();
    let elsewhere = Elsewhere(files(directory.path()));
    let error = evidence_from(&elsewhere, stranger.verifier(), &about, &BTreeSet::from([0])).unwrap_err();
    assert!(error.to_string().starts_with("`checkpoint` of the log is damaged: signed note"), "{error}");
    let error =
        evidence_from(&elsewhere, ledger.verifier_key(), &about, &BTreeSet::from([66_000])).unwrap_err();
    assert_eq!(error.to_string(), "there is no entry 66000: the ledger has 66000 entries");
}

#[track_caller]
fn refused(change: impl FnOnce(&mut serde_json::Value), expected: &str) {
    let mut document: serde_json::Value = serde_json::from_str(&sample(&[3, 700]).to_json()).unwrap();
    change(&mut document);
    let error = parse_evidence(document.to_string().as_bytes()).unwrap_err();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn malformed_bundles_are_refused_with_what_is_wrong() {
    let not_the_form = "the bundle is not of the form `hullmark-evidence-1`";
    refused(|d| *d = serde_json::json!([]), &format!("{not_the_form}: invalid"));
    refused(
        |d| d["format"] = "hullmark-evidence-2".into(),
        "the bundle has the format `hullmark-evidence-2`, expected",
    );
    refused(
        |d| *d = serde_json::json!({ "format": "hullmark-evidence-2", "proofs": [] }),
        "the bundle has the format `hullmark-evidence-2`, expected",
    );
    refused(|d| d["more"] = 1.into(), &format!("{not_the_form}: unknown field `more`"));
    refused(
        |d| drop(d.as_object_mut().unwrap().remove("checkpoint")),
        &format!("{not_the_form}: missing field `checkpoint`"),
    );
    refused(|d| d["about"] = "sha256:1".into(), "the bundle does not say what it is about: `sha256:1`");
    refused(|d| d["key"] = "a+b".into(), "the key in the bundle is damaged: verifier key, line 1");
    refused(
        |d| d["key"] = format!("{}\n", d["key"].as_str().unwrap()).into(),
        "the key in the bundle is damaged: verifier key, line 1: something follows the key",
    );
    refused(
        |d| d["checkpoint"] = "a\n".into(),
        "the checkpoint in the bundle is damaged: signed note, line 1",
    );
    refused(|d| d["origin"] = "b\u{1b}".into(), "the bundle says that it is of the ledger `b\\u{1b}`, its");
    refused(|d| d["entries"] = serde_json::json!([]), "the bundle has no entries");
    refused(|d| d["entries"][0]["index"] = (-1).into(), &format!("{not_the_form}: invalid value"));
    refused(
        |d| d["entries"][1]["index"] = 3.into(),
        "entry 3 (number 1 in the bundle): out of order or there twice",
    );
    refused(
        |d| d["entries"][1]["entry"] = "?".into(),
        "entry 700 (number 1 in the bundle): it is not base64",
    );
    refused(
        |d| d["entries"][1]["entry"] = "AB==".into(),
        "entry 700 (number 1 in the bundle): it is not base64",
    );
    let long = STANDARD.encode(vec![0; 65_536]);
    refused(
        |d| d["entries"][0]["entry"] = long.into(),
        "entry 3 (number 0 in the bundle): longer than any entry",
    );
    refused(
        |d| d["entries"][0]["proof"][0] = "AAAA".into(),
        "entry 3 (number 0 in the bundle): a hash of its proof is not a SHA-256 hash in base64",
    );
    refused(
        |d| d["entries"][0]["proof"] = vec![d["entries"][0]["proof"][0].clone(); 64].into(),
        "entry 3 (number 0 in the bundle): its proof has more than 63 hashes",
    );
    refused(|d| d["documents"][0]["bytes"] = "?".into(), "the document sha256:");
    refused(
        |d| d["documents"][0]["bytes"] = "AAAA".into(),
        &format!("the document {} was changed: its bytes have the digest", Digest::sha256(b"a policy")),
    );
    refused(
        |d| d["documents"] = vec![d["documents"][0].clone(); 2].into(),
        &format!("the document {} is out of order or there twice", Digest::sha256(b"a policy")),
    );
    refused(
        |d| d["entries"] = vec![d["entries"][0].clone(); MAX_EVIDENCE_ENTRIES + 1].into(),
        "the bundle has 20001 entries, more than 20000",
    );
    refused(
        |d| d["documents"] = vec![d["documents"][0].clone(); MAX_EVIDENCE_DOCUMENTS + 1].into(),
        "the bundle has 1001 documents, more than 1000",
    );
    let twice = sample(&[3]).to_json().replacen("\"origin\"", "\"about\": \"\", \"origin\"", 1);
    let error = parse_evidence(twice.as_bytes()).unwrap_err();
    assert!(matches!(error, EvidenceError::Json(_)), "a member that is there twice: {error}");
}
