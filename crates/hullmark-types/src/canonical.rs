//! Canonical JSON: object keys sorted by their bytes, no white space, no floating-point surprises.

use serde::Serialize;
use serde_json::Value;

use crate::Digest;

/// A value could not be written as canonical JSON.
#[derive(Debug, thiserror::Error)]
#[error("the value cannot be written as canonical JSON")]
pub struct CanonicalError(#[from] serde_json::Error);

/// Writes `value` as JSON with sorted object keys and no white space.
///
/// The same value gives the same bytes on every machine and in every run. The form is that of RFC 8785 for all values
/// used in Hullmark: strings, booleans, null, integers, and numbers that `serde_json` prints in their shortest form.
pub fn canonical_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Vec::new();
    write_value(&serde_json::to_value(value)?, &mut out)?;
    Ok(out)
}

/// The SHA-256 digest of the canonical JSON of `value`: its identity everywhere in Hullmark.
pub fn digest_of<T: Serialize + ?Sized>(value: &T) -> Result<Digest, CanonicalError> {
    Ok(Digest::sha256(&canonical_json(value)?))
}

fn write_value(value: &Value, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    match value {
        Value::Array(items) => {
            out.push(b'[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write_value(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            // Sorted here and not left to the map type, which a feature of serde_json elsewhere in the tree can change.
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by(|left, right| left.0.as_bytes().cmp(right.0.as_bytes()));
            out.push(b'{');
            for (position, (key, item)) in sorted.into_iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, key)?;
                out.push(b':');
                write_value(item, out)?;
            }
            out.push(b'}');
        }
        scalar => serde_json::to_writer(out, scalar)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_at_every_depth() {
        let value: Value = serde_json::from_str(r#"{ "b": [ {"z": 1, "a": null} ], "a": "x\ny" }"#).unwrap();
        assert_eq!(
            String::from_utf8(canonical_json(&value).unwrap()).unwrap(),
            r#"{"a":"x\ny","b":[{"a":null,"z":1}]}"#
        );
    }
}
