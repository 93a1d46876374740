//! Telling, without parsing it, whether an entry can be of interest.

use std::collections::BTreeSet;

use hullmark_types::Digest;

/// What every digest that Hullmark writes begins with.
const ALGORITHMS: [&str; 2] = ["sha256:", "sha512:"];

/// A set of digests to look for in the text of entries.
#[derive(Debug, Clone, Default)]
pub(super) struct NamedDigests {
    /// By algorithm, as in [`ALGORITHMS`]: the digits.
    digits: [BTreeSet<String>; 2],
}

impl NamedDigests {
    pub(super) fn is_empty(&self) -> bool {
        self.digits.iter().all(BTreeSet::is_empty)
    }

    pub(super) fn contains(&self, digest: &Digest) -> bool {
        self.digits.iter().any(|digits| digits.contains(digest.hex()))
    }

    pub(super) fn extend(&mut self, other: &Self) {
        for (mine, others) in self.digits.iter_mut().zip(&other.digits) {
            mine.extend(others.iter().cloned());
        }
    }

    /// Whether any of the digests stands in the entry.
    pub(super) fn occur_in(&self, entry: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(entry) else { return false };
        ALGORITHMS.iter().zip(&self.digits).any(|(algorithm, digits)| {
            !digits.is_empty()
                && text.match_indices(algorithm).any(|(start, _)| {
                    let rest = text.get(start + algorithm.len()..).unwrap_or("");
                    // The digits end at the first character that is none.
                    let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
                    rest.get(..end).is_some_and(|found| digits.contains(found))
                })
        })
    }

    /// Whether the text is one of the digests.
    pub(super) fn is_one(&self, text: &str) -> bool {
        text.parse::<Digest>().is_ok_and(|digest| self.contains(&digest))
    }
}

impl<'a> FromIterator<&'a Digest> for NamedDigests {
    fn from_iter<I: IntoIterator<Item = &'a Digest>>(digests: I) -> Self {
        let mut named = Self::default();
        for digest in digests {
            let algorithm = digest.algorithm().name();
            for (digits, prefix) in named.digits.iter_mut().zip(ALGORITHMS) {
                if prefix.strip_suffix(':') == Some(algorithm) {
                    digits.insert(digest.hex().to_owned());
                }
            }
        }
        named
    }
}

/// Whether the entry can be about a policy, an exception or the server, by the words of its canonical JSON.
pub(super) fn administrative(entry: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(entry) else { return false };
    text.match_indices("\"kind\":\"").any(|(start, key)| {
        let word = text.get(start + key.len()..).unwrap_or("");
        ["policy\"", "exception\"", "server\""].iter().any(|kind| word.starts_with(kind))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_found_whole_and_in_references() {
        let digest = Digest::sha256(b"a");
        let named: NamedDigests = [&digest].into_iter().collect();
        assert!(named.occur_in(format!("{{\"name\":\"x/y@{digest}\"}}").as_bytes()));
        assert!(named.occur_in(digest.to_string().as_bytes()), "also at the end");
        assert!(!named.occur_in(format!("{digest}0").as_bytes()), "longer digits are another digest");
        assert!(!named.occur_in(format!("sha256:{}", digest.short()).as_bytes()));
        assert!(!named.occur_in(digest.hex().as_bytes()), "digits without an algorithm are no digest");
        assert!(!named.occur_in(b"\xffsha256:"));
    }

    #[test]
    fn administrative_entries_are_told_by_their_kind() {
        assert!(administrative(br#"{"actor":{"name":"a"},"kind":"policy","message":"m"}"#));
        assert!(!administrative(br#"{"kind":"decision","message":"the policy says no"}"#));
    }
}
