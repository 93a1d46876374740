//! Pax records: what stands before a member to say more of it.

use std::collections::BTreeMap;

/// The records of one extended header, the last of each key.
#[derive(Debug, Default)]
pub(crate) struct Records(BTreeMap<Vec<u8>, Vec<u8>>);

impl Records {
    /// Reads records `LENGTH KEY=VALUE\n`; `None` when they have another form.
    pub(crate) fn parse(mut bytes: &[u8]) -> Option<Self> {
        let mut records = BTreeMap::new();
        let mut sparse: Vec<&[u8]> = Vec::new();
        while !bytes.is_empty() {
            let space = bytes.iter().position(|byte| *byte == b' ')?;
            let length: usize = decimal(bytes.get(..space)?)?.try_into().ok()?;
            let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
            bytes = bytes.get(length..)?;
            let equals = record.iter().position(|byte| *byte == b'=').filter(|position| *position > 0)?;
            let (key, value) = (record.get(..equals)?, record.get(equals + 1..)?);
            // Version 0.0 of GNU's sparse files repeats two keys for each part.
            let expected_key = if sparse.len().is_multiple_of(2) {
                &b"GNU.sparse.offset"[..]
            } else {
                b"GNU.sparse.numbytes"
            };
            match key {
                b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                    if key != expected_key || value.contains(&b',') {
                        return None;
                    }
                    sparse.push(value);
                }
                _ => {
                    records.insert(key.to_owned(), value.to_owned());
                }
            }
        }
        if !sparse.is_empty() {
            records.insert(b"GNU.sparse.map".to_vec(), sparse.join(&b','));
        }
        Some(Self(records))
    }

    /// The value of a key; an empty one is as good as none.
    pub(crate) fn get(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key.as_bytes()).map(Vec::as_slice).filter(|value| !value.is_empty())
    }

    /// The number that a key has: `None` without the key, `Some(None)` when it is no number.
    pub(crate) fn number(&self, key: &str) -> Option<Option<u64>> {
        self.get(key).map(decimal)
    }
}

/// A decimal number below 2^63.
pub(crate) fn decimal(bytes: &[u8]) -> Option<u64> {
    std::str::from_utf8(bytes).ok()?.parse::<i64>().ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_taken_apart() {
        let records = Records::parse(b"10 path=a\n10 path=b\n12 path=a=b\n8 size=\n").unwrap();
        assert_eq!(records.get("path"), Some(&b"a=b"[..]));
        assert_eq!(records.get("size"), None);
        for bytes in [
            &b"path=a\n"[..],
            b"99 path=a\n",
            b"10 path=ab\n",
            b"5 =a\n",
            b"-5 a=\n",
            b"5 a\n\n\n",
            b"0 a=b\n",
            b"25 GNU.sparse.numbytes=1\n",
        ] {
            assert!(Records::parse(bytes).is_none(), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
