//! What the walk of a layer tells, to compare walks by.

use std::io::{self, BufRead, Read};

use hullmark_image::{Entry, EntryKind, LayerOutcome, LayerVisitor, Limits, walk_layer};
use hullmark_types::{Digest, DigestAlgorithm, Hasher};

/// Notes each entry, with the digest of its content or that it could not be read to its end.
#[derive(Default)]
pub struct Walked {
    /// The entries.
    pub entries: Vec<(Entry, Option<Digest>)>,
    /// The bytes of their contents.
    pub bytes: u64,
}

impl LayerVisitor for Walked {
    fn entry(&mut self, entry: &Entry, content: &mut dyn BufRead) -> io::Result<()> {
        let mut hasher = Hasher::new(DigestAlgorithm::Sha256);
        let mut buffer = [0; 8192];
        let mut size = 0;
        let result = loop {
            match content.read(&mut buffer) {
                Ok(0) => break Ok(()),
                Ok(length) => {
                    size += length as u64;
                    hasher.update(&buffer[..length]);
                }
                Err(error) => break Err(error),
            }
        };
        self.bytes += size;
        if entry.kind == EntryKind::File {
            assert!(size <= entry.size, "no more than was announced: {entry:?}");
            assert!(result.is_err() || size == entry.size, "no less without an error: {entry:?}");
        }
        self.entries.push((entry.clone(), result.is_ok().then(|| hasher.finish())));
        result
    }
}

/// Gives a few bytes at a time.
struct Dribble<'a>(&'a [u8]);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = (self.0.len() % 700 + 1).min(buffer.len());
        let (part, _) = buffer.split_at_mut(length);
        self.0.read(part)
    }
}

/// Walks a layer twice, whole and a few bytes at a time, and checks what must hold of any walk.
pub fn walk(bytes: &[u8], limits: &Limits) -> (Walked, LayerOutcome) {
    let mut walked = Walked::default();
    let outcome = walk_layer(&mut &*bytes, limits, &mut walked);
    let mut again = Walked::default();
    let outcome_again = walk_layer(&mut Dribble(bytes), limits, &mut again);
    assert!(outcome == outcome_again, "{outcome:?}\n{outcome_again:?}");
    assert!(walked.entries == again.entries, "{:?}\n{:?}", walked.entries, again.entries);

    assert_eq!(outcome.stored_size, bytes.len() as u64, "the layer is read to its end");
    assert_eq!(outcome.digest, Some(Digest::sha256(bytes)));
    assert!(outcome.size <= limits.max_layer_size + (1 << 20), "the size limit holds");
    assert!(outcome.entries <= limits.max_entries + 1, "the entry limit holds");
    // What is stored, and as many zeros.
    assert!(walked.bytes <= 2 * limits.max_layer_size + (1 << 20), "the size limit holds for contents");
    for (entry, _) in &walked.entries {
        let path = &entry.path;
        assert!(path.len() <= limits.max_path_length && path.split('/').count() <= limits.max_path_depth);
        assert!(!path.contains('\0'));
        assert!(path.is_empty() || path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{path:?}");
    }
    (walked, outcome)
}
