//! The key files of a ledger: `ledger.key` (private) and `ledger.pub`.

use std::fs;
use std::io;
use std::path::Path;

use crate::error::LedgerError;
use crate::files::{PRIVATE, PUBLIC, Publisher, is_absent, read_bounded};
use crate::key::{SignerKey, VerifierKey};
use crate::note::is_key_name;

/// Name of the file with the private key.
pub(crate) const PRIVATE_KEY: &str = "ledger.key";

/// Name of the file with the public key.
pub(crate) const PUBLIC_KEY: &str = "ledger.pub";

/// Largest key file that is read.
const MAX_KEY_FILE: usize = 1024;

/// Gives secret random bytes; asked only when a key is made.
pub type Entropy<'a> = dyn FnMut(&mut [u8]) -> io::Result<()> + 'a;

/// Reads the private key; `None` when there is none.
pub(crate) fn read_signer(root: &Path) -> Result<Option<SignerKey>, LedgerError> {
    check_permissions(&root.join(PRIVATE_KEY))?;
    read_signer_whatever_its_mode(root)
}

/// Reads the private key to compare it: its permissions are not what is asked about.
pub(crate) fn read_signer_whatever_its_mode(root: &Path) -> Result<Option<SignerKey>, LedgerError> {
    let path = root.join(PRIVATE_KEY);
    let Some(text) = read_text(&path)? else { return Ok(None) };
    let signer =
        SignerKey::parse(&text).map_err(|source| LedgerError::KeyMalformed { path: path.clone(), source })?;
    Ok(Some(signer))
}

/// Reads the public key; `None` when there is none.
pub(crate) fn read_verifier(root: &Path) -> Result<Option<VerifierKey>, LedgerError> {
    let path = root.join(PUBLIC_KEY);
    let Some(text) = read_text(&path)? else { return Ok(None) };
    let verifier = VerifierKey::parse(&text)
        .map_err(|source| LedgerError::KeyMalformed { path: path.clone(), source })?;
    Ok(Some(verifier))
}

/// Makes a key and writes it, on the disk before this returns.
pub(crate) fn create_signer(
    publisher: &mut Publisher<'_>,
    root: &Path,
    origin: &str,
    entropy: &mut Entropy<'_>,
) -> Result<SignerKey, LedgerError> {
    let invalid = || LedgerError::OriginInvalid { origin: origin.to_owned() };
    // Checked before secret bytes are drawn.
    if !is_key_name(origin) || origin.len() > MAX_ORIGIN {
        return Err(invalid());
    }
    let mut seed = [0; 32];
    entropy(&mut seed).map_err(LedgerError::io("get random bytes for", &root.join(PRIVATE_KEY)))?;
    let signer = SignerKey::from_seed(origin, &seed).map_err(|_| invalid())?;
    seed.fill(0);
    publisher.publish(PRIVATE_KEY, format!("{}\n", signer.to_private_text()).as_bytes(), PRIVATE)?;
    publisher.barrier()?;
    Ok(signer)
}

/// Longest origin: keeps key files and checkpoints small.
const MAX_ORIGIN: usize = 512;

/// Checks that the public key file belongs to the key, and writes it when it is absent.
pub(crate) fn ensure_verifier(
    publisher: &mut Publisher<'_>,
    root: &Path,
    signer: &SignerKey,
) -> Result<(), LedgerError> {
    match read_verifier(root)? {
        Some(found) => same_key(&root.join(PUBLIC_KEY), signer.verifier(), &found),
        None => {
            publisher.publish(PUBLIC_KEY, format!("{}\n", signer.verifier()).as_bytes(), PUBLIC)?;
            publisher.barrier()
        }
    }
}

/// Checks that a key file holds the key that is expected.
pub(crate) fn same_key(path: &Path, expected: &VerifierKey, found: &VerifierKey) -> Result<(), LedgerError> {
    if expected == found {
        return Ok(());
    }
    Err(LedgerError::KeyMismatch {
        path: path.to_path_buf(),
        expected: expected.label(),
        found: found.label(),
    })
}

fn read_text(path: &Path) -> Result<Option<String>, LedgerError> {
    let Some(bytes) = read_bounded(path, MAX_KEY_FILE)? else { return Ok(None) };
    String::from_utf8(bytes).map(Some).map_err(|_| LedgerError::KeyMalformed {
        path: path.to_path_buf(),
        source: crate::error::FormatError { what: "key", line: 1, reason: "not UTF-8" },
    })
}

/// Refuses a private key that others than its owner can read or write.
#[cfg(unix)]
fn check_permissions(path: &Path) -> Result<(), LedgerError> {
    use std::os::unix::fs::PermissionsExt as _;
    match fs::symlink_metadata(path) {
        Ok(metadata) => match metadata.permissions().mode() & 0o7777 {
            mode if mode & 0o077 != 0 => Err(LedgerError::KeyPermissions { path: path.to_path_buf(), mode }),
            _ => Ok(()),
        },
        Err(error) if is_absent(&error) => Ok(()),
        Err(error) => Err(LedgerError::io("read", path)(error)),
    }
}

#[cfg(not(unix))]
fn check_permissions(_path: &Path) -> Result<(), LedgerError> {
    Ok(())
}
