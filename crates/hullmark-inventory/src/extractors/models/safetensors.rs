//! The head of a safetensors file (<https://huggingface.co/docs/safetensors>): its length, and JSON that names tensors and may
//! hold texts about the model, for which there are common names (<https://github.com/Stability-AI/ModelSpec>).

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserializer, de};

use super::{MAX_HEAD, Said};
use crate::text::{excerpt, non_empty};

/// No head is longer, by the specification.
const MAX_LENGTH: u64 = 100_000_000;

/// Reads what the head says. Of one that is longer than what is read, the texts count that come before the tensors.
pub(super) fn read(head: &[u8]) -> Result<Said, String> {
    let (length, rest) = head.split_first_chunk::<8>().ok_or("the file is shorter than its head")?;
    let length = u64::from_le_bytes(*length);
    if !(2..=MAX_LENGTH).contains(&length) || rest.first() != Some(&b'{') {
        return Err("the file is not safetensors, as its name says".to_owned());
    }
    let is_whole = usize::try_from(length).is_ok_and(|length| length <= rest.len());
    if !is_whole && head.len() < MAX_HEAD {
        return Err("the head of the file is cut short".to_owned());
    }
    let text = rest.get(..usize::try_from(length).unwrap_or(usize::MAX)).unwrap_or(rest);
    let mut texts = BTreeMap::new();
    let mut reader = serde_json::Deserializer::from_slice(text);
    if let Err(error) = reader.deserialize_map(Texts(&mut texts))
        && is_whole
    {
        return Err(format!("the head of the file is not valid: {}", excerpt(&error.to_string())));
    }
    let text = |key: &str| texts.get(key).and_then(|text| non_empty(text));
    let mut said = Said {
        name: text("modelspec.title"),
        author: text("modelspec.author"),
        licenses: text("modelspec.license").into_iter().collect(),
        ..Said::default()
    };
    said.property("model:format", Some("safetensors"));
    said.property("model:architecture", text("modelspec.architecture").as_deref());
    said.property("model:framework", text("format").as_deref());
    said.property("model:hash", text("modelspec.hash_sha256").as_deref());
    Ok(said)
}

/// Takes the texts as they come, so that what follows them may be missing.
struct Texts<'a>(&'a mut BTreeMap<String, String>);

impl<'de> Visitor<'de> for Texts<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map of tensors")
    }

    fn visit_map<Map: MapAccess<'de>>(self, mut map: Map) -> Result<(), Map::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "__metadata__" {
                *self.0 = map.next_value()?;
            } else {
                map.next_value::<IgnoredAny>().map_err(de::Error::custom)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(json: &str) -> Vec<u8> {
        [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &[0; 100]].concat()
    }

    #[test]
    fn texts_about_the_model() {
        let json = r#"{"__metadata__":{"format":"pt","modelspec.title":"A Model","modelspec.license":"MIT"},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        let said = read(&model(json)).unwrap();
        assert_eq!(said.name.as_deref(), Some("A Model"));
        assert_eq!(said.licenses, ["MIT"]);
        assert_eq!(said.properties["model:framework"], "pt");
        assert!(read(&model(r#"{"x":{"dtype":"F32"}}"#)).unwrap().name.is_none());
    }

    #[test]
    fn a_long_head_says_what_comes_first() {
        let tensors = r#""x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"#.repeat(MAX_HEAD / 40);
        let json = format!(r#"{{"__metadata__":{{"modelspec.title":"Long"}},{tensors}"y":{{}}}}"#);
        let whole = model(&json);
        assert_eq!(read(&whole[..MAX_HEAD]).unwrap().name.as_deref(), Some("Long"));
    }

    #[test]
    fn what_is_no_model_is_refused() {
        for bytes in
            [&b""[..], b"\x02\0\0\0\0\0\0\0[]", &[0xff; 20], &model("{\"x\":")[..], &model("{}")[..9]]
        {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }
}
