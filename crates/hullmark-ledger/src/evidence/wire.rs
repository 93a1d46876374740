//! The JSON document `hullmark-evidence-1`: reading it within limits, and writing it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::bundle::MAX_ENTRY_SIZE;
use crate::checkpoint::parse_checkpoint;
use crate::error::FormatError;
use crate::evidence::{
    Evidence, EvidenceDocument, EvidenceEntry, EvidenceError, MAX_EVIDENCE_DOCUMENTS, MAX_EVIDENCE_ENTRIES,
    MAX_EVIDENCE_SIZE,
};
use crate::hash::NodeHash;
use crate::key::VerifierKey;
use crate::proof::MAX_HASHES;

/// The word that the document begins with: its form and version.
pub const EVIDENCE_FORMAT: &str = "hullmark-evidence-1";

/// The document as written. Every member must be there and no other may.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: String,
    about: String,
    origin: String,
    key: String,
    checkpoint: String,
    entries: Vec<Entry>,
    documents: Vec<Attachment>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    index: u64,
    entry: String,
    proof: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attachment {
    digest: String,
    bytes: String,
}

/// Only the format, to tell a document of another version from a damaged one.
#[derive(Deserialize)]
struct Format {
    format: String,
}

/// Reads a bundle. Neither signature nor proofs are checked here: see [`Evidence::verify`].
///
/// # Errors
/// What is wrong and where, when the form is not that of the version or exceeds the limits.
pub fn parse_evidence(bytes: &[u8]) -> Result<Evidence, EvidenceError> {
    if bytes.len() > MAX_EVIDENCE_SIZE {
        return Err(EvidenceError::TooLarge { size: bytes.len(), limit: MAX_EVIDENCE_SIZE });
    }
    let document: Document =
        serde_json::from_slice(bytes).map_err(|error| match serde_json::from_slice::<Format>(bytes) {
            Ok(Format { format }) if format != EVIDENCE_FORMAT => {
                EvidenceError::Format { found: cut(&format) }
            }
            _ => EvidenceError::Json(error),
        })?;
    if document.format != EVIDENCE_FORMAT {
        return Err(EvidenceError::Format { found: cut(&document.format) });
    }
    let about = document.about.parse().map_err(EvidenceError::About)?;
    let key = VerifierKey::parse(&document.key).map_err(EvidenceError::KeyMalformed)?;
    if key.to_string() != document.key {
        return Err(EvidenceError::KeyMalformed(FormatError {
            what: "verifier key",
            line: 1,
            reason: "something follows the key",
        }));
    }
    let checkpoint =
        parse_checkpoint(document.checkpoint.as_bytes()).map_err(EvidenceError::CheckpointMalformed)?;
    if document.origin != checkpoint.origin() {
        return Err(EvidenceError::Origin {
            said: cut(&document.origin),
            found: checkpoint.origin().to_owned(),
        });
    }
    let limited = |what, found, limit| match found > limit {
        true => Err(EvidenceError::TooMany { what, found, limit }),
        false => Ok(()),
    };
    limited("entries", document.entries.len(), MAX_EVIDENCE_ENTRIES)?;
    limited("documents", document.documents.len(), MAX_EVIDENCE_DOCUMENTS)?;
    if document.entries.is_empty() {
        return Err(EvidenceError::Empty);
    }
    let mut entries: Vec<EvidenceEntry> = Vec::with_capacity(document.entries.len());
    for (position, entry) in document.entries.iter().enumerate() {
        let index = entry.index;
        let parsed = read_entry(entry).map_err(|reason| EvidenceError::Entry { index, position, reason })?;
        if entries.last().is_some_and(|last| last.index >= index) {
            let reason = "out of order or there twice";
            return Err(EvidenceError::Entry { index, position, reason });
        }
        entries.push(parsed);
    }
    let mut documents: Vec<EvidenceDocument> = Vec::with_capacity(document.documents.len());
    for attachment in &document.documents {
        let parsed = read_attachment(attachment)?;
        let digest = parsed.digest();
        if documents.last().is_some_and(|last| last.digest() >= digest) {
            return Err(EvidenceError::DocumentOrder { digest });
        }
        documents.push(parsed);
    }
    Ok(Evidence { about, key, checkpoint, entries, documents })
}

fn read_entry(entry: &Entry) -> Result<EvidenceEntry, &'static str> {
    // Four characters for three bytes: what is too long is refused before it is decoded.
    if entry.entry.len() > MAX_ENTRY_SIZE.div_ceil(3) * 4 {
        return Err("longer than any entry");
    }
    let bytes = STANDARD.decode(&entry.entry).map_err(|_| "it is not base64")?;
    if bytes.len() > MAX_ENTRY_SIZE {
        return Err("longer than any entry");
    }
    if entry.proof.len() > MAX_HASHES {
        return Err("its proof has more than 63 hashes");
    }
    let path = entry.proof.iter().map(|hash| NodeHash::from_base64(hash)).collect::<Option<_>>();
    let path = path.ok_or("a hash of its proof is not a SHA-256 hash in base64")?;
    Ok(EvidenceEntry { index: entry.index, bytes, path })
}

fn read_attachment(attachment: &Attachment) -> Result<EvidenceDocument, EvidenceError> {
    let said = || cut(&attachment.digest);
    let bytes =
        STANDARD.decode(&attachment.bytes).map_err(|_| EvidenceError::DocumentEncoding { digest: said() })?;
    let document = EvidenceDocument { bytes };
    let found = document.digest();
    if found.to_string() != attachment.digest {
        return Err(EvidenceError::DocumentDigest { said: said(), found });
    }
    Ok(document)
}

/// The beginning of a text from a bundle, for messages.
fn cut(text: &str) -> String {
    text.chars().take(100).flat_map(char::escape_default).collect()
}

impl Evidence {
    /// The bundle as a JSON document, which [`parse_evidence`] reads: one line for each entry and document.
    #[must_use]
    pub fn to_json(&self) -> String {
        // A JSON string of any text: writing one cannot fail.
        let string = |text: &str| serde_json::Value::from(text).to_string();
        let list = |items: Vec<String>| match items.is_empty() {
            true => "[]".to_owned(),
            false => format!("[\n    {}\n  ]", items.join(",\n    ")),
        };
        let entries = self.entries.iter().map(|entry| {
            let path: Vec<_> = entry.path.iter().map(|hash| format!("\"{hash}\"")).collect();
            let bytes = STANDARD.encode(&entry.bytes);
            format!(
                "{{\"index\": {}, \"entry\": \"{bytes}\", \"proof\": [{}]}}",
                entry.index,
                path.join(", ")
            )
        });
        let documents = self.documents.iter().map(|document| {
            let bytes = STANDARD.encode(&document.bytes);
            format!("{{\"digest\": \"{}\", \"bytes\": \"{bytes}\"}}", document.digest())
        });
        format!(
            "{{\n  \"format\": \"{EVIDENCE_FORMAT}\",\n  \"about\": \"{}\",\n  \"origin\": {},\n  \"key\": {},\n  \
             \"checkpoint\": {},\n  \"entries\": {},\n  \"documents\": {}\n}}\n",
            self.about,
            string(self.checkpoint.origin()),
            string(&self.key.to_string()),
            string(&self.checkpoint.to_text()),
            list(entries.collect()),
            list(documents.collect()),
        )
    }
}
