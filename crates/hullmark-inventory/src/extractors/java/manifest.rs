//! The main section of a manifest (<https://docs.oracle.com/en/java/javase/21/docs/specs/jar/jar.html#jar-manifest>).

use std::collections::BTreeMap;

/// The values of the main section by their lower-case names. Lines are folded at 72 bytes, also within characters.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    values: BTreeMap<String, String>,
}

impl Manifest {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut unfolded: Vec<Vec<u8>> = Vec::new();
        for line in split_lines(bytes) {
            match (line.split_first(), unfolded.last_mut()) {
                (None, _) => break,
                (Some((b' ', more)), Some(last)) => last.extend(more),
                _ => unfolded.push(line.to_vec()),
            }
        }
        let mut values = BTreeMap::new();
        for line in unfolded {
            let line = String::from_utf8_lossy(&line);
            if let Some((name, value)) = line.split_once(':') {
                let value = value.trim();
                if !value.is_empty() {
                    values.entry(name.trim().to_ascii_lowercase()).or_insert_with(|| value.to_owned());
                }
            }
        }
        Self { values }
    }

    /// The value of the first of `names` (lower case) that is there.
    pub(super) fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.values.get(*name)).map(String::as_str)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The licences of a bundle: `NAME;link=ADDRESS,...`
    /// (<https://docs.osgi.org/specification/osgi.core/8.0.0/framework.module.html>).
    pub(super) fn licenses(&self) -> Vec<String> {
        let written = self.first(&["bundle-license"]).unwrap_or_default();
        let names = written.split(',').map(|one| one.split(';').next().unwrap_or_default());
        names
            .map(|name| name.trim().trim_matches('"').trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect()
    }
}

/// Lines that end with `\n`, `\r\n` or `\r`.
fn split_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let Some(end) = memchr::memchr2(b'\n', b'\r', bytes) else {
            rest = None;
            return Some(bytes);
        };
        let after = bytes.get(end..)?;
        rest = after.strip_prefix(b"\r\n").or_else(|| after.get(1..));
        bytes.get(..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_main_section_counts_and_folded_lines_are_one() {
        let text = "Manifest-Version: 1.0\r\nImplementation-Title: a very lo\r\n ng title\r\nBUNDLE-license: \"Apac\r\n \
                    he-2.0\";link=\"https://x\",MIT\r\nno colon\r\nEmpty:\r\n\r\nName: a/b\r\nImplementation-Version: 9\r\n";
        let manifest = Manifest::parse(text.as_bytes());
        assert_eq!(manifest.first(&["implementation-title"]), Some("a very long title"));
        assert_eq!(manifest.licenses(), ["Apache-2.0", "MIT"]);
        assert_eq!(manifest.first(&["empty", "implementation-version"]), None);
        assert!(Manifest::parse(b"\n\nA: b").is_empty());
        assert_eq!(Manifest::parse(b"A: b\rC: d\r").first(&["c"]), Some("d"));
    }
}
