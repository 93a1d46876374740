//! The head of a GGUF file (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>): keys and values.

use super::Said;
use crate::text::non_empty;

/// The most keys that are looked at.
const MAX_KEYS: u64 = 10_000;
/// The longest text that is taken.
const MAX_TEXT: usize = 4096;
/// How deep arrays may be in arrays.
const MAX_DEPTH: u32 = 4;

/// The types of values that are not numbers.
const TEXT: u32 = 8;
const ARRAY: u32 = 9;

/// Reads what the head says. That it ends before the values do is no mistake: words of models are many, and come last.
pub(super) fn read(head: &[u8]) -> Result<Said, String> {
    let mut reader = Reader { rest: head, big_endian: false, short: false };
    if reader.take(4) != Some(b"GGUF") {
        return Err("the file is not GGUF, as its name says".to_owned());
    }
    let version = reader.rest.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes)).unwrap_or_default();
    // In a file of big-endian byte order the version is the other way round.
    reader.big_endian = version & 0xffff == 0;
    let version = reader.number(4).unwrap_or_default();
    if !(1..=3).contains(&version) {
        return Err(format!("the version {version} of GGUF is not known"));
    }
    // The first version counts in 32 bits.
    reader.short = version == 1;
    let mut said = Said::default();
    said.property("model:format", Some("gguf"));
    let counts = reader.count().and_then(|_| reader.count());
    let Some(keys) = counts else { return Err("the head of the file is cut short".to_owned()) };
    for _ in 0..keys.min(MAX_KEYS) {
        if key(&mut reader, &mut said).is_none() {
            break;
        }
    }
    Ok(said)
}

/// Reads one key and its value. `None` at the end of what is there, and at what makes no sense.
fn key(reader: &mut Reader<'_>, said: &mut Said) -> Option<()> {
    let key = std::str::from_utf8(reader.text()?).ok()?;
    let kind = u32::try_from(reader.number(4)?).ok()?;
    if kind != TEXT {
        return reader.skip(kind, MAX_DEPTH);
    }
    let bytes = reader.text()?;
    let text = String::from_utf8_lossy(bytes.get(..MAX_TEXT).unwrap_or(bytes));
    let value = non_empty(&text);
    match key {
        "general.name" => said.name = value,
        "general.basename" => said.name = said.name.take().or(value),
        "general.version" => said.version = value,
        "general.organization" => said.author = value,
        "general.author" => said.author = said.author.take().or(value),
        "general.license" => said.licenses = value.into_iter().collect(),
        "general.repo_url" => said.address = value,
        "general.source.huggingface.repository" => {
            said.address = said.address.take().or(value.map(|name| format!("https://huggingface.co/{name}")));
        }
        "general.architecture" => said.property("model:architecture", value.as_deref()),
        "general.size_label" => said.property("model:size", value.as_deref()),
        "general.finetune" => said.property("model:fine-tune", value.as_deref()),
        "general.quantized_by" => said.property("model:quantized-by", value.as_deref()),
        _ => {}
    }
    Some(())
}

struct Reader<'a> {
    rest: &'a [u8],
    big_endian: bool,
    /// Lengths have 32 bits.
    short: bool,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self, size: usize) -> Option<u64> {
        let big_endian = self.big_endian;
        let bytes = self.take(size)?;
        let join = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) })
    }

    fn count(&mut self) -> Option<u64> {
        self.number(if self.short { 4 } else { 8 })
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.count()?).ok()?;
        self.take(length)
    }

    fn skip(&mut self, kind: u32, depth: u32) -> Option<()> {
        match size_of_kind(kind) {
            Some(size) => self.take(size).map(drop),
            None if kind == TEXT => self.text().map(drop),
            None if kind == ARRAY && depth > 0 => {
                let kind = u32::try_from(self.number(4)?).ok()?;
                let count = self.count()?;
                if let Some(size) = size_of_kind(kind) {
                    return self.take(usize::try_from(count).ok()?.checked_mul(size)?).map(drop);
                }
                // Each takes bytes, or the reading ends.
                (0..count).try_for_each(|_| self.skip(kind, depth - 1))
            }
            None => None,
        }
    }
}

/// How many bytes a number has.
fn size_of_kind(kind: u32) -> Option<usize> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Writer(Vec<u8>, bool);

    impl Writer {
        fn number(&mut self, value: u64, size: usize) {
            let bytes = value.to_be_bytes();
            let mut bytes = bytes[8 - size..].to_vec();
            if !self.1 {
                bytes.reverse();
            }
            self.0.extend(bytes);
        }

        fn text(&mut self, text: &str) {
            self.number(text.len() as u64, 8);
            self.0.extend(text.as_bytes());
        }
    }

    fn model(big_endian: bool) -> Vec<u8> {
        let mut writer = Writer(b"GGUF".to_vec(), big_endian);
        writer.number(3, 4);
        writer.number(291, 8);
        writer.number(7, 8);
        for (key, value) in [("general.architecture", "llama"), ("general.name", "Tiny Llama")] {
            writer.text(key);
            writer.number(8, 4);
            writer.text(value);
        }
        writer.text("llama.block_count");
        writer.number(4, 4);
        writer.number(22, 4);
        writer.text("tokenizer.ggml.tokens");
        writer.number(9, 4);
        writer.number(8, 4);
        writer.number(2, 8);
        writer.text("<s>");
        writer.text("</s>");
        writer.text("tokenizer.ggml.scores");
        writer.number(9, 4);
        writer.number(6, 4);
        writer.number(2, 8);
        writer.number(0, 8);
        for (key, value) in [("general.license", "apache-2.0"), ("general.version", "v1.0")] {
            writer.text(key);
            writer.number(8, 4);
            writer.text(value);
        }
        writer.0
    }

    #[test]
    fn keys_and_values_of_both_byte_orders() {
        for big_endian in [false, true] {
            let said = read(&model(big_endian)).unwrap();
            assert_eq!(said.name.as_deref(), Some("Tiny Llama"));
            assert_eq!(said.version.as_deref(), Some("v1.0"));
            assert_eq!(said.licenses, ["apache-2.0"]);
            assert_eq!(said.properties["model:architecture"], "llama");
        }
    }

    #[test]
    fn every_beginning_of_a_model_is_survived() {
        let whole = model(false);
        for length in 0..whole.len() {
            let said = read(&whole[..length]);
            assert_eq!(said.is_err(), length < 24, "{length}");
        }
        assert!(read(b"GGUF\x09\0\0\0").is_err());
        assert!(read(b"GGML").is_err());
    }

    #[test]
    fn lengths_and_depths_beyond_reason_end_the_reading() {
        let mut writer = Writer(b"GGUF".to_vec(), false);
        writer.number(3, 4);
        writer.number(u64::MAX, 8);
        writer.number(u64::MAX, 8);
        let mut long = Writer(writer.0.clone(), false);
        long.number(u64::MAX, 8);
        assert!(read(&long.0).is_ok());
        writer.text("deep");
        for _ in 0..100 {
            writer.number(9, 4);
            writer.number(9, 4);
            writer.number(u64::MAX, 8);
        }
        assert!(read(&writer.0).is_ok());
    }
}
