//! The independent verifier `tests/verify_ledger.py` must agree: on a whole ledger, on tampered ones, on proofs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hullmark_ledger::{SignerKey, parse_bundle};

use crate::common::{entries, entry, files, open};

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/verify_ledger.py")
}

/// Whether Python is here. Where tests are the gate (`CI=true`) its absence is a failure.
fn has_python() -> bool {
    let found = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "python3 is absent, and CI=true");
        println!("skipped: python3 is absent");
    }
    found
}

fn verify(arguments: &[&Path]) -> Output {
    Command::new("python3").arg("-B").arg(script()).args(arguments).output().unwrap()
}

#[track_caller]
fn accepted(arguments: &[&Path], expected: &str) {
    let output = verify(arguments);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(out.contains(expected), "{out}");
}

#[track_caller]
fn refused(arguments: &[&Path], expected: &str) {
    let output = verify(arguments);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{out}{err}");
    assert!(err.contains(expected), "expected {expected:?}, got: {err}");
}

#[test]
fn a_ledger_of_a_thousand_entries_and_a_proof_are_verified_in_python() {
    if !has_python() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut ledger = open(directory.path());
    accepted(&[directory.path()], "example.org/ledger: 0 entries verified");
    ledger.append(&entries(0..1)).unwrap();
    accepted(&[directory.path()], "example.org/ledger: 1 entries verified");
    ledger.append(&entries(1..1000)).unwrap();
    let root = ledger.checkpoint().root();
    accepted(&[directory.path()], &format!("example.org/ledger: 1000 entries verified, root {root}"));

    let put = |name: &str, bytes: &[u8]| {
        let path = elsewhere.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let key = put("key", ledger.verifier_key().to_string().as_bytes());
    let [key_option, proof_option, entry_option] = ["--key", "--proof", "--entry"].map(Path::new);
    for index in [0, 255, 256, 999] {
        let proof = ledger.prove(index).unwrap().to_text();
        let proof_file = put("proof", proof.as_bytes());
        let entry_file = put("entry", &entry(index));
        let all = [directory.path(), key_option, &key, proof_option, &proof_file, entry_option, &entry_file];
        accepted(&all, &format!("the proof holds: the entry is number {index} of 1000"));
        put("entry", &entry(index + 1));
        refused(&all, &format!("it does not hold for entry {index} of 1000"));
        put("entry", &entry(index));
        put("proof", proof.replacen(&format!("index {index}\n"), "index 7\n", 1).as_bytes());
        refused(&all, "it does not hold for entry 7 of 1000");
        put("proof", proof.replacen("\n1000\n", "\n1001\n", 1).as_bytes());
        refused(&all, "the signature does not hold");
    }
    let stranger = SignerKey::from_seed("example.org/ledger", &[66; 32]).unwrap();
    put("key", stranger.verifier().to_string().as_bytes());
    refused(&[directory.path(), key_option, &key], "not signed by the key of `example.org/ledger`");
    assert_eq!(verify(&[directory.path(), proof_option, &key]).status.code(), Some(2), "usage");
}

#[test]
fn a_tampered_ledger_is_refused_in_python_with_the_entry() {
    if !has_python() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).append(&entries(0..1000)).unwrap();
    let check = |name: &str, position: usize, expected: &str| {
        let path = directory.path().join(name);
        let original = std::fs::read(&path).unwrap();
        let mut changed = original.clone();
        changed[position] ^= 0x01;
        std::fs::write(&path, changed).unwrap();
        refused(&[directory.path()], expected);
        std::fs::write(&path, original).unwrap();
    };
    let bundle = files(directory.path())["tile/entries/001"].clone();
    let before: usize = parse_bundle(&bundle).unwrap()[..100].iter().map(|entry| 2 + entry.len()).sum();
    check("tile/entries/001", before, "entry 356 ");
    check("tile/entries/001", before + 1, "entry 356 ");
    check("tile/entries/001", before + 9, "entry 356 does not match its hash: `tile/entries/001`");
    check("tile/entries/003.p/232", 0, "entry 768 ");
    check("tile/0/002", 32 * 5 + 31, "entry 517 does not match its hash");
    check("tile/0/003.p/232", 32 * 231, "entry 999 does not match its hash");
    check("tile/1/000.p/3", 64, "entries 512 to 767 do not match `tile/1/000.p/3` at byte 64");
    check("ledger.pub", 3, "the id does not belong to name and key");
    for position in 0..files(directory.path())["checkpoint"].len() {
        // Every tenth byte: each run starts a Python.
        if position % 10 == 0 {
            check("checkpoint", position, "`checkpoint`");
        }
    }
    std::fs::remove_file(directory.path().join("tile/0/001")).unwrap();
    refused(&[directory.path()], "entries 256 to 511: `tile/0/001` is absent");
}

#[test]
fn ed25519_in_python_agrees_with_rfc_8032_and_with_our_signatures() {
    if !has_python() {
        return;
    }
    // One line per check: public key, message, signature, whether it holds.
    let mut lines = vec![
        // RFC 8032 section 7.1, tests 1 and 2.
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a  \
         e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b True"
            .to_owned(),
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c 72 \
         92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00 True"
            .to_owned(),
    ];
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for seed in 0..20_u8 {
        let signer = SignerKey::from_seed("x", &[seed; 32]).unwrap();
        let message = vec![seed; usize::from(seed)];
        let mut signature = signer.sign(&message);
        for changed in [false, true] {
            if changed {
                signature[usize::from(seed) * 3] ^= 1 << (seed % 8);
            }
            let expected = signer.verifier().verify(&message, &signature);
            assert_eq!(expected, !changed);
            let public = ed25519_public(&signer);
            let expected = if expected { "True" } else { "False" };
            lines.push(format!("{public} {} {} {expected}", hex(&message), hex(&signature)));
        }
    }
    let program = "
import sys
sys.path.insert(0, sys.argv[1])
from verify_ledger import ed25519_verify
for line in sys.argv[2].splitlines():
    public, message, signature, expected = line.split(' ')
    found = ed25519_verify(bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature))
    assert str(found) == expected, line
print('agreed')
";
    let tests = script().parent().unwrap().to_path_buf();
    let output = Command::new("python3")
        .args(["-B", "-c", program])
        .arg(tests)
        .arg(lines.join("\n"))
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "agreed\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The public key in hexadecimal digits, out of the text form of the key.
fn ed25519_public(signer: &SignerKey) -> String {
    let text = signer.verifier().to_string();
    let encoded = text.splitn(3, '+').nth(2).unwrap();
    let decoded = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded).unwrap();
    decoded[1..].iter().map(|byte| format!("{byte:02x}")).collect()
}
